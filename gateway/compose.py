"""The only place that knows everybody: it opens what services need and hands it to them."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import structlog

from bus.connect import Bus, open_bus
from bus.contracts import Fact
from bus.errors import Unavailable
from bus.files import Files, open_files
from bus.levers import looking_when_asked
from bus.publish import Tell
from bus.service import Service
from bus.signs import WAY_OUT, Place, Sign, answer
from bus.worker import Listener, listen
from channels.base import Ledger, Settled, Surroundings
from channels.intake import Intake
from channels.registry import open_channels
from gateway.canary import as_canaries, keep_releasing
from gateway.city_words import words_of
from gateway.compiled import compiled_templates
from gateway.days import begin_of, end_of
from gateway.demo.stage import Stage
from gateway.draining import Drain
from gateway.engines import Engines
from gateway.house import House
from gateway.http import serve
from gateway.keeper import Keeper
from gateway.mail_server import password_of
from gateway.open311.desk import Open311Desk
from gateway.operator.sampling import keep_sampling
from gateway.pausing import unless_paused
from gateway.reports.mailing import keep_mailing
from gateway.settings import Settings, secret_of, texting_of
from notifier import service as notifier_service
from notifier.email_smtp import SmtpSender
from notifier.senders import Door
from notifier.service import open_sender, open_text_sender
from router import service as router_service
from router.geocode import open_geocoder
from router.rules import City, load_city
from router.service import Router, open_router, watch_models
from store import absences, accounts
from store import ledger as ledger_
from store import service as store_service
from store.mailbox_memory import MailboxMemory
from store.pool import GONE, open_pool
from store.text_budget import Caps, TextBudget

log = structlog.stdlib.get_logger()

CITIES = Path(router_service.__file__).parent / "cities"


def city_folder(settings: Settings) -> Path:
    """The folder that `city` names: one that comes along, or a path."""
    ours = CITIES / settings.city
    return ours if ours.is_dir() else Path(settings.city)


def city_of(settings: Settings) -> City:
    """
    The city that the settings name, read once: again only after one of its files has changed, and
    not by a process that was forked from this one. Raises `BadCity` with every fault.
    """
    folder = city_folder(settings)
    marks = tuple(
        sorted(
            (str(path), about.st_mtime_ns, about.st_size)
            for path in folder.rglob("*")
            if (about := path.stat()) and path.is_file()
        )
    )
    return _city_at(folder, marks)


@lru_cache(maxsize=1)
def _city_at(folder: Path, marks: tuple[tuple[str, int, int], ...]) -> City:
    return load_city(folder)


@asynccontextmanager
async def open_house(
    settings: Settings,
    engines: Engines,
    names: Collection[str],
    stage: Stage | None = None,
    keeper: Keeper | None = None,
) -> AsyncIterator[House]:
    """A house on migrated engines for these services, its people known to the store."""
    reachable = settings.bus.model_copy(update={"url": engines.nats_url})
    stored = settings.store.model_copy(update={"dsn": engines.dsn})
    async with AsyncExitStack() as open_things:
        # The router's libraries and model take seconds to load; the rest opens meanwhile.
        loading = asyncio.create_task(
            asyncio.to_thread(
                _open_city, settings, with_router=bool({"web", "router"} & set(names))
            ),
            name="load city",
        )
        files = await asyncio.to_thread(open_files, settings.files, settings.data)
        open_things.push_async_callback(files.close)
        pool = await open_things.enter_async_context(open_pool(stored))
        bus = await open_things.enter_async_context(open_bus(reachable, name="buckstop"))
        city, router = await loading
        await _introduce_people(pool, city)
        sender = await open_things.enter_async_context(
            open_sender(
                settings.notifier,
                words_of(city),
                files=files,
                secret=secret_of(settings),
                password=kept.read if (kept := password_of(settings)) else None,
            )
        )
        texts = await open_things.enter_async_context(open_text_sender(texting_of(settings)))
        desk = Open311Desk(city, settings, pool) if settings.channels.open311.enabled else None
        around = surroundings(settings, bus=bus, pool=pool, files=files, city=city, open311=desk)
        yield House(
            settings=settings,
            city=city,
            reader=router,
            bus=bus,
            pool=pool,
            files=files,
            intake=around.intake,
            around=around,
            sender=sender,
            texts=texts,
            channels=open_channels(around, settings.channels),
            open311=desk,
            stage=stage,
            keeper=keeper,
        )


def surroundings(
    settings: Settings,
    *,
    bus: Bus,
    pool: asyncpg.Pool,
    files: Files,
    city: City | None = None,
    open311: Open311Desk | None = None,
) -> Surroundings:
    """
    What channels stand on; with a `city`, they hear its words of danger; without `open311`, apps
    are not heard.
    """
    secret = secret_of(settings)
    intake = Intake(secret=secret, files=files, tell=bus.tell, sounds_urgent=_urgent(city))
    return Surroundings(
        intake=intake,
        tell=bus.tell,
        tell_again=_again(bus),
        files=files,
        ledger=_ledger(pool),
        secret=secret,
        public_url=settings.base_url,
        data=settings.data,
        mailboxes=MailboxMemory(pool),
        open311=open311,
    )


def _again(bus: Bus) -> Tell:
    async def tell_again(facts: Sequence[Fact]) -> None:
        mark = f"again-{uuid4().hex[:8]}"
        await bus.publisher.tell(facts, resend=mark)

    return tell_again


def _urgent(city: City | None) -> Callable[[str], bool] | None:
    if city is None:
        return None
    return lambda text: city.emergency_words.found_in(text) is not None


def _ledger(pool: asyncpg.Pool) -> Ledger:
    async def ledger(ids: Sequence[UUID]) -> Mapping[UUID, Settled]:
        try:
            async with pool.acquire(timeout=10) as connection:
                ends = await ledger_.ends(connection, ids)
        except GONE as error:
            raise Unavailable(f"PostgreSQL: {type(error).__name__}") from error
        return {id_: Settled(state, reason) for id_, (state, reason) in ends.items()}

    return ledger


def _open_city(settings: Settings, *, with_router: bool) -> tuple[City, Router | None]:
    city = city_of(settings)
    return city, open_router(city, settings.data / "models") if with_router else None


async def _introduce_people(pool: asyncpg.Pool, city: City) -> None:
    async with pool.acquire() as connection, connection.transaction():
        for one in city.people:
            await accounts.put_person(
                connection,
                login=one.id,
                name=one.name,
                email=one.email,
                phone=one.phone,
                department=one.department,
                roles=one.roles,
            )
        await absences.put_folder(connection, [*_away(city)])


def _away(city: City) -> Iterator[tuple[str, datetime | None, datetime | None]]:
    for one in city.people:
        if one.away_from or one.away_until:
            begins = begin_of(one.away_from, city.zone) if one.away_from else None
            yield one.id, begins, end_of(one.away_until, city.zone) if one.away_until else None


def _channels(house: House) -> Service:
    async def run(stop: asyncio.Event) -> None:
        look_now = {
            name: channel.look_now for name, channel in house.channels.items() if channel.look_now
        }
        async with looking_when_asked(house.bus.client, look_now), asyncio.TaskGroup() as tasks:
            tasks.create_task(stop.wait(), name="channels wait")
            for channel in house.channels.values():
                if channel.run is not None:
                    tasks.create_task(
                        unless_paused(
                            channel.name, channel.run, house.bus.client, house.pool, stop
                        ),
                        name=f"channel {channel.name}",
                    )
                for listener in channel.listeners:
                    tasks.create_task(
                        listen(house.bus.client, house.bus.tell, listener, stop),
                        name=listener.durable,
                    )

    heard = tuple(one.durable for each in house.channels.values() for one in each.listeners)
    return Service("channels", run, heard)


def drainable(house: House, services: Sequence[Service]) -> list[Service]:
    """
    The services of this process, which an operator can have finish, and one that tells whoever
    asks what this process does, and how its channels fare.
    """
    process, run = f"{socket.gethostname()}:{os.getpid()}", uuid4().hex[:8]
    drain = Drain(process, run)

    async def watch(stop: asyncio.Event) -> None:
        await drain.watch(house.bus.client, house.pool, stop)

    return [
        *(drain.around(one) for one in services),
        Service("drain", watch),
        _answering(house, services, drain, process, run),
    ]


def _answering(
    house: House, services: Sequence[Service], drain: Drain, process: str, run_: str
) -> Service:
    started_at = datetime.now(UTC)
    names = tuple(one.name for one in services)
    durables = tuple(durable for one in services for durable in one.durables)

    def sign() -> Sign:
        # Only where channels run do they know anything.
        places = [
            Place(channel=each.name, **asdict(watched))
            for each in (house.channels.values() if "channels" in names else ())
            if each.state is not None
            for watched in each.state()
        ]
        if "notifier" in names and isinstance(house.sender, SmtpSender):
            places.append(_way_out(house.sender.door))
        return Sign(
            process=process,
            services=names,
            durables=durables,
            places=tuple(places),
            started_at=started_at,
            run=run_,
            resting=drain.resting,
        )

    async def run(stop: asyncio.Event) -> None:
        await answer(house.bus.client, sign, stop)

    return Service("signs of life", run)


def _way_out(door: Door) -> Place:
    return Place(
        channel=WAY_OUT,
        place=door.place,
        looked_at=door.opened_at,
        trouble=door.trouble,
        tried_at=door.tried_at,
        refused=door.refused,
    )


def _router(house: House) -> Service:
    async def run(stop: asyncio.Event) -> None:
        asks = house.settings.router.geocoder
        async with open_geocoder(asks, house.city.boundary, house.settings.data) as geocoder:
            find = geocoder.find if geocoder else None
            hears = router_service.listeners(house.router, house.bus.tell, find)
            models = Service("models", lambda stop: watch_models(house.router, stop))
            await _listening("router", house, hears, [models]).run(stop)

    heard = router_service.listeners(house.router, house.bus.tell)
    return Service("router", run, tuple(one.durable for one in heard))


def _store(house: House) -> Service:
    rules = house.settings.store.follow

    async def mail_reports(stop: asyncio.Event) -> None:
        await keep_mailing(house.pool, house.files, house.city, house.settings.reports, stop)

    async def sample(stop: asyncio.Event) -> None:
        await keep_sampling(house.bus.js, house.pool, stop)

    return _listening(
        "store",
        house,
        store_service.listeners(house.pool, rules),
        [
            *store_service.services(house.pool, house.bus.post, rules, house.settings.store.storms),
            Service("report mails", mail_reports),
            Service("samples", sample),
        ],
    )


def _notifier(house: House) -> Service:
    listeners = notifier_service.listeners(
        house.settings.notifier,
        words_of(house.city),
        house.bus.tell,
        house.sender,
        house.texts,
        base_url=house.settings.base_url,
        budget=_text_budget(house),
        compiled=compiled_templates(house.settings),
    )
    sender = house.sender
    if not isinstance(sender, SmtpSender):
        return _listening("notifier", house, listeners)

    async def look(stop: asyncio.Event) -> None:
        async with looking_when_asked(house.bus.client, {WAY_OUT: sender.look_now}):
            await stop.wait()

    return _listening("notifier", house, listeners, [Service("way out", look)])


def _text_budget(house: House) -> TextBudget | None:
    texting = texting_of(house.settings)
    if not texting.account_sid:
        return None  # what lands in the local mailbox costs nothing
    caps = Caps(
        a_day=texting.most_a_day,
        a_month=texting.most_a_month,
        to_one_a_day=texting.most_to_one_a_day,
        to_one_a_month=texting.most_to_one_a_month,
    )
    return TextBudget(house.pool, caps)


def _web(house: House) -> Service:
    async def release(stop: asyncio.Event) -> None:
        intake = Intake(
            secret=secret_of(house.settings),
            files=house.files,
            tell=as_canaries(house.bus.tell),
            sounds_urgent=_urgent(house.city),
        )
        await keep_releasing(intake, house.city, house.settings.canary.every, stop)

    async def run(stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            if house.settings.canary.every:
                tasks.create_task(release(stop), name="canary")
            tasks.create_task(serve(house, stop), name="web pages")
            tasks.create_task(watch_models(house.router, stop), name="web models")

    return Service("web", run)


SERVICES: dict[str, Callable[[House], Service]] = {
    "web": _web,
    "channels": _channels,
    "router": _router,
    "store": _store,
    "notifier": _notifier,
}
"""What `buckstop run` can run, by the word that names it."""


def _listening(
    name: str, house: House, listeners: Sequence[Listener], besides: Sequence[Service] = ()
) -> Service:
    async def run(stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            for listener in listeners:
                tasks.create_task(
                    listen(house.bus.client, house.bus.tell, listener, stop),
                    name=listener.durable,
                )
            for other in besides:
                tasks.create_task(other.run(stop), name=f"{name} {other.name}")

    return Service(name, run, tuple(listener.durable for listener in listeners))
