"""What the canary says: late, lost, overtaken, and whose service has it (pure)."""

from collections.abc import Iterator

from gateway.operator.canary import CanaryFigures, State, Stop
from gateway.operator.finding import Finding, Level
from gateway.pages.i18n import noted as N_


def of_canary(canary: CanaryFigures) -> Iterator[Finding]:
    todo = N_(
        "Reports of residents take the same way. Nothing is lost; the log of the service "
        "%(service)s says on what it waits."
    )
    # While somebody paused it, that is told of whatever they paused.
    if canary.stop and canary.state is State.LOST:
        yield Finding(
            Level.WRONG,
            "canary_lost",
            N_("The canary is lost: none has come through for %(seconds)d s. %(where)s"),
            todo,
            {"seconds": round(canary.waited)} | _who(canary.stop, canary.reason),
            spoken={"where": canary.stop.words},
        )
    elif canary.stop and canary.state is State.LATE:
        yield Finding(
            Level.LOOK,
            "canary_late",
            N_("The canary is late: none has come through for %(seconds)d s. %(where)s"),
            todo,
            {"seconds": round(canary.waited)} | _who(canary.stop, canary.reason),
            spoken={"where": canary.stop.words},
        )
    elif canary.stop and canary.state is State.SLOW:
        yield Finding(
            Level.LOOK,
            "canary_slow",
            N_(
                "Canaries come through late: the last one took %(seconds)d s, the longest at the "
                "service %(service)s."
            ),
            N_("If many reports came at once, wait. If not, the log of that service says why."),
            {"seconds": round(canary.took or 0.0)} | _who(canary.stop, ""),
        )
    if canary.overtaken_stop and canary.state is not State.UNKNOWN:
        yield Finding(
            Level.LOOK,
            "canary_overtaken",
            N_(
                "Canaries of the last hour that did not come through, though later ones did: "
                "%(count)d. The last of them: %(where)s"
            ),
            N_("A message of theirs may have failed alone. The log of that service says why."),
            {"count": len(canary.overtaken)}
            | _who(canary.overtaken_stop, canary.overtaken[0].buried_why or ""),
            spoken={"where": canary.overtaken_stop.words},
        )


def _who(stop: Stop, reason: str) -> dict[str, str | int]:
    return {"service": stop.service, "hop": stop.hop.value, "reason": reason}
