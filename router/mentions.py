"""What a place is once it was read in a text: an address, a corner, a landmark, a street."""

from dataclasses import dataclass
from enum import Enum

from router.place_words import Street


class Kind(Enum):
    """How a place is named; the first are the more exact."""

    ADDRESS = "address"
    BLOCK = "block"
    CORNER = "corner"
    PLACE = "place"
    """One that the city's lists know."""
    NAMED = "named"
    """One that they do not: "Archer Park"."""
    STREET = "street"
    """A street, and not where along it."""
    TOWN = "town"
    """A neighbour town alone."""


@dataclass(frozen=True, slots=True)
class Mention:
    kind: Kind
    start: int
    end: int
    """From which word to before which."""
    words: str
    """As it was written."""
    number: int | None = None
    upto: int | None = None
    """The second number of a range."""
    streets: tuple[Street, ...] = ()
    """One of an address, two of a corner; of "Noland between 23rd and 24th" three."""
    place: int | None = None
    """Which of the vocabulary's places."""
    unit: str = ""
    zip: str = ""
    town: str = ""
    """The town that stands behind it, as the vocabulary calls it."""
    state: str = ""
    home: bool = False
    """Where the writer lives, which need not be where it is."""
    near: bool = False
    """It is only close to this."""
    aside: bool = False
    """It lies in some direction from this: "north of the Square"."""
