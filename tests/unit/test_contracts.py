"""Messages are promises: what a stream may hold must stay readable."""

from pathlib import Path

import pytest

from bus.codec import decode, encode, subject_of
from bus.contracts import CONTRACTS, Fact
from bus.errors import Unreadable
from tests.support.facts import complaint, one_of_each

GOLDEN = Path(__file__).parent.parent / "fixtures" / "messages"


def test_every_contract_has_a_golden_file_and_a_sample() -> None:
    tags = {contract.tag for contract in CONTRACTS}
    assert {path.stem for path in GOLDEN.glob("*.json")} == tags
    assert {type(fact).tag for fact in one_of_each()} == tags


@pytest.mark.parametrize("fact", one_of_each(), ids=lambda fact: type(fact).tag)
def test_the_golden_file_is_still_read_as_it_was_meant(fact: Fact) -> None:
    golden = (GOLDEN / f"{type(fact).tag}.json").read_bytes()
    assert decode(golden, type(fact).tag) == fact


@pytest.mark.parametrize("fact", one_of_each(), ids=lambda fact: type(fact).tag)
def test_a_fact_survives_the_way_there_and_back(fact: Fact) -> None:
    assert decode(encode(fact), type(fact).tag) == fact


def test_a_field_from_the_future_is_passed_over() -> None:
    told = complaint()
    data = encode(told).replace(b'{"message_id"', b'{"mood":"hurried","message_id"')
    assert decode(data, told.tag) == told


def test_an_unknown_tag_and_broken_bytes_are_unreadable_without_their_content() -> None:
    with pytest.raises(Unreadable, match="no contract is called"):
        decode(b"{}", "complaint.received.v99")
    with pytest.raises(Unreadable) as raised:
        decode(b'{"message_id": "my secret"}', "complaint.received.v1")
    assert "message_id" in str(raised.value)
    assert "my secret" not in str(raised.value)


def test_a_complaint_is_told_on_its_channels_subject() -> None:
    assert subject_of(complaint(channel="phone")) == "complaint.received.phone"
