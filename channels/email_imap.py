"""
Mail from residents: several mailboxes, each watched by IDLE and, because IDLE lies, by looking.

What a mail is taken for is decided by `channels/email_intake.py`. Here it is fetched, oldest first
and without leaving a mark, and put away once the ledger says how it ended: into *Processed* when
it was filed or ignored, into *Quarantine* when nobody could read it. Until then it stays in INBOX,
whatever happens to us.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Self
from uuid import UUID

import structlog

from bus.errors import Unavailable
from bus.waiting import first
from channels.base import Channel, Reviewed, Surroundings, Watched
from channels.email_intake import EmailIntake, Understood, id_of
from channels.email_settings import MailboxSettings
from channels.imap_session import (
    AT_ONCE,
    CommandRefused,
    ImapSession,
    ImapTrouble,
    SignInRefused,
)
from channels.mail_limits import Limits
from channels.mail_reader import MailReader
from channels.mailbox_access import Access
from channels.mailbox_memory import MailboxMemory
from channels.photos import Darkroom

log = structlog.stdlib.get_logger()

MOST_TRIES = 3
SIGN_IN_AGAIN = 300.0
"""Seconds; asking more often would lock the account."""
GIVE_UP_AFTER = 3600.0
"""Seconds: a mail that cannot be fetched for so long is at fault itself, and no bad line."""
TELL_AGAIN = 300.0
"""Seconds after which a mail that the ledger still does not know is told again."""
BYTES_IN_HAND = 48_000_000
MAILS_IN_HAND = 60
OF_A_GIANT = 256 * 1024
"""Bytes that are looked at of a mail which is too large."""

_LINGER = 0.02  # seconds in which mails find company on their way to the bus
_QUICK = 1.0  # seconds that the books usually need at most
_LATER = 5.0
_FAREWELL = 5.0


class EmailChannel:
    """All mailboxes of the settings, and one reader for them."""

    def __init__(self, around: Surroundings, mailboxes: Sequence[MailboxSettings]) -> None:
        if around.mailboxes is None:
            raise ValueError("the mail channel needs a memory")
        self._settings = mailboxes
        self._around = around
        self._memory = around.mailboxes
        self._watches = [Watch(one.name) for one in mailboxes]

    def channel(self) -> Channel:
        return Channel(
            "email", run=self.run, state=self.state, audit=self.audit, look_now=self.look_now
        )

    def state(self) -> Sequence[Watched]:
        return [replace(watch.now, access_ends=watch.access_ends) for watch in self._watches]

    async def run(self, stop: asyncio.Event) -> None:
        async with reader_for(self._settings) as reader, asyncio.TaskGroup() as tasks:
            for mailbox in self._mailboxes(reader):
                tasks.create_task(mailbox.run(stop), name=f"mailbox {mailbox.name}")

    def look_now(self) -> None:
        for watch in self._watches:
            watch.wanted.set()

    async def audit(self) -> Sequence[Reviewed]:
        async with reader_for(self._settings) as reader:
            return [one for mailbox in self._mailboxes(reader) for one in await mailbox.review()]

    def _mailboxes(self, reader: MailReader) -> "list[Mailbox]":
        intake = intake_for(self._around, self._settings, reader)
        return [
            Mailbox(settings, intake, self._around, self._memory, watch)
            for settings, watch in zip(self._settings, self._watches, strict=True)
        ]


def reader_for(mailboxes: Sequence[MailboxSettings]) -> MailReader:
    """One for all of them."""
    return MailReader(
        own_domains={one.own_domain.lower() for one in mailboxes if one.own_domain},
        limits=Limits(size=max((one.max_size for one in mailboxes), default=Limits().size)),
    )


def judges_of(mailboxes: Sequence[MailboxSettings]) -> frozenset[str]:
    """Who may say of a mail that comes from no mailbox whether its sender is who it says."""
    return frozenset[str]().union(*(one.judges for one in mailboxes))


def intake_for(
    around: Surroundings, mailboxes: Sequence[MailboxSettings], reader: MailReader
) -> EmailIntake:
    ours = {address for one in mailboxes for address in one.ours}
    return EmailIntake(around, reader, ours=ours, darkroom=Darkroom())


class Watch:
    """What can be seen of a mailbox from outside; also written to the log when it changes."""

    def __init__(self, name: str) -> None:
        self.now = Watched(name, None, 0)
        self.access_ends: datetime | None = None
        self.wanted = asyncio.Event()
        """Somebody wants it to be looked at now."""

    def looked(self, waiting: int) -> None:
        now = datetime.now(UTC)
        before, self.now = self.now, Watched(self.now.place, now, waiting, tried_at=now)
        if before.trouble:
            log.info("mailbox well again", mailbox=self.now.place)
        if waiting != before.waiting or before.looked_at is None:
            log.info("mailbox looked at", mailbox=self.now.place, waiting=waiting)

    def failed(self, trouble: str, *, refused: bool = False) -> None:
        before = self.now
        self.now = Watched(
            before.place,
            before.looked_at,
            before.waiting,
            trouble,
            tried_at=datetime.now(UTC),
            refused=refused,
        )
        if before.trouble != trouble:
            log.warning("mailbox in trouble", mailbox=before.place, trouble=trouble)


@dataclass
class _Known:
    """A mail in the folder that is open."""

    tries: int = 0
    complaint: UUID | None = None
    settled: bool = False
    told_at: float = 0.0
    """By the loop's clock; when it was told, or when we found that it had been."""


