"""
Reads another system's export: each row becomes a request of the past, or a fault in words.

What can be mended is mended and counted, what cannot is left out and counted, with the numbers of
some rows by which to find them. No servers are needed.
"""

import csv
import gzip
import io
import math
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

from gateway.history.column_map import OPEN, ColumnMap, Columns, Folded
from store.history import PastCase
from store.model import Outcome, Status

_GZIP = b"\x1f\x8b"
_MOST_EXAMPLES = 5
_MOST_KINDS = 40
_LONGEST_CELL = 1_000_000  # characters
_LONGEST_NAME = 200


class NotReadable(Exception):
    """The file is no such export; the message is a sentence."""


@dataclass
class Misfit:
    """Rows that did not fit in one way."""

    taken: bool
    """Whether they became cases all the same."""
    count: int = 0
    rows: list[int | str] = field(default_factory=list)
    """
    The first of them: of a file the numbers, the line with the names of the columns is row 1; of
    requests what they are called there.
    """


@dataclass
class Reading:
    """What was found while an export was read; complete once it was read to its end."""

    rows: int = 0
    misfits: dict[str, Misfit] = field(default_factory=dict)
    """By the sentence that says what did not fit."""
    names: dict[Folded, Counter[str]] = field(
        default_factory=lambda: {
            "department": Counter(),
            "problem_type": Counter(),
            "district": Counter(),
            "channel": Counter(),
        }
    )
    """Every department, problem type, district and channel, as they are kept, and how often."""

    @property
    def left_out(self) -> int:
        """Rows that became no case."""
        return sum(one.count for one in self.misfits.values() if not one.taken)

    def note(self, row: int | str, sentence: str, *, taken: bool) -> None:
        if sentence not in self.misfits and len(self.misfits) >= _MOST_KINDS:
            sentence = f"something else, of more than {_MOST_KINDS} kinds"
            sentence += "" if taken else ": left out"
        found = self.misfits.setdefault(sentence, Misfit(taken))
        found.count += 1
        if len(found.rows) < _MOST_EXAMPLES:
            found.rows.append(row)


def read_past(path: Path, how: ColumnMap, reading: Reading) -> Generator[PastCase]:
    """
    The requests of an export, as CSV, gzipped or not, in its order. No number comes twice.

    Raises `NotReadable` when the file is none, or lacks columns that the map names.
    """
    with _opened(path, how.encoding) as lines:
        table = _rows(csv.reader(lines, delimiter=how.delimiter), path)
        header = [name.strip() for name in next(table, [])]
        cells = _cells(header, how, path)
        read = RowReader(how, reading)
        width = len(header)
        for row, values in enumerate(table, start=2):
            if not any(values):
                continue
            reading.rows += 1
            if len(values) != width:
                sentence = "it has more or fewer cells than there are columns"
                reading.note(row, sentence, taken=False)
                continue
            past = read.row(row, {name: values[place].strip() for name, place in cells.items()})
            if past is not None:
                yield past


@contextmanager
def _opened(path: Path, encoding: str) -> Iterator[io.TextIOBase]:
    csv.field_size_limit(_LONGEST_CELL)
    with path.open("rb") as raw:
        packed = raw.read(2) == _GZIP
        raw.seek(0)
        plain = gzip.GzipFile(fileobj=raw) if packed else raw
        # A letter that cannot be read is no reason to lose a request: it is shown as one.
        with io.TextIOWrapper(plain, encoding=encoding, errors="replace", newline="") as lines:
            yield lines


def _rows(table: Iterable[list[str]], path: Path) -> Iterator[list[str]]:
    try:
        yield from table
    except csv.Error as error:
        raise NotReadable(f"{path} is no CSV file: {error}.") from error
    except (EOFError, gzip.BadGzipFile, OSError) as error:
        raise NotReadable(f"{path} is cut off or damaged: {error}.") from error


def _cells(header: Sequence[str], how: ColumnMap, path: Path) -> dict[str, int]:
    """Where each of our columns stands in a row."""
    if not any(header):
        raise NotReadable(f"{path} has no line with the names of its columns.")
    found, missing = {}, []
    for ours in Columns.model_fields:
        theirs = getattr(how.columns, ours)
        if theirs is None:
            continue
        if theirs in header:
            found[ours] = header.index(theirs)
        else:
            like = get_close_matches(theirs, header, n=1)
            missing.append(f'"{theirs}"' + (f' (is it "{like[0]}"?)' if like else ""))
    if missing:
        raise NotReadable(
            f"{path} lacks columns that the map {how.name} names: {', '.join(missing)}."
        )
    return found


@dataclass(frozen=True)
class _Moment:
    day: date
    clock: time | None
    """None: only the day is known."""


