"""
Places in what people write: addresses, blocks, corners, landmarks, streets, in English and Spanish.

Pure. What is found is what was said, not where it is; `router.locate` looks that up. It would
rather miss a place than take "3 maple trees" or "on the 23rd of May" for one.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from router import plain_words as plain
from router.mentions import Kind, Mention
from router.name_reader import NameReader
from router.place_words import DIRECTION, SUFFIX
from router.sentence import Gap, Sentence, sentence_of
from router.street_reader import KNOWN, ORDINAL, STRONG, WEAK, Found, StreetReader, differ
from router.vocabulary import EMPTY, Vocabulary

_HOME = re.compile(plain.HOME)
_MOST_MENTIONS = 12
_NUMBER = frozenset(("number", "numero", "house", "casa", "no", "num", "nr"))
_BEFORE_A_NUMBER = frozenset(
    "us u s mo m i la the highway hwy hiway route rt rte interstate interestatal state st sr sh "
    "missouri".split()
)


def mentions_in(text: str, known: Vocabulary = EMPTY) -> list[Mention]:
    """
    The places that a text names, in its order.

    >>> [mention.words for mention in mentions_in("big pothole at 1109 S Arlington Ave by me")]
    ['1109 S Arlington Ave']
    """
    said = sentence_of(text)
    if not any(word in known.triggers or word[0].isdigit() for word in said.words):
        return []
    return _Scanner(said, known).all()


class _Scanner:
    def __init__(self, said: Sentence, known: Vocabulary) -> None:
        self._said = said
        self._words = said.words
        self._known = known
        self._count = len(said.words)
        self._streets = StreetReader(said, known)
        self._names = NameReader(said, known, self._streets)
        # How far the next word is that can make a name of those before it: most words of a
        # sentence are passed over by this alone.
        self._to_suffix, self._to_kind, self._to_digit = _distances(said.words)

    def all(self) -> list[Mention]:
        said = self._said
        found: list[Mention] = []
        place = 0
        while place < self._count and len(found) < _MOST_MENTIONS:
            mention = self._at(place) if self._may_begin(place) else None
            if mention is None:
                place += 1
                continue
            mention = self._names.with_tail(mention)
            before = found[-1] if found else None
            if (
                before
                and (both := _between_on(before, mention))
                and not any(
                    said.parted(step, Gap.HARD) for step in range(before.end, mention.start + 1)
                )
            ):
                found[-1] = both
                place = max(mention.end, place + 1)
                continue
            if before and before.kind is Kind.TOWN and mention.start - before.end <= 2:
                # "in Blue Springs on 7 Highway"
                mention = replace(mention, town=mention.town or before.town)
            home = _HOME.search(self._said.before(mention.start, 8)) is not None
            found.append(replace(mention, home=home) if home else mention)
            place = max(mention.end, place + 1)
        return found

    def _may_begin(self, place: int) -> bool:
        word = self._words[place]
        return (
            self._to_suffix[place] <= 4
            or self._to_kind[place] <= 5
            or word in self._known.beginnings
            or word[0].isdigit()
            or (self._to_digit[place] <= 3 and word in _BEFORE_A_NUMBER)
            or (
                place + 1 < self._count
                and (self._is_sign(place + 1) or self._words[place + 1] in plain.AND)
            )
            or self._known.places.may_be_near(self._said, place)
        )

    def _is_sign(self, place: int) -> bool:
        return self._said.gaps[place] is Gap.SIGN

    def _at(self, place: int) -> Mention | None:
        word = self._words[place]
        if word in plain.CORNER:
            return self._corner(place)
        if word in plain.BETWEEN and (mention := self._between(place)) is not None:
            return mention
        if word in self._known.towns and (mention := self._names.town(place)) is not None:
            return mention
        if word.isdigit() and (mention := self._numbered(place)) is not None:
            return mention
        found = [
            self._names.known_place(place),
            self._street_mention(place),
            self._names.named(place),
        ]
        # The longest name counts: "Truman High School" is not Truman Road.
        return max(
            (mention for mention in found if mention is not None),
            key=lambda mention: mention.end,
            default=None,
        )

    # ── addresses ───────────────────────────────────────────────────────────────────────────────

    def _numbered(self, place: int) -> Mention | None:
        """`1109 S Arlington Ave`, `the 1200 block of W 23rd`, `1109-1115 Main St`."""
        words, said = self._words, self._said
        if not self._is_house_number(place):
            return None
        number, upto, at = self._numbers(place)
        if at >= self._count:
            return None
        before = words[place - 1] if place else ""
        called = before in _NUMBER
        block = before in plain.BLOCK  # "cuadra 1200 de"
        if words[at] in plain.BLOCK:
            block, at = True, at + 1
        if at < self._count and words[at] in ("of", "de", "on", "en"):
            if words[at] == "of" and number >= 100:
                block = True
            if not (block or called):
                return None
            at += 1
        if at < self._count and words[at] in plain.ARTICLES and block:
            at += 1
        if at >= self._count or said.parted(at, Gap.COMMA) or said.gaps[at] is Gap.NONE:
            return None
        placed = called or self._streets.is_placed(place)
        found = self._short_direction(at)
        if found is None:
            big = number >= 100
            found = self._streets.street(at, loose=block or (placed and big), numbered=big)
        if found is None or not self._fits(place, at, found, number, block, placed):
            return None
        end = found.end
        # "1100 Noland Rd block" is the same.
        if end < self._count and words[end] in plain.BLOCK and not said.parted(end, Gap.COMMA):
            block, end = True, end + 1
        kind = Kind.BLOCK if block or upto is not None else Kind.ADDRESS
        return Mention(
            kind,
            place,
            end,
            said.written(place, end),
            number=number,
            upto=upto,
            streets=(found.street,),
        )

    def _numbers(self, place: int) -> tuple[int, int | None, int]:
        """A house number or two, with what belongs to them, and where they end."""
        words, said = self._words, self._said
        number, at = int(words[place]), place + 1
        if at >= self._count:
            return number, None, at
        if words[at].isdigit() and said.gaps[at] is Gap.HYPHEN and self._is_house_number(at):
            return number, int(words[at]), at + 1
        if (
            at + 1 < self._count
            and words[at] in ("to", "through", "thru", "and", "a", "y", "al")
            and words[at + 1].isdigit()
            and self._is_house_number(at + 1)
            and self._streets.street(at + 2) is not None
        ):
            return number, int(words[at + 1]), at + 2
        if said.gaps[at] is Gap.NONE and len(words[at]) == 1:
            return number, None, at + 1  # 1109A
        if words[at : at + 2] == ["1", "2"]:
            return number, None, at + 2  # 1109 1/2
        if len(words[at]) == 1 and words[at] not in DIRECTION:
            flat = self._streets.street(at + 1)
            if flat is not None and flat.sure >= KNOWN:
                return number, None, at + 1  # 1109 A Main St
        if words[at] == "hundred" and number < 300:
            return number * 100, None, at + 1
        return number, None, at

    def _short_direction(self, at: int) -> Found | None:
        """`so arlington`: "so" and "no" point only between a number and a street."""
        if self._words[at] not in ("so", "no"):
            return None
        found = self._streets.street(at + 1, numbered=True)
        if found is None or found.street.direction or found.sure < KNOWN:
            return None
        direction = DIRECTION[self._words[at]]
        return Found(found.street._replace(direction=direction), found.end, STRONG)

    def _fits(
        self, place: int, at: int, found: Found, number: int, block: bool, placed: bool
    ) -> bool:
        """Whether a number and what follows it are an address, and not "100 maple trees"."""
        if found.sure == STRONG or block:
            if found.street.suffix in ("pl", "way", "ct", "dr", "cir", "sq") and number < 100:
                known = found.street.core in self._known.known
                return known or self._said.capital[at] or bool(found.street.direction) or placed
            if found.street.suffix == "st" and number < 10 and not self._said.capital[at]:
                return placed
            if found.street.direction and not found.street.suffix and found.sure != STRONG:
                return self._streets.ends(found.end)
            return True
        if found.street.direction:
            return found.sure >= ORDINAL or self._streets.ends(found.end)
        if found.sure == ORDINAL:
            return number >= 100 and self._streets.ends(found.end)
        if found.sure == KNOWN:
            return number >= 100 and self._streets.ends(found.end)
        is_year = 1950 <= number <= 2035
        return (
            placed
            and number >= 100
            and not is_year
            and self._said.capital[at]
            and self._streets.ends(found.end)
        )

    def _is_house_number(self, place: int) -> bool:
        said, text = self._said, self._said.text
        word = self._words[place]
        if not word.isdigit() or not 1 <= len(word) <= 5 or word[0] == "0":
            return False
        before, earlier = text[: said.starts[place]][-1:], text[: said.starts[place]][-2:-1]
        after, next_one = text[said.ends[place] :][:1], text[said.ends[place] :][1:2]
        if before in ("$", "€", "£", "+"):
            return False
        if before in (".", ":", "/", ")", ",") and earlier.isdigit():
            return False
        if after in ("%", '"', "”", "″") or (after in (".", "/", ",", ":") and next_one.isdigit()):
            return False
        if after in ("'", "’") and not next_one.isalpha():
            return False
        if place == 0:
            return True
        last = self._words[place - 1]
        if last.isdigit() and said.gaps[place] <= Gap.SPACE:
            return False  # "11 09 S Arlington": either number may be meant
        if last.isdigit() and said.gaps[place] is Gap.HYPHEN:
            # The second of a range; the third of a telephone number.
            return place < 2 or said.gaps[place - 1] is not Gap.HYPHEN
        if last in plain.MONTHS and len(word) <= 2:
            return False
        return not (last in plain.UNIT and not said.parted(place, Gap.COMMA))

    # ── corners, and streets alone ──────────────────────────────────────────────────────────────

    def _corner(self, place: int) -> Mention | None:
        """`corner of Noland and 23rd`, `esquina de la 23 y Noland`."""
        words, said = self._words, self._said
        at = place + 1
        while at < self._count and words[at] in ("of", "de", "del", "on", "at", "en", "by", "near"):
            if said.parted(at, Gap.COMMA):
                return None
            at += 1
        if at >= self._count or said.parted(at, Gap.HARD):
            return None
        first = self._streets.street_or_number(at)
        if first is None:
            return None
        second = self._streets.joined(first.end, loose=True)
        if second is None and first.sure > WEAK and not said.parted(first.end, Gap.HARD):
            beside = self._streets.street(first.end)  # "corner 35th Noland"
            second = beside if beside is not None and beside.sure > WEAK else None
        if second is None or not (self._may_be_corner(first, second, at)):
            if first.sure == WEAK or not self._streets.ends(first.end):
                return None
            return self._alone(at, first)
        return Mention(
            Kind.CORNER,
            at,
            second.end,
            said.written(at, second.end),
            streets=(first.street, second.street),
        )

    def _may_be_corner(self, first: Found, second: Found, at: int) -> bool:
        if not differ(first, second):
            return False
        if first.sure == WEAK and second.sure == WEAK:
            # "corner of Archer and Boone": names, unless it goes on like a sentence.
            return self._streets.ends(second.end) or self._said.capital[at]
        return second.sure > WEAK or self._streets.ends(second.end)

    def _street_mention(self, place: int) -> Mention | None:
        """A street that begins here: with another one a corner, else alone."""
        words, said = self._words, self._said
        first = self._streets.street(place)
        weak = False
        if first is None:
            first = (
                self._streets.spanish_number(place)
                or self._streets.road_number(place)
                or self._streets.weak_first(place)
            )
            weak = first is not None
        if first is None:
            return None
        if first.sure == ORDINAL and not self._is_street_ordinal(place):
            return None
        end = first.end
        second = self._streets.joined(
            end, loose=said.parted(end, Gap.SIGN) and not said.parted(end, Gap.HARD)
        )
        if second is not None and differ(first, second):
            sure = max(first.sure, second.sure)
            least = min(first.sure, second.sure)
            if (
                sure > WEAK
                and (least > WEAK or self._streets.ends(second.end))
                and not self._counts_first(place)
            ):
                return Mention(
                    Kind.CORNER,
                    place,
                    second.end,
                    said.written(place, second.end),
                    streets=(first.street, second.street),
                )
        if weak:
            return None
        beside = self._streets.beside(end)
        if beside is not None and differ(first, beside):
            return Mention(
                Kind.CORNER,
                place,
                beside.end,
                said.written(place, beside.end),
                streets=(first.street, beside.street),
                near=True,
            )
        between = self._between_behind(end)
        if between is not None:
            one, other = between
            return Mention(
                Kind.BLOCK,
                place,
                other.end,
                said.written(place, other.end),
                streets=(first.street, one.street, other.street),
            )
        block = self._block_behind(end)
        if block is not None:
            number, beyond = block
            return Mention(
                Kind.BLOCK,
                place,
                beyond,
                said.written(place, beyond),
                number=number,
                streets=(first.street,),
            )
        # "calle Arlington 1109"
        if (
            words[place] in plain.CALLE
            and end < self._count
            and not said.parted(end, Gap.SIGN)
            and len(words[end]) >= 3
            and self._is_house_number(end)
        ):
            return Mention(
                Kind.ADDRESS,
                place,
                end + 1,
                said.written(place, end + 1),
                number=int(words[end]),
                streets=(first.street,),
            )
        return self._alone(place, first)

    def _block_behind(self, at: int) -> tuple[int, int] | None:
        """`4500 block` behind a street's name: the number, and where it ends."""
        words, said = self._words, self._said
        if at < self._count and words[at] in ("the", "la") and not said.parted(at, Gap.SIGN):
            at += 1
        if at + 1 >= self._count or said.parted(at, Gap.SIGN) or said.parted(at + 1, Gap.COMMA):
            return None
        if words[at + 1] not in plain.BLOCK or not 3 <= len(words[at]) <= 5:
            return None
        return (int(words[at]), at + 2) if self._is_house_number(at) else None

    def _between_behind(self, at: int) -> tuple[Found, Found] | None:
        """`between 23rd and 24th`, `from 23rd to 35th`, behind a street's name."""
        if at >= self._count or self._said.parted(at, Gap.SIGN):
            return None
        return self._streets.two_ends(at) if self._words[at] in plain.BETWEEN else None

    def _between(self, place: int) -> Mention | None:
        """`between 23rd and 24th on Noland`."""
        words, said = self._words, self._said
        ends = self._streets.two_ends(place)
        if ends is None:
            return None
        one, other = ends
        on = other.end
        if (
            on + 1 < self._count
            and words[on] in ("on", "en", "sobre", "along", "of")
            and not said.parted(on + 1, Gap.COMMA)
        ):
            street = self._streets.street(on + 1, loose=True)
            if street is not None and street.street.core not in (
                one.street.core,
                other.street.core,
            ):
                return Mention(
                    Kind.BLOCK,
                    place,
                    street.end,
                    said.written(place, street.end),
                    streets=(street.street, one.street, other.street),
                )
        if self._words[place] in ("from", "desde"):
            return None
        return Mention(
            Kind.STREET,
            place,
            other.end,
            said.written(place, other.end),
            streets=(one.street, other.street),
        )

    def _alone(self, place: int, found: Found) -> Mention | None:
        """A street, and not where along it."""
        placed = self._streets.is_placed(place)
        if found.sure == WEAK and not (
            found.street.direction and placed and self._said.capital[found.end - 1]
        ):
            return None
        if found.sure == ORDINAL and not (
            placed and self._streets.ends(found.end) and self._words[place - 1] != "the"
        ):
            return None
        if found.sure == KNOWN:
            # "Truman Memorial Building", "Jackson County": the name goes on.
            follows = found.end < self._count and not self._said.parted(found.end, Gap.COMMA)
            goes_on = follows and (self._said.capital[found.end] or not self._said.capital[place])
            if not placed or (goes_on and not self._streets.ends(found.end)):
                return None
        return Mention(
            Kind.STREET,
            place,
            found.end,
            self._said.written(place, found.end),
            streets=(found.street,),
            near=placed and self._words[place - 1] not in ("on", "along", "down", "up", "en"),
        )

    def _is_street_ordinal(self, place: int) -> bool:
        """Not "March 23rd", "the 2nd time", "my 3rd call"."""
        words = self._words
        if place == 0:
            return True
        before = words[place - 1]
        if before in plain.MONTHS or before in ("my", "his", "her", "our", "their", "a", "every"):
            return False
        after = words[place + 1] if place + 1 < self._count else ""
        return not (after == "of" or after in plain.MONTHS)

    def _counts_first(self, place: int) -> bool:
        """ "the 2nd and 3rd time": ordinals that count something."""
        return self._words[place - 1] in ("the", "my", "a", "his") if place else False


