-- The canary's own book: complaints that nobody made, and how far each of them came.

-- migrate:up

-- One row for each canary, swept after some weeks. Nothing refers to it, and it refers to nothing.
CREATE TABLE canaries (
    id uuid PRIMARY KEY,
    released_at timestamptz NOT NULL,
    -- The complaint as it was heard, until it came through: what is told is read from here.
    heard jsonb,
    received_at timestamptz,
    routed_at timestamptz,
    filed_at timestamptz,
    told_at timestamptz,
    noticed_at timestamptz,
    -- When all of it was known here.
    ended_at timestamptz,
    problem_type text,
    district text,
    department text,
    -- Who could not handle it, and why: its dead letter.
    buried_by text,
    buried_why text,
    CHECK (filed_at IS NULL OR (received_at IS NOT NULL AND routed_at IS NOT NULL)),
    CHECK ((buried_by IS NULL) = (buried_why IS NULL))
);

CREATE INDEX canaries_by_time ON canaries (released_at);
CREATE INDEX canaries_through ON canaries (released_at) WHERE ended_at IS NOT NULL;
CREATE INDEX canaries_under_way ON canaries (released_at) WHERE ended_at IS NULL;

-- migrate:down

DROP TABLE canaries;
