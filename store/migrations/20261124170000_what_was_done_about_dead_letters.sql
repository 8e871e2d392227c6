-- What operators do about dead letters, and what the operators' page asks once a second.

-- migrate:up

-- One row for each act, for ever: who, when, why. A replay is written down before anything is told,
-- so that it is finished after a crash; its id is part of the message's id, so that telling it twice
-- is telling it once.
CREATE TABLE grave_acts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    letter_id uuid NOT NULL REFERENCES dead_letters (id) ON DELETE CASCADE,
    act text NOT NULL CHECK (act IN ('replay', 'discard')),
    by text NOT NULL CHECK (by <> ''),
    why text NOT NULL DEFAULT '',
    at timestamptz NOT NULL DEFAULT now(),
    -- How many letters of the same wish are told in a second.
    per_second real NOT NULL DEFAULT 10 CHECK (per_second > 0),
    -- What is told in place of the letter's own; null where it is told as it was.
    headers jsonb CHECK (jsonb_typeof(headers) = 'object'),
    payload text,
    done_at timestamptz,
    -- Why the bus would not take it; then the letter still waits.
    problem text CHECK (problem <> ''),
    CHECK (act = 'replay' OR done_at IS NOT NULL),
    CHECK (problem IS NULL OR done_at IS NOT NULL)
);

CREATE INDEX grave_acts_of_letter ON grave_acts (letter_id);
CREATE UNIQUE INDEX grave_acts_due ON grave_acts (letter_id) WHERE done_at IS NULL;

CREATE INDEX deliveries_unsettled ON deliveries (queued_at) WHERE settled_at IS NULL;
CREATE INDEX complaints_by_age ON complaints (received_at);

-- migrate:down

DROP INDEX complaints_by_age;
DROP INDEX deliveries_unsettled;
DROP TABLE grave_acts;
