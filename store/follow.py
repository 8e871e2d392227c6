"""
What a message belongs to: the case that it answers, the conversation that it goes on with, or
none, and then it opens one.

A channel brings hints and proofs, and here it is decided. Nobody keeps a conversation in memory:
what was asked stands in the tables, and any store can go on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import structlog

from bus import traces
from bus.contracts import (
    CaseAmended,
    CaseChoice,
    CaseFollowed,
    CaseReopened,
    ChoiceAsked,
    ComplaintReceived,
    Follows,
)
from bus.errors import NotYet
from bus.identity import complaint_id, fact_id
from store import cases, changes, outbox, places, second_look
from store.contacts import heard_from
from store.duplicates import person
from store.filing import open_cases, remember_mail
from store.follow_settings import FollowSettings
from store.followers import follow
from store.merging import standing
from store.model import Status
from store.records import NewEvent, add_events, add_files
from store.text import clean, clean_or_none, point, searchable

log = structlog.stdlib.get_logger()

_MOST_CHOICES = 5
_LONGEST_PLACE = 200  # characters; a longer answer is more than an address


@dataclass(frozen=True)
class _Joins:
    case: cases.Case
    verified: bool
    colleague: str | None = None
    """The sign-in name of somebody who works here and answered what we wrote to them."""
    same: bool = False
    """It is a report of the same problem, by somebody who was shown this case."""


@dataclass(frozen=True)
class _Waits:
    choices: tuple[UUID, ...]
    asks: bool
    """Whether to ask; a second text in the meantime waits with the first."""


_OPENS = None
_Decision = _Joins | _Waits | None


def can_follow(complaint: ComplaintReceived) -> bool:
    """Whether it could belong to a case; else it opens one, whatever is there."""
    hints = complaint.follows
    return hints is not None and bool(
        hints.notices or hints.message_ids or hints.conversation or hints.case or hints.same_as
    )


async def file_complaints(
    conn: asyncpg.Connection, heard: Sequence[ComplaintReceived], rules: FollowSettings
) -> None:
    """
    Give every complaint its case: a new one, or the one that it belongs to. Told again, it
    changes nothing.
    """
    brought = await second_look.let_in(conn, heard)
    # In stream order; only what can follow nothing goes ahead, all at once.
    passed_on = await _passed_on(conn, heard)
    if openers := [passed_on.get(one.message_id, one) for one in heard if not can_follow(one)]:
        await open_cases(conn, openers)
    mails = [
        one
        for one in heard
        if one.channel == "email" and one.reporter.email and _sender_proven(one)
    ]
    await heard_from(conn, {one.reporter.email or "" for one in mails}, datetime.now(UTC))
    for complaint in heard:
        if can_follow(complaint):
            opener = passed_on.get(complaint.message_id, complaint)
            with traces.answering([complaint]):
                await _take_in(conn, complaint, opener, rules)
    await second_look.say_who(conn, brought)


async def _take_in(
    conn: asyncpg.Connection,
    complaint: ComplaintReceived,
    opener: ComplaintReceived,
    rules: FollowSettings,
) -> None:
    """`opener`: the same, as it opens a case if it belongs to none."""
    await _one_at_a_time(conn, complaint)
    if await conn.fetchval(SETTLED, complaint.message_id):
        return
    now = datetime.now(UTC)
    hints = complaint.follows or Follows()
    if hints.case is not None:
        named = await standing(conn, hints.case)
        decision: _Decision = _Joins(named, verified=hints.vouched) if named else _OPENS
    elif hints.same_as is not None:
        decision = await _as_shown(conn, complaint, hints.same_as)
    elif hints.conversation is None:
        decision = await _by_mail(conn, complaint, hints)
    elif (text := _text_of_photos(complaint)) is not None:
        decision = await _with_its_text(conn, text)
    elif hints.chose_language:
        await _speak(conn, complaint, hints.conversation)
        return
    elif (answered := await _as_answer(conn, complaint, hints.conversation)) is not None:
        await _answer(conn, complaint, answered, rules, now)
        return
    else:
        decision = await _by_conversation(conn, complaint, hints.conversation, rules, now)
    match decision:
        case _Joins(case, verified, same=True):
            await _report_again(conn, complaint, case, now, verified=verified)
        case _Joins(case, _, colleague) if colleague is not None:
            await _add_colleagues_note(conn, complaint, case, colleague)
        case _Joins(case, verified):
            await _join(conn, complaint, case, rules, now, verified=verified)
        case _Waits():
            await _wait(conn, complaint, decision, now)
        case None:
            await open_cases(conn, [opener])
            await _say_remark(conn, complaint, complaint.message_id, now)


COLLEAGUES = """
    SELECT DISTINCT ON (lower(email)) lower(email) AS email, login
    FROM accounts
    WHERE lower(email) = ANY ($1::text[]) AND active
    ORDER BY lower(email), login
