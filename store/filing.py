"""
What the bus tells the store about complaints: a case at once, then the place where it belongs.

Both take batches, inside the caller's transaction, and may be told anything twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from secrets import token_bytes
from uuid import UUID

import asyncpg
import structlog

from bus.contracts import (
    CaseAlarmed,
    CaseAssigned,
    CaseOpened,
    CaseSummary,
    ComplaintReceived,
    ComplaintRouted,
    Contact,
    Fact,
)
from bus.errors import NotYet
from bus.identity import fact_id, mint_reference
from store import cases, outbox
from store.contacts import may_answer, reachable
from store.desks import seat
from store.guesses import keep_guesses
from store.incident_changes import take_in
from store.model import Status
from store.places import keep_places
from store.records import NewEvent, add_events, add_files, files_from
from store.text import clean, clean_or_none, point, searchable, to_jsonb

log = structlog.stdlib.get_logger()

_MOST_REFERENCES = 20

# The ledger row comes first: what it returns is new, or was in a grave and is alive again. What
# an operator chose to ignore stays ignored.
ENTER = """
    INSERT INTO complaints (id, channel, external_id, received_at, state, case_id, original)
    SELECT id, channel, external_id, received_at, 'filed', id, original
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::jsonb[])
         AS heard (id, channel, external_id, received_at, original)
    ON CONFLICT (id) DO UPDATE
    SET state = 'filed',
        case_id = EXCLUDED.case_id,
        channel = EXCLUDED.channel,
        external_id = EXCLUDED.external_id,
        received_at = EXCLUDED.received_at,
        original = EXCLUDED.original,
        reason = NULL,
        settled_at = now()
    WHERE complaints.state IN ('received', 'quarantined')
    RETURNING id
"""

OPEN = """
    INSERT INTO cases (
        id, reference, channel, text, language, opened_at, chosen_type,
        address, lat, lon, place_source,
        reporter_name, reporter_email, reporter_phone, reporter_texts, entered_by,
        conversation, emergency, heard_at
    )
    SELECT id, reference, channel, text, language, opened_at, chosen_type,
           address, lat, lon, place_source,
           reporter_name, reporter_email, reporter_phone, reporter_texts, entered_by,
           conversation, emergency, opened_at
    FROM unnest(
        $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[],
        $8::text[], $9::float8[], $10::float8[], $11::text[],
        $12::text[], $13::text[], $14::text[], $15::boolean[], $16::text[],
        $17::text[], $18::boolean[]
    ) AS heard (
        id, reference, channel, text, language, opened_at, chosen_type,
        address, lat, lon, place_source,
        reporter_name, reporter_email, reporter_phone, reporter_texts, entered_by,
        conversation, emergency
    )
    ON CONFLICT (reference) DO NOTHING
    RETURNING id
"""

ADD_WORDS = """
    INSERT INTO case_words (case_id, words)
    SELECT case_id, to_tsvector('simple', words)
    FROM unnest($1::uuid[], $2::text[]) AS said (case_id, words)
