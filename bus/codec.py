"""
Contract to bytes and back: JSON that a person can read with `nats stream view`.

The tag travels beside the message, in the header `Buckstop-Contract`.
"""

from collections.abc import Mapping

from pydantic import ValidationError

from bus.contracts import CONTRACTS, Fact
from bus.errors import Unreadable

CONTRACT_HEADER = "Buckstop-Contract"

_BY_TAG = {contract.tag: contract for contract in CONTRACTS}
_LASTS = {
    contract.tag: {"Nats-TTL": str(round(contract.lasts.total_seconds()))}
    for contract in CONTRACTS
    if contract.lasts is not None
}


LAST_TOKENS: Mapping[str, str] = {
    "complaint.received": "channel",
    "complaint.set_aside": "channel",
    "notice.queued": "medium",
    "dead": "durable",
}
"""Subjects that go on with a value of the fact, by which a listener may choose."""


def encode(fact: Fact) -> bytes:
    """The message as it travels."""
    return fact.model_dump_json(exclude_defaults=True).encode()


def decode(data: bytes, tag: str) -> Fact:
    """
    The fact that `data` tells.

    Raises `Unreadable` for a tag that nobody here knows and for bytes that break the contract;
    the error names the fields, never their values.
    """
    contract = _BY_TAG.get(tag)
    if contract is None:
        raise Unreadable(f"no contract is called {tag!r}")
    try:
        return contract.model_validate_json(data)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(step) for step in fault['loc']) or 'message'}: {fault['type']}"
            for fault in error.errors(include_input=False, include_url=False)[:5]
        )
        raise Unreadable(f"{tag} does not hold: {faults}") from error


def headers_of(tag: str) -> dict[str, str]:
    """What stands beside every message of this contract."""
    return {CONTRACT_HEADER: tag, **_LASTS.get(tag, {})}


def subject_of(fact: Fact) -> str:
    """Where a fact is told; a channel, medium or durable stands at the end where it has one."""
    last = LAST_TOKENS.get(fact.subject)
    return f"{fact.subject}.{getattr(fact, last)}" if last else fact.subject