"""


async def _passed_on(
    conn: asyncpg.Connection, heard: Sequence[ComplaintReceived]
) -> Mapping[UUID, ComplaintReceived]:
    """
    What colleagues forwarded, as reports of those who wrote it: they get the answers. Of anybody
    else nobody knows whether what they forward was ever written.
    """
    forwarded = [
        one for one in heard if one.forwards and one.reporter.email and _sender_proven(one)
    ]
    if not forwarded:
        return {}
    named = {
        who.email.strip().lower()
        for one in forwarded
        for who in (one.reporter, *one.forwards)
        if who.email
    }
    rows = await conn.fetch(COLLEAGUES, sorted(named))
    colleagues = {row["email"]: row["login"] for row in rows}
    passed_on = {}
    for one in forwarded:
        login = colleagues.get((one.reporter.email or "").strip().lower())
        writer = next(
            (who for who in one.forwards if (who.email or "").lower() not in colleagues), None
        )
        if login is not None and writer is not None:
            passed_on[one.message_id] = one.model_copy(
                update={"reporter": writer, "entered_by": login, "answer": True}
            )
    return passed_on


def _text_of_photos(complaint: ComplaintReceived) -> UUID | None:
    """The text whose photos these are; None for what says something itself."""
    if complaint.follows is not None and complaint.follows.came_with is not None:
        return complaint.follows.came_with
    # A stream may hold some that were told before there was `came_with`.
    text = complaint.external_id.removesuffix("/media")
    return complaint_id("sms", text) if text != complaint.external_id else None


SPEAK = "UPDATE cases SET language = $3 WHERE reporter_phone = $1 AND conversation = $2"

IGNORE = """
    INSERT INTO complaints (id, channel, external_id, received_at, state, reason, original)
    VALUES ($1, $2, $3, $4, 'ignored', 'they chose the language in which we answer', $5)
    ON CONFLICT (id) DO NOTHING
"""


async def _speak(conn: asyncpg.Connection, complaint: ComplaintReceived, conversation: str) -> None:
    await conn.execute(SPEAK, complaint.reporter.phone, conversation, complaint.language)
    await conn.execute(
        IGNORE,
        complaint.message_id,
        clean(complaint.channel),
        clean(complaint.external_id),
        complaint.occurred_at,
        complaint.original.model_dump() if complaint.original else None,
    )


# What operators chose to ignore stays ignored; what lies in quarantine may still be filed.
SETTLED = """
    SELECT state IN ('filed', 'ignored') OR EXISTS (
        SELECT FROM waiting_texts w WHERE w.complaint_id = complaints.id
    )
    FROM complaints
    WHERE id = $1
"""

TURN = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"


async def _one_at_a_time(conn: asyncpg.Connection, complaint: ComplaintReceived) -> None:
    # Two stores that hear one phone's texts must not both find no case.
    hints = complaint.follows or Follows()
    if hints.conversation is not None:
        await conn.execute(TURN, f"{hints.conversation} {complaint.reporter.phone}")


# ── which case ──────────────────────────────────────────────────────────────────────────────────

# What we wrote to somebody who works for the city is answered by a colleague, not by the resident.
ANSWERED_NOTICES = """
    SELECT d.id, d.case_id, lower(d.recipient) AS recipient,
           (
               SELECT a.login
               FROM accounts a
               WHERE lower(a.email) = lower(d.recipient) AND a.active
               ORDER BY a.login
               LIMIT 1
           ) AS login
    FROM deliveries d
    WHERE d.id = ANY ($1::uuid[])
"""

NAMED_MAILS = """
    SELECT message_id, case_id
    FROM mail_ids
    WHERE message_id = ANY ($1::text[])
