"""What a query string asks of the public record, and everything that is wrong with it. Pure."""

import base64
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from multidict import MultiMapping

from bus.identity import read_reference
from channels.open311_form import given, read_time
from channels.open311_format import Fault, Refusal
from channels.open311_services import UNSURE
from gateway.open311.book import PublicBook
from store.published import After, Wanted
from store.text import folded

LONGEST_WINDOW = timedelta(days=90)
"""Of time that one question may span, unless it is asked page by page."""
MOST_AT_ONCE = 1_000
PAGE_SIZE = 100
MOST_PER_PAGE = 500
_MOST_REFERENCES = 1_000
_MOST_WORDS = 6
_MOST_METRES = 50_000.0
_FOR_EVER = datetime(9000, 1, 1, tzinfo=UTC)
_WORD = re.compile(r"[^\W_]+")
_CURSOR = re.compile(r"[A-Za-z0-9_-]{10,200}")


@dataclass(frozen=True)
class Listing:
    """A list of cases that somebody asks for."""

    wanted: Wanted
    page: int | None = None
    """None: not asked page by page."""
    page_size: int = MOST_AT_ONCE
    after: After | None = None
    """Where the page before ended; then `page` is only its number."""
    extensions: bool = False


def read_listing(query: MultiMapping[str], book: PublicBook, now: datetime) -> Listing:
    """What is asked for. Raises `Refusal` with every fault."""
    faults: list[Fault] = []
    extensions = _yes(query, "extensions", faults)
    if asked := given(query, "service_request_id"):
        # It goes before everything else, whatever that says.
        if faults:
            raise Refusal(*faults)
        names = [one.strip() for one in asked.split(",")][:_MOST_REFERENCES]
        references = [known for one in names if (known := read_reference(one))]
        return Listing(Wanted(references=references), extensions=extensions)

    page, page_size = _page(query, faults)
    types, unsorted = _types(query, book, faults)
    closed = _closed(query, faults)
    opened = _span(query, "start_date", "end_date", book, faults)
    updated = _span(query, "updated_after", "updated_before", book, faults)
    box, near, words = _box(query, faults), _near(query, faults), _words(query, book)
    after = _cursor(given(query, "cursor"))
    # A search reads every case of its span, so even page by page it has one.
    whole = page is not None and not words
    opened = _within(opened, now, faults, whole=whole, needed=updated == (None, None))
    updated = _within(updated, now, faults, whole=whole, needed=False)
    if faults:
        raise Refusal(*faults)
    wanted = Wanted(
        types=types,
        unsorted=unsorted,
        closed=closed,
        opened_from=opened[0],
        opened_until=opened[1],
        updated_from=updated[0],
        updated_until=updated[1],
        box=box,
        near=near,
        words=words,
    )
    return Listing(wanted, page, page_size, after, extensions)


Span = tuple[datetime | None, datetime | None]


def read_span(
    query: MultiMapping[str], book: PublicBook, now: datetime, default: timedelta
) -> tuple[datetime, datetime]:
    """
    `start_date` and `end_date` of a list of updates, the last `default` without them; the first
    90 days of a longer span.
    """
    faults: list[Fault] = []
    begin, end = _span(query, "start_date", "end_date", book, faults)
    if faults:
        raise Refusal(*faults)
    begin = begin or _earlier(end or now, default)
    return begin, min(end or now, _later(begin))


def cursor_of(last: After) -> str:
    """Where a page ended, for the link to the next one."""
    told = json.dumps([last.opened_at.isoformat(), last.id.hex])
    return base64.urlsafe_b64encode(told.encode()).decode().rstrip("=")


_TOO_WIDE = (
    f"More than {LONGEST_WINDOW.days} days at once: ask for a shorter time, or page by page "
    "(page and page_size)."
)


def _page(query: MultiMapping[str], faults: list[Fault]) -> tuple[int | None, int]:
    page, size = given(query, "page"), given(query, "page_size")
    if not page and not size:
        return None, MOST_AT_ONCE
    numbers = []
    for name, typed, least, default in (
        ("page", page, 0, 1),
        ("page_size", size, 1, PAGE_SIZE),
    ):
        number = int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 10 else None
        if typed and (number is None or number < least):
            faults.append(Fault(400, f"{name} must be a number from {max(least, 1)} on."))
        numbers.append(default if number is None else max(number, 1))
    return numbers[0], min(numbers[1], MOST_PER_PAGE)


def _types(
    query: MultiMapping[str], book: PublicBook, faults: list[Fault]
) -> tuple[list[str] | None, bool]:
    codes = _listed(given(query, "service_code"))
    if not codes:
        return None, False
    types = [book.types[code] for code in codes if code in book.types]
    # Of several, those that we do not have find nothing; one alone is a mistake.
    if len(codes) == 1 and not types and codes != [UNSURE]:
        faults.append(Fault(404, f"service_code {codes[0][:80]!r} is not one of our services."))
    return types, UNSURE in codes