def _distances(words: Sequence[str]) -> tuple[list[int], list[int], list[int]]:
    """For each word how far it is to the next suffix, kind of place, and number (99: far)."""
    count = len(words)
    suffix, kind, digit = [99] * count, [99] * count, [99] * count
    to_suffix = to_kind = to_digit = 99
    for place in range(count - 1, -1, -1):
        word = words[place]
        to_suffix = 0 if word in SUFFIX else to_suffix + 1
        to_kind = 0 if word in plain.KINDS_OF_PLACE else to_kind + 1
        to_digit = 0 if word.isdigit() else to_digit + 1
        suffix[place], kind[place], digit[place] = to_suffix, to_kind, to_digit
    return suffix, kind, digit


def _between_on(one: Mention, other: Mention) -> Mention | None:
    """ "Crysler, the part between 35th and 37th": a street, and behind it between which others."""
    ends = (one, other)
    if any(mention.kind is not Kind.STREET for mention in ends):
        return None
    if len(one.streets) != 1 or len(other.streets) != 2:
        return None
    if one.streets[0].core in {street.core for street in other.streets}:
        return None
    return replace(
        one,
        kind=Kind.BLOCK,
        end=other.end,
        words=f"{one.words} {other.words}",
        streets=one.streets + other.streets,
    )
