"""
The only consume loop: it hands batches to a handler and settles every message.

Done, tried again later, or buried with its reason: nothing is swallowed, nothing is retried for
ever, and nothing stops in the middle of a batch.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from bus import traces
from bus.codec import CONTRACT_HEADER, decode
from bus.contracts import Fact
from bus.dead import letter_of
from bus.errors import NotYet, Refused, Unavailable
from bus.publish import Tell
from bus.pull import Pull, deliveries
from bus.topology import ensure_durable

log = structlog.stdlib.get_logger()

_LOOK_UP = 2.5  # seconds after which an idle loop looks whether it is still owed something
_LONGEST_DELAY = 900.0  # seconds between two tries
_NOT_YET_DELAY = 1.0
_LONGEST_WAIT = 5.0  # seconds between two looks whether what a handler stands on is back


@dataclass(frozen=True)
class Listener:
    """What a service brings: which facts it hears, and what it does with a batch of them."""

    durable: str
    """`<service>_<subject with _>`."""
    stream: str
    contracts: tuple[type[Fact], ...]
    handle: Callable[[Sequence[Fact]], Awaitable[None]]
    """
    Answers a batch in stream order, all of it or none. Raises `Refused` when no retry will help,
    `NotYet` when it came too early, `Unavailable` when what it stands on is away (then the facts
    wait here and are not counted as tried), anything else to be tried again. May be run again with
    the same facts at any time.
    """
    only: str = ""
    """Of the facts that are told by channel or by medium, only those of this one."""
    batch: int = 128
    tries: int = 6
    """After so many the message is buried. `NotYet` counts as a try like any other."""
    ack_wait: float = 15.0
    """
    Seconds after which another worker gets what a dead one had in hand. A worker that lives keeps
    its messages however long it needs.
    """
    linger: float = 0.0
    """
    Seconds to wait for more once the first message of a batch has come. Where nobody waits for
    the answer, one transaction for many is worth a moment.
    """
    last_words: Callable[[Fact, str], Awaitable[None]] | None = None
    """Told of a fact, with the reason, just before it is buried."""


async def listen(client: Client, tell: Tell, listener: Listener, stop: asyncio.Event) -> None:
    """Answer the durable's messages until asked to stop; what is in hand is finished first."""
    await ensure_durable(
        client.jetstream(),
        stream=listener.stream,
        durable=listener.durable,
        contracts=listener.contracts,
        only=listener.only,
        ack_wait=listener.ack_wait,
        max_ack_pending=8 * listener.batch,
    )
    in_hand: list[Msg] = []
    async with (
        Pull(client, stream=listener.stream, durable=listener.durable, most=listener.batch) as pull,
        asyncio.TaskGroup() as tasks,
    ):
        pulse = tasks.create_task(
            _say_that_we_live(pull, in_hand, every=listener.ack_wait / 4),
            name=f"{listener.durable} pulse",
        )
        waker = tasks.create_task(_wake(pull, stop), name=f"{listener.durable} waker")
        while not stop.is_set():
            in_hand[:] = await pull.batch(wait=_LOOK_UP, linger=listener.linger)
            if in_hand:
                await _answer(tell, listener, in_hand, stop)
        pulse.cancel()
        waker.cancel()
    # What was fetched and not begun goes to whoever else hears it, now and not after the wait; we
    # have stopped listening, or it would come back to us.
    for message in pull.arrived:
        await _again(message, 0.0)


async def _wake(pull: Pull, stop: asyncio.Event) -> None:
    """An idle loop stops when it is asked to, and not at its next look."""
    await stop.wait()
    pull.wake()


async def _say_that_we_live(pull: Pull, in_hand: list[Msg], *, every: float) -> None:
    """
    Keep the server from giving away what lies here. Only silence makes it do so, and soon: after
    a crash nobody's complaint waits for long.
    """
    seen: set[str] = set()
    while True:
        await asyncio.sleep(every)
        held = [message for message in (*in_hand, *pull.arrived) if not message.is_acked]
        try:
            # What came since the last look has time until the next one.
            for message in held:
                if message.reply in seen:
                    await message.in_progress()
        except (nats.errors.Error, OSError) as error:
            log.info("pulse not sent", durable=pull.durable, error=type(error).__name__)
        seen = {message.reply for message in held}


