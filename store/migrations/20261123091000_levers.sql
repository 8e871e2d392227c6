-- What operators do to the running of Buckstop: pause, resume, audit; who, when, why.

-- migrate:up

-- One row for each act, for ever. What is paused now is what the newest row of `what` says.
CREATE TABLE operator_acts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    act text NOT NULL CHECK (act IN ('pause', 'resume', 'audit')),
    -- A durable's name, `channel:email`, or nothing.
    what text NOT NULL DEFAULT '',
    by text NOT NULL CHECK (by <> ''),
    why text NOT NULL DEFAULT '',
    at timestamptz NOT NULL DEFAULT now(),
    until timestamptz,
    -- How it ended; null while it is being done, or when whoever did it died.
    outcome text,
    CHECK ((act = 'pause') = (until IS NOT NULL)),
    CHECK ((act = 'audit') = (what = ''))
);

CREATE INDEX operator_acts_of ON operator_acts (what, id);

-- migrate:down

DROP TABLE operator_acts;