"""


async def open_cases(
    conn: asyncpg.Connection,
    heard: Sequence[ComplaintReceived],
    *,
    goes_on_from: UUID | None = None,
) -> None:
    """
    Open a case for every complaint that has none yet.

    A complaint told again changes nothing, unless it lay in quarantine: then it is filed now. A
    reference that another case has is replaced by a fresh one, and the case's history says so.
    """
    # In the order of their ids, so that two stores never wait for each other in a circle.
    first = {complaint.message_id: complaint for complaint in reversed(heard)}
    entering = [first[complaint] for complaint in sorted(first)]
    rows = await conn.fetch(
        ENTER,
        [complaint.message_id for complaint in entering],
        [clean(complaint.channel) for complaint in entering],
        [clean(complaint.external_id) for complaint in entering],
        [complaint.occurred_at for complaint in entering],
        [None if one.original is None else one.original.model_dump() for one in entering],
    )
    fresh_ids = {row["id"] for row in rows}
    if not fresh_ids:
        return
    fresh = [complaint for complaint in first.values() if complaint.message_id in fresh_ids]
    fresh.reverse()  # `first` was filled from the end; this is the order of the stream again

    references = await _open(conn, fresh)
    await conn.execute(
        ADD_WORDS,
        [complaint.message_id for complaint in fresh],
        [_words_of(complaint, references[complaint.message_id]) for complaint in fresh],
    )
    await add_files(conn, [(one.message_id, None, one.attachments) for one in fresh])
    await add_events(conn, [_opened(one, references[one.message_id]) for one in fresh])
    await remember_mail(conn, [(one, one.message_id) for one in fresh])
    if goes_on_from is not None:
        await conn.execute(GO_ON, [one.message_id for one in fresh], goes_on_from)
    now = datetime.now(UTC)
    told = []
    contacts = await reachable(conn, [one.reporter for one in fresh])
    for one, contact in zip(fresh, contacts, strict=True):
        answer = await _wants_answer(conn, one, contact, now)
        told.append(_case_opened(one, references[one.message_id], now, contact, answer=answer))
    await outbox.append(conn, told)
    log.info("complaints filed", count=len(fresh), case_ids=[str(one.message_id) for one in fresh])


GO_ON = "UPDATE cases SET goes_on_from = $2 WHERE id = ANY ($1::uuid[])"

REMEMBER_MAIL = """
    INSERT INTO mail_ids (message_id, case_id, opened)
    SELECT message_id, case_id, opened
    FROM unnest($1::text[], $2::uuid[], $3::boolean[]) AS mail (message_id, case_id, opened)
    ON CONFLICT DO NOTHING
