"""
The words of addresses in one form: small letters, no accents, `st` for Street, `e` for East, `23rd`
for twenty-third, `hwy 24` for US-24. Pure tables, and the functions that use them.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

DIRECTION = {
    "north": "n", "n": "n", "no": "n", "south": "s", "s": "s", "so": "s", "east": "e", "e": "e",
    "west": "w", "w": "w", "northeast": "ne", "ne": "ne", "northwest": "nw", "nw": "nw",
    "southeast": "se", "se": "se", "southwest": "sw", "sw": "sw",
    "northbound": "n", "southbound": "s", "eastbound": "e", "westbound": "w",
}  # fmt: skip
DIRECTIONS = frozenset(DIRECTION.values())

# What people put behind a street's name in free text; a word of these shows a street.
SUFFIX = {
    "street": "st", "st": "st", "str": "st", "streets": "st", "avenue": "ave", "ave": "ave",
    "av": "ave", "aven": "ave", "aveune": "ave", "avenida": "ave", "road": "rd", "rd": "rd",
    "drive": "dr", "dr": "dr", "drv": "dr", "court": "ct", "ct": "ct", "lane": "ln", "ln": "ln",
    "boulevard": "blvd", "blvd": "blvd", "blv": "blvd", "bulevar": "blvd", "terrace": "ter",
    "boul": "blvd", "ter": "ter", "terr": "ter", "circle": "cir", "cir": "cir", "circ": "cir",
    "place": "pl", "pl": "pl", "parkway": "pkwy", "pkwy": "pkwy", "pky": "pkwy", "parkwy": "pkwy",
    "highway": "hwy", "hwy": "hwy", "hiway": "hwy", "trail": "trl", "trl": "trl", "way": "way",
    "trafficway": "trfy", "trfy": "trfy", "alley": "aly", "aly": "aly", "expressway": "expy",
    "expy": "expy", "freeway": "fwy", "fwy": "fwy", "turnpike": "tpke", "pike": "pike",
    "square": "sq", "sq": "sq",
}  # fmt: skip
# Behind a name in a list of streets they are suffixes; in a sentence they are just words.
QUIET_SUFFIX = {
    "plaza": "plz", "plz": "plz", "ridge": "rdg", "rdg": "rdg", "point": "pt", "pt": "pt",
    "pass": "pass", "path": "path", "run": "run", "row": "row", "loop": "loop", "view": "vw",
    "vw": "vw", "walk": "walk", "trace": "trce", "trce": "trce", "cove": "cv", "cv": "cv",
    "crossing": "xing", "xing": "xing", "bend": "bnd", "glen": "gln", "hollow": "holw",
    "landing": "lndg", "crest": "crst", "bluff": "blf", "grove": "grv", "heights": "hts",
    "hill": "hl", "hills": "hls", "knoll": "knl", "park": "park", "mews": "mews",
    "extension": "ext", "bypass": "byp", "ramp": "ramp", "spur": "spur", "overpass": "opas",
}  # fmt: skip
EVERY_SUFFIX = SUFFIX | QUIET_SUFFIX
SUFFIXES = frozenset(EVERY_SUFFIX.values())

_UNITS = ("", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
_TEENS = (
    "tenth", "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth",
    "seventeenth", "eighteenth", "nineteenth",
)  # fmt: skip
TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70}
ROUND = {"twentieth": 20, "thirtieth": 30, "fortieth": 40, "fiftieth": 50, "sixtieth": 60}
UNITS = {word: number for number, word in enumerate(_UNITS) if word}
SPELLED = UNITS | {word: number for number, word in enumerate(_TEENS, start=10)} | ROUND
"""Ordinals as words, up to those that begin with a ten: `twenty third` is two of them."""

_ORDINAL = re.compile(r"(\d{1,3})(?:st|nd|rd|th|ra|da|ta|va)")
_ROAD_WORDS = frozenset(
    ("highway", "hwy", "hiway", "route", "rt", "rte", "carretera", "ruta", "autopista")
)
_ROAD_OWNERS = frozenset(("us", "u", "mo", "m", "missouri", "state", "st", "sr", "mo", "sh"))


def fold(text: str) -> str:
    """Small letters without accents, one for one where that is possible."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text.lower())
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


class Street(NamedTuple):
    """A street's name in its parts; what is not said is empty."""

    core: str
    """`noland`, `23rd`, `hwy 24`, `i 70`, `rd mize`."""
    direction: str = ""
    suffix: str = ""

    def may_be(self, known: "Street") -> bool:
        """Whether a known street is one that these words can mean."""
        return (
            self.core == known.core
            and (not self.direction or self.direction == known.direction)
            and (not self.suffix or not known.suffix or self.suffix == known.suffix)
        )

    @property
    def is_road(self) -> bool:
        """Whether it bears a number of the state or the nation: `hwy 24`, `i 70`."""
        return self.core.startswith(("hwy ", "i ")) and self.core[-1].isdigit()


def ordinal(number: int) -> str:
    """`23rd` for 23."""
    if 10 <= number % 100 <= 20:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def as_ordinal(word: str) -> str | None:
    """`23rd` of `23rd`, `23th` or `third`; None for what is no ordinal."""
    found = _ORDINAL.fullmatch(word)
    if found:
        # "23th" is a slip of the pen; "1th" may have been 11th.
        core = ordinal(int(found[1]))
        slip = core != word and word[-2:] in ("st", "nd", "rd", "th")
        return None if slip and len(found[1]) < 2 else core
    number = SPELLED.get(word)
    return ordinal(number) if number else None


