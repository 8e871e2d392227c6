"""What every change of a case writes beside it: events and files."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from bus.contracts import FileRef
from store.text import clean, clean_or_none


@dataclass(frozen=True)
class NewEvent:
    """Something that happened to a case, as data; sentences are made where they are read."""

    case_id: UUID
    at: datetime
    kind: str
    by: str | None
    """The sign-in name of who did it; None: Buckstop itself, or the resident."""
    public: bool
    """Whether the public page may show that it happened (never the data)."""
    data: dict[str, object]


ADD_EVENTS = """
    INSERT INTO events (case_id, at, kind, by, public, data)
    SELECT case_id, at, kind, by, public, data
    FROM unnest(
        $1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::boolean[], $6::jsonb[]
    ) WITH ORDINALITY AS happened (case_id, at, kind, by, public, data, place)
    ORDER BY place
"""


async def add_events(conn: asyncpg.Connection, events: Sequence[NewEvent]) -> None:
    """Write events, in this order."""
    if not events:
        return
    await conn.execute(
        ADD_EVENTS,
        [event.case_id for event in events],
        [event.at for event in events],
        [event.kind for event in events],
        [clean_or_none(event.by) for event in events],
        [event.public for event in events],
        [event.data for event in events],
    )


ADD_FILES = """
    INSERT INTO files (case_id, note_id, sha256, media_type, name, size)
    SELECT case_id, note_id, sha256, media_type, name, size
    FROM unnest(
        $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bigint[]
    ) WITH ORDINALITY AS file (case_id, note_id, sha256, media_type, name, size, place)
    ORDER BY place
"""


async def add_files(
    conn: asyncpg.Connection, sets: Sequence[tuple[UUID, UUID | None, Sequence[FileRef]]]
) -> None:
    """Write the attachments of cases, or of notes: (case, note or None, files)."""
    rows = [(case, note, file) for case, note, files in sets for file in files]
    if not rows:
        return
    await conn.execute(
        ADD_FILES,
        [case for case, _, _ in rows],
        [note for _, note, _ in rows],
        [clean(file.sha256) for _, _, file in rows],
        [clean(file.media_type) for _, _, file in rows],
        [clean(file.name) for _, _, file in rows],
        [file.size for _, _, file in rows],
    )


def files_from(listed: Sequence[dict[str, object]] | None) -> tuple[FileRef, ...]:
    """The files that a query has gathered with `jsonb_agg`."""
    return tuple(FileRef.model_validate(file) for file in listed or ())
