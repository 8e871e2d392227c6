"""Texts to a Twilio that refuses, stalls, hangs up, and never gets one twice."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from bus.connect import Bus
from bus.contracts import ContactMark, Fact, NoticeQueued, NoticeSent, NoticeUnknown
from bus.files import Files
from bus.worker import listen
from notifier.city_words import CityWords
from notifier.console import MailboxSender
from notifier.senders import Again, Failed, Mail, Outcome, Sent, Unknown
from notifier.service import listeners, open_text_sender
from notifier.settings import NotifierSettings
from notifier.sms_settings import SmsSettings
from notifier.sms_twilio import TwilioSender, open_twilio_sender
from tests.support.twilio import ACCOUNT, OURS, ROSA, TOKEN, Twilio, running_twilio

CALLBACK = "https://report.example.gov/channels/sms/status"


@pytest.fixture
async def twilio() -> AsyncIterator[Twilio]:
    async with running_twilio() as running:
        yield running


def settings_for(twilio: Twilio, **changes: object) -> SmsSettings:
    values: dict[str, object] = {
        "account_sid": ACCOUNT,
        "auth_token": TOKEN,
        "from_number": OURS,
        "status_callback": CALLBACK,
        "texts_per_second": 100.0,
        "api_url": twilio.url,
    }
    return SmsSettings.model_validate(values | changes)


@asynccontextmanager
async def exchange(twilio: Twilio, **changes: object) -> AsyncIterator[TwilioSender]:
    async with open_twilio_sender(settings_for(twilio, **changes)) as sender:
        yield sender


def text(**changes: object) -> Mail:
    one = Mail(
        notice_id=uuid4(),
        reference="7KQ-2MX-94",
        recipient=ROSA,
        recipient_name=None,
        subject="",
        text=f"Thank you. Your report is 7KQ-2MX-94. {uuid4().hex[:6]}",
        html=None,
        attachments=(),
        written_at=datetime.now(UTC),
        case_id=uuid4(),
    )
    return replace(one, **changes)  # type: ignore[arg-type]


async def test_a_text_arrives_and_its_fate_comes_back_to_us(twilio: Twilio) -> None:
    async with exchange(twilio) as sender:
        sent = text(text="It’s “filed” – thank you…")
        (outcome,) = await sender.send([sent])
    (kept,) = twilio.sent
    assert outcome == Sent(kept.sid)
    assert (kept.to, kept.sender, kept.body) == (ROSA, OURS, 'It\'s "filed" - thank you...')
    assert twilio.callbacks == [
        f"{CALLBACK}?notice={sent.notice_id}&case={sent.case_id}#rc=5&rp=all"
    ]
    assert twilio.calls == ["POST messages"]  # a new text is not looked up


async def test_a_messaging_service_may_choose_the_number(twilio: Twilio) -> None:
    async with exchange(twilio, messaging_service_sid="MG" + "0" * 32) as sender:
        (outcome,) = await sender.send([text()])
    assert isinstance(outcome, Sent)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (
            (400, 21610),
            Failed(
                "21610 they asked for no more texts",
                ContactMark(
                    medium="sms",
                    address=ROSA,
                    state="stopped",
                    reason="21610 they asked for no more texts",
                ),
            ),
        ),
        (
            (400, 21614),
            Failed(
                "21614 the number takes no texts",
                ContactMark(
                    medium="sms",
                    address=ROSA,
                    state="bad",
                    reason="21614 the number takes no texts",
                ),
            ),
        ),
        ((400, 21408), Failed("21408 Twilio may not text to that country")),
        ((400, 21999), Failed("Twilio refused it (21999)")),
        ((429, 20429), Again),
        ((401, 20003), Again),
        ((400, 21659), Again),
        ((400, 63018), Again),
        ((500, 20500), Unknown),
        ("hang up", Unknown),
        ("stall", Unknown),
    ],
)
async def test_what_twilio_says_decides(
    twilio: Twilio, answer: str | tuple[int, int], outcome: Failed | type[Outcome]
) -> None:
    twilio.answers = [answer]
    async with exchange(twilio, timeout=0.4) as sender:
        async with asyncio.timeout(3):
            (got,) = await sender.send([text()])
    if isinstance(outcome, type):
        assert isinstance(got, outcome)
    else:
        assert got == outcome


@pytest.mark.parametrize("answer", ["hang up", "stall"])
async def test_a_text_that_twilio_took_without_saying_so_is_not_sent_again(
    twilio: Twilio, answer: str
) -> None:
    twilio.answers = [answer]
    sent = text()
    async with exchange(twilio, timeout=0.4) as sender:
        (first,) = await sender.send([sent])
        (second,) = await sender.send([sent])
    assert isinstance(first, Unknown)
    assert second == Sent(twilio.sent[0].sid)
    assert len(twilio.sent) == 1


async def test_a_text_that_twilio_did_not_take_is_sent_the_next_time(twilio: Twilio) -> None:
    twilio.answers = [(500, 20500)]
    sent = text()
    async with exchange(twilio) as sender:
        assert isinstance((await sender.send([sent]))[0], Unknown)
        assert isinstance((await sender.send([sent]))[0], Sent)
    assert len(twilio.sent) == 1


async def test_killed_between_twilio_and_the_ledger_there_is_no_second_text(
    twilio: Twilio,
) -> None:
    sent = text()
    async with exchange(twilio) as sender:
        (outcome,) = await sender.send([sent])
    # Nobody wrote that down. The next process hears the same notice.
    async with exchange(twilio) as successor:
        assert await successor.send([sent]) == [outcome]
    assert len(twilio.sent) == 1


async def test_when_it_cannot_be_seen_whether_a_text_was_sent_it_waits(twilio: Twilio) -> None:
    twilio.answers = ["hang up"]
    sent = text()
    async with exchange(twilio, rest=0.0) as sender:
        await sender.send([sent])
        twilio.down = True
        (outcome,) = await sender.send([sent])
        assert isinstance(outcome, Again)
        assert outcome.nobody_there
        twilio.down = False
        assert isinstance((await sender.send([sent]))[0], Sent)
    assert len(twilio.sent) == 1


async def test_another_text_to_the_same_number_is_another_text(twilio: Twilio) -> None:
    old = text(written_at=datetime.now(UTC) - timedelta(hours=1))
    async with exchange(twilio) as sender:
        await sender.send([old])
        (outcome,) = await sender.send([replace(old, notice_id=uuid4(), text="Closed.")])
    assert isinstance(outcome, Sent)
    assert len(twilio.sent) == 2


async def test_a_twilio_that_is_away_holds_nobody_up(twilio: Twilio) -> None:
    async with exchange(twilio, api_url="http://127.0.0.1:9", rest=5.0) as sender:
        async with asyncio.timeout(3):
            outcomes = await sender.send([text() for _ in range(50)])
    assert all(isinstance(one, Again) and one.nobody_there for one in outcomes)
    assert twilio.sent == []


async def test_texts_leave_at_the_pace_of_the_carriers(twilio: Twilio) -> None:
    began = time.monotonic()
    async with exchange(twilio, texts_per_second=10.0) as sender:
        outcomes = await sender.send([text() for _ in range(15)])
    assert all(isinstance(one, Sent) for one in outcomes)
    assert time.monotonic() - began >= 0.4  # ten at once, the others one every tenth of a second


async def test_a_queue_full_of_texts_does_not_keep_mails_waiting(
    bus: Bus, twilio: Twilio, files: Files
) -> None:
    notices: list[Fact] = [
        NoticeQueued(
            message_id=uuid4(),
            occurred_at=datetime.now(UTC),
            case_id=uuid4(),
            reference="7KQ-2MX-94",
            notice="receipt",
            medium=medium,
            recipient=ROSA if medium == "sms" else "rosa@resident.example",
            text=f"Thank you. {number}",
        )
        for number in range(20)
        for medium in ("sms", "email")
    ]
    told: list[Fact] = []

    async def tell(facts: object) -> None:
        told.extend(facts)  # type: ignore[call-overload]
        await bus.tell(facts)  # type: ignore[arg-type]

    city = CityWords(name="Independence", state="Missouri")
    stop = asyncio.Event()
    await bus.tell(notices)
    async with open_text_sender(settings_for(twilio, texts_per_second=5.0)) as texts:
        heard = listeners(
            NotifierSettings(), city, tell, MailboxSender(), texts, base_url="https://x.example"
        )
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            began = time.monotonic()
            for listener in heard:
                tasks.create_task(listen(bus.client, tell, listener, stop))
            while sum(_is_sent(one, "email") for one in told) < 20:
                await asyncio.sleep(0.02)
            mails = time.monotonic() - began
            while sum(_is_sent(one, "sms") for one in told) < 20:
                await asyncio.sleep(0.02)
            stop.set()
    assert mails < 2
    assert len(twilio.sent) == 20
    assert not any(isinstance(one, NoticeUnknown) for one in told)


def _is_sent(fact: Fact, medium: str) -> bool:
    return isinstance(fact, NoticeSent) and fact.medium == medium


async def test_without_an_account_texts_stay_in_the_mailbox() -> None:
    async with open_text_sender(SmsSettings()) as sender:
        assert sender.name == "mailbox"
        assert await sender.send([text()]) == [Sent()]