"""


async def _by_mail(
    conn: asyncpg.Connection, complaint: ComplaintReceived, hints: Follows
) -> _Decision:
    sender = (complaint.reporter.email or "").strip().lower()
    # The token that we signed comes first; who it was signed for may speak for the case.
    rows = {row["id"]: row for row in await conn.fetch(ANSWERED_NOTICES, list(hints.notices))}
    for notice in hints.notices:
        if notice in rows:
            case = await standing(conn, rows[notice]["case_id"])
            if case is not None:
                verified = bool(sender) and rows[notice]["recipient"] == sender
                reporter = (case.reporter.email or "").strip().lower()
                colleague = rows[notice]["login"] if verified and sender != reporter else None
                return _Joins(case, verified=verified, colleague=colleague)
    names = [clean(name) for name in hints.message_ids]
    named = {row["message_id"]: row["case_id"] for row in await conn.fetch(NAMED_MAILS, names)}
    for name in names:
        if name in named:
            case = await standing(conn, named[name])
            if case is not None:
                # Whoever saw that mail can name it, and write the reporter's address as their own.
                # Their own case may have been joined to another one: it is still their mail.
                own = await cases.by_id(conn, named[name]) or case
                reporter = (own.reporter.email or "").strip().lower()
                is_reporter = bool(sender) and reporter == sender and hints.sender_proven
                return _Joins(case, verified=is_reporter)
    return _OPENS


def _sender_proven(complaint: ComplaintReceived) -> bool:
    return complaint.follows is None or complaint.follows.sender_proven


async def _as_shown(
    conn: asyncpg.Connection, complaint: ComplaintReceived, shown: UUID
) -> _Decision:
    """The case that they were shown; closed in the meantime, theirs is a case of its own."""
    case = await standing(conn, shown)
    if case is None or case.status is Status.CLOSED:
        return _OPENS
    return _Joins(case, verified=complaint.entered_by is not None, same=True)


async def _with_its_text(conn: asyncpg.Connection, text: UUID) -> _Decision:
    row = await conn.fetchrow(ITS_TEXT, text)
    if row is None:
        raise NotYet("its text is not filed yet")
    if row["choices"] is not None:
        return _Waits(tuple(row["choices"]), asks=False)
    case = await standing(conn, row["case_id"]) if row["case_id"] else None
    return _OPENS if case is None else _Joins(case, verified=True)


ITS_TEXT = """
    SELECT l.case_id, w.choices
    FROM complaints l
    LEFT JOIN waiting_texts w ON w.complaint_id = l.id
    WHERE l.id = $1
"""

# Those that may still be meant: open, or closed a short while ago. One that was joined to another
# is as open as that.
OF_CONVERSATION = """
    SELECT c.id, stays.status, c.heard_at, c.place_asked_at,
           c.lat IS NULL AND (
               c.address IS NULL
               OR c.place_source IS NULL AND c.place_outcome IN ('vague', 'ambiguous', 'outside')
           ) AS placeless
    FROM cases c
    JOIN cases stays ON stays.id = coalesce(c.merged_into, c.id)
    WHERE c.reporter_phone = $1 AND c.conversation = $2
      AND (stays.status <> 'closed' OR stays.closed_at > $3)
    ORDER BY c.heard_at DESC
    LIMIT $4
"""


async def _by_conversation(
    conn: asyncpg.Connection,
    complaint: ComplaintReceived,
    conversation: str,
    rules: FollowSettings,
    now: datetime,
) -> _Decision:
    phone = complaint.reporter.phone
    waiting = await conn.fetchrow(WAITING, phone, conversation)
    if waiting is not None and not complaint.emergency:
        return _Waits(tuple(waiting["choices"]), asks=False)
    since = now - timedelta(days=rules.reopen_days)
    rows = await conn.fetch(OF_CONVERSATION, phone, conversation, since, _MOST_CHOICES)
    if not rows:
        return _OPENS
    last = rows[0]
    silent = (complaint.occurred_at - last["heard_at"]).total_seconds()
    asked = last["place_asked_at"] is not None and last["placeless"]
    patience = rules.waits_for_answer if asked else rules.follows_within
    if last["status"] != Status.CLOSED and silent <= patience:
        case = await standing(conn, last["id"])
        return _OPENS if case is None else _Joins(case, verified=True)
    if complaint.emergency:
        return _OPENS  # danger waits for no answer
    return _Waits(tuple(row["id"] for row in rows), asks=True)


# ── it joins one ────────────────────────────────────────────────────────────────────────────────

ENTER = """
    INSERT INTO complaints (id, channel, external_id, received_at, state, case_id, original)
    VALUES ($1, $2, $3, $4, 'filed', $5, $6)
    ON CONFLICT (id) DO UPDATE
    SET state = 'filed', case_id = EXCLUDED.case_id, reason = NULL, settled_at = now()
