"""The notifier at work, its sender and bus being lists: nothing lost, nothing sent twice."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID, uuid4

import pytest

from bus.contracts import (
    CaseChoice,
    CaseClosed,
    CaseOpened,
    ChoiceAsked,
    Contact,
    ContactMark,
    Fact,
    MessageSetAside,
    NoticeFailed,
    NoticeQueued,
    NoticeSent,
    NoticeUnknown,
    NoticeWithheld,
)
from bus.errors import NotYet, Refused, Unavailable
from notifier.city_words import CityWords
from notifier.senders import Again, Failed, Mail, Outcome, Sent, Unknown
from notifier.service import Carrier, MailPutOff, Writer, make_renderer
from notifier.settings import NotifierSettings
from tests.support.facts import NOON, summary

CITY = CityWords(name="Independence", state="Missouri")


class Street:
    """A sender that does as it is told, mail by mail, and then takes everything."""

    name = "street"

    def __init__(self, *answers: Outcome) -> None:
        self.answers = list(answers)
        self.carried: list[UUID] = []

    async def send(self, mails: Sequence[Mail]) -> Sequence[Outcome]:
        self.carried += [mail.notice_id for mail in mails]
        return [self.answers.pop(0) if self.answers else Sent() for _ in mails]


class Board:
    """A bus that is a list."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.away = 0

    async def tell(self, facts: Sequence[Fact]) -> None:
        if self.away:
            self.away -= 1
            raise Unavailable("for the test")
        self.facts += facts


def notices(count: int) -> list[NoticeQueued]:
    return [
        NoticeQueued(
            message_id=uuid4(),
            occurred_at=NOON,
            case_id=uuid4(),
            reference="7KQ-2MX-94",
            notice="receipt",
            medium="email",
            recipient="rosa@resident.example",
            text="Thank you.",
        )
        for _ in range(count)
    ]


async def test_a_batch_of_facts_becomes_notices_in_one_tell() -> None:
    board = Board()
    renderer = make_renderer(NotifierSettings(), CITY, base_url="https://x.example.org/")
    writer = Writer(renderer, board.tell, staff_language="en")
    nobody = summary().model_copy(update={"reporter": Contact()})
    facts: list[Fact] = [
        CaseOpened(message_id=uuid4(), occurred_at=NOON, case=summary()),
        CaseClosed(
            message_id=uuid4(),
            occurred_at=NOON,
            case=nobody,
            outcome="fixed",
            words="Done.",
            closed_by="pat.moore",
        ),
    ]
    await writer.hear(facts)
    assert [fact.tag for fact in board.facts] == [
        "notice.queued.v1",
        "notice.withheld.v1",
        "notice.queued.v1",
    ]
    receipt, withheld, _ = board.facts
    assert isinstance(receipt, NoticeQueued)
    assert "https://x.example.org/track/" in receipt.text
    assert isinstance(withheld, NoticeWithheld)
    assert withheld.notice == "closure_resident"

    first = [fact.message_id for fact in board.facts]
    await writer.hear(facts)
    assert [fact.message_id for fact in board.facts[3:]] == first


async def test_a_choice_is_written_down_under_its_complaint() -> None:
    board = Board()
    renderer = make_renderer(NotifierSettings(), CITY, base_url="https://x.example.org/")
    texter = Contact(phone="+18165550142", texts=True)
    asked = ChoiceAsked(
        message_id=uuid4(),
        occurred_at=NOON,
        complaint_id=uuid4(),
        reference="7KQ-2MX-94",
        reporter=texter,
        choices=(CaseChoice(case_id=uuid4(), reference="0AB-CDE-FG", words="Big pothole"),),
    )
    nobody = asked.model_copy(update={"message_id": uuid4(), "reporter": Contact()})
    await Writer(renderer, board.tell, staff_language="en").hear([asked, nobody])
    queued, withheld = board.facts
    assert isinstance(queued, NoticeQueued)
    assert isinstance(withheld, NoticeWithheld)
    assert (queued.case_id, queued.medium, queued.notice) == (asked.complaint_id, "sms", "choice")
    assert "1) 0AB-CDE-FG Big pothole" in queued.text
    assert (withheld.case_id, withheld.notice) == (asked.complaint_id, "choice")


class Purse:
    """A budget with so many coins; what goes first may take the last one."""

    def __init__(self, coins: int) -> None:
        self.coins = coins

    async def spend(
        self, texts: Sequence[NoticeQueued], first: Collection[UUID]
    ) -> Mapping[UUID, str]:
        refused = {}
        for one in texts:
            if self.coins > (0 if one.message_id in first else 1):
                self.coins -= 1
            else:
                refused[one.message_id] = "spent"
        return refused


async def test_what_is_over_the_budget_is_told_as_held_back_and_danger_goes_first() -> None:
    board, street = Board(), Street()
    kinds = [("update", False), ("closure_resident", False), ("receipt", False), ("update", True)]
    batch = [
        one.model_copy(update={"medium": "sms", "notice": notice, "urgent": urgent})
        for one, (notice, urgent) in zip(notices(4), kinds, strict=True)
    ]
    carrier = Carrier(street, board.tell, medium="sms", budget=Purse(3))
    await carrier.carry(batch)
    assert street.carried == [one.message_id for one in (batch[2], batch[3])]
    held = [fact for fact in board.facts if isinstance(fact, NoticeWithheld)]
    assert [one.notice_id for one in held] == [one.message_id for one in batch[:2]]
    assert {one.reason for one in held} == {"spent"}
    await carrier.carry(batch)
    assert len(street.carried) == 2
    assert len(board.facts) == 4, "told again it changes nothing"