"""


async def remember_mail(
    conn: asyncpg.Connection, filed: Sequence[tuple[ComplaintReceived, UUID]]
) -> None:
    """That these mails, each with its case, can be named by later ones; the first case stands."""
    mails = {
        clean(one.follows.message_id): (
            case_id,
            case_id == one.message_id and _reporters_mail(one) is not None,
        )
        for one, case_id in reversed(filed)
        if one.follows is not None and one.follows.message_id
    }
    if mails:
        case_ids, opened = zip(*mails.values(), strict=True)
        await conn.execute(REMEMBER_MAIL, list(mails), list(case_ids), list(opened))


def _reporters_mail(complaint: ComplaintReceived) -> str | None:
    """The Message-ID of the reporter's own mail; not of a colleague's who passed it on."""
    if complaint.channel != "email" or complaint.entered_by or complaint.follows is None:
        return None
    return complaint.follows.message_id


async def _wants_answer(
    conn: asyncpg.Connection, complaint: ComplaintReceived, reporter: Contact, now: datetime
) -> bool:
    # Who fills in a form is a person; who writes a mail or a text may be a machine that answers.
    if not complaint.answer or complaint.channel not in ("email", "sms"):
        return complaint.answer
    address = reporter.email if complaint.channel == "email" else reporter.phone
    return bool(address) and await may_answer(conn, complaint.channel, address or "", now)


async def _open(conn: asyncpg.Connection, fresh: Sequence[ComplaintReceived]) -> dict[UUID, str]:
    """Insert the cases; the reference that each one has got."""
    references: dict[UUID, str] = {}
    waiting = [(complaint, clean(complaint.reference)) for complaint in fresh]
    for _ in range(_MOST_REFERENCES):
        opened = {row["id"] for row in await conn.fetch(OPEN, *_columns(waiting))}
        taken = []
        for complaint, reference in waiting:
            if complaint.message_id in opened:
                references[complaint.message_id] = reference
            else:
                log.warning("reference taken", case_id=str(complaint.message_id))
                taken.append((complaint, mint_reference(token_bytes(32), complaint.message_id)))
        if not taken:
            return references
        waiting = taken
    raise RuntimeError(f"no free reference after {_MOST_REFERENCES} tries")


def _columns(cases: Sequence[tuple[ComplaintReceived, str]]) -> Iterable[list[object]]:
    rows = []
    for complaint, reference in cases:
        place = point(complaint.lat, complaint.lon) or (None, None)
        rows.append(
            (
                complaint.message_id,
                reference,
                clean(complaint.channel),
                clean(complaint.text),
                clean(complaint.language) or "en",
                complaint.occurred_at,
                clean_or_none(complaint.problem_type),
                clean_or_none(complaint.address),
                *place,
                clean_or_none(complaint.place_source),
                clean_or_none(complaint.reporter.name),
                clean_or_none(complaint.reporter.email),
                clean_or_none(complaint.reporter.phone),
                complaint.reporter.texts,
                clean_or_none(complaint.entered_by),
                complaint.follows.conversation if complaint.follows else None,
                complaint.emergency,
            )
        )
    return (list(column) for column in zip(*rows, strict=True))


def _words_of(complaint: ComplaintReceived, reference: str) -> str:
    reporter = complaint.reporter
    return searchable(
        reference.replace("-", ""),
        complaint.address,
        reporter.name,
        reporter.email,
        complaint.text,
        phone=reporter.phone,
    )


def _opened(complaint: ComplaintReceived, reference: str) -> NewEvent:
    data: dict[str, object] = {"channel": complaint.channel}
    if complaint.problem_type:
        data["chosen_type"] = complaint.problem_type
    if reference != complaint.reference:
        data["reference_was_taken"] = complaint.reference
    if complaint.lat is not None and point(complaint.lat, complaint.lon) is None:
        log.warning("point dropped", case_id=str(complaint.message_id))
        data["point_dropped"] = [str(complaint.lat), str(complaint.lon)]
    return NewEvent(
        case_id=complaint.message_id,
        at=complaint.occurred_at,
        kind="opened",
        by=complaint.entered_by,
        public=True,
        data=data,
    )


def _case_opened(
    complaint: ComplaintReceived,
    reference: str,
    now: datetime,
    reporter: Contact,
    *,
    answer: bool,
) -> CaseOpened:
    lat, lon = point(complaint.lat, complaint.lon) or (None, None)
    return CaseOpened(
        message_id=fact_id("case.opened", complaint.message_id),
        occurred_at=now,
        answer=answer,
        case=CaseSummary(
            case_id=complaint.message_id,
            reference=reference,
            channel=complaint.channel,
            opened_at=complaint.occurred_at,
            text=complaint.text,
            language=complaint.language,
            problem_type=complaint.problem_type,
            address=complaint.address,
            lat=lat,
            lon=lon,
            emergency=complaint.emergency,
            reporter=reporter,
            attachments=complaint.attachments,
            mail_id=_reporters_mail(complaint),
        ),
    )


# ── where they belong ───────────────────────────────────────────────────────────────────────────

CONSUMER = "store_complaint"

HEAR = """
    INSERT INTO inbox (consumer, message_id)
    SELECT $1, message_id
    FROM unnest($2::uuid[]) AS message_id
    ON CONFLICT (consumer, message_id) DO NOTHING
    RETURNING message_id
"""


async def hear(
    conn: asyncpg.Connection, consumer: str, messages: Iterable[UUID]
) -> frozenset[UUID]:
    """Which of these messages the consumer has not answered before; now it has."""
    rows = await conn.fetch(HEAR, consumer, sorted(set(messages)))
    return frozenset(row["message_id"] for row in rows)


# In the order of their ids, so that two transactions never wait for each other in a circle.
LOCK = """
    SELECT c.id, c.reference, c.status, c.channel, c.text, c.language, c.opened_at,
           c.problem_type, c.address, c.lat, c.lon,
           c.reporter_name, c.reporter_email, c.reporter_phone,
           c.routed_at, c.placed_by, c.typed_by, c.department, c.assignee,
           c.emergency, c.urgency_by,
           (
               SELECT jsonb_agg(
                   jsonb_build_object(
                       'sha256', f.sha256, 'media_type', f.media_type,
                       'name', f.name, 'size', f.size
                   )
                   ORDER BY f.id
               )
               FROM files f
               WHERE f.case_id = c.id AND f.note_id IS NULL
           ) AS attachments
    FROM cases c
    WHERE c.id = ANY ($1::uuid[])
    ORDER BY c.id
    FOR UPDATE OF c