"""

JOIN_WORDS = """
    UPDATE cases
    SET text = $2, address = $3, place_source = $4, heard_at = greatest(heard_at, $5),
        place_told_at = coalesce(place_told_at, $6)
    WHERE id = $1
"""

RESEARCH = "UPDATE case_words SET words = to_tsvector('simple', $2) WHERE case_id = $1"

ADD_NOTE = """
    INSERT INTO notes (id, case_id, at, author, text, public, from_outside, verified, sender)
    VALUES ($1, $2, $3, '', $4, false, true, $5, $6)
    ON CONFLICT (id) DO NOTHING
"""

# Where the camera was, unless the resident said it better.
LOCATE = """
    UPDATE cases
    SET lat = $2, lon = $3, place_source = coalesce(place_source, $4),
        place_told_at = CASE WHEN place_asked_at IS NOT NULL AND address IS NULL
                        THEN $5::timestamptz ELSE place_told_at END
    WHERE id = $1
"""

HEARD = "UPDATE cases SET heard_at = greatest(heard_at, $2) WHERE id = $1"


async def _join(
    conn: asyncpg.Connection,
    complaint: ComplaintReceived,
    case: cases.Case,
    rules: FollowSettings,
    now: datetime,
    *,
    verified: bool,
) -> None:
    reopened, words = False, _new_words(complaint)
    if complaint.remark and not words and not complaint.attachments:
        # The resident said nothing.
        await _enter(conn, complaint, case.id)
        await _say_remark(conn, complaint, case.id, now)
        return
    may_reopen = complaint.follows is None or complaint.follows.reopens
    if case.status is Status.CLOSED and verified and may_reopen:
        ended = case.closed_at or now
        if now - ended > timedelta(days=rules.reopen_days):
            await open_cases(conn, [complaint], goes_on_from=case.id)
            await _say(
                conn, case, complaint, now, "goes_on", {"case_id": str(complaint.message_id)}
            )
            return
        case, reopened = await _reopen(conn, case, complaint, now), True
    await _enter(conn, complaint, case.id)
    await _say_remark(conn, complaint, case.id, now)
    place = await places.of_case(conn, case.id)
    is_reporter = bool(person(complaint.reporter) & person(case.reporter))
    if verified and is_reporter and _belongs_to_the_report(case, place, complaint, rules, words):
        await _add_words(conn, complaint, case, place, words, now)
        return
    sender = None if verified and is_reporter else _signature(complaint)
    if words:
        await conn.execute(
            ADD_NOTE, complaint.message_id, case.id, complaint.occurred_at, words, verified, sender
        )
        files_of: UUID | None = complaint.message_id
    else:
        files_of = None  # a photo without a word is one more photo of the report
    await add_files(conn, [(case.id, files_of, complaint.attachments)])
    await conn.execute(HEARD, case.id, complaint.occurred_at)
    here = point(complaint.lat, complaint.lon)
    if verified and here is not None and case.lat is None:
        source = clean_or_none(complaint.place_source)
        await conn.execute(LOCATE, case.id, *here, source, now)
        await amended(conn, await _again(conn, case), complaint.message_id, now)
    data: dict[str, object] = {
        "note_id": str(complaint.message_id),
        "verified": verified,
        "files": len(complaint.attachments),
    }
    await _say(conn, case, complaint, now, "followed", data)
    if not reopened:  # else who has it hears these words with that
        told = await _again(conn, case)
        await _tell_followed(conn, told, complaint, words, now, verified=verified)


LEAD_ON = """
    INSERT INTO joined_references (reference, case_id, at)
    VALUES ($1, $2, $3)
    ON CONFLICT (reference) DO NOTHING