def _closed(query: MultiMapping[str], faults: list[Fault]) -> bool | None:
    statuses = set(_listed(given(query, "status").lower()))
    if unknown := sorted(statuses - {"open", "closed"}):
        faults.append(Fault(400, f"status {unknown[0][:80]!r} is neither open nor closed."))
    return None if len(statuses) != 1 else statuses == {"closed"}


def _listed(typed: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in typed.split(",") if part.strip()))


def _span(
    query: MultiMapping[str], first: str, last: str, book: PublicBook, faults: list[Fault]
) -> Span:
    moments = []
    for name in (first, last):
        typed = given(query, name)
        moment = read_time(typed, book.zone) if typed else None
        if typed and moment is None:
            faults.append(
                Fault(400, f"{name} is no date and time in ISO 8601, as 2026-03-01T09:15:00-06:00.")
            )
        moments.append(moment)
    return moments[0], moments[1]


def _within(span: Span, now: datetime, faults: list[Fault], *, whole: bool, needed: bool) -> Span:
    """The span, completed to 90 days where an end of it is open, unless all may be asked for."""
    begin, end = span
    if begin is not None and end is not None:
        if not whole and end - begin > LONGEST_WINDOW:
            faults.append(Fault(400, _TOO_WIDE))
        return span
    if whole or (begin is None and end is None and not needed):
        return span
    if begin is not None:
        return begin, _later(begin)
    return _earlier(end or now), end


def _later(moment: datetime) -> datetime:
    return moment + LONGEST_WINDOW if moment < _FOR_EVER else moment


def _earlier(moment: datetime, span: timedelta = LONGEST_WINDOW) -> datetime:
    try:
        return moment - span
    except OverflowError:
        return moment


def _box(query: MultiMapping[str], faults: list[Fault]) -> tuple[float, float, float, float] | None:
    typed = given(query, "bbox")
    if not typed:
        return None
    parts = [_number(part) for part in typed.split(",")]
    numbers = [part for part in parts if part is not None]
    if len(parts) != 4 or len(numbers) != 4:
        faults.append(Fault(400, "bbox must be four numbers: minLong,minLat,maxLong,maxLat."))
        return None
    west, south, east, north = numbers
    if west > east or south > north or abs(south) > 90 or abs(north) > 90:
        faults.append(Fault(400, "bbox must be minLong,minLat,maxLong,maxLat, in degrees."))
        return None
    return west, south, east, north


def _near(query: MultiMapping[str], faults: list[Fault]) -> tuple[float, float, float] | None:
    typed = {name: given(query, name) for name in ("lat", "long", "radius")}
    if not any(typed.values()):
        return None
    values = {name: _number(one) for name, one in typed.items()}
    lat, lon, metres = values["lat"], values["long"], values["radius"]
    if lat is None or lon is None or metres is None or abs(lat) > 90 or abs(lon) > 180:
        faults.append(Fault(400, "lat, long (in degrees) and radius (in metres) belong together."))
        return None
    if not 0 < metres <= _MOST_METRES:
        faults.append(Fault(400, f"radius must be between 0 and {_MOST_METRES:.0f} metres."))
        return None
    return lat, lon, metres


def _words(query: MultiMapping[str], book: PublicBook) -> tuple[tuple[str, tuple[str, ...]], ...]:
    words = words_in(given(query, "q")[:200])[:_MOST_WORDS]
    return tuple((word, _types_with(word, book.names, book.keywords)) for word in words)


def words_in(text: str) -> list[str]:
    """Its words as they are searched: in lower case, without accents."""
    return _WORD.findall(folded(text))


def _types_with(
    word: str, names: Mapping[str, Mapping[str, str]], keywords: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    return tuple(
        kind
        for kind, told in names.items()
        if any(
            one.startswith(word)
            for text in (*told.values(), *keywords.get(kind, ()))
            for one in words_in(text)
        )
    )


def _number(typed: str) -> float | None:
    try:
        value = float(typed)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _yes(query: MultiMapping[str], name: str, faults: list[Fault]) -> bool:
    typed = given(query, name).lower()
    if typed in ("", "false", "0", "no"):
        return False
    if typed not in ("true", "1", "yes"):
        faults.append(Fault(400, f"{name} must be true or false."))
    return True


def _cursor(typed: str) -> After | None:
    """Where a page ended; None for what is no cursor of ours: then the page's number counts."""
    if _CURSOR.fullmatch(typed) is None:
        return None
    try:
        at, id_ = json.loads(base64.urlsafe_b64decode(typed + "=" * (-len(typed) % 4)))
        moment = datetime.fromisoformat(at)
        return After(moment, UUID(hex=id_)) if moment.tzinfo is not None else None
    except (ValueError, TypeError, AttributeError):
        return None