"""

# Where nobody has touched the case, the router's word holds; where somebody has, only what was
# foretold is written down.
PLACE = """
    UPDATE cases
    SET predicted_type = told.problem_type,
        confidence = told.confidence,
        alternatives = told.alternatives::jsonb,
        reasons = told.reasons::jsonb,
        model = told.model,
        routed_at = told.at,
        emergency = cases.emergency OR (told.emergency AND cases.urgency_by IS NULL),
        problem_type = CASE WHEN told.types THEN told.problem_type ELSE cases.problem_type END,
        district = CASE WHEN told.places THEN told.district ELSE cases.district END,
        address = CASE WHEN told.places THEN coalesce(told.address, cases.address)
                  ELSE cases.address END,
        lat = CASE WHEN told.places AND told.lat IS NOT NULL THEN told.lat ELSE cases.lat END,
        lon = CASE WHEN told.places AND told.lat IS NOT NULL THEN told.lon ELSE cases.lon END,
        status = CASE WHEN told.places THEN told.status ELSE cases.status END,
        department = CASE WHEN told.places THEN told.department ELSE cases.department END,
        assignee = CASE WHEN told.places THEN told.assignee ELSE cases.assignee END,
        assignee_name = CASE WHEN told.places THEN told.name ELSE cases.assignee_name END,
        assignee_email = CASE WHEN told.places THEN told.email ELSE cases.assignee_email END,
        assignee_phone = CASE WHEN told.places THEN told.phone ELSE cases.assignee_phone END,
        assigned_at = CASE WHEN told.places AND told.status = 'assigned' THEN told.at
                      ELSE cases.assigned_at END
    FROM unnest(
        $1::uuid[], $2::text[], $3::float8[], $4::text[], $5::text[], $6::text[],
        $7::timestamptz[], $8::boolean[], $9::boolean[], $10::boolean[], $11::text[], $12::text[],
        $13::float8[], $14::float8[], $15::text[], $16::text[], $17::text[], $18::text[],
        $19::text[], $20::text[]
    ) AS told (
        id, problem_type, confidence, alternatives, reasons, model,
        at, emergency, types, places, district, address,
        lat, lon, status, department, assignee, name,
        email, phone
    )
    WHERE cases.id = told.id