"""


async def _report_again(
    conn: asyncpg.Connection,
    complaint: ComplaintReceived,
    case: cases.Case,
    now: datetime,
    *,
    verified: bool,
) -> None:
    """Somebody else tells of the same problem: their words and files join it, they follow it."""
    await _enter(conn, complaint, case.id)
    await conn.execute(LEAD_ON, clean(complaint.reference), case.id, complaint.occurred_at)
    words = clean(complaint.text).strip()
    if words:
        await conn.execute(
            ADD_NOTE,
            complaint.message_id,
            case.id,
            complaint.occurred_at,
            words,
            verified,
            _signature(complaint),
        )
    await add_files(
        conn, [(case.id, complaint.message_id if words else None, complaint.attachments)]
    )
    data: dict[str, object] = {
        "note_id": str(complaint.message_id),
        "verified": verified,
        "files": len(complaint.attachments),
        "follows": await follow(conn, case, complaint, now),
    }
    await _say(conn, case, complaint, now, "reported_again", data)
    await _tell_followed(conn, case, complaint, words, now, verified=verified, same=True)


async def _tell_followed(
    conn: asyncpg.Connection,
    case: cases.Case,
    complaint: ComplaintReceived,
    words: str,
    now: datetime,
    *,
    verified: bool,
    same: bool = False,
) -> None:
    fact = CaseFollowed(
        message_id=fact_id("case.followed", complaint.message_id),
        occurred_at=now,
        case=cases.summary(case),
        complaint_id=complaint.message_id,
        text=words,
        verified=verified,
        attachments=complaint.attachments,
        same=same,
    )
    await outbox.append(conn, [fact])


async def _add_colleagues_note(
    conn: asyncpg.Connection, complaint: ComplaintReceived, case: cases.Case, login: str
) -> None:
    await _enter(conn, complaint, case.id)
    words = _new_words(complaint)
    if words or complaint.attachments:
        await changes.add_note(
            conn,
            case.id,
            note_id=complaint.message_id,
            text=words or "…",
            public=False,
            by=login,
            attachments=complaint.attachments,
        )


def _new_words(complaint: ComplaintReceived) -> str:
    fresh = (complaint.follows.fresh if complaint.follows else None) or ""
    return clean(fresh if fresh.strip() else complaint.text).strip()


def _belongs_to_the_report(
    case: cases.Case,
    place: places.CasePlace,
    complaint: ComplaintReceived,
    rules: FollowSettings,
    words: str,
) -> bool:
    """The rest of a text that a phone has split, or the place that we asked for."""
    if _is_open(case, place) and complaint.channel == "email" and words:
        return True
    if complaint.follows is None or complaint.follows.conversation is None or not words:
        return False
    if _text_of_photos(complaint) is not None:
        return False  # what it says is what became of the photos
    since = (complaint.occurred_at - case.opened_at).total_seconds()
    return since <= rules.joins_within or _is_open(case, place)


def _is_open(case: cases.Case, place: places.CasePlace) -> bool:
    """Whether we asked where it is, and nobody has said so yet."""
    unsettled = case.address is None or place.outcome in places.OPEN
    # With a source, somebody has answered.
    return case.place_asked and case.lat is None and case.place_source is None and unsettled


async def _add_words(
    conn: asyncpg.Connection,
    complaint: ComplaintReceived,
    case: cases.Case,
    place: places.CasePlace,
    words: str,
    now: datetime,
) -> None:
    address, source, told_at = case.address, case.place_source, None
    if _is_open(case, place) and len(words) <= _LONGEST_PLACE:
        address, source, told_at = places.answered(words, place), "address", now
    text = f"{case.text}\n{words}" if case.text else words
    await conn.execute(
        JOIN_WORDS,
        case.id,
        text,
        address,
        clean_or_none(source),
        complaint.occurred_at,
        told_at,
    )
    reporter = case.reporter
    found = searchable(
        case.reference.replace("-", ""),
        address,
        reporter.name,
        reporter.email,
        text,
        phone=reporter.phone,
    )
    await conn.execute(RESEARCH, case.id, found)
    await add_files(conn, [(case.id, None, complaint.attachments)])
    data: dict[str, object] = {"words": words, "place": address != case.address}
    await _say(conn, case, complaint, now, "amended", data)
    told = await _again(conn, case)
    await amended(conn, told, complaint.message_id, now)
    if told.assignee is not None:
        # Whoever has it has read the first words only.
        await _tell_followed(conn, told, complaint, words, now, verified=True)


async def amended(conn: asyncpg.Connection, case: cases.Case, cause: UUID, now: datetime) -> None:
    """Have the router look at the case again."""
    fact = CaseAmended(
        message_id=fact_id("case.amended", cause),
        occurred_at=now,
        case=cases.summary(case),
        chosen_type=case.chosen_type,
        entered_by=case.entered_by,
    )
    await outbox.append(conn, [fact])


REOPEN = """
    UPDATE cases
    SET status = $2, outcome = NULL, closing_words = NULL, closed_at = NULL,
        incident_id = NULL, by_itself = by_itself OR incident_id IS NOT NULL
    WHERE id = $1
