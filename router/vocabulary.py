"""The names of one city, looked up word by word: its streets, its places, the towns about it."""

from collections.abc import Collection, Iterable, Sequence

from rapidfuzz.distance import OSA

from router import plain_words as plain
from router.place_words import DIRECTION, QUIET_SUFFIX, SUFFIX, TENS, Street, words_of
from router.sentence import Gap, Sentence


class Phrases:
    """Names of several words, looked up word by word, the longest first."""

    def __init__(self, names: Iterable[tuple[Sequence[str], int]]) -> None:
        self._by_first: dict[str, list[tuple[tuple[str, ...], int]]] = {}
        self._by_rest: dict[tuple[str, ...], list[tuple[str, int]]] = {}
        for words, which in names:
            if words:
                self._by_first.setdefault(words[0], []).append((tuple(words[1:]), which))
            if len(words) > 1:
                self._by_rest.setdefault(tuple(words[1:]), []).append((words[0], which))
        self._seconds = frozenset(rest[0] for rest in self._by_rest)
        for others in self._by_first.values():
            others.sort(key=lambda one: -len(one[0]))

    def __contains__(self, word: str) -> bool:
        return word in self._by_first

    @property
    def first_words(self) -> Iterable[str]:
        return self._by_first

    def may_be_near(self, said: Sentence, place: int) -> bool:
        """Whether `nearly_at` is worth the while."""
        return (
            place + 1 < len(said.words)
            and said.words[place + 1] in self._seconds
            and len(said.words[place]) >= 4
        )

    def nearly_at(self, said: Sentence, place: int) -> tuple[int, int] | None:
        """The same of a name with one word misspelt, if only one name is so near."""
        word = said.words[place]
        best: dict[int, tuple[int, int]] = {}
        if self.may_be_near(said, place):
            for length in (1, 2, 3):
                end = place + 1 + length
                if end > len(said.words):
                    break
                rest = tuple(said.words[place + 1 : end])
                for first, which in self._by_rest.get(rest, ()):
                    if first[0] == word[0] and _misspelt(word, first):
                        best[which] = (end, which)
        for others, which in self._by_first.get(word, ()):
            end = place + 1 + len(others)
            heard = said.words[place + 1 : end]
            if len(heard) != len(others):
                continue
            wrong = [pair for pair in zip(heard, others, strict=True) if pair[0] != pair[1]]
            if len(wrong) == 1 and _misspelt(*wrong[0]):
                best[which] = (end, which)
        if len(best) != 1:
            return None
        (found,) = best.values()
        joined = not any(said.parted(step, Gap.COMMA) for step in range(place + 1, found[0]))
        return found if joined else None

    def at(self, said: Sentence, place: int) -> tuple[int, int] | None:
        """Where the longest name that begins at `place` ends, and which it is."""
        for others, which in self._by_first.get(said.words[place], ()):
            end = place + 1 + len(others)
            if tuple(said.words[place + 1 : end]) == others and not any(
                said.parted(step, Gap.COMMA) for step in range(place + 1, end)
            ):
                return end, which
        return None


class Vocabulary:
    """What the names of one city are: its streets, its places, the towns about it."""

    def __init__(
        self,
        streets: Collection[Street] = (),
        places: Sequence[Sequence[str]] = (),
        towns: Sequence[Sequence[str]] = (),
        own_town: str = "",
    ) -> None:
        """Of each place and town its names; `own_town` is the city's own name."""
        self.cores = sorted({street.core for street in streets})
        self.known = frozenset(self.cores)
        self.quiet = {
            (street.core, word): street.suffix
            for street in streets
            for word, suffix in QUIET_SUFFIX.items()
            if suffix == street.suffix
        }
        """Streets that are called `Ridge` or `Pass`, which are words elsewhere."""
        self.also_towns = frozenset(" ".join(words_of(name)) for names in towns for name in names)
        """Streets that bear a town's name: alone, the town is meant."""
        spelled = []
        for number, core in enumerate(self.cores):
            words = core.split()
            spelled.append((words, number))
            if len(words) > 1 and len(words[0]) == 2 and words[0] == "rd":
                spelled.append(([*words[0], *words[1:]], number))
        self.streets = Phrases(spelled)
        self.places = Phrases(
            (words_of(name), which) for which, names in enumerate(places) for name in names
        )
        self.town_names = [names[0] for names in towns] + ([own_town] if own_town else [])
        self.own_town = own_town
        self.towns = Phrases(
            [(words_of(name), which) for which, names in enumerate(towns) for name in names]
            + [(words_of(own_town), len(towns))] * bool(own_town)
        )
        self.beginnings = frozenset(
            {*self.streets.first_words, *self.places.first_words, *self.towns.first_words}
            | plain.CORNER
            | plain.CALLE
            | plain.BETWEEN
            | TENS.keys()
            | DIRECTION.keys()
        )
        """Words with which a place may begin."""
        self.triggers = frozenset(
            {*self.streets.first_words, *self.places.first_words, *self.towns.first_words}
            | SUFFIX.keys()
            | plain.CORNER
            | plain.CALLE
            | plain.KINDS_OF_PLACE
            | TENS.keys()
            | {"interstate", "route", "apartments"}
        )


EMPTY = Vocabulary()


def _misspelt(said: str, meant: str) -> bool:
    """Whether one is a slip of the pen for the other."""
    longest = max(len(said), len(meant))
    if longest < 5 or min(len(said), len(meant)) < 4:
        return False
    slips = 1 if longest < 8 else 2
    return bool(0 < OSA.distance(said, meant, score_cutoff=slips) <= slips)
