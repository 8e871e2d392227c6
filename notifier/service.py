"""The notifier at work: facts about cases become queued notices, and those mails and texts."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import structlog
from jinja2 import BytecodeCache

from bus import traces
from bus.contracts import (
    CanaryFiled,
    CanaryQueued,
    CaseAlarmed,
    CaseAssigned,
    CaseClosed,
    CaseFact,
    CaseFollowed,
    CaseIncomplete,
    CaseLocated,
    CaseMerged,
    CaseNoted,
    CaseOpened,
    CaseReopened,
    CaseUnmerged,
    ChoiceAsked,
    Fact,
    FollowerJoined,
    IncidentAssigned,
    IncidentClosed,
    IncidentFact,
    IncidentNoted,
    MessageSetAside,
    NoticeFailed,
    NoticeQueued,
    NoticeSent,
    NoticeUnknown,
    NoticeWithheld,
    ReportMade,
)
from bus.errors import NotYet, Refused
from bus.files import Files
from bus.identity import complaint_id, fact_id
from bus.publish import Tell
from bus.worker import Listener
from notifier import canary
from notifier.city_words import CityWords
from notifier.console import MailboxSender
from notifier.email_smtp import Password, open_smtp
from notifier.expected import withheld_id
from notifier.mail_message import Envelope
from notifier.policy import Withheld, decide
from notifier.render import Links, Renderer
from notifier.reports import ReportMails
from notifier.rush import Rush
from notifier.senders import Again, Budget, Failed, Mail, Outcome, Sender, Sent, Unknown
from notifier.settings import NotifierSettings
from notifier.sms_settings import SmsSettings
from notifier.sms_twilio import open_twilio_sender

log = structlog.stdlib.get_logger()

_WRITE_AT_ONCE = 32  # notices between two breaths of the event loop, about 5 ms
_REMEMBERED = 20_000  # outcomes; a batch that is handed over again lies a moment back
# A mail server may be away for a day: then it is asked every 30 seconds. One that puts off a
# single mail (greylisting, a full mailbox) is asked ever less often, for a week.
_TRIES = 720
# Longer than for others: where two notifiers work, one that is only held up for a while (by its
# machine, say) must not have its mails sent a second time by the other.
_ACK_WAIT = 30.0


def make_renderer(
    settings: NotifierSettings,
    city: CityWords,
    *,
    base_url: str,
    compiled: BytecodeCache | None = None,
) -> Renderer:
    """
    Every notice compiled and tried; raises `notifier.render.BadTemplate`. `compiled` keeps
    templates between starts.
    """
    return Renderer(
        city,
        Links(base_url.rstrip("/"), settings.map_link, settings.search_link),
        own_templates=settings.templates,
        replies_read=bool(settings.reply_to),
        attach_up_to=settings.attach_up_to,
        compiled=compiled,
    )


@asynccontextmanager
async def open_sender(
    settings: NotifierSettings,
    city: CityWords,
    *,
    files: Files,
    secret: bytes = b"",
    password: Password | None = None,
) -> AsyncIterator[Sender]:
    """
    The sender that the settings ask for; without a mail server, the local mailbox. `secret` signs
    the addresses for answers, `password` is the newest of the mail server.
    """
    if not settings.smtp.host:
        yield MailboxSender()
        return
    name = settings.from_name or city.full_names.get("en") or f"City of {city.name}"
    signs = secret if settings.signed_replies else b""
    envelope = Envelope(settings.from_address, name, settings.reply_to, signs)
    async with open_smtp(settings.smtp, envelope, files.read, password) as sender:
        yield sender


@asynccontextmanager
async def open_text_sender(settings: SmsSettings) -> AsyncIterator[Sender]:
    """The sender of texts; without an account, the local mailbox."""
    if not settings.account_sid:
        yield MailboxSender()
        return
    async with open_twilio_sender(settings) as sender:
        yield sender


def listeners(
    settings: NotifierSettings,
    city: CityWords,
    tell: Tell,
    sender: Sender,
    texts: Sender | None = None,
    *,
    base_url: str,
    budget: Budget | None = None,
    compiled: BytecodeCache | None = None,
) -> list[Listener]:
    """
    What the notifier hears; `base_url` is where people reach our pages, `texts` what carries text
    messages (None: the local mailbox), `budget` how many of them, `compiled` keeps templates
    between starts. Raises `notifier.render.BadTemplate` when its words are wrong.
    """
    renderer = make_renderer(settings, city, base_url=base_url, compiled=compiled)
    rush = Rush()
    writer = Writer(renderer, tell, staff_language=settings.staff_language, rush=rush)
    carrier = Carrier(sender, tell, rush=rush)
    texter = Carrier(texts or MailboxSender(), tell, medium="sms", budget=budget)
    reports = ReportMails(
        city,
        tell,
        base_url=base_url,
        own_templates=settings.templates,
        replies_read=bool(settings.reply_to),
    )
    return [
        Listener(
            durable="notifier_case",
            stream="CASES",
            contracts=(
                CaseOpened,
                CaseAssigned,
                CaseNoted,
                CaseFollowed,
                CaseAlarmed,
                CaseIncomplete,
                CaseLocated,
                ChoiceAsked,
                CaseClosed,
                CaseReopened,
                FollowerJoined,
                CaseMerged,
                CaseUnmerged,
                IncidentAssigned,
                IncidentNoted,
                IncidentClosed,
                CanaryFiled,
            ),
            handle=writer.hear,
            batch=128,
            linger=0.12,
        ),
        Listener(
            durable="notifier_report_made",
            stream="NOTICES",
            contracts=(ReportMade,),
            handle=reports.hear,
        ),
        Listener(
            durable="notifier_notice_queued",
            stream="NOTICES",
            contracts=(NoticeQueued, CanaryQueued),
            only="email",
            handle=carrier.carry,
            batch=128,
            linger=0.12,
            tries=_TRIES,
            ack_wait=_ACK_WAIT,
            last_words=carrier.give_up,
        ),
        # Texts go one a second where mails go a hundred: neither waits for the other.
        Listener(
            durable="notifier_text_queued",
            stream="NOTICES",
            contracts=(NoticeQueued,),
            only="sms",
            handle=texter.carry,
            batch=128,
            linger=0.05,
            tries=_TRIES,
            ack_wait=_ACK_WAIT,
            last_words=texter.give_up,
        ),
    ]


class Writer:
    """Hears what happened to cases and queues the notices that follow from it."""

    def __init__(
        self, renderer: Renderer, tell: Tell, *, staff_language: str, rush: Rush | None = None
    ) -> None:
        self._renderer = renderer
        self._tell = tell
        self._staff_language = staff_language
        self._rush = rush or Rush()

    async def hear(self, facts: Sequence[Fact]) -> None:
        """Returns once every notice is queued. Hearing a fact again gives the same ids."""
        now = datetime.now(UTC)
        told: list[Fact] = []
        self._rush.heard(len(facts))
        for start in range(0, len(facts), _WRITE_AT_ONCE):
            for fact in facts[start : start + _WRITE_AT_ONCE]:
                notices = self._follow(fact, now)
                traces.because(fact, notices)
                told += notices
            await asyncio.sleep(0)
        await self._tell(told)

    def _follow(self, fact: Fact, now: datetime) -> list[Fact]:
        if isinstance(fact, CanaryFiled):
            return [
                canary.queued(fact, self._renderer, staff_language=self._staff_language, now=now)
            ]
        if isinstance(fact, ChoiceAsked):
            case_id = fact.complaint_id  # no case yet: which one, is what is asked
        elif isinstance(fact, CaseFact):
            case_id = fact.case.case_id
        elif isinstance(fact, IncidentFact):
            case_id = fact.incident.case_id
        else:
            raise Refused(f"{fact.tag} is no fact about a case")
        told: list[Fact] = []
        decisions = decide(
            fact, languages=self._renderer.languages, staff_language=self._staff_language
        )
        for decision in decisions:
            if isinstance(decision, Withheld):
                who = decision.follower
                told.append(
                    NoticeWithheld(
                        message_id=withheld_id(fact, decision),
                        occurred_at=now,
                        case_id=who.case_id if who else case_id,
                        notice=decision.notice,
                        reason=decision.reason,
                    )
                )
            else:
                told.append(self._renderer.write(fact, decision, now=now))
        return told


MEDIA = ("email", "sms")


class Carrier:
    """
    Hands queued notices of one medium to its sender and tells what became of them. In a `rush`
    those of emergencies go at once, and the others one after the other.
    """

    def __init__(
        self,
        sender: Sender,
        tell: Tell,
        *,
        medium: str = "email",
        budget: Budget | None = None,
        rush: Rush | None = None,
    ) -> None:
        self._rush = rush or Rush()
        self._sender = sender
        self._tell = tell
        self._medium = medium
        self._budget = budget
        # When some of a batch must come again, the worker loop hands over all of it again, one by
        # one. What was settled a moment ago is remembered, so that nobody gets a mail twice.
        self._settled: OrderedDict[UUID, tuple[Fact, ...]] = OrderedDict()  # what is to be told
        self._put_off: OrderedDict[UUID, tuple[float, Again]] = OrderedDict()

    async def carry(self, facts: Sequence[Fact]) -> None:
        """
        Returns once every notice is sent or refused for good, and that is told.

        Raises when some must come again: `NotYet` when the mail server is away as a whole.
        """
        if self._rush.on:
            urgent = [fact for fact in facts if isinstance(fact, NoticeQueued) and fact.urgent]
            facts = [fact for fact in facts if not (isinstance(fact, NoticeQueued) and fact.urgent)]
            if urgent:
                await self._carry(urgent)  # and told of before the others wait
            if facts:
                await self._rush.make_way(len(facts))
        await self._carry(facts)

    async def _carry(self, facts: Sequence[Fact]) -> None:
        clock = asyncio.get_running_loop().time
        waiting: list[Again] = []
        ready: dict[UUID, NoticeQueued] = {}
        told: list[Fact] = []
        for fact in facts:
            if isinstance(fact, CanaryQueued):
                told.append(canary.carried(fact, datetime.now(UTC)))
                continue
            if not isinstance(fact, NoticeQueued):
                raise Refused(f"{fact.tag} is no notice")
            if fact.medium not in MEDIA:
                raise Refused(f"nothing here carries {fact.medium}")
            if fact.medium != self._medium:
                continue  # the other carrier's
            put_off_until, why = self._put_off.get(fact.message_id, (0.0, None))
            if fact.message_id in self._settled:
                told += self._settled[fact.message_id]
            elif why is not None and clock() < put_off_until:
                waiting.append(why)
            else:
                ready[fact.message_id] = fact

        told += await self._hold_back(ready)
        mails = [_mail(notice) for notice in ready.values()]
        outcomes = await self._sender.send(mails) if mails else []
        now = datetime.now(UTC)
        for notice, outcome in zip(ready.values(), outcomes, strict=True):
            match outcome:
                case Again() | Unknown():
                    again = outcome if isinstance(outcome, Again) else Again(outcome.reason)
                    if isinstance(outcome, Unknown):
                        told.append(_outcome_fact(notice, outcome, self._sender.name, now))
                    waiting.append(again)
                    # Longer than the loop needs for the rest of the batch, shorter than it waits.
                    self._put_off[notice.message_id] = (clock() + 0.9, again)
                case Sent() | Failed():
                    settled = _settled_facts(notice, outcome, self._sender.name, now)
                    told += settled
                    self._settled[notice.message_id] = settled
                    self._put_off.pop(notice.message_id, None)
        for memory in (self._settled, self._put_off):
            while len(memory) > _REMEMBERED:
                memory.popitem(last=False)

        if told:
            await self._tell(told)
        for outcome_fact in told:
            if isinstance(outcome_fact, NoticeSent | NoticeFailed | NoticeWithheld):
                # Told, and need not be told again.
                self._settled[outcome_fact.notice_id or outcome_fact.message_id] = ()
        if waiting:
            sentence = f"{len(waiting)} of {len(facts)} notices wait: {waiting[0].reason}"
            if all(why.nobody_there for why in waiting):
                raise NotYet(sentence)
            raise MailPutOff(sentence)

    async def _hold_back(self, ready: dict[UUID, NoticeQueued]) -> list[Fact]:
        """Take out of `ready` what is over the budget, and say so; what goes first stands first."""
        if self._budget is None or not ready:
            return []
        first = {id_ for id_, notice in ready.items() if goes_first(notice)}
        texts = sorted(ready.values(), key=lambda notice: notice.message_id not in first)
        refused = await self._budget.spend(texts, first)
        ready.clear()
        ready.update((one.message_id, one) for one in texts if one.message_id not in refused)
        now = datetime.now(UTC)
        held = [one for one in texts if one.message_id in refused]
        for notice in held:
            told = _held_back(notice, refused[notice.message_id], now)
            self._settled[notice.message_id] = (told,)
        if held:
            reasons = sorted(set(refused.values()))
            log.error("texts held back", count=len(held), reasons=reasons)
        return [fact for notice in held for fact in self._settled[notice.message_id]]

    async def give_up(self, fact: Fact, reason: str) -> None:
        """The last word about a notice that nobody would take."""
        if isinstance(fact, NoticeQueued) and fact.medium == self._medium:
            failed = Failed(f"given up: {reason}")
            now = datetime.now(UTC)
            await self._tell([_outcome_fact(fact, failed, self._sender.name, now)])


class MailPutOff(Exception):
    """The mail server wants to be asked again later."""


def goes_first(notice: NoticeQueued) -> bool:
    """Whether it may use what is left of a budget: a receipt, and what may be an emergency."""
    return notice.urgent or notice.notice == "receipt"


def _held_back(notice: NoticeQueued, reason: str, now: datetime) -> NoticeWithheld:
    return NoticeWithheld(
        message_id=fact_id(notice.message_id, "withheld"),
        occurred_at=now,
        case_id=notice.case_id,
        notice=notice.notice,
        reason=reason,
        notice_id=notice.message_id,
    )


def _settled_facts(
    notice: NoticeQueued, outcome: Sent | Failed, sender: str, now: datetime
) -> tuple[Fact, ...]:
    told = _outcome_fact(notice, outcome, sender, now)
    if not isinstance(outcome, Failed) or outcome.mark is None:
        return (told,)
    external_id = f"refused/{notice.message_id}"
    learned = MessageSetAside(
        message_id=complaint_id(notice.medium, external_id),
        occurred_at=now,
        channel=notice.medium,
        external_id=external_id,
        outcome="ignored",
        reason=f"a notice was refused: {outcome.reason}",
        mark=outcome.mark,
    )
    return (told, learned)


def _outcome_fact(
    notice: NoticeQueued, outcome: Outcome, sender: str, now: datetime
) -> NoticeSent | NoticeFailed | NoticeUnknown:
    def who(word: str) -> dict[str, object]:
        return {
            "message_id": fact_id(notice.message_id, word),
            "occurred_at": now,
            "notice_id": notice.message_id,
            "case_id": notice.case_id,
            "medium": notice.medium,
            "sender": sender,
        }

    match outcome:
        case Sent(provider_id):
            return NoticeSent.model_validate(who("sent") | {"provider_id": provider_id})
        case Failed(reason):
            return NoticeFailed.model_validate(who("failed") | {"reason": reason})
        case _:
            return NoticeUnknown.model_validate(who("unknown"))


def _mail(notice: NoticeQueued) -> Mail:
    return Mail(
        notice_id=notice.message_id,
        reference=notice.reference,
        recipient=notice.recipient,
        recipient_name=notice.recipient_name,
        subject=notice.subject_line,
        text=notice.text,
        html=notice.html,
        attachments=notice.attachments,
        written_at=notice.occurred_at,
        notice=notice.notice,
        case_id=notice.case_id,
        answers=notice.answers,
    )
