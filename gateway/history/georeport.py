"""
Reads the past requests of an Open311 GeoReport v2 endpoint, as far back as it has any.

It is asked politely: one question at a time, not more often than it is told; what failed for now
is asked again, later each time. The standard lets a server answer with 1,000 requests of 90 days at
most, and servers differ: some have pages, some ignore that they are asked for one, some give fewer.
So a time whose answer may have been cut off is asked for again in two halves.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import urlsplit
from xml.etree import ElementTree

import aiohttp
import structlog

from gateway.history.reader import NotReadable

log = structlog.stdlib.get_logger()

STEP = timedelta(days=30)
"""Asked for at once; the standard allows 90 days, and a month of a great city is much already."""
QUIET = timedelta(days=2 * 365)
"""After so long without a request there are none before, unless it is said since when."""
_SHORTEST = timedelta(minutes=1)
_MOST_AT_ONCE = 1_000
_PAGE_SIZE = 500
# Servers give at most 50, 100, 200, 250, 500, 1,000 at once: an answer with a multiple of it may
# have been cut off.
_ROUND = 50
_TRIES = 6
_LONGEST_WAIT = 600.0  # seconds
_MOST_BYTES = 100 * 1024 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=120, sock_connect=15)

Request = Mapping[str, str]
"""A request as it was told: `status`, `extended_attributes.ward`, …; nothing is an empty word."""

Format = Literal["json", "xml"]


@dataclass(frozen=True)
class Source:
    """Where to ask, and how."""

    url: str
    """As `https://311.example.gov/open311/v2`."""
    jurisdiction: str = ""
    """What a server of several cities calls this one."""
    every: float = 1.0
    """Seconds between two questions, at least."""
    pause: float = 2.0
    """Seconds after a question that failed for now; doubled with each further time."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise NotReadable(f"{self.url} is no web address.")


class _Refused(Exception):
    """The server refuses the question as it is: perhaps fewer days will do, or one page less."""


class Endpoint:
    """An Open311 endpoint that is asked for its past; `async with` opens and closes it."""

    def __init__(self, source: Source, *, extensions: bool = False) -> None:
        """`extensions`: ask for what is not of the standard as well."""
        self._source = source
        self._base = source.url.rstrip("/")
        self._extensions = extensions
        self._format: Format = "json"
        self._next = 0.0
        self.services: dict[str, str] = {}
        """The names of what can be reported, by code."""
        self.cut_off: list[datetime] = []
        """Minutes in which there were more requests than the server gives at once."""

    async def __aenter__(self) -> "Endpoint":
        self._session = aiohttp.ClientSession(
            timeout=_TIMEOUT, headers={"User-Agent": "Buckstop (reads past requests)"}
        )
        try:
            await self._begin()
        except BaseException:
            await self._session.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def _begin(self) -> None:
        """Finds out whether it speaks JSON, which XML alone is required of, and what it offers."""
        try:
            told = await self._ask("services", {}, tries=2)
        except NotReadable as no_json:
            self._format = "xml"
            try:
                told = await self._ask("services", {})
            except NotReadable:
                raise no_json from None
        for one in told:
            if code := one.get("service_code"):
                self.services[code] = one.get("service_name", "")

    async def requests(self, begin: datetime, end: datetime) -> AsyncIterator[list[Request]]:
        """What was reported from `begin` until before `end`; none of it twice, in no order."""
        async for some in self._within(begin, end, set()):
            yield some

    async def _within(
        self, begin: datetime, end: datetime, seen: set[str]
    ) -> AsyncIterator[list[Request]]:
        page, count, strangers, may_lack, turns = 1, 0, 0, False, False
        first: set[str] = set()
        while True:
            try:
                told = await self._page(begin, end, page)
            except _Refused as refused:
                if page == 1 and end - begin <= timedelta(days=1):
                    raise NotReadable(str(refused)) from refused
                turns = page == 1 or (page == 2 and may_lack)
                break
            fresh = [one for one in told if _key(one) not in seen]
            seen.update(map(_key, fresh))
            if fresh:
                yield fresh
            if page == 1:
                count = len(told)
                first = {_key(one) for one in told}
                may_lack = count > 0 and (count >= _MOST_AT_ONCE or count % _ROUND == 0)
                strangers = sum(not _lies_in(one, begin, end) for one in told)
            # Only a page without anything is the last: a short one may lack what is private there.
            if not told:
                break
            if page > 1 and not fresh:
                # The same again: it knows no pages. (Or it tells a later page, of what came in
                # meanwhile, and then this was the last.)
                turns = may_lack and {_key(one) for one in told} == first
                break
            page += 1
        if not turns:
            return
        if count and strangers > count // 2:
            raise NotReadable(
                f"{self._base} tells the same {count} requests whatever days it is asked for."
            )
        if end - begin <= _SHORTEST:
            self.cut_off.append(begin)
            return
        middle = begin + (end - begin) / 2
        for half in ((begin, middle), (middle, end)):
            async for some in self._within(*half, seen):
                yield some

    async def _page(self, begin: datetime, end: datetime, page: int) -> list[Request]:
        query = {
            "start_date": _written(begin),
            "end_date": _written(end),
            "page": str(page),
            "page_size": str(_PAGE_SIZE),
        }
        if self._extensions:
            query["extensions"] = "true"
        return await self._ask("requests", query)

    async def _ask(self, what: str, query: dict[str, str], tries: int = _TRIES) -> list[Request]:
        if self._source.jurisdiction:
            query["jurisdiction_id"] = self._source.jurisdiction
        url = f"{self._base}/{what}.{self._format}"
        pause = self._source.pause
        for tried in range(1, tries + 1):
            wait, why = 0.0, ""
            await self._pace()
            try:
                async with self._session.get(url, params=query) as answer:
                    body = await _body(answer)
                    if answer.status == 200:
                        return requests_in(body, self._format)
                    why = f"{url} answers {answer.status}{_reason(body, self._format)}"
                    if answer.status in (400, 404) and what == "requests":
                        raise _Refused(f"{why}.")
                    if answer.status not in (408, 425, 429) and answer.status < 500:
                        raise NotReadable(f"{why}.")
                    wait = _asked_to_wait(answer.headers.get("Retry-After", ""))
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                why = f"{url} does not answer ({type(error).__name__})"
            except Unreadable as error:
                why = f"{url} does not answer as Open311 does: {error}"
            if wait > _LONGEST_WAIT:
                raise NotReadable(f"{why}, and asks to be left alone for {wait / 60:.0f} minutes.")
            if tried == tries:
                raise NotReadable(f"{why}, {tries} times.")
            log.info("asked again", what=what, why=why, wait=max(wait, pause))
            await asyncio.sleep(max(wait, pause))
            pause *= 2
        raise AssertionError("unreachable")

    async def _pace(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._next - loop.time()))
        self._next = loop.time() + self._source.every


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in answer.content.iter_chunked(65_536):
        body += piece
        if len(body) > _MOST_BYTES:
            raise Unreadable(f"more than {_MOST_BYTES // 1024**2} megabytes at once")
    return bytes(body)


