"""
The whole public record in files, as GeoReport Bulk: CSV for spreadsheets and JSON for programs.

Both are packed (gzip), written beside their place and then renamed, so that whoever fetches one
gets the old one or the new one, whole.
"""

import asyncio
import csv
import gzip
import io
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import structlog

from gateway.open311.record import Teller, extended_status
from store import published
from store.published import After, PublicRow, PublicRules, Wanted

log = structlog.stdlib.get_logger()

COLUMNS = (
    "service_request_id",
    "requested_datetime",
    "updated_datetime",
    "closed_date",
    "status_description",
    "status_notes",
    "source",
    "service_name",
    "service_subtype",
    "description",
    "agency_responsible",
    "address",
    "lat",
    "long",
)
FILES = {"csv": "requests.csv.gz", "json": "requests.json.gz"}
FOLDER = "open-data"
"""Of the data directory."""
_STATE = "state.json"
_AT_ONCE = 1_000  # cases; between two such steps pages have their turn
_SOURCES = {
    "web": "Website",
    "phone": "Phone",
    "email": "Email",
    "sms": "Text/SMS",
    "open311": "App",
}
# A cell that a spreadsheet would run as a formula; numbers are none.
_FORMULA = re.compile(r"[=+@\t\r]|-(?!\d+(?:\.\d+)?$)")


@dataclass(frozen=True)
class FeedState:
    """What lies in the folder."""

    made_at: str
    requests: int
    sizes: Mapping[str, int]
    """Bytes of each file, packed, by kind."""

    @property
    def moment(self) -> datetime:
        return datetime.fromisoformat(self.made_at)


def state_of(folder: Path) -> FeedState | None:
    """What lies in the folder; None as long as nothing does."""
    try:
        return FeedState(**json.loads((folder / _STATE).read_text()))
    except (OSError, ValueError, TypeError):
        return None


async def write_feed(
    pool: asyncpg.Pool, rules: PublicRules, teller: Teller, folder: Path, *, rest: float = 0.0
) -> FeedState:
    """
    Write the files anew; returns once they are in their place. `rest`: how long to leave the
    machine to others after each step, as a share of what the step took.
    """
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    count, after = 0, None
    with _Writers(folder) as writers:
        async with (
            pool.acquire(timeout=10) as conn,
            # All of it as it was at one moment.
            conn.transaction(isolation="repeatable_read", readonly=True),
        ):
            while True:
                began = loop.time()
                rows = await published.find(conn, rules, Wanted(), limit=_AT_ONCE, after=after)
                if not rows:
                    break
                await asyncio.to_thread(writers.write, [bulk(teller, row) for row in rows])
                count += len(rows)
                after = After(rows[-1].opened_at, rows[-1].id)
                await asyncio.sleep(rest * (loop.time() - began))
        state = await asyncio.to_thread(writers.finish, count)
    log.info("open data written", requests=count)
    return state


def bulk(teller: Teller, row: PublicRow) -> dict[str, object]:
    """A case with the columns of GeoReport Bulk. Pure."""
    told = teller.request(row)
    return {
        "service_request_id": row.reference,
        "requested_datetime": told["requested_datetime"],
        "updated_datetime": told["updated_datetime"],
        "closed_date": None if row.closed_at is None else teller.moment(row.closed_at),
        "status_description": extended_status(row.status, row.outcome),
        "status_notes": told["status_notes"],
        "source": _SOURCES.get(row.channel, "Other"),
        "service_name": told["service_name"],
        "service_subtype": None,
        "description": told["description"],
        "agency_responsible": told["agency_responsible"],
        "address": told["address"],
        "lat": told["lat"],
        "long": told["long"],
    }


def cell(value: object) -> str:
    """A value as a spreadsheet may open it. Pure."""
    told = "" if value is None else str(value)
    return f"'{told}" if isinstance(value, str) and _FORMULA.match(told) else told


class _Writers:
    """Both files at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._drafts = {kind: folder / f"{name}.{os.getpid()}" for kind, name in FILES.items()}
        self._open = ExitStack()
        self._first = True

    def __enter__(self) -> "_Writers":
        def opened(kind: str) -> gzip.GzipFile:
            return self._open.enter_context(gzip.open(self._drafts[kind], "wb", compresslevel=6))

        self._csv, self._json = opened("csv"), opened("json")
        self._csv.write(_lines([COLUMNS]))
        self._json.write(b"[")
        return self

    def write(self, told: Sequence[Mapping[str, object]]) -> None:
        self._csv.write(_lines([cell(one[name]) for name in COLUMNS] for one in told))
        for one in told:
            self._json.write(b"\n" if self._first else b",\n")
            self._first = False
            line = json.dumps(one, ensure_ascii=False, separators=(",", ":"))
            self._json.write(line.encode("utf-8", "replace"))

    def finish(self, count: int) -> FeedState:
        self._json.write(b"\n]\n")
        self._open.close()
        for kind, draft in self._drafts.items():
            draft.rename(self._folder / FILES[kind])
        state = FeedState(
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            requests=count,
            sizes={kind: (self._folder / name).stat().st_size for kind, name in FILES.items()},
        )
        draft = self._folder / f"{_STATE}.{os.getpid()}"
        draft.write_text(json.dumps(asdict(state)))
        draft.rename(self._folder / _STATE)
        return state

    def __exit__(self, *error: object) -> None:
        self._open.close()
        for draft in self._drafts.values():
            draft.unlink(missing_ok=True)


def _lines(rows: Iterable[Sequence[str]]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue().encode("utf-8", "replace")
