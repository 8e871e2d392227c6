"""Whether all is well, and if not, what is wrong, the worst first (pure)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.operator.figures import (
    SILENT_AFTER,
    BusFigures,
    Disk,
    DurableFigures,
    Figures,
)
from gateway.operator.finding import (
    AGAIN,
    GIB,
    GO_ON,
    Finding,
    Level,
    level_of_age,
    level_of_disk,
    seconds_since,
)
from gateway.operator.verdict_canary import of_canary
from gateway.operator.verdict_places import of_channel, of_ending, of_way_out
from gateway.pages.i18n import noted as N_
from store.figures import StoreFigures
from store.levers import OperatorAct, process_named

OUTBOX_LATE = 30.0  # seconds
NOTICE_LATE = 600.0
STREAM_FULL, STREAM_VERY_FULL = 0.80, 0.95


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
            found += of_channel(channel, figures.at, _pauses(figures.store))
        for place in figures.bus.ways_out:
            found += of_way_out(place)
    if figures.canary is not None:
        found += of_canary(figures.canary)
    for ending in figures.endings:
        found += of_ending(ending, figures.at)
    return Verdict(tuple(sorted(found, key=lambda one: -one.level)))


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
    way=AGAIN,
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
    way=AGAIN,
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
            way=AGAIN,
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
                way=GO_ON,
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
                way=GO_ON,
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
                way=GO_ON,
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
    waited = seconds_since(store.outbox.oldest, now)
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
    waited = seconds_since(store.notices.oldest, now)
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
