"""
Contract to bytes and back: JSON that a person can read with `nats stream view`.

The tag travels beside the message, in the header `Buckstop-Contract`.
"""

from pydantic import ValidationError

from bus.contracts import CONTRACTS, Fact
from bus.errors import Unreadable

CONTRACT_HEADER = "Buckstop-Contract"

_BY_TAG = {contract.tag: contract for contract in CONTRACTS}


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


def subject_of(fact: Fact) -> str:
    """Where a fact is told; a channel or a durable stands at the end where the subject has one."""
    told_by_channels = fact.subject in ("complaint.received", "complaint.set_aside")
    channel = getattr(fact, "channel", None) if told_by_channels else None
    durable = getattr(fact, "durable", None) if fact.subject == "dead" else None
    return ".".join(part for part in (fact.subject, channel, durable) if part)