class Unreadable(Exception):
    """An answer is not what it should be; the message says how."""


def requests_in(body: bytes, format: Format) -> list[Request]:
    """
    What an answer holds: its requests, services or errors, each flat. Pure.

    Raises `Unreadable`.
    """
    if format == "xml":
        if b"<!DOCTYPE" in body:
            raise Unreadable("its XML brings definitions of its own")
        try:
            # Without such there is nothing that grows while it is read.
            root = ElementTree.fromstring(body)  # noqa: S314
        except ElementTree.ParseError as error:
            raise Unreadable(f"no XML ({error})") from error
        return [dict(_flat_xml(child)) for child in root]
    try:
        told = json.loads(body)
    except ValueError as error:  # of letters, too
        raise Unreadable("no JSON") from error
    if isinstance(told, dict):
        # Some wrap the list, which the standard does not.
        lists = [value for value in told.values() if isinstance(value, list)]
        told = lists[0] if len(lists) == 1 else told
    if not isinstance(told, list) or not all(isinstance(one, dict) for one in told):
        raise Unreadable("its JSON is no list")
    return [dict(_flat_json(one)) for one in told]


def _flat_json(told: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    flat: list[tuple[str, str]] = []
    for name, value in told.items():
        match value:
            case dict():
                flat += _flat_json(value, f"{before}{name}.")
            case None | list():
                pass
            case bool():
                flat.append((f"{before}{name}", "true" if value else "false"))
            case _:
                flat.append((f"{before}{name}", str(value).strip()))
    return flat


def _flat_xml(told: ElementTree.Element, before: str = "") -> list[tuple[str, str]]:
    flat: list[tuple[str, str]] = []
    for child in told:
        name = f"{before}{child.tag.rpartition('}')[2]}"
        flat += _flat_xml(child, f"{name}.") if len(child) else [(name, (child.text or "").strip())]
    return flat


def _key(told: Request) -> str:
    """By what a request is known again."""
    return told.get("service_request_id") or json.dumps(told, sort_keys=True)


def _lies_in(told: Request, begin: datetime, end: datetime) -> bool:
    try:
        at = datetime.fromisoformat(told.get("requested_datetime", ""))
    except ValueError:
        return True  # nobody knows
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return begin - timedelta(days=1) <= at <= end + timedelta(days=1)


def _written(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _asked_to_wait(retry_after: str) -> float:
    """Seconds, of a header that names them or a moment."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def _reason(body: bytes, format: Format) -> str:
    """What the server says is wrong, where it says so as the standard wants it."""
    try:
        told = requests_in(body[:100_000], format)
    except Unreadable:
        return ""
    said = "; ".join(one["description"] for one in told if one.get("description"))
    return f" ({said[:300]})" if said else ""