"""


async def place_complaints(conn: asyncpg.Connection, told: Sequence[ComplaintRouted]) -> None:
    """
    Write down where complaints belong, and tell whose desk they lie on.

    What staff have chosen in the meantime stays. Raises `NotYet` for a complaint that is not
    filed yet; one that an operator chose to ignore is passed over.
    """
    fresh_ids = await hear(conn, CONSUMER, (routed.message_id for routed in told))
    fresh = list({one.message_id: one for one in told if one.message_id in fresh_ids}.values())
    # A case that is told of twice in a batch is placed twice, in order.
    while fresh:
        turn: dict[UUID, ComplaintRouted] = {}
        later = []
        for routed in fresh:
            if routed.complaint_id in turn:
                later.append(routed)
            else:
                turn[routed.complaint_id] = routed
        await _place_each(conn, turn)
        await keep_places(conn, list(turn.values()), datetime.now(UTC))
        await keep_guesses(conn, list(turn.values()))
        fresh = later


async def _place_each(conn: asyncpg.Connection, told: dict[UUID, ComplaintRouted]) -> None:
    found = {row["id"]: row for row in await conn.fetch(LOCK, list(told))}
    alarmed: set[UUID] = set()
    if missing := told.keys() - found.keys():
        alarmed = await _excuse(conn, [told[complaint] for complaint in sorted(missing)])
    now = datetime.now(UTC)
    held = {
        case_id: found[case_id]["assignee"]
        for case_id, routed in told.items()
        if case_id in found and may_place(found[case_id], routed)
    }
    told = await seat(conn, told, held, now)
    rows: list[tuple[object, ...]] = []
    events: list[NewEvent] = []
    facts: list[Fact] = []
    for case_id, routed in told.items():
        case = found.get(case_id)
        if case is None:
            continue
        places = case_id in held
        moves = (case["department"], case["assignee"]) != (
            routed.department,
            routed.assignee.id if routed.assignee else None,
        )
        types = case["typed_by"] is None and case["status"] != Status.CLOSED
        rows.append(_row(routed, now, types=types, places=places))
        kind = "routed" if places else "routed_late"
        if routed.amended and not (places and moves):
            kind = "looked_again"
        events.append(_routed(routed, now, kind))
        if places and moves and _status(routed) is Status.ASSIGNED:
            facts.append(_case_assigned(case, routed, now, types=types))
        known = case["emergency"] or case["urgency_by"] is not None or case_id in alarmed
        if routed.emergency and not known:
            facts.append(await _case_alarmed(conn, case_id, routed.message_id, now))
    if rows:
        await conn.execute(PLACE, *(list(column) for column in zip(*rows, strict=True)))
        await add_events(conn, events)
        facts = await take_in(conn, facts)
        await outbox.append(conn, facts)
        log.info("complaints placed", count=len(rows), assigned=len(facts))


def may_place(case: Mapping[str, object], routed: ComplaintRouted) -> bool:
    """
    Whether the router's word decides where a case lies, of which `status`, `placed_by` and
    `typed_by` are known: what staff have done stands.
    """
    if routed.rules_changed and case["typed_by"] is not None:
        return False  # whoever said what it is about left it on that desk
    # More was told of it. Who has it keeps it, unless it is clear now who else should.
    moves_on = routed.amended and case["status"] == Status.ASSIGNED and bool(routed.department)
    return case["placed_by"] is None and (case["status"] in (Status.NEW, Status.TRIAGE) or moves_on)


def _status(routed: ComplaintRouted) -> Status:
    # Where the router looked for a person and nobody works there, somebody has to be found; an
    # older router leaves it to the department.
    nobody = routed.assignee is None and bool(routed.rules)
    return Status.ASSIGNED if routed.department and not nobody else Status.TRIAGE


# Ignored; or it waits for its sender's answer; or it joined a case that is routed itself.
WITHOUT_CASE = """
    SELECT l.id, coalesce(c.merged_into, l.case_id) AS case_id
    FROM complaints l
    LEFT JOIN cases c ON c.id = l.case_id
    WHERE l.id = ANY ($1::uuid[])
      AND (l.state IN ('ignored', 'received') OR l.case_id <> l.id)
"""

RAISE_ALARM = """
    UPDATE cases
    SET emergency = true, urgency_by = NULL
    WHERE id = $1 AND NOT emergency
    RETURNING id
