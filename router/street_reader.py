"""
Streets in a sentence: `S Noland Rd`, `23rd`, `24 Highway`, and the second one of a corner.

Pure; a reader of one text, which `router.place_reader` asks.
"""

from dataclasses import dataclass

from router import plain_words as plain
from router.place_words import (
    DIRECTION,
    SPELLED,
    SUFFIX,
    TENS,
    UNITS,
    Street,
    as_ordinal,
    core_of,
    ordinal,
    road_core,
)
from router.sentence import Gap, Sentence
from router.vocabulary import Vocabulary

WEAK, ORDINAL, KNOWN, STRONG = range(4)
"""How sure it is that some words are a street's: a bare word, `23rd`, a known name, `Noland Rd`."""


@dataclass(frozen=True, slots=True)
class Found:
    """A street's name in a sentence: up to which word, and how sure that it is one."""

    street: Street
    end: int
    sure: int


class StreetReader:
    """Looks for streets in one text."""

    def __init__(self, said: Sentence, known: Vocabulary) -> None:
        self._said = said
        self._words = said.words
        self._known = known
        self._count = len(said.words)
        self._numbers = [place for place, word in enumerate(said.words) if word.isdigit()]

    def street(self, place: int, *, loose: bool = False, numbered: bool = False) -> Found | None:
        """
        A street's name that begins at `place`; with `loose` also a bare word in its stead.
        `numbered`: a house number stands before.
        """
        words, said = self._words, self._said
        if place >= self._count:
            return None
        start = place
        if words[start] in plain.ARTICLES and start + 1 < self._count and loose:
            start += 1
        if words[start] in plain.CALLE and (road := self._road(start)) is not None:
            return road  # "carretera 291", "autopista 24"
        calle = words[start] in plain.CALLE and start + 1 < self._count
        if calle:
            start += 1
            if start + 1 < self._count and words[start] in ("la", "el"):
                start += 1
        direction = ""
        if self.is_direction(start) and not said.parted(start + 1, Gap.COMMA):
            if not self._direction_is_name(start):
                direction, start = DIRECTION[words[start]], start + 1
        found = self._road(start) or self._by_name(
            start, direction, loose=loose, calle=calle, numbered=numbered
        )
        if found is None:
            return None
        end = found.end
        suffix_free = found.street.is_road or found.street.suffix
        if (
            suffix_free
            and end < self._count
            and self.is_direction(end)
            and not said.parted(end, Gap.COMMA)
            and (end + 1 >= self._count or words[end + 1] != "of")
            and not (words[end] == "n" and self._street_begins(end + 1))  # "Noland Rd n 39th"
            and (len(words[end]) <= 2 or self.ends(end + 1))
        ):
            direction, end = direction or DIRECTION[words[end]], end + 1
        sure = found.sure
        if direction and sure == ORDINAL:
            sure = STRONG
        return Found(found.street._replace(direction=direction), end, sure)

    def _direction_is_name(self, start: int) -> bool:
        """Whether the name is North, as in North Street; not in "E R.D. Mize Rd"."""
        words, beyond = self._words, start + 2
        if words[start + 1] not in SUFFIX or self._known.streets.at(self._said, start + 1):
            return False
        return not any(word in SUFFIX for word in words[beyond : beyond + 2]) or self._said.parted(
            beyond, Gap.COMMA
        )

    def _street_begins(self, place: int) -> bool:
        return place < self._count and (
            self._ordinal(place) is not None
            or self._known.streets.at(self._said, place) is not None
        )

    def _road(self, start: int) -> Found | None:
        """`I-70`, `US 24`, `24 Highway`, `M-291`, `State Route 78`."""
        words = self._words
        if not any(start <= place <= start + 3 for place in self._numbers):
            return None
        for length in (4, 3, 2):
            end = start + length
            if end > self._count or any(
                self._said.parted(step, Gap.COMMA) for step in range(start + 1, end)
            ):
                continue
            some = words[start:end]
            if not any(word.isdigit() for word in some):
                continue
            core = road_core(some)
            if core is None or (core[0] == "i" and core.split()[1] == "0"):
                continue
            if length == 2 and some[0] in ("m", "i", "s", "mo", "st", "state", "sh", "u"):
                # "M 24" may be anything; "M-24" and "M24" are roads, "I 70" is one as well.
                joined = self._said.gaps[start + 1] in (Gap.HYPHEN, Gap.NONE)
                if some[0] in ("m", "s", "u", "st", "state") and not joined:
                    continue
                if some[0] == "i" and not joined and not 29 <= int(some[1]) <= 999:
                    continue
            if some[0].isdigit() and some[1] in ("m", "mo", "us", "u", "i", "s", "st", "state"):
                continue
            return Found(Street(core), end, STRONG)
        return None

    def _by_name(
        self, start: int, direction: str, *, loose: bool, calle: bool, numbered: bool
    ) -> Found | None:
        words, said, count = self._words, self._said, self._count
        if start >= count:
            return None
        word = words[start]

        spelled = self._ordinal(start)
        if spelled is not None:
            core, end = spelled
            suffix = self.suffix(end)
            counted = start > 0 and words[start - 1] in plain.COUNTED and not direction
            if suffix and counted and end + 1 < count and words[end + 1] in plain.AFTER_A_WORD:
                return None  # "the 2nd street light"
            if suffix:
                return Found(Street(core, suffix=suffix), end + 1, STRONG)
            return Found(Street(core), end, STRONG if calle else ORDINAL)
        if word.isdigit():
            if len(word) > 3 or int(word) == 0:
                return None
            suffix = self.suffix(start + 1)
            if suffix in ("st", "ave", "ter") and int(word) > 2:
                return Found(Street(ordinal(int(word)), suffix=suffix), start + 2, STRONG)
            if suffix and (direction or calle):
                return Found(Street(ordinal(int(word)), suffix=suffix), start + 2, STRONG)
            if calle or (direction and self.ends(start + 1)):
                return Found(Street(ordinal(int(word))), start + 1, STRONG)
            return None

        named = self._known.streets.at(said, start)
        if named is not None:
            end, which = named
            suffix = self.suffix(end)
            street = Street(self._known.cores[which], suffix=suffix)
            if suffix and (said.capital[start] or street.core not in plain.COMMON):
                return Found(street, end + 1, STRONG)
            if suffix:
                # "the main road" is no street, "on main street" is.
                article = start > 0 and words[start - 1] in plain.ARTICLES
                return None if article else Found(street, end + 1, STRONG)
            quiet = self._known.quiet.get((street.core, words[end] if end < count else ""))
            if quiet and not said.parted(end, Gap.HYPHEN):
                return Found(street._replace(suffix=quiet), end + 1, STRONG)
        longer = self._name_and_suffix(start, strict=not (direction or calle or loose or numbered))
        if longer is not None and (named is None or longer.end > named[0] + 1):
            return longer
        if named is not None:
            if direction or calle:
                return Found(street, end, STRONG)
            common = street.core in plain.COMMON and not said.capital[start]
            if loose:
                return Found(street, end, WEAK if common else KNOWN)
            if street.core in self._known.also_towns and not self._is_along(start):
                return None
            return None if common and not self._has_partner(end) else Found(street, end, KNOWN)
        if calle and said.capital[start] and word not in plain.NO_NAME:
            return Found(Street(core_of([word])), start + 1, STRONG)
        if (direction or loose) and self._is_name(start) and not self._known.towns.at(said, start):
            return Found(Street(core_of([word])), start + 1, WEAK)
        return None

    def _is_along(self, start: int) -> bool:
        return start > 0 and self._words[start - 1] in ("on", "along", "down", "off", "up", "of")

    def _has_partner(self, end: int) -> bool:
        """Whether a second street makes sure that a plain word is one: `walnut & 23rd`."""
        if end >= self._count or self._said.parted(end, Gap.HARD):
            return False
        joined = self._said.gaps[end] is Gap.SIGN
        if not joined and self._words[end] not in plain.AND:
            return False
        beyond = end if joined else end + 1
        return beyond < self._count and (
            self._ordinal(beyond) is not None
            or self._known.streets.at(self._said, beyond) is not None
        )

    def _ordinal(self, start: int) -> tuple[str, int] | None:
        words = self._words
        word = words[start]
        following = words[start + 1] if start + 1 < self._count else ""
        if word in TENS and following in UNITS and not self._said.parted(start + 1, Gap.COMMA):
            return ordinal(TENS[word] + UNITS[following]), start + 2
        if word in SPELLED:
            # "Third" is a street only with a word that says so.
            is_street = self.suffix(start + 1) in ("st", "ave", "ter")
            return (ordinal(SPELLED[word]), start + 1) if is_street else None
        core = as_ordinal(word)
        if core is not None:
            return core, start + 1
        if (
            word.isdigit()
            and len(word) <= 3
            and following in ("st", "nd", "rd", "th")
            and self._said.gaps[start + 1] <= Gap.SPACE
            and ordinal(int(word)).endswith(following)
            and following != "st"
        ):
            return ordinal(int(word)), start + 2
        return None

    def _name_and_suffix(self, start: int, *, strict: bool) -> Found | None:
        """One to three words that may be a name, and `Street` or the like behind them."""
        words, said = self._words, self._said
        for end in range(start + 1, min(start + 4, self._count)):
            if said.parted(end, Gap.HYPHEN) or not self._is_name(end - 1, first=end - 1 == start):
                return None
            suffix = SUFFIX.get(words[end])
            if suffix is None:
                continue
            after = end + 1
            if (
                after < self._count
                and words[after] in SUFFIX
                and not said.parted(after, Gap.HYPHEN)
                and words[after] not in ("way", "place", "pl", "st", "drive")
            ):
                continue  # "Park Avenue Road", "Court Street": the last one counts
            if strict and after < self._count and words[after] in plain.AFTER_A_WORD:
                if not said.parted(after, Gap.HYPHEN) and not all(said.capital[start:after]):
                    return None
            name = words[start:end]
            capital = all(said.capital[step] for step in range(start, end))
            plain_suffix = words[end] in (
                "way",
                "place",
                "court",
                "drive",
                "circle",
                "square",
                "pike",
            )
            if strict and not capital and (plain_suffix or (said.shouting and len(name) > 1)):
                return None
            if strict and not capital and not self.is_placed(start):
                return None
            return Found(Street(core_of(name), suffix=suffix), after, STRONG)
        return None

    def _is_name(self, place: int, *, first: bool = True) -> bool:
        """Whether a word may be (part of) the name of a street."""
        word = self._words[place]
        if not word.isalpha():
            return False
        if word in plain.NO_NAME or word in plain.PLACING:
            return word in plain.NAMES_ALL_THE_SAME and (
                self._said.capital[place]
                or (
                    self.suffix(place + 1) != ""
                    and self.is_placed(place)
                    and self._words[place - 1] not in plain.ARTICLES
                )
            )
        if word.endswith("bound") or word in ("th", "nd"):
            return False
        if len(word) == 1:
            return word not in ("a", "i", "y", "o", "e", "x") and self.suffix(place + 1) != "ln"
        return not (first and word in SUFFIX and word not in ("st", "square", "trail", "park"))

    def street_or_number(self, at: int) -> Found | None:
        """As `_street`, and `la 23`, `23` where a corner was announced."""
        start = at
        if start < self._count and self._words[start] in plain.ARTICLES:
            start += 1
        found = self.street(start, loose=True)
        if found is not None:
            return found
        if start < self._count and self._words[start].isdigit() and len(self._words[start]) <= 3:
            number = int(self._words[start])
            road = self._bare_road(start)
            if road is not None and not (start and self._words[start - 1] in ("la", "calle")):
                return Found(Street(road), start + 1, WEAK)
            if number:
                return Found(Street(ordinal(number)), start + 1, WEAK)
        return None

    def _bare_road(self, place: int) -> str | None:
        """`hwy 24` for a bare 24, if the city has such a road: "24 and Noland"."""
        word = self._words[place]
        if not word.isdigit() or len(word) > 3:
            return None
        cores = (f"hwy {int(word)}", f"i {int(word)}")
        return next((core for core in cores if core in self._known.known), None)

    def road_number(self, place: int) -> Found | None:
        """A bare number that only a second street makes a road: `24 and Noland`."""
        end = place + 1
        core = self._bare_road(place)
        if core is None or end >= self._count:
            return None
        joined = self._words[end] in plain.AND and not self._said.parted(end, Gap.COMMA)
        if not joined and self._said.gaps[end] is not Gap.SIGN:
            return None
        return Found(Street(core), end, WEAK)

    def spanish_number(self, place: int) -> Found | None:
        """`la 35`, which a second street makes a street: `la 35 y Noland`."""
        if self._words[place] not in ("la", "calle") or self._said.parted(place + 1, Gap.COMMA):
            return None
        number = self._words[place + 1]
        if not number.isdigit() or not 1 <= len(number) <= 3 or number == "0":
            return None
        return Found(Street(ordinal(int(number))), place + 2, WEAK)

    def weak_first(self, place: int) -> Found | None:
        """A bare word that only a second street makes a street: `Archer & 23rd`."""
        said = self._said
        end = place + 1
        if end >= self._count or not self._is_name(place):
            return None
        sign = said.gaps[end] is Gap.SIGN and said.signs[end] in ("&", "/", "&amp;")
        joined = self._words[end] in plain.AND and not said.parted(end, Gap.COMMA)
        # Of "Eastside Clinic and 3rd" the second word alone is no street.
        named = said.capital[place] and (
            said.parted(place, Gap.COMMA) or not said.capital[place - 1]
        )
        if not sign and not (joined and (self.is_placed(place) or named)):
            return None
        return Found(Street(core_of([self._words[place]])), end, WEAK)

    def joined(self, at: int, *, loose: bool) -> Found | None:
        """The second street of a corner, behind `and`, `&`, `/`, `@`, `at`, `y`."""
        words, said = self._words, self._said
        if at >= self._count:
            return None
        if said.gaps[at] is Gap.SIGN:
            return self.street_or_number(at)
        if said.parted(at, Gap.COMMA):
            return None
        if words[at] in plain.AND or words[at] in ("at", "x", "en"):
            if at + 1 < self._count and not said.parted(at + 1, Gap.COMMA):
                found = self.street_or_number(at + 1)
                if found is not None and found.sure == WEAK and not loose:
                    return None if not self._is_weak_corner(at + 1, found) else found
                return found
        return None

    def _is_weak_corner(self, at: int, found: Found) -> bool:
        words = self._words
        if words[at].isdigit():
            return words[at - 1] in ("y", "con") or found.street.is_road
        if words[at] in plain.ARTICLES and at + 1 < self._count and words[at + 1].isdigit():
            return True
        return self._said.capital[found.end - 1] and self.ends(found.end)

    def beside(self, at: int) -> Found | None:
        """`near 23rd`, `just south of 23rd St`, `off of Noland`, `cerca de la 23`."""
        words, said = self._words, self._said
        step = at
        if step >= self._count or said.parted(step, Gap.SIGN):
            return None
        seen = False
        while (
            step < self._count
            and step < at + 5
            and not (step > at and said.parted(step, Gap.COMMA))
        ):
            word = words[step]
            if word in (
                "near",
                "nr",
                "by",
                "onto",
                "off",
                "past",
                "before",
                "after",
                "around",
                "toward",
                "towards",
                "cerca",
                "junto",
                "antes",
                "despues",
                "pasando",
                "almost",
                "over",
                "under",
            ):
                seen = True
            elif word in (
                "north",
                "south",
                "east",
                "west",
                "n",
                "s",
                "e",
                "w",
                "norte",
                "sur",
                "este",
                "oeste",
                "close",
                "next",
                "bit",
                "corner",
            ) and (step + 1 < self._count and words[step + 1] in ("of", "de", "from", "to", "del")):
                seen = True
            elif word not in (
                "just",
                "right",
                "a",
                "little",
                "of",
                "from",
                "to",
                "the",
                "de",
                "la",
                "al",
                "half",
                "block",
                "blocks",
                "and",
                "justo",
                "un",
                "poco",
                "immediately",
                "directly",
                "about",
                "slightly",
                "some",
                "few",
                "feet",
            ):
                break
            step += 1
        if not seen or step >= self._count or said.parted(step, Gap.COMMA):
            return None
        found = self.street(step)
        if found is None and words[step - 1] in ("la", "calle") and words[step].isdigit():
            found = self.street_or_number(step)
            return found
        return found if found is not None and found.sure > WEAK else None

    def two_ends(self, at: int) -> tuple[Found, Found] | None:
        words, said = self._words, self._said
        if at + 1 >= self._count or said.parted(at + 1, Gap.COMMA):
            return None
        one = self.street_or_number(at + 1)
        if one is None or one.end >= self._count:
            return None
        and_ = one.end
        signed = said.gaps[and_] is Gap.SIGN
        if not signed and (
            words[and_] not in ("and", "y", "to", "hasta", "a", "n") or said.parted(and_, Gap.COMMA)
        ):
            return None
        other = self.street_or_number(and_ if signed else and_ + 1)
        if other is None or one.sure == other.sure == WEAK:
            return None
        return one, other

    # ── words ──

    def suffix(self, place: int) -> str:
        """`st` where the word at `place` says what kind of street the words before are."""
        if place >= self._count or self._said.parted(place, Gap.HYPHEN):
            return ""
        return SUFFIX.get(self._words[place], "")

    def is_direction(self, place: int) -> bool:
        if place >= self._count:
            return False
        word = self._words[place]
        return word in DIRECTION and (
            word not in ("no", "so") or self._said.text[self._said.ends[place] :][:1] == "."
        )

    def is_placed(self, place: int) -> bool:
        """Whether "at", "near", "en" stands before."""
        if place == 0 or self._said.parted(place, Gap.COMMA):
            return False
        before = self._words[place - 1]
        if before in plain.ARTICLES and place > 1:
            before = self._words[place - 2]
        return before in plain.PLACING or before in ("of", "de", "del", "to", "a", "al", "address")

    def ends(self, place: int) -> bool:
        """Whether a name that ends before `place` ends there, and does not go on."""
        return (
            place >= self._count
            or self._said.parted(place, Gap.COMMA)
            or self._words[place] in plain.CARRIES_ON
            or self._words[place] in plain.UNIT
        )


def differ(one: Found, other: Found) -> bool:
    """Whether two names are two streets: 7th Avenue and 7th Street are."""
    a, b = one.street, other.street
    return a.core != b.core or bool(a.suffix and b.suffix and a.suffix != b.suffix)
