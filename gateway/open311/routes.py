"""Reading over Open311: services, cases as everybody may know them, and what happened to them."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import aiohttp_jinja2
from aiohttp import web
from multidict import MultiDict

from bus.identity import read_reference
from channels.open311 import ROUTE
from channels.open311_form import given, jurisdiction_faults
from channels.open311_format import (
    TYPES,
    Fault,
    Format,
    Refusal,
    answer,
    format_for,
    refuse,
    split_name,
)
from channels.open311_pace import Pace
from channels.open311_services import Question, Service, in_language
from channels.photos import NotAPhoto
from gateway.keys import DARKROOM, FILES, POOL
from gateway.open311.desk import Open311Desk
from gateway.open311.guide import Guide
from gateway.open311.query import (
    MOST_AT_ONCE,
    Listing,
    cursor_of,
    read_listing,
    read_span,
    words_in,
)
from gateway.open311.record import Teller, statuses
from gateway.settings import Settings
from router.rules import City
from store import published
from store.published import After, PublicRow, Wanted

_SPECIFICATION = "http://wiki.open311.org/GeoReport_v2"
_ROOTS = ("", "/open311", ROUTE)
"""Where discovery is found: wherever somebody looks."""
_SERVICES_KEPT = "public, max-age=300"
_PHOTOS_KEPT = "public, max-age=86400"
_LATEST = timedelta(hours=24)  # of updates, where nobody says since when
_MOST_SEARCHED = 2_000
_MANY = 50  # cases; more are written in a thread, beside whatever else is asked
_LOOKS = (0.1, 0.2, 0.4, 0.8, 1.5)  # seconds between looks for a case that was just reported


@dataclass(frozen=True)
class _Asked:
    """A question in its format."""

    request: web.Request
    format: Format
    name: str
    """The last part of the address, without its suffix."""

    def answer(
        self, root: str, value: object, headers: Mapping[str, str] | None = None
    ) -> web.Response:
        callback = given(self.request.query, "callback")
        return answer(self.format, root, value, headers=headers, callback=callback or None)


Handler = Callable[[_Asked], Awaitable[web.Response]]


class Reading:
    """The public half of Open311; no key is needed."""

    def __init__(self, desk: Open311Desk, settings: Settings, title: str) -> None:
        """`title`: how the city calls itself."""
        self._desk = desk
        self._settings = settings
        self._title = title
        self._pace = Pace(settings.channels.open311)
        self._counts = _Counts()

    def routes(self) -> list[web.RouteDef]:
        suffix = r"{suffix:(\.[^/]*)?}"
        return [
            *(web.get(f"{root}/discovery{suffix}", self._open(self.discovery)) for root in _ROOTS),
            web.get(f"{ROUTE}/services{suffix}", self._open(self.services)),
            web.get(f"{ROUTE}/services/{{name}}", self._open(self.definition)),
            web.get(f"{ROUTE}/requests{suffix}", self._open(self.requests)),
            web.get(f"{ROUTE}/requests/{{name}}", self._open(self.one)),
            web.get(f"{ROUTE}/tokens/{{name}}", self._open(self.token)),
            web.get(f"{ROUTE}/servicerequestupdates{suffix}", self._open(self.updates)),
            web.get(f"{ROUTE}/photos/{{reference}}/{{name}}", self.photo),
        ]

    def _open(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            format: Format = "xml"
            try:
                name, suffix = request.match_info.get("name", ""), None
                if name:
                    name, suffix = split_name(name)
                elif written := request.match_info["suffix"]:
                    suffix = written[1:]
                format = format_for(suffix, request.headers.get("Accept", ""))
                await self._pace.count_reader(self._desk.address_of(request))
                if handler != self.discovery and (
                    faults := jurisdiction_faults(request.query, self._desk.book)
                ):
                    raise Refusal(*faults)
                response = await handler(_Asked(request, format, name))
            except Refusal as refusal:
                response = refuse(format, refusal)
            # Anybody's page may read what everybody may know.
            response.headers["Access-Control-Allow-Origin"] = "*"
            response.headers["Access-Control-Expose-Headers"] = "Link, X-Total-Count"
            response.headers.setdefault("Cache-Control", "no-cache")
            response.headers.add("Vary", "Accept")
            if response.body is not None:
                response.enable_compression()
            return response

        return handle

    @property
    def base_url(self) -> str:
        return f"{self._settings.base_url}{ROUTE}"

    # ── what can be reported ────────────────────────────────────────────────────────────────────

    async def discovery(self, asked: _Asked) -> web.Response:
        settings = self._settings.channels.open311
        changed = self._desk.book.changed
        told = {
            "changeset": changed,
            "contact": settings.contact or f"{self._title}, {self._settings.base_url}/",
            "key_service": settings.key_service
            or f"Ask {self._title} for a key: {self._settings.base_url}/open311",
            "endpoints": [
                {
                    "specification": _SPECIFICATION,
                    "url": self.base_url,
                    "changeset": changed,
                    "type": settings.stage,
                    "formats": list(TYPES.values()),
                }
            ],
        }
        return asked.answer("discovery", told, {"Cache-Control": _SERVICES_KEPT})

    async def services(self, asked: _Asked) -> web.Response:
        language = _language(asked.request)
        told = [_service(one, language) for one in self._desk.book.services.values()]
        return _if_changed(asked, asked.answer("services", told))

    async def definition(self, asked: _Asked) -> web.Response:
        service = self._desk.book.services.get(asked.name)
        if service is None:
            raise Refusal(
                Fault(404, f"service_code {asked.name[:80]!r} is not one of our services.")
            )
        language = _language(asked.request)
        told = {
            "service_code": service.code,
            "attributes": [
                _attribute(question, order, language)
                for order, question in enumerate(service.questions, start=1)
            ],
        }
        return _if_changed(asked, asked.answer("service_definition", told))

    # ── cases ───────────────────────────────────────────────────────────────────────────────────

    async def requests(self, asked: _Asked) -> web.Response:
        listing = read_listing(asked.request.query, self._desk.public, datetime.now(UTC))
        rows, total = await self._find(asked.request, listing)
        headers = {}
        if listing.page is not None and total is not None:
            headers["X-Total-Count"] = str(total)
            headers["Link"] = self._links(asked.request, listing, rows, total)
        return await self._tell(asked, rows, headers, extended=listing.extensions)

    async def one(self, asked: _Asked) -> web.Response:
        listing = read_listing(_only_extensions(asked.request), self._desk.public, _NEVER)
        row = await self._row(asked.request, asked.name)
        return await self._tell(asked, [row], {}, extended=listing.extensions)

    async def token(self, asked: _Asked) -> web.Response:
        # Every report gets its reference at once, so the tokens that there are, are references.
        row = await self._row(asked.request, asked.name)
        told = [{"service_request_id": row.reference, "token": asked.name}]
        return asked.answer("service_requests", told)

    async def _row(self, request: web.Request, typed: str) -> PublicRow:
        reference = read_reference(typed)
        if reference is None:
            raise Refusal(_UNKNOWN)
        wanted = Wanted(references=[reference])
        for wait in (*_LOOKS, None):
            async with request.app[POOL].acquire() as conn:
                rows = await published.find(conn, self._desk.public.rules, wanted, limit=1)
                if rows:
                    return rows[0]
                case = await published.named(conn, self._desk.public.rules, reference)
            # One that is private is none for the public, and one that was just given out is
            # about to be filed.
            if case is not None or reference not in self._desk.recent:
                raise Refusal(_UNKNOWN)
            if wait is not None:
                await asyncio.sleep(wait)
        fault = Fault(503, "It was received a moment ago and is not filed yet. Please ask again.")
        raise Refusal(fault, headers={"Retry-After": "2"})

    async def _find(
        self, request: web.Request, listing: Listing
    ) -> tuple[list[PublicRow], int | None]:
        wanted, rules = listing.wanted, self._desk.public.rules
        if wanted.words:
            return await self._search(request, listing)
        async with request.app[POOL].acquire() as conn:
            if listing.page is None:
                return await published.find(conn, rules, wanted, limit=MOST_AT_ONCE), None
            total = self._counts.get(wanted)
            if total is None:
                total = await published.count(conn, rules, wanted)
                self._counts.put(wanted, total)
            offset = 0 if listing.after else (listing.page - 1) * listing.page_size
            if offset >= total:
                return [], total
            rows = await published.find(
                conn, rules, wanted, limit=listing.page_size, offset=offset, after=listing.after
            )
        return rows, total

    async def _search(self, request: web.Request, listing: Listing) -> tuple[list[PublicRow], int]:
        async with request.app[POOL].acquire() as conn:
            rows = await published.find(
                conn, self._desk.public.rules, listing.wanted, limit=_MOST_SEARCHED
            )
        words = [word for word, _ in listing.wanted.words]
        teller = self._teller(request)

        # The database has searched what staff search in; only what is public may be found.
        def matching() -> list[PublicRow]:
            return [row for row in rows if _has_all(words, teller.searched(row))]

        found = await asyncio.to_thread(matching)
        first = ((listing.page or 1) - 1) * listing.page_size
        return found[first : first + listing.page_size], len(found)

    async def _tell(
        self, asked: _Asked, rows: list[PublicRow], headers: Mapping[str, str], *, extended: bool
    ) -> web.Response:
        teller = self._teller(asked.request)
        histories: Mapping[UUID, list[published.PublicChange]] = {}
        if extended and rows:
            async with asked.request.app[POOL].acquire() as conn:
                histories = await published.histories(
                    conn, self._desk.public.rules, [row.id for row in rows]
                )

        def written() -> web.Response:
            told = [
                teller.extended(row, histories[row.id]) if extended else teller.request(row)
                for row in rows
            ]
            return asked.answer("service_requests", told, headers)

        return await asyncio.to_thread(written) if len(rows) > _MANY else written()

    def _links(
        self, request: web.Request, listing: Listing, rows: list[PublicRow], total: int
    ) -> str:
        page = listing.page or 1
        last = max(1, -(-total // listing.page_size))
        links = {"first": self._page_url(request, listing, 1)}
        if page > 1:
            links["prev"] = self._page_url(request, listing, min(page - 1, last))
        if page < last and rows:
            # By where this page ended, and not by counting: what comes in meanwhile moves nothing.
            after = None if listing.wanted.words else After(rows[-1].opened_at, rows[-1].id)
            links["next"] = self._page_url(request, listing, page + 1, after)
        links["last"] = self._page_url(request, listing, last)
        return ", ".join(f'<{url}>; rel="{rel}"' for rel, url in links.items())

    def _page_url(
        self, request: web.Request, listing: Listing, page: int, after: After | None = None
    ) -> str:
        query = request.rel_url.query.copy()
        query["page"], query["page_size"] = str(page), str(listing.page_size)
        query.popall("cursor", None)
        if after is not None:
            query["cursor"] = cursor_of(after)
        return f"{self._settings.base_url}{request.rel_url.with_query(query)}"

    # ── what happened ───────────────────────────────────────────────────────────────────────────

    async def updates(self, asked: _Asked) -> web.Response:
        since, until = read_span(asked.request.query, self._desk.public, datetime.now(UTC), _LATEST)
        rules = self._desk.public.rules
        async with asked.request.app[POOL].acquire() as conn:
            changes = await published.changes(
                conn, rules, since=since, until=until, limit=MOST_AT_ONCE
            )
            histories = await published.histories(
                conn, rules, list({change.case_id for change in changes})
            )
        news, teller = _news(histories), self._teller(asked.request)
        told = [teller.update(change, news[change.id]) for change in changes if change.id in news]
        return asked.answer("service_request_updates", told)

    # ── photos ──────────────────────────────────────────────────────────────────────────────────

    async def photo(self, request: web.Request) -> web.Response:
        """A public photo, made anew: whatever stood in the file beside the picture is gone."""
        name, suffix = split_name(request.match_info["name"])
        reference = read_reference(request.match_info["reference"])
        if reference is None or suffix != "jpg" or not name.isdecimal() or len(name) > 3:
            raise web.HTTPNotFound
        try:
            await self._pace.count_reader(self._desk.address_of(request))
        except Refusal as refusal:
            raise web.HTTPTooManyRequests(headers=refusal.headers) from refusal
        async with request.app[POOL].acquire() as conn:
            sha256 = await published.photo(conn, self._desk.public.rules, reference, int(name))
        if sha256 is None:
            raise web.HTTPNotFound
        try:
            photo = await request.app[DARKROOM].prepare(await request.app[FILES].read(sha256))
        except (KeyError, NotAPhoto) as error:
            raise web.HTTPNotFound from error
        return web.Response(
            body=photo.data,
            content_type="image/jpeg",
            headers={"Cache-Control": _PHOTOS_KEPT, "Access-Control-Allow-Origin": "*"},
        )

    def _teller(self, request: web.Request) -> Teller:
        return Teller(self._desk.public, self._desk.book, self.base_url, _language(request))


_UNKNOWN = Fault(404, "There is no request with this service_request_id.")
_NEVER = datetime(2000, 1, 1, tzinfo=UTC)


class _Counts:
    """How many cases a question had a moment ago: whoever reads page by page asks for each page."""

    _KEPT = 30.0  # seconds
    _MOST = 500

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, int]] = {}

    def get(self, wanted: Wanted) -> int | None:
        at, total = self._known.get(repr(wanted), (0.0, 0))
        return total if time.monotonic() - at < self._KEPT and at else None

    def put(self, wanted: Wanted, total: int) -> None:
        if len(self._known) >= self._MOST:
            self._known.clear()
        self._known[repr(wanted)] = (time.monotonic(), total)


def _language(request: web.Request) -> str:
    return "es" if given(request.query, "langcode").lower().startswith("es") else "en"


def _service(service: Service, language: str) -> dict[str, object]:
    return {
        "service_code": service.code,
        "service_name": in_language(service.name, language),
        "description": in_language(service.description, language),
        "metadata": bool(service.questions),
        "type": "realtime",
        "keywords": ",".join(service.keywords),
        "group": in_language(service.group, language),
    }


def _attribute(question: Question, order: int, language: str) -> dict[str, object]:
    told: dict[str, object] = {
        "variable": question.variable,
        "code": question.code,
        "datatype": question.datatype,
        "required": question.required,
        "datatype_description": in_language(question.help, language) or None,
        "order": order,
        "description": in_language(question.ask, language),
    }
    if question.choices:
        told["values"] = [
            {"key": choice.key, "name": in_language(choice.name, language)}
            for choice in question.choices
        ]
    return told


def _if_changed(asked: _Asked, response: web.Response) -> web.Response:
    """The answer, or only that it is still the one that the app has."""
    body = response.body if isinstance(response.body, bytes) else b""
    tag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
    response.headers["ETag"] = tag
    response.headers["Cache-Control"] = _SERVICES_KEPT
    known = [
        one.strip().removeprefix("W/")
        for one in asked.request.headers.get("If-None-Match", "").split(",")
    ]
    if tag in known:
        return web.Response(status=304, headers={"ETag": tag, "Cache-Control": _SERVICES_KEPT})
    return response


def _only_extensions(request: web.Request) -> MultiDict[str]:
    return MultiDict((name, value) for name, value in request.query.items() if name == "extensions")


def _has_all(words: list[str], text: str) -> bool:
    known = words_in(text)
    return all(any(one.startswith(word) for one in known) for word in words)


def _news(histories: Mapping[UUID, list[published.PublicChange]]) -> dict[int, str]:
    told: dict[int, str] = {}
    for history in histories.values():
        told |= statuses(history)
    return told


def prepare(app: web.Application, desk: Open311Desk, settings: Settings, city: City) -> None:
    """Give `app` the addresses at which other programs read."""
    title = city.title.get("en", city.name)
    app.add_routes(Reading(desk, settings, title).routes())
    app.add_routes(Guide(desk, settings, title).routes())
    aiohttp_jinja2.get_env(app).globals["open311"] = True
