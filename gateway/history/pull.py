"""An Open311 endpoint's past requests become cases, month by month, the newest first."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from gateway.compose import city_folder
from gateway.history.column_map import Columns, Open311Map
from gateway.history.georeport import QUIET, STEP, Endpoint, Request, Source
from gateway.history.reader import Reading, RowReader
from gateway.history.take_in import TOGETHER, Imported, taking
from gateway.settings import Settings
from router.rules import City, load_city
from store.history import PastCase

FOLDER = "imports"
"""In the data directory: how far imports are that were broken off."""


def map_for(source: Source, city: City) -> Open311Map:
    """The map of an endpoint for which nobody has written one: by its address, in our time zone."""
    parts = urlsplit(source.url)
    whole = f"{parts.hostname}{parts.path.rstrip('/')}".removesuffix("/open311/v2")
    if source.jurisdiction:
        whole += f"-{source.jurisdiction}"
    name = f"open311-{re.sub(r'[^a-z0-9.-]+', '-', whole.lower())}".rstrip("-.")
    if len(name) > 60:
        # Two long addresses that begin alike are two.
        name = f"{name[:50]}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"
    return Open311Map(name=name, timezone=city.timezone)


def city_of_import(settings: Settings) -> City:
    """The city that the settings name."""
    return load_city(city_folder(settings))


@dataclass
class Progress:
    """How far an import is; kept until it is done."""

    path: Path
    source: str
    """What is asked for: another question begins anew."""
    since: str
    until: str
    reached: str
    """Everything from here until `until` is taken in."""

    def save(self) -> None:
        told = asdict(self) | {"path": ""}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".part")
        fresh.write_text(json.dumps(told))
        fresh.replace(self.path)

    def end(self) -> None:
        self.path.unlink(missing_ok=True)


async def import_open311(
    settings: Settings,
    source: Source,
    how: Open311Map,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    dry: bool = False,
    read_so_far: Callable[[int], None] = lambda rows: None,
) -> Imported:
    """
    Take in what an endpoint tells of the past, from `since` (else as far back as it has any) until
    before `until` (else now). Broken off and asked for again, it goes on with the month in which it
    was; done and asked for again, it reads everything again and brings what has changed. With `dry`
    nothing is written, and the rest is as it would be.

    Raises `gateway.history.reader.NotReadable`.
    """
    city = city_of_import(settings)
    imported = Imported(city.name)
    reader = _RequestReader(how, imported.reading)
    async with Endpoint(source, extensions=how.columns.extended) as endpoint:
        reader.services = endpoint.services
        progress = _progress(settings, source, how, since, until, anew=dry)
        begin = datetime.fromisoformat(progress.reached)
        if progress.reached != progress.until:
            imported.goes_on_from = begin
        async with taking(settings, city, how, imported, dry=dry) as take:
            quiet = timedelta(0)
            for month in months(begin, since):
                found, waiting = 0, list[PastCase]()
                async for some in endpoint.requests(*month):
                    read = [past for one in some if (past := reader.read(one)) is not None]
                    found += len(some)
                    waiting += read
                    read_so_far(imported.reading.rows)
                    if len(waiting) >= TOGETHER:
                        await take(waiting)
                        waiting = []
                if waiting:
                    await take(waiting)
                if not dry:
                    progress.reached = month[0].isoformat()
                    progress.save()
                quiet = timedelta(0) if found else quiet + STEP
                if since is None and quiet >= QUIET:
                    break
            for at in endpoint.cut_off:
                imported.reading.note(
                    at.isoformat(timespec="minutes"),
                    "there are more requests of this minute than the server tells at once",
                    taken=True,
                )
            if not dry:
                progress.end()
    return imported


def _progress(
    settings: Settings,
    source: Source,
    how: Open311Map,
    since: datetime | None,
    until: datetime | None,
    *,
    anew: bool,
) -> Progress:
    path = settings.data / FOLDER / f"{how.name}.json"
    said = "" if until is None else until.isoformat()
    end = (until or datetime.now(UTC)).isoformat()
    asked = " ".join((source.url, source.jurisdiction, said, how.model_dump_json()))
    new = Progress(
        path=path,
        source=hashlib.sha256(asked.encode()).hexdigest(),
        since="" if since is None else since.isoformat(),
        until=end,
        reached=end,
    )
    if anew:
        return new
    try:
        told = json.loads(path.read_text())
        kept = Progress(**(told | {"path": path}))
    except (OSError, ValueError, TypeError):
        return new
    return kept if (kept.source, kept.since) == (new.source, new.since) else new


def months(until: datetime, since: datetime | None) -> Iterator[tuple[datetime, datetime]]:
    """Backwards, the newest first."""
    earliest = since or datetime(1970, 1, 1, tzinfo=UTC)
    end = until
    while end > earliest:
        begin = max(end - STEP, earliest)
        yield begin, end
        end = begin


class _RequestReader:
    """Makes rows of requests, each once, as a file would have them."""

    def __init__(self, how: Open311Map, reading: Reading) -> None:
        self._columns = how.columns
        self._rows = RowReader(how, reading)
        self._reading = reading
        self._mapped = {word.casefold() for word in how.names.get("problem_type", {})}
        self._seen: set[str] = set()
        self.services: dict[str, str] = {}

    def read(self, told: Request) -> PastCase | None:
        number = told.get(self._columns.number, "")
        if number and number in self._seen:
            return None  # of another month, by a server that takes days as it likes
        self._seen.add(number)
        self._reading.rows += 1
        cells = {
            ours: told.get(theirs, "")
            for ours in Columns.model_fields
            if (theirs := getattr(self._columns, ours)) is not None
        }
        if told.get("status", "").lower() != "closed":
            if self._columns.closed == "updated_datetime":
                cells["closed"] = ""  # until it is closed, that is when anything happened
            if self._columns.closing_words == "status_notes":
                cells["closing_words"] = ""
        if self._columns.problem_type == "service_name":
            cells["problem_type"] = self._problem_type(told)
        return self._rows.row(number or "?", cells)

    def _problem_type(self, told: Request) -> str:
        """By its code, where the map knows that; else as it is called."""
        code = told.get("service_code", "")
        if code.casefold() in self._mapped:
            return code
        return told.get("service_name") or self.services.get(code, "") or code
