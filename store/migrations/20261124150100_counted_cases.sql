-- Cases as reports count them, kept up to date from what happens to them.

-- migrate:up

-- Which transaction wrote an event: so it can be asked what happened since, and nothing is missed
-- that was begun earlier and committed later, as with numbers alone.
ALTER TABLE events ADD tx xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX events_by_tx ON events (tx);

-- One narrow row per case, so that ten years can be read through in a moment.
CREATE TABLE counted_cases (
    case_id uuid PRIMARY KEY REFERENCES cases (id) ON DELETE CASCADE,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    -- When somebody who works for the city first did something about it; null: nobody yet, or
    -- another system did not tell.
    first_action_at timestamptz,
    reopened_at timestamptz,
    lat real,
    lon real,
    imported boolean NOT NULL,
    -- Whether its opening and its closing tell how long it took.
    timed boolean NOT NULL,
    -- The router named a type, a department; a person chose another.
    type_foretold boolean NOT NULL,
    type_corrected boolean NOT NULL,
    department_foretold boolean NOT NULL,
    department_corrected boolean NOT NULL,
    channel text NOT NULL,
    department text,
    problem_type text,
    district text,
    outcome text,
    assignee text,
    -- The address, written in one way, by which what comes from one place is found.
    place text
-- Room on each page, so that a case that is closed stays beside those that were opened with it.
) WITH (fillfactor = 85);

CREATE INDEX counted_cases_by_opening ON counted_cases (opened_at);
CREATE INDEX counted_cases_by_closing ON counted_cases (closed_at);

-- Up to which transaction everything is counted.
CREATE TABLE counting (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    horizon xid8 NOT NULL,
    counted_at timestamptz
);

INSERT INTO counting (horizon) VALUES ('0');

-- migrate:down

DROP TABLE counting;
DROP TABLE counted_cases;
DROP INDEX events_by_tx;
ALTER TABLE events DROP tx;