async def _answer(tell: Tell, listener: Listener, messages: list[Msg], stop: asyncio.Event) -> None:
    readable: list[tuple[Msg, Fact]] = []
    for message in messages:
        try:
            readable.append((message, _read(listener, message)))
        except Refused as reason:
            await _bury(tell, listener, message, None, reason)
    if not readable:
        return
    if len(readable) > 1:
        try:
            with traces.hearing(listener.durable, readable):
                await _hand_over(listener, [fact for _, fact in readable], stop)
        except Unavailable:
            for message, _ in readable:
                await _again(message, _NOT_YET_DELAY)
            return
        except Exception as error:
            # One of them is the cause. Handed over one by one, only that one suffers.
            log.info(
                "batch taken apart",
                durable=listener.durable,
                size=len(readable),
                error=type(error).__name__,
            )
        else:
            await _settle([message for message, _ in readable])
            return
    for message, fact in readable:
        await _answer_one(tell, listener, message, fact, stop)


async def _hand_over(listener: Listener, facts: Sequence[Fact], stop: asyncio.Event) -> None:
    """
    Have facts handled. While what the handler stands on is away they wait here: it is no fault of
    theirs, and must not bring them nearer to a grave. `Unavailable` only when asked to stop.
    """
    wait = 0.25
    while True:
        try:
            return await listener.handle(facts)
        except Unavailable as reason:
            log.warning(
                "waiting", durable=listener.durable, facts=len(facts), wait=wait, reason=str(reason)
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait)
            if stop.is_set():
                raise
            wait = min(_LONGEST_WAIT, 2 * wait)


async def _answer_one(
    tell: Tell, listener: Listener, message: Msg, fact: Fact, stop: asyncio.Event
) -> None:
    tried = deliveries(message)
    try:
        with traces.hearing(listener.durable, [(message, fact)]):
            await _hand_over(listener, [fact], stop)
    except Unavailable:
        await _again(message, _NOT_YET_DELAY)
    except Refused as reason:
        await _bury(tell, listener, message, fact, reason)
    except NotYet as reason:
        if tried < listener.tries * 4:
            await _again(message, _NOT_YET_DELAY * min(tried, 30))
        else:
            await _bury(tell, listener, message, fact, reason)
    except Exception as error:
        if tried < listener.tries:
            delay = min(_LONGEST_DELAY, 2.0**tried) * random.uniform(0.8, 1.2)  # noqa: S311
            log.warning(
                "will be tried again",
                durable=listener.durable,
                sequence=message.metadata.sequence.stream,
                tried=tried,
                of=listener.tries,
                delay=round(delay, 1),
                error=type(error).__name__,
                exc_info=tried == 1,
            )
            await _again(message, delay)
        else:
            await _bury(tell, listener, message, fact, error)
    else:
        await _settle([message])


def _read(listener: Listener, message: Msg) -> Fact:
    # A worker that dies of a message settles nothing, and the next one gets it. Its count is the
    # only witness; a handler that was never reached has not been tried.
    if deliveries(message) > max(8 * listener.tries, 24):
        raise Refused("every worker that took it died")
    return decode(message.data, (message.headers or {}).get(CONTRACT_HEADER, ""))


async def _settle(messages: Sequence[Msg]) -> None:
    """
    Acknowledge, and know that the server heard it.

    One connection carries a durable's acks in order, so the answer to the last one speaks for
    all. Unheard acks are no loss: the messages come again, and every handler expects that.
    """
    try:
        for message in messages[:-1]:
            await message.ack()
        await messages[-1].ack_sync(timeout=5.0)
    except (nats.errors.Error, TimeoutError, OSError) as error:
        log.info("acks not confirmed", count=len(messages), error=type(error).__name__)


async def _again(message: Msg, delay: float) -> None:
    try:
        await message.nak(delay=delay)
    except (nats.errors.Error, OSError) as error:
        # Then it comes again after the ack wait.
        log.info("nak not sent", error=type(error).__name__)


async def _bury(
    tell: Tell, listener: Listener, message: Msg, fact: Fact | None, reason: Exception
) -> None:
    letter = letter_of(message, durable=listener.durable, fact=fact, reason=reason)
    try:
        if listener.last_words is not None and fact is not None:
            await listener.last_words(fact, letter.reason)
        await tell([letter])
        # Only now may the stream's copy go unanswered: its grave has a name.
        await message.term()
    except Exception as error:
        log.warning("could not bury yet", durable=listener.durable, error=type(error).__name__)
        await _again(message, 30.0)
        return
    log.error(
        "buried",
        durable=listener.durable,
        sequence=letter.sequence,
        dead_letter=str(letter.message_id),
        complaint_id=str(letter.complaint_id),
        error=type(reason).__name__,
    )