def words_of(text: str) -> list[str]:
    """The words of a name: `R.D. Mize Rd` gives `r d mize rd`, `Lee's Summit` `lees summit`."""
    plain = fold(text[:400]).replace("'", "").replace("’", "").replace("&", " and ")
    return re.findall(r"[a-z]+|\d+[a-z]*", plain)


@lru_cache(maxsize=8192)
def street_named(name: str) -> Street | None:
    """
    A street as a list of streets writes it; None for what names none.

    >>> street_named("S Lee's Summit Rd")
    Street(core='lees summit', direction='s', suffix='rd')
    >>> street_named("E US Highway 24")
    Street(core='hwy 24', direction='e', suffix='')
    """
    return street_of(words_of(name))


def street_of(words: Sequence[str]) -> Street | None:
    """The same, of words that stand alone."""
    left = list(words)
    if left and left[0] in ("the", "la", "el"):
        left = left[1:]
    if left and left[0] in ("calle", "avenida", "camino") and len(left) > 1:
        left = left[1:]
    if not left:
        return None
    before = behind = ""
    # North Street is called North, and Avenue E is called E: a direction beside nothing but a
    # suffix is the name.
    if len(left) > 1 and _points(left[0]) and not _only_suffix(left[1:]):
        before, left = DIRECTION[left[0]], left[1:]
    if len(left) > 1 and _points(left[-1]) and not _only_suffix(left[:-1]):
        behind, left = DIRECTION[left[-1]], left[:-1]
    direction = before or behind
    road = road_core(left)
    if road is not None:
        return Street(road, direction)
    suffix = ""
    if len(left) > 1 and left[-1] in EVERY_SUFFIX:
        suffix, left = EVERY_SUFFIX[left[-1]], left[:-1]
    core = core_of(left)
    return Street(core, direction, suffix) if core else None


def _points(word: str) -> bool:
    return word in DIRECTION and word not in ("no", "so")


def _only_suffix(words: Sequence[str]) -> bool:
    return len(words) == 1 and words[0] in SUFFIX


def road_core(words: Sequence[str]) -> str | None:
    """
    `hwy 24` of the words of a numbered road; None when they are none.

    >>> road_core(["us", "24", "hwy"])
    'hwy 24'
    >>> road_core(["interstate", "70"])
    'i 70'
    """
    numbers = [word for word in words if word.isdigit()]
    others = [word for word in words if not word.isdigit()]
    if len(numbers) != 1 or len(numbers[0]) > 3 or not others or len(others) > 3:
        return None
    number = str(int(numbers[0]))
    if others in (["i"], ["interstate"], ["interstate", "highway"], ["interestatal"]):
        return f"i {number}"
    if others == ["u", "s"] or all(word in _ROAD_WORDS or word in _ROAD_OWNERS for word in others):
        # "24 st" is 24th Street, "m 24" and "us 24" are highways.
        return None if others in (["st"], ["u"]) else f"hwy {number}"
    if others[:2] == ["u", "s"] and all(word in _ROAD_WORDS for word in others[2:]):
        return f"hwy {number}"
    return None


def core_of(words: Sequence[str]) -> str:
    """The heart of a street's name: ordinals in figures, initials together, `saint` as `st`."""
    left = list(words)
    if len(left) == 2 and left[0] in TENS and left[1] in UNITS:
        return ordinal(TENS[left[0]] + UNITS[left[1]])
    if len(left) == 1:
        if left[0].isdigit() and len(left[0]) <= 3:
            return ordinal(int(left[0]))
        return as_ordinal(left[0]) or left[0]
    if len(left) == 2 and left[0].isdigit() and left[1] in ("st", "nd", "rd", "th"):
        return ordinal(int(left[0]))
    joined: list[str] = []
    letters = ""
    for word in left:
        if len(word) == 1 and word.isalpha():
            letters += word
            continue
        if letters:
            joined.append(letters)
            letters = ""
        joined.append({"saint": "st", "mount": "mt", "fort": "ft"}.get(word, word))
    if letters:
        joined.append(letters)
    return " ".join(joined)


_CITY_TAIL = re.compile(
    r",?\s*\b(?:independence\b[\s,]*)?\b(?:mo|missouri)\b[\s,.]*(?:\d{5}(?:-\d{4})?)?\s*$", re.I
)
_CORNER_OF = re.compile(
    r"^\s*(?:(?:the|la)\s+)?(?:corner|intersection|esquina)\s+(?:of|de)\s+", re.I
)
_AND = re.compile(r"\s*(?:/|@|&|\s(?:and|y|at)\s)\s*", re.I)


def place_words(text: str) -> list[str]:
    """The words of an address in one form: small letters, `st` for Street, `e` for East."""
    return [DIRECTION[word] if _points(word) else SUFFIX.get(word, word) for word in words_of(text)]


def place_key(text: str) -> str:
    """
    What two ways of writing the same place have in common; empty for what names no place.

    A corner is the same read from either street. City, state and ZIP at the end say nothing
    here, for all places that we know are in the city.
    """
    plain = _CORNER_OF.sub("", _CITY_TAIL.sub("", text[:400]))
    parts = [part for part in _AND.split(plain) if part.strip()]
    if len(parts) == 2:
        streets = [street_named(part) for part in parts]
        return " & ".join(sorted(street.core for street in streets if street is not None))
    words = words_of(plain)
    if len(words) > 1 and words[0].isdigit():
        street = street_of(words[1:])
        if street is not None:
            return " ".join(filter(None, (words[0], street.direction, street.core)))
    return " ".join(words)