"""


async def _reopen(
    conn: asyncpg.Connection, case: cases.Case, complaint: ComplaintReceived, now: datetime
) -> cases.Case:
    after = Status.TRIAGE if case.department is None else Status.ASSIGNED
    await conn.execute(REOPEN, case.id, after.value)
    event = NewEvent(
        case_id=case.id,
        at=now,
        kind="reopened",
        by=None,
        public=True,
        data={"reason": "", "complaint_id": str(complaint.message_id)},
    )
    await add_events(conn, [event])
    reopened = await _again(conn, case)
    fact = CaseReopened(
        message_id=fact_id("case.reopened", complaint.message_id),
        occurred_at=now,
        case=cases.summary(reopened),
        reason=_new_words(complaint),
        reopened_by="",
    )
    await outbox.append(conn, [fact])
    return reopened


async def _again(conn: asyncpg.Connection, case: cases.Case) -> cases.Case:
    return await cases.by_id(conn, case.id) or case


async def _enter(conn: asyncpg.Connection, complaint: ComplaintReceived, case: UUID) -> None:
    await conn.execute(
        ENTER,
        complaint.message_id,
        clean(complaint.channel),
        clean(complaint.external_id),
        complaint.occurred_at,
        case,
        complaint.original.model_dump() if complaint.original else None,
    )
    await remember_mail(conn, [(complaint, case)])


async def _say(
    conn: asyncpg.Connection,
    case: cases.Case,
    complaint: ComplaintReceived,
    now: datetime,
    kind: str,
    data: dict[str, object],
) -> None:
    data = data | {"complaint_id": str(complaint.message_id), "channel": complaint.channel}
    event = NewEvent(case_id=case.id, at=now, kind=kind, by=None, public=False, data=data)
    await add_events(conn, [event])


async def _say_remark(
    conn: asyncpg.Connection, complaint: ComplaintReceived, case: UUID, now: datetime
) -> None:
    if complaint.remark:
        data: dict[str, object] = {
            "remark": clean(complaint.remark),
            "complaint_id": str(complaint.message_id),
        }
        event = NewEvent(
            case_id=case, at=now, kind="media_missing", by=None, public=False, data=data
        )
        await add_events(conn, [event])


def _signature(complaint: ComplaintReceived) -> str | None:
    who = complaint.reporter
    return clean_or_none(" ".join(part for part in (who.name, who.email or who.phone) if part))


# ── it waits for an answer ──────────────────────────────────────────────────────────────────────

WAITING = """
    SELECT complaint_id, choices
    FROM waiting_texts
    WHERE phone = $1 AND conversation = $2
    ORDER BY asked_at
    LIMIT 1
"""

RECEIVED = """
    INSERT INTO complaints (id, channel, external_id, received_at, state, original)
    VALUES ($1, $2, $3, $4, 'received', $5)
    ON CONFLICT (id) DO UPDATE SET state = 'received', reason = NULL, settled_at = now()
"""

WAIT = """
    INSERT INTO waiting_texts (complaint_id, phone, conversation, asked_at, choices, told)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (complaint_id) DO NOTHING
"""

CHOICES = """
    SELECT id, reference, left(text, 60) AS words
    FROM cases
    WHERE id = ANY ($1::uuid[])