class Mailbox:
    """One mailbox. All it knows can be lost at any moment; the memory and the ledger stay."""

    def __init__(
        self,
        settings: MailboxSettings,
        intake: EmailIntake,
        around: Surroundings,
        memory: MailboxMemory,
        watch: Watch,
    ) -> None:
        self.settings = settings
        self.intake = intake
        self.memory = memory
        self.ledger = around.ledger
        self.name = settings.name
        self._watch = watch
        self._access = Access(settings, around.data)
        self.stumbles: dict[tuple[str, str, int], tuple[int, float]] = {}
        """What could not be fetched, by mailbox, folder and UID: how often, and since when."""
        self._elsewhere: dict[str, int] = {}
        """The UIDVALIDITY of the folders to which mail was moved."""

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until asked to stop; whatever breaks, begin again with a fresh connection."""
        wait = 0.0
        while not stop.is_set():
            looked_at = self._watch.now.looked_at
            try:
                async with self._access.open() as session:
                    self._watch.access_ends = self._access.ends
                    await self._stay(session, stop)
            except SignInRefused as error:
                self._watch.failed(str(error), refused=True)
                wait = SIGN_IN_AGAIN
            except (ImapTrouble, CommandRefused, Unavailable, OSError, TimeoutError) as error:
                self._watch.failed(str(error) or type(error).__name__)
                wait = min(self.settings.poll_every, max(0.5, wait * 2))
            except Exception as error:
                # Like the worker loop: what one mailbox stumbles over must not stop the others.
                log.exception("mailbox stumbled", mailbox=self.name)
                self._watch.failed(f"a fault of ours: {type(error).__name__}; the log has it.")
                wait = self.settings.poll_every
            else:
                wait = 0.0
            if self._watch.now.looked_at != looked_at:
                wait = min(wait, 0.5)  # it was well in between
            await first(wait, stop, self._watch.wanted)
            self._watch.wanted.clear()

    async def _stay(self, session: ImapSession, stop: asyncio.Event) -> None:
        if not self.settings.keep_in_inbox:
            await session.make(self.settings.processed)
            await session.make(self.settings.quarantine)
        async with Pipeline(self, self.settings.inbox) as pipeline:
            folder = Folder(self, session, pipeline)
            while not stop.is_set():
                waiting, wait = await folder.look(stop), 0.05
                self._watch.looked(waiting)
                while waiting and wait < _QUICK and not stop.is_set():
                    # What was told a moment ago is in the books a moment later.
                    await first(wait, stop)
                    before, waiting = waiting, await folder.look(stop)
                    wait = 0.05 if waiting < before else wait * 1.5
                    self._watch.looked(waiting)
                if not stop.is_set():
                    longest = _LATER if waiting else self.settings.idle
                    await session.wait_for_news(
                        min(self.settings.poll_every, longest), stop, self._watch.wanted
                    )
                    self._watch.wanted.clear()

    async def review(self) -> list[Reviewed]:
        """What lies in Processed and INBOX, held against the ledger; what it lacks is told."""
        settings, found = self.settings, list[Reviewed]()
        names = (
            (settings.inbox,) if settings.keep_in_inbox else (settings.processed, settings.inbox)
        )
        for name in names:
            place = f"{self.name} {name}"
            try:
                async with (
                    self._access.open() as session,
                    Pipeline(self, name, only_missing=True) as pipeline,
                ):
                    held = await Folder(self, session, pipeline).review()
                found.append(Reviewed(place, held, pipeline.brought_in))
            except (ImapTrouble, CommandRefused, Unavailable) as error:
                found.append(Reviewed(place, 0, 0, str(error) or type(error).__name__))
        return found

    async def moved_to(self, name: str, validity: int, mails: Mapping[int, UUID]) -> None:
        """Remember where mails went, so that an audit need not fetch them again."""
        if validity and mails:
            if self._elsewhere.get(name) != validity:
                await self.memory.enter(self.name, name, validity)
                self._elsewhere[name] = validity
            await self.memory.told(self.name, name, mails)


class Pipeline:
    """
    Mails on their way from a folder to the bus: read side by side, told together. A mail that
    takes long keeps nobody waiting.
    """

    def __init__(self, mailbox: Mailbox, folder: str, *, only_missing: bool = False) -> None:
        self.folder = folder
        self.only_missing = only_missing
        """Tell only what the ledger does not know."""
        self.known: dict[int, _Known] = {}
        self.in_hand: dict[int, int] = {}
        """Bytes by UID."""
        self.told: dict[int, UUID] = {}
        """What was told and not put away yet, by UID."""
        self.brought_in = 0
        self._mailbox = mailbox
        self._memory = mailbox.memory
        self._where = (mailbox.name, folder)
        self._understood: asyncio.Queue[tuple[int, Understood] | None] = asyncio.Queue()
        self._moved_on = asyncio.Event()
        self._trouble: Exception | None = None
        self._tasks = asyncio.TaskGroup()
        self._readers: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._tasks.create_task(self._tell_all(), name="mails told")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None or isinstance(error, Exception):
            # What is in hand is finished, even when the mail server is gone.
            if self._readers:
                await asyncio.wait(self._readers, timeout=_FAREWELL)
            for reader in self._readers:
                reader.cancel()
            self._understood.put_nowait(None)
            await self._tasks.__aexit__(None, None, None)
        else:
            await self._tasks.__aexit__(kind, error, trace)
        if self.in_hand:
            await self.excuse(sorted(self.in_hand))
        if error is None:
            self.look_for_trouble()

    def look_for_trouble(self) -> None:
        """Raises what kept mails from being told."""
        if self._trouble is not None:
            raise self._trouble

    async def begin(self, sizes: Mapping[int, int]) -> None:
        """They are about to be fetched; written down first, so that a crash is remembered."""
        await self._memory.begin(*self._where, list(sizes))
        for uid in sizes:
            self.known[uid].tries += 1
            self.in_hand[uid] = 0

    async def room_for(self, size: int) -> None:
        """Returns once that many more bytes may be held."""
        while (held := [one for one in self.in_hand.values() if one]) and (
            sum(held) + size > BYTES_IN_HAND or len(held) >= MAILS_IN_HAND
        ):
            self.look_for_trouble()
            self._moved_on.clear()
            await self._moved_on.wait()

    def read(self, uid: int, raw: bytes) -> None:
        self.in_hand[uid] = len(raw) or 1
        task = self._tasks.create_task(self._read(uid, raw), name=f"mail {uid}")
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)

    def say(self, uid: int, understood: Understood) -> None:
        self._understood.put_nowait((uid, understood))

    async def stumble(self, uid: int) -> None:
        """It could not be fetched; whether that is its own fault, only time tells."""
        now = asyncio.get_running_loop().time()
        times, since = self._mailbox.stumbles.get((*self._where, uid), (0, now))
        self._mailbox.stumbles[*self._where, uid] = (times + 1, since)
        await self.excuse([uid])

    def drop(self, uid: int) -> None:
        """It is out of our hands."""
        self.in_hand.pop(uid, None)
        self._moved_on.set()

    async def finished(self) -> None:
        """Returns once nothing is in hand."""
        while self.in_hand:
            self.look_for_trouble()
            self._moved_on.clear()
            await self._moved_on.wait()

    async def excuse(self, uids: Sequence[int]) -> None:
        """That they came to no end was no fault of theirs."""
        with suppress(Unavailable):  # then the try counts; there are three
            await self._memory.excuse(*self._where, uids)
        for uid in uids:
            self.known[uid].tries = max(0, self.known[uid].tries - 1)
            self.drop(uid)

    async def _read(self, uid: int, raw: bytes) -> None:
        try:
            mailbox = self._mailbox
            self.say(uid, await mailbox.intake.understand(raw, judges=mailbox.settings.judges))
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._trouble = self._trouble or error
        self._moved_on.set()

    async def _tell_all(self) -> None:
        while (first := await self._understood.get()) is not None:
            await asyncio.sleep(_LINGER)
            some = dict([first])
            while not self._understood.empty() and len(some) < MAILS_IN_HAND:
                if (one := self._understood.get_nowait()) is None:
                    self._understood.put_nowait(None)
                    break
                some |= dict([one])
            try:
                await self._tell(some)
            except Exception as error:
                self._fail(error)

    async def _tell(self, some: Mapping[int, Understood]) -> None:
        """Tell the bus, then write down that it was told: the other way a crash would lose it."""
        mails = {uid: id_of(one) for uid, one in some.items()}
        telling = list(some.values())
        if self.only_missing:
            ends = await self._mailbox.ledger(sorted(set(mails.values())))
            telling = [one for one in telling if id_of(one) not in ends]
            self.brought_in += len({id_of(one) for one in telling})
        await self._mailbox.intake.tell(telling)
        await self._memory.told(*self._where, mails)
        now = asyncio.get_running_loop().time()
        for uid, complaint in mails.items():
            self.known[uid] = _Known(complaint=complaint, told_at=now)
            self.told[uid] = complaint
            self.drop(uid)


class Folder:
    """A folder over one connection."""

    def __init__(self, mailbox: Mailbox, session: ImapSession, pipeline: Pipeline) -> None:
        self._mailbox = mailbox
        self._settings = mailbox.settings
        self._session = session
        self._pipeline = pipeline
        self._memory = mailbox.memory
        self._where = (mailbox.name, pipeline.folder)
        self._validity = -1
        self._known = pipeline.known
        self._told = pipeline.told
        self._done = 0
        """Up to this UID everything is in the books and stays where it lies."""

    async def look(self, stop: asyncio.Event) -> int:
        """Fetch what is new and put away what is in the books; how many wait."""
        self._pipeline.look_for_trouble()
        new = self._new(await self._list())
        fresh = [uid for uid in new if self._troubles(uid) == 0]
        suspects = new[len(fresh) :]
        for start in range(0, len(fresh), AT_ONCE):
            if stop.is_set():
                break
            await self._fetch_all(fresh[start : start + AT_ONCE], stop)
            await self._put_away()
        if suspects and not any(self._known[uid].tries > 1 for uid in self._pipeline.in_hand):
            # One at a time: a mail that harms us harms nobody beside it.
            await self._fetch_all(suspects[:1], stop)
        await self._put_away()
        await self._advance()
        return sum(not one.settled for one in self._known.values())

    async def review(self) -> int:
        """Tell what lies here and is not in the ledger; how many mails lie here."""
        uids = await self._list(whole=True)
        told = {one.complaint for one in self._known.values() if one.complaint}
        ends = await self._mailbox.ledger(sorted(told)) if told else {}
        for known in self._known.values():
            if known.complaint not in ends:
                known.complaint = None
        missing = [uid for uid in uids if self._known.setdefault(uid, _Known()).complaint is None]
        for start in range(0, len(missing), AT_ONCE):
            await self._fetch_all(missing[start : start + AT_ONCE], asyncio.Event())
        await self._pipeline.finished()
        return len(uids)

    async def _list(self, *, whole: bool = False) -> list[int]:
        """
        What lies here, oldest first, and what is remembered of it is at hand. Unless `whole`, mail
        that was put into the books before and stays here is left out, however much there is.
        """
        selected = await self._session.select(self._where[1])
        if selected.validity != self._validity:
            before = await self._memory.enter(*self._where, selected.validity)
            if before not in (None, selected.validity):
                log.warning(
                    "UIDVALIDITY changed: everything in the folder is looked at again",
                    mailbox=self._mailbox.name,
                    folder=self._where[1],
                    before=before,
                    now=selected.validity,
                )
            if self._validity not in (-1, selected.validity):
                # What is in hand has UIDs that mean nothing any more.
                raise ImapTrouble("UIDVALIDITY changed")
            if before != selected.validity:
                self._mailbox.stumbles = {
                    key: value
                    for key, value in self._mailbox.stumbles.items()
                    if key[:2] != self._where
                }
            self._validity = selected.validity
            now = asyncio.get_running_loop().time()
            self._done = 0 if whole else await self._memory.done_up_to(*self._where)
            recalled = await self._memory.recall(*self._where, after=self._done)
            for uid, one in recalled.items():
                self._known[uid] = _Known(one.tries, one.complaint, one.settled, now)
                if one.complaint and not one.settled:
                    self._told[uid] = one.complaint
        uids = await self._session.uids(after=self._done)
        if gone := sorted(set(self._known) - set(uids) - set(self._pipeline.in_hand)):
            await self._forget(gone)
        return uids

    def _new(self, uids: Sequence[int]) -> list[int]:
        """What was not told yet, oldest first; what was begun before comes last."""
        late = asyncio.get_running_loop().time() - TELL_AGAIN
        for uid in uids:
            one = self._known.setdefault(uid, _Known())
            if one.complaint and not one.settled and one.told_at < late:
                # The books ought to have it by now: nothing is lost by telling it again.
                log.warning("told again", mailbox=self._mailbox.name, id=str(one.complaint))
                one.complaint = None
                self._told.pop(uid, None)
        new = [
            uid
            for uid in uids
            if self._known[uid].complaint is None
            and not self._known[uid].settled
            and uid not in self._pipeline.in_hand
        ]
        return sorted(new, key=lambda uid: (self._troubles(uid), uid))

    def _troubles(self, uid: int) -> int:
        """How often it came to no end, in our hands or on its way to us."""
        times, _since = self._mailbox.stumbles.get((*self._where, uid), (0, 0.0))
        return self._known[uid].tries + times

    async def _forget(self, uids: Sequence[int]) -> None:
        await self._memory.forget(*self._where, uids)
        for uid in uids:
            self._known.pop(uid, None)
            self._told.pop(uid, None)
            self._mailbox.stumbles.pop((*self._where, uid), None)

    async def _advance(self) -> None:
        """Leave what stays here out of the next looks."""
        staying = [uid for uid, one in self._known.items() if one.settled]
        if not staying:
            return
        waiting = [uid for uid, one in self._known.items() if not one.settled]
        up_to = min(waiting) - 1 if waiting else max(staying)
        if done := [uid for uid in staying if uid <= up_to]:
            self._done = max(done)
            await self._memory.advance(*self._where, self._done)
            for uid in done:
                del self._known[uid]

    # ── fetching ────────────────────────────────────────────────────────────────────────────────

    async def _fetch_all(self, uids: Sequence[int], stop: asyncio.Event) -> None:
        sizes = await self._session.sizes(uids)
        if gone := [uid for uid in uids if uid not in sizes]:
            await self._forget(gone)  # somebody was quicker
        pipeline = self._pipeline
        await pipeline.begin({uid: sizes[uid] for uid in uids if uid in sizes})
        for uid in uids:
            if uid not in sizes or stop.is_set():
                continue
            pipeline.look_for_trouble()
            await pipeline.room_for(sizes[uid])
            try:
                await self._fetch(uid, sizes[uid])
            except (ImapTrouble, CommandRefused):
                await pipeline.stumble(uid)  # perhaps it is this mail
                raise

    async def _fetch(self, uid: int, size: int) -> None:
        intake, tries = self._mailbox.intake, self._known[uid].tries
        if size > self._settings.max_size:
            head = await self._session.fetch(uid, most=OF_A_GIANT)
            most = self._settings.max_size // 1_000_000
            reason = f"it has {size // 1_000_000} MB, more than {most}"
            self._pipeline.say(uid, await intake.quarantined(head, reason))
            return
        stumbled, since = self._mailbox.stumbles.get((*self._where, uid), (0, 0.0))
        late = asyncio.get_running_loop().time() - GIVE_UP_AFTER
        if tries > MOST_TRIES + 1 or (stumbled >= MOST_TRIES and since < late):
            # Even to fetch it once more led nowhere, and the server is well enough to be asked.
            reason = f"it could not be fetched in {max(stumbled, MOST_TRIES)} tries"
            known_as = f"{self._where} {self._validity} {uid}"
            self._pipeline.say(uid, await intake.quarantined(None, reason, known_as=known_as))
            return
        raw = await self._session.fetch(uid)
        if raw is None:
            self._pipeline.drop(uid)
            await self._forget([uid])
        elif tries > MOST_TRIES:
            reason = f"it was tried {MOST_TRIES} times and came to no end"
            self._pipeline.say(uid, await intake.quarantined(raw, reason))
        else:
            self._pipeline.read(uid, raw)

    # ── putting away ────────────────────────────────────────────────────────────────────────────

    async def _put_away(self) -> None:
        """Mail whose end the ledger knows leaves the folder, or is settled where it stays."""
        told = sorted(self._told.items())
        ends = await self._mailbox.ledger(sorted(set(self._told.values()))) if told else {}
        good, bad = list[int](), list[int]()
        for uid, complaint in told:
            end = ends.get(complaint)
            if end is None or end.state == "received":
                continue
            if end.state == "quarantined":
                bad.append(uid)
                log.warning("mail in quarantine", mailbox=self._mailbox.name, reason=end.reason)
            else:
                good.append(uid)
        if not self._settings.keep_in_inbox:
            await self._move(good, self._settings.processed)
            await self._move(bad, self._settings.quarantine)
        elif done := good + bad:
            await self._settle(done)

    async def _settle(self, uids: Sequence[int]) -> None:
        await self._memory.settle(*self._where, uids)
        for uid in uids:
            self._known[uid].settled = True
            self._told.pop(uid, None)

    async def _move(self, uids: Sequence[int], to: str) -> None:
        if not uids:
            return
        complaints = {uid: self._known[uid].complaint for uid in uids}
        moved = await self._session.move(uids, to)
        now_known = {
            now: complaint
            for before, now in moved.uids.items()
            if (complaint := complaints.get(before)) is not None
        }
        await self._mailbox.moved_to(to, moved.validity, now_known)
        await (self._settle(uids) if moved.stay else self._forget(uids))
        log.info("mail put away", mailbox=self._mailbox.name, folder=to, mails=len(uids))
