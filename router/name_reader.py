"""
Places with a name, and what stands behind a place: `McCoy Park`, `in Blue Springs`, `apt 4`.

Pure; a reader of one text, which `router.place_reader` asks.
"""

import re
from dataclasses import replace

from router import plain_words as plain
from router.mentions import Kind, Mention
from router.place_words import DIRECTION
from router.sentence import Gap, Sentence
from router.street_reader import StreetReader
from router.vocabulary import Vocabulary

CALLED = re.compile(plain.CALLED)


class NameReader:
    """Looks for named places in one text."""

    def __init__(self, said: Sentence, known: Vocabulary, streets: StreetReader) -> None:
        self._said = said
        self._words = said.words
        self._known = known
        self._streets = streets
        self._count = len(said.words)

    def known_place(self, place: int) -> Mention | None:
        found = self._known.places.at(self._said, place)
        if found is None:
            found = self._known.places.nearly_at(self._said, place)
            if found is None or not (self._said.capital[place] or self._streets.is_placed(place)):
                return None
        end, which = found
        said, words = self._said, self._words
        before = said.before(place, 6)
        if CALLED.search(before):
            return None
        if self._streets.suffix(end) and words[end] not in ("square", "sq"):
            return None
        after = words[end] if end < self._count and not said.parted(end, Gap.COMMA) else ""
        if after in ("district", "board", "feet", "foot", "footage", "yards", "dept", "department"):
            return None
        if words[place] in plain.ARTICLES and end - place == 2:
            # "the square" and "the mall" are words first, and places where one can be.
            if not self._streets.is_placed(place) or not (
                self._streets.ends(end) or said.capital[place + 1]
            ):
                return None
        elif end - place == 1 and not (
            said.capital[place] or (self._streets.is_placed(place) and self._streets.ends(end))
        ):
            return None
        return Mention(
            Kind.PLACE,
            place,
            end,
            said.written(place, end),
            place=which,
            near=self._is_beside(place),
            aside=self._is_aside(place),
        )

    def town(self, place: int) -> Mention | None:
        """`in Blue Springs`, and nothing else."""
        found = self._known.towns.at(self._said, place)
        if found is None or place == 0 or self._words[place - 1] not in ("in", "en"):
            return None
        name = self._known.town_names[found[1]]
        if self._streets.suffix(found[0]) or name == self._known.own_town:
            return None
        return Mention(Kind.TOWN, place, found[0], self._said.written(place, found[0]), town=name)

    def _is_aside(self, place: int) -> bool:
        """Whether it lies in some direction from a place, at any distance."""
        before = self._said.before(place, 4).split()
        while before and before[-1] in ("the", "la", "el", "of", "de", "del", "from", "to"):
            before.pop()
        return bool(before) and (
            before[-1] in DIRECTION
            or before[-1]
            in ("past", "toward", "towards", "beyond", "norte", "sur", "este", "oeste")
        )

    def _is_beside(self, place: int) -> bool:
        words = self._words
        step = place - 1
        while (
            step >= 0
            and step > place - 4
            and words[step] in ("the", "of", "de", "la", "el", "del", "to", "from", "al")
        ):
            step -= 1
        return step >= 0 and not self._said.parted(place, Gap.HARD) and words[step] in plain.BESIDE

    def named(self, place: int) -> Mention | None:
        """`McCoy Park`, `Van Horn High School`: a name, and what kind of place it is."""
        words, said = self._words, self._said
        if words[place] in plain.NO_PLACE_NAME or not words[place].isalpha():
            return None
        end = place
        while end < self._count and end < place + 5:
            if end > place and said.parted(end, Gap.COMMA):
                return None
            if words[end] in plain.KINDS_OF_PLACE and end > place:
                break
            if words[end] in plain.CARRIES_ON or not words[end].isalpha():
                return None
            end += 1
        else:
            return None
        if end >= self._count:
            return None
        end += 1
        while (
            end < self._count
            and words[end] in plain.KINDS_OF_PLACE
            and not said.parted(end, Gap.COMMA)
        ):
            end += 1
        names = range(place, end - 1)
        capital = all(said.capital[step] for step in names) and (
            said.capital[end - 1] or len(names) > 1 or not said.parted(place, Gap.HARD)
        )
        if not capital and not (
            self._streets.is_placed(place) and self._streets.ends(end) and end - place <= 3
        ):
            return None
        if self._streets.suffix(end) or CALLED.search(said.before(place, 6)):
            return None
        after = words[end] if end < self._count and not said.parted(end, Gap.COMMA) else ""
        if after in ("district", "board", "bus", "zone", "zones", "buses", "program", "programs"):
            return None
        return Mention(
            Kind.NAMED,
            place,
            end,
            said.written(place, end),
            near=self._is_beside(place),
        )

    def with_tail(self, mention: Mention) -> Mention:
        """With the flat, the town, the state and the ZIP code that stand behind it."""
        words, said = self._words, self._said
        at = mention.end
        unit = town = state = zip_code = ""
        if mention.kind is Kind.ADDRESS:
            unit, at = self._unit(at)
        end = at
        step = at
        if step < self._count and not said.parted(step, Gap.SIGN):
            if words[step] in ("in", "en") and step + 1 < self._count:
                step += 1
            found = self._known.towns.at(said, step) if step < self._count else None
            if found is not None and not self._streets.suffix(found[0]):
                town, end = self._known.town_names[found[1]], found[0]
                step = end
            elif step != at:
                step = at
        if step < self._count and not said.parted(step, Gap.SIGN):
            if words[step] in ("mo", "missouri", "ks", "kansas"):
                if not (words[step] == "kansas" and words[step + 1 : step + 2] == ["city"]):
                    state = {"missouri": "mo", "kansas": "ks"}.get(words[step], words[step])
                    step = end = step + 1
        if (
            step < self._count
            and not said.parted(step, Gap.SIGN)
            and len(words[step]) == 5
            and words[step].isdigit()
        ):
            zip_code, end = words[step], step + 1
            if end < self._count and said.gaps[end] is Gap.HYPHEN and len(words[end]) == 4:
                end += 1
        if end == mention.end:
            return mention
        return replace(
            mention,
            end=end,
            words=said.written(mention.start, end),
            unit=unit,
            town=town,
            state=state,
            zip=zip_code,
        )

    def _unit(self, at: int) -> tuple[str, int]:
        words, said = self._words, self._said
        if at >= self._count or said.parted(at, Gap.SIGN):
            return "", at
        sharp = "#" in said.signs[at]
        if words[at] in plain.UNIT and at + 1 < self._count:
            if not said.parted(at + 1, Gap.COMMA) and self._is_unit(at + 1):
                end = at + 2
                if end < self._count and said.gaps[end] is Gap.NONE and self._is_unit(end):
                    end += 1
                return said.text[said.starts[at] : said.ends[end - 1]], end
        if sharp and self._is_unit(at):
            end = at + 1
            if end < self._count and said.gaps[end] is Gap.NONE and len(words[end]) == 1:
                end += 1
            return f"# {said.text[said.starts[at] : said.ends[end - 1]]}", end
        return "", at

    def _is_unit(self, at: int) -> bool:
        word = self._words[at]
        return (word.isdigit() and len(word) <= 4) or (word.isalpha() and len(word) == 1)