"""


async def _wait(
    conn: asyncpg.Connection, complaint: ComplaintReceived, waits: _Waits, now: datetime
) -> None:
    await conn.execute(
        RECEIVED,
        complaint.message_id,
        clean(complaint.channel),
        clean(complaint.external_id),
        complaint.occurred_at,
        complaint.original.model_dump() if complaint.original else None,
    )
    hints = complaint.follows or Follows()
    await conn.execute(
        WAIT,
        complaint.message_id,
        complaint.reporter.phone,
        hints.conversation,
        now,
        list(waits.choices),
        clean(complaint.model_dump_json()),
    )
    if not waits.asks:
        return
    rows = {row["id"]: row for row in await conn.fetch(CHOICES, list(waits.choices))}
    asked = ChoiceAsked(
        message_id=fact_id("case.choice_asked", complaint.message_id),
        occurred_at=now,
        complaint_id=complaint.message_id,
        reference=complaint.reference,
        language=complaint.language,
        reporter=complaint.reporter,
        choices=tuple(
            CaseChoice(case_id=id_, reference=rows[id_]["reference"], words=rows[id_]["words"])
            for id_ in waits.choices
        ),
    )
    await outbox.append(conn, [asked])


@dataclass(frozen=True)
class _Answered:
    choice: UUID | None
    """The case; None: a new report."""


async def _as_answer(
    conn: asyncpg.Connection, complaint: ComplaintReceived, conversation: str
) -> _Answered | None:
    typed = complaint.text.strip().strip(".)#").strip()
    if not (typed.isascii() and typed.isdigit() and len(typed) == 1):
        return None
    waiting = await conn.fetchrow(WAITING, complaint.reporter.phone, conversation)
    if waiting is None:
        return None
    number = int(typed)
    if 1 <= number <= len(waiting["choices"]):
        return _Answered(waiting["choices"][number - 1])
    return _Answered(None) if number == len(waiting["choices"]) + 1 else None


TAKE_WAITING = """
    DELETE FROM waiting_texts
    WHERE phone = $1 AND conversation = $2
    RETURNING told, asked_at
"""


async def _answer(
    conn: asyncpg.Connection,
    complaint: ComplaintReceived,
    answered: _Answered,
    rules: FollowSettings,
    now: datetime,
) -> None:
    hints = complaint.follows or Follows()
    rows = await conn.fetch(TAKE_WAITING, complaint.reporter.phone, hints.conversation)
    waited = [ComplaintReceived.model_validate_json(row["told"]) for row in rows]
    waited.sort(key=lambda one: one.occurred_at)
    chosen = answered.choice or await _open_waiting(conn, waited, rules, now)
    if answered.choice is not None:
        for one in waited:
            case = await standing(conn, chosen)
            if case is not None:
                await _join(conn, one, case, rules, now, verified=True)
    await _enter(conn, complaint, chosen)
    case = await cases.by_id(conn, chosen)
    if case is not None:
        await _say(conn, case, complaint, now, "chose", {"words": complaint.text.strip()})


async def _open_waiting(
    conn: asyncpg.Connection,
    waited: Sequence[ComplaintReceived],
    rules: FollowSettings,
    now: datetime,
) -> UUID:
    """A new case for what waited; the rest of it joins the first."""
    first, *others = waited
    await open_cases(conn, [first])
    case = await cases.locked(conn, first.message_id)
    if case is not None:
        # It was routed while it waited, and nobody kept that.
        await amended(conn, case, first.message_id, now)
        for one in others:
            await _join(conn, one, await _again(conn, case), rules, now, verified=True)
    return first.message_id


OVERDUE = """
    SELECT phone, conversation
    FROM waiting_texts
    WHERE asked_at < $1
    ORDER BY asked_at
    LIMIT 100
"""


async def file_unanswered(conn: asyncpg.Connection, rules: FollowSettings, now: datetime) -> int:
    """Open cases for texts whose sender did not say what they belong to; how many texts."""
    before = now - timedelta(seconds=rules.waits_for_answer)
    filed = 0
    overdue = {(row["phone"], row["conversation"]) for row in await conn.fetch(OVERDUE, before)}
    for phone, conversation in sorted(overdue):
        async with conn.transaction():
            await conn.execute(TURN, f"{conversation} {phone}")
            rows = await conn.fetch(TAKE_WAITING, phone, conversation)
            waited = [ComplaintReceived.model_validate_json(row["told"]) for row in rows]
            if waited:
                waited.sort(key=lambda one: one.occurred_at)
                await _open_waiting(conn, waited, rules, now)
                filed += len(waited)
    return filed