async def test_what_was_sent_and_what_was_refused_is_told_at_once() -> None:
    board, street = Board(), Street(Sent("id 7"), Failed("550 no such user"))
    batch = notices(2)
    await Carrier(street, board.tell).carry(batch)
    sent, failed = board.facts
    assert isinstance(sent, NoticeSent)
    assert isinstance(failed, NoticeFailed)
    assert (sent.notice_id, sent.provider_id, sent.sender) == (
        batch[0].message_id,
        "id 7",
        "street",
    )
    assert (failed.notice_id, failed.reason) == (batch[1].message_id, "550 no such user")


async def test_only_what_was_put_off_is_sent_again() -> None:
    board, street = Board(), Street(Sent(), Again("451 try later"), Sent())
    batch = notices(3)
    carrier = Carrier(street, board.tell)
    with pytest.raises(MailPutOff, match="1 of 3 notices wait: 451 try later"):
        await carrier.carry(batch)
    # Now the worker loop hands the same batch over one by one.
    await carrier.carry([batch[0]])
    with pytest.raises(MailPutOff):
        await carrier.carry([batch[1]])
    await carrier.carry([batch[2]])
    assert street.carried == [one.message_id for one in batch]
    assert len(board.facts) == 2

    carrier._put_off.clear()  # its time is over
    await carrier.carry([batch[1]])
    assert street.carried[3:] == [batch[1].message_id]
    assert len(board.facts) == 3


async def test_a_mail_server_that_is_away_is_waited_for() -> None:
    away = Again("connection refused", nobody_there=True)
    carrier = Carrier(Street(away, away), Board().tell)
    with pytest.raises(NotYet, match="2 of 2"):
        await carrier.carry(notices(2))


async def test_a_mail_of_unknown_fate_is_told_and_tried_again() -> None:
    board, street = Board(), Street(Unknown("gone after DATA"))
    batch = notices(1)
    carrier = Carrier(street, board.tell)
    with pytest.raises(MailPutOff):
        await carrier.carry(batch)
    assert [type(fact) for fact in board.facts] == [NoticeUnknown]
    carrier._put_off.clear()
    await carrier.carry(batch)
    assert [type(fact) for fact in board.facts] == [NoticeUnknown, NoticeSent]


async def test_a_bus_that_is_away_hears_it_later_and_the_mail_goes_out_once() -> None:
    board, street = Board(), Street()
    board.away = 1
    batch = notices(2)
    carrier = Carrier(street, board.tell)
    with pytest.raises(Unavailable):
        await carrier.carry(batch)
    await carrier.carry(batch[:1])
    await carrier.carry(batch[1:])
    await carrier.carry(batch)
    assert len(street.carried) == 2
    assert [type(fact) for fact in board.facts] == [NoticeSent, NoticeSent]


async def test_the_same_notice_twice_in_a_batch_is_one_mail() -> None:
    board, street = Board(), Street()
    (notice,) = notices(1)
    await Carrier(street, board.tell).carry([notice, notice])
    assert len(street.carried) == 1
    assert len(board.facts) == 1


async def test_the_last_word_is_told() -> None:
    board = Board()
    (notice,) = notices(1)
    await Carrier(Street(), board.tell).give_up(notice, "MailPutOff: 451")
    (failed,) = board.facts
    assert isinstance(failed, NoticeFailed)
    assert failed.reason == "given up: MailPutOff: 451"


async def test_a_medium_that_nobody_carries_is_refused() -> None:
    (notice,) = notices(1)
    letter = notice.model_copy(update={"medium": "pigeon"})
    with pytest.raises(Refused, match="pigeon"):
        await Carrier(Street(), Board().tell).carry([letter])


async def test_mails_and_texts_go_separate_ways() -> None:
    board, post, phone = Board(), Street(), Street()
    mail, other = notices(2)
    text = other.model_copy(update={"medium": "sms", "recipient": "+18165550142"})
    await Carrier(post, board.tell).carry([mail, text])
    await Carrier(phone, board.tell, medium="sms").carry([mail, text])
    assert (post.carried, phone.carried) == ([mail.message_id], [text.message_id])
    assert [fact.medium for fact in board.facts if isinstance(fact, NoticeSent)] == ["email", "sms"]


async def test_what_a_refusal_teaches_about_a_number_is_told_with_it() -> None:
    stopped = ContactMark(
        medium="sms", address="+18165550142", state="stopped", reason="21610 no more texts"
    )
    board, phone = Board(), Street(Failed("21610 no more texts", stopped))
    (notice,) = notices(1)
    text = notice.model_copy(update={"medium": "sms", "recipient": "+18165550142"})
    board.away = 1
    carrier = Carrier(phone, board.tell, medium="sms")
    with pytest.raises(Unavailable):
        await carrier.carry([text])
    await carrier.carry([text])
    failed, learned = board.facts
    assert isinstance(failed, NoticeFailed)
    assert isinstance(learned, MessageSetAside)
    assert learned.mark == stopped
    assert phone.carried == [text.message_id]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"smtp": {"host": "mail.example.org"}}, "from_address is needed"),
        ({"smtp": {"password": "x"}}, "password without username"),
        ({"from_address": "a@b@c"}, "not an email address"),
        ({"map_link": "https://x/{lat}"}, "must hold {lat}, {lon}"),
        ({"map_link": "https://x/{lat}/{lon}/{zoom}"}, "may hold only {lat}, {lon}"),
        ({"smpt": {}}, "Extra inputs are not permitted"),
        ({"reply_to": "x" * 25 + "@city.example.org"}, "leave no room for what signs a reply"),
    ],
)
def test_wrong_settings_are_named(values: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        NotifierSettings.model_validate(values)