"""


async def _excuse(conn: asyncpg.Connection, told: Sequence[ComplaintRouted]) -> set[UUID]:
    """Answers routings of what opened no case; the cases that became emergencies by them."""
    raised: set[UUID] = set()
    waited_for = {routed.complaint_id: routed for routed in told}
    for row in await conn.fetch(WITHOUT_CASE, list(waited_for)):
        routed = waited_for.pop(row["id"])
        # What joined a case says nothing about where that belongs. Danger is danger.
        if routed.emergency and row["case_id"] is not None:
            if await conn.fetchval(RAISE_ALARM, row["case_id"]) is None:
                continue
            event = NewEvent(
                case_id=row["case_id"],
                at=datetime.now(UTC),
                kind="emergency",
                by=None,
                public=False,
                data={"complaint_id": str(routed.complaint_id), "reasons": list(routed.reasons)},
            )
            await add_events(conn, [event])
            alarmed = await _case_alarmed(conn, row["case_id"], routed.message_id, event.at)
            await outbox.append(conn, [alarmed])
            raised.add(row["case_id"])
    if waited_for:
        raise NotYet(f"{len(waited_for)} not filed yet, as {min(waited_for)}")
    return raised


def _row(
    routed: ComplaintRouted, now: datetime, *, types: bool, places: bool
) -> tuple[object, ...]:
    lat, lon = point(routed.lat, routed.lon) or (None, None)
    person = routed.assignee if routed.department else None
    confidence = routed.confidence
    return (
        routed.complaint_id,
        clean_or_none(routed.problem_type),
        confidence if confidence is not None and 0 <= confidence <= 1 else None,
        # As text: asyncpg would take lists in a list for an array of two dimensions.
        to_jsonb([alternative.model_dump() for alternative in routed.alternatives]),
        to_jsonb(routed.reasons),
        clean(routed.model),
        now,
        routed.emergency,
        types,
        places,
        clean_or_none(routed.district),
        clean_or_none(routed.address),
        lat,
        lon,
        _status(routed).value,
        clean(routed.department) if routed.department else None,
        person.id if person else None,
        clean(person.name) if person else None,
        clean(person.email) if person else None,
        clean_or_none(person.phone) if person else None,
    )


def _routed(routed: ComplaintRouted, now: datetime, kind: str) -> NewEvent:
    return NewEvent(
        case_id=routed.complaint_id,
        at=now,
        # `routed_late`: the staff's choice stood already, and this is only what the router would
        # have said. `looked_again`: more was told of it, and it stays where it is.
        kind=kind,
        by=None,
        public=kind == "routed",
        data={
            "problem_type": routed.problem_type,
            "confidence": routed.confidence,
            "district": routed.district,
            "department": routed.department,
            "assignee": routed.assignee.id if routed.assignee else None,
            "assignee_name": routed.assignee.name if routed.assignee else None,
            "emergency": routed.emergency,
            "reasons": list(routed.reasons),
            "model": routed.model,
            "rule": routed.rule,
            "trace": [tried.model_dump(exclude_defaults=True) for tried in routed.trace],
            "rules": routed.rules,
            "rules_changed": routed.rules_changed,
        },
    )


async def _case_alarmed(
    conn: asyncpg.Connection, case_id: UUID, cause: UUID, now: datetime
) -> CaseAlarmed:
    case = await cases.by_id(conn, case_id)
    if case is None:
        raise RuntimeError(f"the locked case {case_id} is gone")
    return CaseAlarmed(
        message_id=fact_id("case.alarmed", cause),
        occurred_at=now,
        case=cases.summary(case).model_copy(update={"emergency": True}),
    )


def _case_assigned(
    case: asyncpg.Record, routed: ComplaintRouted, now: datetime, *, types: bool
) -> CaseAssigned:
    lat, lon = point(routed.lat, routed.lon) or (case["lat"], case["lon"])
    return CaseAssigned(
        message_id=fact_id("case.assigned", case["id"], routed.message_id),
        occurred_at=now,
        case=CaseSummary(
            case_id=case["id"],
            reference=case["reference"],
            channel=case["channel"],
            opened_at=case["opened_at"],
            text=case["text"],
            language=case["language"],
            problem_type=routed.problem_type if types else case["problem_type"],
            department=routed.department,
            district=routed.district,
            address=routed.address if routed.address is not None else case["address"],
            lat=lat,
            lon=lon,
            emergency=case["emergency"] or (routed.emergency and case["urgency_by"] is None),
            reporter=Contact(
                name=case["reporter_name"],
                email=case["reporter_email"],
                phone=case["reporter_phone"],
            ),
            assignee=routed.assignee,
            attachments=files_from(case["attachments"]),
        ),
    )


# ── who cannot be routed ────────────────────────────────────────────────────────────────────────

SEND_TO_TRIAGE = """
    UPDATE cases
    SET status = 'triage'
    WHERE id = ANY ($1::uuid[]) AND status = 'new'
    RETURNING id
"""


async def send_to_triage(conn: asyncpg.Connection, reasons: dict[UUID, str]) -> None:
    """
    Cases whose routing failed for good go where a person looks at them; one that has been placed
    stays where it is. A routing that succeeds later still places them.
    """
    if not reasons:
        return
    moved = [row["id"] for row in await conn.fetch(SEND_TO_TRIAGE, sorted(reasons))]
    now = datetime.now(UTC)
    await add_events(
        conn,
        [
            NewEvent(
                case_id=case_id,
                at=now,
                kind="routing_failed",
                by=None,
                public=False,
                data={"reason": reasons[case_id]},
            )
            for case_id in moved
        ],
    )
