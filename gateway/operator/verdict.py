"""
Whether all is well, and if not, what is wrong and what to do about it (pure).

A sentence is written here in English with holes, and translated where it is shown. Each cause says
what to do in words that need no knowledge of NATS or PostgreSQL.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum

from bus.signs import Place
from gateway.operator.canary import CanaryFigures, State, Stop
from gateway.operator.expiring import Ending
from gateway.operator.figures import (
    SILENT_AFTER,
    BusFigures,
    ChannelFigures,
    Disk,
    DurableFigures,
    Figures,
)
from gateway.pages.i18n import noted as N_
from store.figures import StoreFigures
from store.levers import CHANNEL, OperatorAct, process_named


class Level(IntEnum):
    """How bad it is."""

    WELL = 0
    LOOK = 1
    """Nothing is lost and people are served, but somebody should look today."""
    WRONG = 2
    """Somebody waits because of it: act now."""


# Seconds. A message is handled within one or two when all is well.
LATE = 60.0
VERY_LATE = 600.0
OUTBOX_LATE = 30.0
NOTICE_LATE = 600.0
# The longest pause between two looks that the settings allow is an hour.
PLACE_LATE = 3900.0
DISK_LOW, DISK_VERY_LOW = 0.10, 0.04
GIB = 1024**3
STREAM_FULL, STREAM_VERY_FULL = 0.80, 0.95
DAYS_FEW, DAYS_VERY_FEW = 21, 7


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    level: Level
    cause: str
    """A name for machines, as `service_silent`."""
    words: str
    """What is wrong, in English, with holes for `values`."""
    todo: str
    """What to do about it, in the same way."""
    values: Mapping[str, str | int]
    link: str = ""
    """Our page on which it is mended."""
    way: str = N_("Open them")
    """What the link to it says."""
    spoken: Mapping[str, str] = field(default_factory=dict)
    """Further values, which are sentences as `words` is, and are translated like it."""


@dataclass(frozen=True)
class Verdict:
    """What the page says on top."""

    findings: tuple[Finding, ...]
    """The worst first."""

    @property
    def level(self) -> Level:
        return max((one.level for one in self.findings), default=Level.WELL)


WELL = N_("All is well: every message is handled within seconds, and nothing is lost.")


def judge(figures: Figures) -> Verdict:
    """What is wrong, the worst first; nothing when all is well."""
    found: list[Finding] = []
    if figures.bus is None:
        found.append(_BUS_AWAY)
    if figures.store is None:
        found.append(_STORE_AWAY)
    if figures.disk is not None:
        found += _disk(figures.disk)
    if figures.bus is not None:
        found += _bus(figures.bus, _pauses(figures.store))
        found += _drained(figures.bus, figures.store)
    if figures.store is not None:
        found += _store(figures.store, figures.at)
    if figures.bus is not None:
        for channel in figures.bus.channels:
            found += _channel(channel, figures.at, _pauses(figures.store))
        for place in figures.bus.ways_out:
            found += _way_out(place)
    if figures.canary is not None:
        found += _canary(figures.canary)
    for ending in figures.endings:
        found += _ending(ending, figures.at)
    return Verdict(tuple(sorted(found, key=lambda one: -one.level)))


def level_of_age(age: float | None) -> Level:
    """How bad it is that a message has waited for so many seconds."""
    if age is None or age < LATE:
        return Level.WELL
    return Level.WRONG if age >= VERY_LATE else Level.LOOK


def level_of_disk(disk: Disk) -> Level:
    share = disk.free / disk.total if disk.total else 1.0
    if share < DISK_VERY_LOW or disk.free < GIB:
        return Level.WRONG
    return Level.LOOK if share < DISK_LOW and disk.free < 20 * GIB else Level.WELL


def level_of_days(days: int | None) -> Level:
    """How bad it is that something ends in so many days."""
    if days is None or days >= DAYS_FEW:
        return Level.WELL
    return Level.WRONG if days < DAYS_VERY_FEW else Level.LOOK


_AGAIN = N_("Start it again")
_GO_ON = N_("Let it go on")
_LOOK = N_("See how it stands")

_BUS_AWAY = Finding(
    Level.WRONG,
    "bus_away",
    N_("The bus (NATS) does not answer: no report can be taken in at the moment."),
    N_(
        "What was acknowledged is safe on disk. Start it again. If that does not help, "
        "`buckstop doctor` and nats/nats.log in the data directory, or the log of your own NATS "
        "server, say why."
    ),
    {},
    link="/ops/again?what=nats",
    way=_AGAIN,
)

_STORE_AWAY = Finding(
    Level.WRONG,
    "store_away",
    N_("PostgreSQL does not answer: reports are taken in, but no case is opened or changed."),
    N_(
        "Nothing is lost, the bus keeps it. Start it again. If that does not help, "
        "`buckstop doctor` and pg/log in the data directory, or the log of your own server, say "
        "why."
    ),
    {},
    link="/ops/again?what=postgresql",
    way=_AGAIN,
)


def _disk(disk: Disk) -> Iterator[Finding]:
    level = level_of_disk(disk)
    if level:
        yield Finding(
            level,
            "disk_low",
            N_("The disk is nearly full: %(free)s GB of %(total)s GB are free."),
            N_(
                "Make room, or move the data directory to a larger disk. When it is full, reports "
                "are refused, never lost."
            ),
            {"free": f"{disk.free / GIB:.1f}", "total": f"{disk.total / GIB:.0f}"},
        )


def _pauses(store: StoreFigures | None) -> Mapping[str, OperatorAct]:
    return {} if store is None else {one.what: one for one in store.pauses}


def _bus(bus: BusFigures, pauses: Mapping[str, OperatorAct]) -> Iterator[Finding]:
    silent: dict[str, list[DurableFigures]] = {}
    for durable in bus.durables:
        if durable.unheard:
            silent.setdefault(durable.service, []).append(durable)
    for service, theirs in silent.items():
        yield Finding(
            Level.WRONG,
            "service_silent",
            N_(
                "The service %(service)s gives no sign of life (%(seconds)d s). Messages that wait "
                "for it: %(waiting)d."
            ),
            N_(
                "Nothing is lost. Start it again, on the page Operations or where it runs "
                "(`buckstop run %(service)s`). Its log says why it stopped."
            ),
            {
                "service": service,
                "seconds": round(max(one.silent for one in theirs)),
                "waiting": sum(one.look.waiting + one.look.in_hand for one in theirs),
            },
            link=f"/ops/again?what={service}",
            way=_AGAIN,
        )
    for durable in bus.durables:
        if durable.unheard or durable.drained or durable.turned_off:
            continue
        if durable.look.paused:
            yield Finding(
                Level.LOOK,
                "durable_paused",
                N_("%(durable)s is paused by %(by)s. Messages that wait for it: %(waiting)d."),
                N_(
                    "It goes on by itself when the time is over; `buckstop bus resume` ends it now."
                ),
                {
                    "durable": durable.look.name,
                    "waiting": durable.look.waiting,
                    # Whoever paused it with NATS' own tool left no name.
                    "by": pauses[durable.look.name].by if durable.look.name in pauses else "nats",
                },
                link="/ops/levers",
                way=_GO_ON,
            )
        elif level := level_of_age(durable.age):
            yield Finding(
                level,
                "durable_late",
                N_(
                    "%(durable)s is behind: its oldest message waits for %(minutes)d min. "
                    "Messages that wait: %(waiting)d."
                ),
                N_(
                    "If many came at once, wait. If not, the log of %(service)s says on what it "
                    "waits: a server that is away, or a message that fails again and again."
                ),
                {
                    "durable": durable.look.name,
                    "service": durable.service,
                    "waiting": durable.look.waiting + durable.look.in_hand,
                    "minutes": round((durable.age or 0.0) / 60),
                },
            )
    for stream in bus.streams:
        look = stream.look
        share = look.bytes / look.most_bytes if look.most_bytes > 0 else 0.0
        if share >= STREAM_FULL:
            yield Finding(
                Level.WRONG if share >= STREAM_VERY_FULL else Level.LOOK,
                "stream_full",
                N_("The stream %(stream)s is %(percent)d %% full."),
                N_(
                    "A full stream refuses what is told. It empties itself as messages grow old; "
                    "raise its limit in bus/topology.py if the city has grown."
                ),
                {"stream": look.name, "percent": round(100 * share)},
            )


def _drained(bus: BusFigures, store: StoreFigures | None) -> Iterator[Finding]:
    by = {one.what: one.by for one in store.drains} if store else {}
    for sign, silent in bus.processes:
        if not sign.resting or silent >= SILENT_AFTER:
            continue
        alone = [one for one in bus.durables if one.drained and one.look.name in sign.durables]
        values: dict[str, str | int] = {
            "process": sign.process,
            "services": ", ".join(sign.services),
            "by": by.get(process_named(sign.process, sign.run), "?"),
            "waiting": sum(one.look.waiting + one.look.in_hand for one in alone),
        }
        if alone:
            yield Finding(
                Level.LOOK,
                "process_drained",
                N_(
                    "%(process)s (%(services)s) was drained by %(by)s, and nobody else does its "
                    "work. Messages that wait: %(waiting)d."
                ),
                N_(
                    "Nothing is lost. Start another process with these services, or let it go on: "
                    "`buckstop bus undrain %(process)s`."
                ),
                values,
                link="/ops/levers",
                way=_GO_ON,
            )
        else:
            yield Finding(
                Level.LOOK,
                "process_drained",
                N_("%(process)s (%(services)s) was drained by %(by)s and takes nothing new."),
                N_(
                    "Others do its work. End it once it has finished, or let it go on: "
                    "`buckstop bus undrain %(process)s`."
                ),
                values,
                link="/ops/levers",
                way=_GO_ON,
            )


def _store(store: StoreFigures, now: datetime) -> Iterator[Finding]:
    if not store.ever.closes:
        yield Finding(
            Level.WRONG,
            "ledger_open",
            N_("The ledger does not close: %(equation)s."),
            N_("Run `buckstop audit`: it finds what is missing and brings it in."),
            {"equation": str(store.ever)},
        )
    waited = _seconds(store.outbox.oldest, now)
    if store.outbox.count and waited >= OUTBOX_LATE:
        yield Finding(
            Level.WRONG,
            "outbox_stuck",
            N_(
                "The outbox is stuck: nobody hears of new and changed cases. Facts that wait to "
                "be told: %(count)d, the oldest for %(seconds)d s."
            ),
            N_("The service store tells them: see that it runs and reaches the bus."),
            {"count": store.outbox.count, "seconds": round(waited)},
        )
    if store.outbox.set_aside:
        yield Finding(
            Level.LOOK,
            "outbox_refused",
            N_("Facts in the outbox that the bus refused for good: %(count)d."),
            N_("Their reasons stand in the table outbox, column problem."),
            {"count": store.outbox.set_aside},
        )
    if left := store.dead.count - store.replaying:
        yield Finding(
            Level.LOOK,
            "dead_letters",
            N_("Messages that nobody could handle wait as dead letters: %(count)d."),
            N_("Read why, mend the cause, and have them told again, or discard them."),
            {"count": left},
            link="/ops/dead",
        )
    if store.alarms:
        last = store.alarms[0]
        yield Finding(
            Level.LOOK,
            "rule_alarm",
            N_(
                "Rules that could not do what they say: %(count)d. The last is “%(rule)s”: "
                "%(reason)s."
            ),
            N_(
                "No complaint is lost: another desk has it. Mend rules.toml in the city's folder; "
                "the page lists the rules and the last case of each."
            ),
            {"count": len(store.alarms), "rule": last.rule, "reason": last.reason},
            link="/staff/rules",
        )
    waited = _seconds(store.notices.oldest, now)
    if store.notices.count and waited >= NOTICE_LATE:
        yield Finding(
            Level.LOOK,
            "notices_late",
            N_(
                "Mails and texts that could not be sent yet: %(count)d, the oldest for "
                "%(minutes)d min."
            ),
            N_(
                "They are tried again for a day. `buckstop doctor` says whether the mail server "
                "and Twilio answer and accept our password."
            ),
            {"count": store.notices.count, "minutes": round(waited / 60)},
        )


def _channel(
    channel: ChannelFigures, now: datetime, pauses: Mapping[str, OperatorAct]
) -> Iterator[Finding]:
    if channel.looks and channel.unheard:
        yield Finding(
            Level.WRONG,
            "channel_silent",
            N_("Nobody looks after the channel %(channel)s (%(seconds)d s)."),
            N_(
                "What was sent stays where it lies. The service channels does not run: start it "
                "again, on the page Operations or where it runs (`buckstop run channels`)."
            ),
            {"channel": channel.name, "seconds": round(channel.silent)},
            link="/ops/again?what=channels",
            way=_AGAIN,
        )
        return
    if pause := pauses.get(CHANNEL + channel.name):
        yield Finding(
            Level.LOOK,
            "channel_paused",
            N_("The channel %(channel)s is paused by %(by)s."),
            N_(
                "What is sent stays where it lies. It goes on by itself when the time is over; "
                "`buckstop bus resume` ends it now."
            ),
            {"channel": channel.name, "by": pause.by},
            link="/ops/levers",
            way=_GO_ON,
        )
        return
    for place in channel.places:
        values = {"place": place.place, "trouble": place.trouble.rstrip(".")}
        if place.refused:
            yield Finding(
                Level.WRONG,
                "place_refuses",
                N_("%(place)s does not let us in: %(trouble)s."),
                N_(
                    "What lies there is not lost. Enter the password that is right now, on the "
                    "page Operations: it is tried before it is kept."
                ),
                values,
                link="/ops/places",
                way=N_("Enter it"),
            )
        elif place.trouble:
            yield Finding(
                Level.WRONG,
                "place_in_trouble",
                N_("%(place)s cannot be read: %(trouble)s."),
                N_(
                    "What lies there is not lost, and it is tried again by itself. Where the "
                    "settings of this channel are wrong, mend them, try them with "
                    "`buckstop doctor`, and have the service channels started again."
                ),
                values,
                link="/ops/places",
                way=_LOOK,
            )
        elif place.looked_at is not None and _seconds(place.looked_at, now) >= PLACE_LATE:
            yield Finding(
                Level.LOOK,
                "place_late",
                N_("Nobody has looked into %(place)s for %(minutes)d min."),
                N_("The log of the service channels says on what it waits."),
                values | {"minutes": round(_seconds(place.looked_at, now) / 60)},
                link="/ops/places",
                way=_LOOK,
            )


def _way_out(place: Place) -> Iterator[Finding]:
    values = {"place": place.place, "trouble": place.trouble.rstrip(".")}
    if place.refused:
        yield Finding(
            Level.WRONG,
            "mail_server_refuses",
            N_("No mail is sent: the mail server %(place)s does not accept our password."),
            N_(
                "Mails wait, and are tried again for a day. Enter the password that is right now, "
                "on the page Operations: it is tried before it is kept."
            ),
            values,
            link="/ops/places",
            way=N_("Enter it"),
        )
    elif place.trouble:
        yield Finding(
            Level.LOOK,
            "mail_server_away",
            N_("The mail server %(place)s did not let us in: %(trouble)s."),
            N_(
                "Mails wait, and are tried again for a day. Where the settings are wrong, mend "
                "them, try them with `buckstop doctor`, and have the service notifier started "
                "again."
            ),
            values,
            link="/ops/places",
            way=_LOOK,
        )


def _canary(canary: CanaryFigures) -> Iterator[Finding]:
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


def _ending(ending: Ending, now: datetime) -> Iterator[Finding]:
    days = ending.days(now)
    level = level_of_days(days)
    if days is None or not level:
        # What could not be seen is on the page; a server that is away has a sentence of its own.
        return
    if ending.kind == "access":
        yield Finding(
            level,
            "access_ends",
            N_("Our access to the mailbox %(what)s ends soon. Days that are left: %(days)d."),
            N_(
                "Allow Buckstop into the mailbox again at the provider, and enter the new refresh "
                "token on the page Operations. After that day no mail is fetched; it stays where "
                "it lies."
            ),
            {"what": ending.what, "days": max(0, days)},
            link="/ops/places",
            way=N_("Enter it"),
        )
    elif ending.trouble:
        yield Finding(
            level,
            "certificate_ended",
            N_("The certificate of %(what)s has expired."),
            N_(
                "Renew it on that server, now. Until then browsers warn residents, or we neither "
                "fetch nor send mail there."
            ),
            {"what": ending.what},
        )
    else:
        yield Finding(
            level,
            "certificate_ends",
            N_("The certificate of %(what)s ends soon. Days that are left: %(days)d."),
            N_(
                "Renew it on that server. After that day browsers warn residents, or we neither "
                "fetch nor send mail there."
            ),
            {"what": ending.what, "days": max(0, days)},
        )


def _seconds(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
