"""What pages ask about a place while it is given, and who helps with what is not the city's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from router.locate import Locator, Outcome, Spot
from router.rules import City

Words = Mapping[str, str]


@dataclass(frozen=True)
class Helper:
    """Somebody other than the city."""

    name: str
    label: Words
    phone: str = ""
    """As people write it; empty while nobody has confirmed one."""
    check: str = ""
    """For staff: what is not known for sure."""

    @property
    def href(self) -> str:
        digits = "".join(letter for letter in self.phone if letter.isdigit())
        return f"tel:+1{digits}" if len(digits) == 10 else f"tel:{digits}"


@dataclass(frozen=True)
class Doubt:
    """Why a place that was typed is worth a question before it is sent."""

    why: str
    """`vague`, `ambiguous`, `outside`, `refer`."""
    given: str = ""
    choices: tuple[str, ...] = ()
    because: str = ""
    """Of `refer`: the road or the town that showed it."""
    how: str = ""
    helper: Helper | None = field(default=None)


Ask = Callable[[Spot, str | None], Doubt | None]
"""From what was said of a place, and the problem type that was chosen, to what is open about it."""


def helpers_of(city: City) -> dict[str, Helper]:
    """Everybody whom the city's folder names, by that name."""
    return {
        agency.name: Helper(agency.name, agency.label, agency.phone or "", agency.check)
        for agency in city.referrals.agencies.values()
    }


def asking(city: City, locator: Locator) -> Ask:
    """What a page asks to find out whether a place is worth a question."""
    helpers = helpers_of(city)

    def ask(spot: Spot, problem_type: str | None) -> Doubt | None:
        (found,) = locator.locate([spot])
        referral = city.referrals.of(found, problem_type, spot.text)
        given = found.address or ""
        if referral is not None and referral.how != "words":
            helper = helpers.get(referral.agency)
            why = "outside" if found.outcome is Outcome.OUTSIDE else "refer"
            return Doubt(why, given, (), referral.because, referral.how, helper)
        if not spot.address and spot.lat is None:
            return None
        if found.outcome in (Outcome.VAGUE, Outcome.AMBIGUOUS, Outcome.OUTSIDE):
            return Doubt(found.outcome.value, given, tuple(one.name for one in found.choices))
        return None

    return ask