class RowReader:
    """Makes requests of the past of rows, and notes what does not fit."""

    def __init__(self, how: ColumnMap, reading: Reading) -> None:
        self._how = how
        self._reading = reading
        self._zone = ZoneInfo(how.timezone)
        self._nothing = {word.casefold() for word in ("", *how.nothing)}
        self._known: set[str] = set()
        self._status = {word.casefold(): meaning for word, meaning in how.status.items()}
        self._names: dict[str, Mapping[str, str]] = {
            ours: {word.casefold(): name for word, name in names.items()}
            for ours, names in how.names.items()
        }
        # A few thousand days and minutes come again and again.
        self._day = lru_cache(maxsize=20_000)(_day_reader(how.dates))
        self._clock = lru_cache(maxsize=20_000)(_clock_reader(how.times))

    def row(self, row: int | str, cells: Mapping[str, str]) -> PastCase | None:
        """The request; None for one that cannot be taken, which is noted then."""

        def note(sentence: str, *, taken: bool = True) -> None:
            self._reading.note(row, sentence, taken=taken)

        said = {name: "" if self._says_nothing(word) else word for name, word in cells.items()}
        number = self._whole("number", said["number"])
        if not number:
            note("it has no number", taken=False)
            return None
        if number in self._known:
            note("its number stood in an earlier row, which counts", taken=False)
            return None
        opened = self._moment(said["opened"], said.get("opened_time", ""))
        if opened is None:
            note("the day on which it was opened is missing or cannot be read", taken=False)
            return None
        self._known.add(number)
        if any("\ufffd" in word for word in said.values()):
            note("it has letters that cannot be read in the map's encoding")
        opened_at = self._in_utc(opened.day, opened.clock or time())
        closed_at, timed = self._closing(said, opened, note)
        outcome = self._outcome(said, closed_at, note)
        if outcome is None:
            if closed_at is not None:
                note("it is open, and has a day on which it was closed: taken as open")
            closed_at = None
        elif closed_at is None:
            note("it is closed, and nothing says when: not counted in times to close")
            closed_at, timed = opened_at, False
        if closed_at is not None and closed_at < opened_at:
            note("it was closed before it was opened: not counted in times to close")
            closed_at, timed = opened_at, False
        lat, lon = self._point(said, note)
        department = self._name("department", said)
        status = Status.CLOSED
        if outcome is None:
            status = Status.ASSIGNED if department else Status.TRIAGE
        return PastCase(
            number=number,
            channel=self._name("channel", said) or self._how.channel,
            status=status,
            opened_at=opened_at,
            closed_at=closed_at,
            outcome=outcome,
            closing_words=said.get("closing_words", ""),
            problem_type=self._name("problem_type", said),
            department=department,
            district=self._name("district", said),
            address=said.get("address") or None,
            lat=lat,
            lon=lon,
            text=said.get("text", ""),
            timed=timed,
        )

    def _says_nothing(self, word: str) -> bool:
        return not word or word.casefold() in self._nothing

    def _whole(self, ours: str, word: str) -> str:
        if ours in self._how.whole_numbers and word.endswith(".0"):
            return word[:-2]
        return word

    def _name(self, ours: Folded, said: Mapping[str, str]) -> str | None:
        word = self._whole(ours, said.get(ours, ""))[:_LONGEST_NAME]
        if not word:
            return None
        name = self._names.get(ours, {}).get(word.casefold(), word)
        self._reading.names[ours][name] += 1
        return name

    def _moment(self, day: str, clock: str) -> _Moment | None:
        read = self._day(day) if day else None
        if read is None:
            return None
        return _Moment(read.day, self._clock(clock)) if clock else read

    def _in_utc(self, day: date, clock: time) -> datetime:
        there = datetime.combine(day, clock)
        return (there if there.tzinfo else there.replace(tzinfo=self._zone)).astimezone(UTC)

    def _closing(
        self, said: Mapping[str, str], opened: _Moment, note: Callable[[str], None]
    ) -> tuple[datetime | None, bool]:
        """When it was closed, and whether that tells how long it took."""
        if not said.get("closed"):
            return None, True
        closed = self._moment(said["closed"], said.get("closed_time", ""))
        if closed is None:
            note("the day on which it was closed cannot be read")
            return None, True
        timed = True
        if "days_to_close" in said:
            days = _number(said["days_to_close"])
            if days is None:
                note("it is closed, and no days are counted for it: not counted in times to close")
                timed = False
            elif round(days) != (closed.day - opened.day).days:
                note("its days to close are not those between its two dates, which count")
        # Where only the day is known, it was closed at the hour at which it was opened: so the
        # time that it took is a number of whole days, and never less than none.
        clock = closed.clock if closed.clock is not None else opened.clock
        return self._in_utc(closed.day, clock or time()), timed

    def _outcome(
        self,
        said: Mapping[str, str],
        closed_at: datetime | None,
        note: Callable[[str], None],
    ) -> Outcome | None:
        """How it ended; None: it is open."""
        by_date = None if closed_at is None else Outcome.FIXED
        word = said.get("status", "")
        if not word:
            return by_date
        meaning = self._status.get(word.casefold())
        if meaning is None:
            note(f'the map does not know the status "{word[:40]}": its closing day decides')
            return by_date
        return None if meaning == OPEN else Outcome(meaning)

    def _point(
        self, said: Mapping[str, str], note: Callable[[str], None]
    ) -> tuple[float, float] | tuple[None, None]:
        given = said.get("lat", ""), said.get("lon", "")
        if not any(given):
            return None, None
        lat, lon = _number(given[0]), _number(given[1])
        if lat is None or lon is None or abs(lat) > 90 or abs(lon) > 180 or (lat, lon) == (0, 0):
            note("its point is not on the Earth: left out")
            return None, None
        return lat, lon


def _number(word: str) -> float | None:
    try:
        number = float(word)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _day_reader(formats: Sequence[str]) -> Callable[[str], _Moment | None]:
    def read(word: str) -> _Moment | None:
        for how in formats:
            try:
                if how == "iso":
                    moment = datetime.fromisoformat(word)
                    timeless = len(word) <= len("2026-12-31")
                else:
                    moment = datetime.strptime(word, how)
                    timeless = not any(part in how for part in ("%H", "%I", "%X", "%c"))
            except ValueError:
                continue
            return _Moment(moment.date(), None if timeless else moment.timetz())
        return None

    return read


def _clock_reader(formats: Sequence[str]) -> Callable[[str], time | None]:
    def read(word: str) -> time | None:
        for how in formats:
            try:
                return datetime.strptime(word, how).time()
            except ValueError:
                continue
        return None

    return read
