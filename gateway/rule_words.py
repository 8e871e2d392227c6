"""What rules ask for, and why one decided or not: in the reader's language."""

from collections.abc import Iterable, Sequence

from bus.contracts import RuleTried
from gateway.pages.i18n import gettext as _
from gateway.pages.i18n import noted as N_
from router.match import DIFFERS, FITS, UNKNOWN
from router.routing import NONE
from store.cases import Event

CONDITIONS = {
    "channel": N_("the channel"),
    "language": N_("the language"),
    "problem_type": N_("the type"),
    "district": N_("the district"),
    "time": N_("the time"),
    "street": N_("the street"),
    "near": N_("places"),
    "within": N_("the area"),
    "words": N_("the words"),
    "without": N_("a text without"),
    "pattern": N_("the pattern"),
}
"""What a rule may ask for, as people call it."""


def tried_words(tried: RuleTried) -> str:
    """A sentence on why a rule decided or not."""
    values = {
        "asked": asked_words(tried.condition, tried.asks),
        "found": _("none") if tried.found == NONE else tried.found,
    }
    if tried.outcome == FITS:
        return _("It fits, and decides.")
    if tried.outcome == DIFFERS and tried.found:
        return _("Not this one: it is for %(asked)s; here it is %(found)s.") % values
    if tried.outcome == DIFFERS:
        return _("Not this one: it is for %(asked)s; that is not so here.") % values
    if tried.outcome == UNKNOWN:
        return _("Nobody can tell: it is for %(asked)s; no place is known.") % values
    return _("It cannot run: %(found)s. The catch-all takes the case.") % values


def asked_words(condition: str, asks: str) -> str:
    """What a rule asks for: `the district District 1`."""
    if condition == "emergency":
        return _("emergencies") if asks == "yes" else _("what is no emergency")
    named = CONDITIONS.get(condition)
    return f"{_(named)} {asks}" if named else asks


def trace_of(history: Iterable[Event]) -> Sequence[RuleTried]:
    """The rules that were tried when a case was routed last."""
    for event in reversed(list(history)):
        told = event.data.get("trace")
        if isinstance(told, list):
            return [RuleTried.model_validate(one) for one in told]
    return []
