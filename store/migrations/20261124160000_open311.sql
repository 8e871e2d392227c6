-- Apps that report over Open311, and what makes reading the public record quick.

-- migrate:up

CREATE TABLE apps (
    id text PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
    name text NOT NULL CHECK (name <> ''),
    -- How to reach whoever runs it.
    contact text NOT NULL CHECK (contact <> ''),
    -- Only the key's digest: who reads this table can report as nobody.
    key_sha256 bytea NOT NULL UNIQUE CHECK (octet_length(key_sha256) = 32),
    -- How the key begins, so that people can tell two keys apart.
    key_begins text NOT NULL,
    a_minute integer NOT NULL CHECK (a_minute > 0),
    a_day integer NOT NULL CHECK (a_day > 0),
    active boolean NOT NULL DEFAULT true,
    -- Its reports are checked and not filed.
    test boolean NOT NULL DEFAULT false,
    made_at timestamptz NOT NULL DEFAULT now(),
    -- To the hour.
    used_at timestamptz
);

-- The newest of a kind, in the order in which lists show them.
CREATE INDEX cases_by_kind ON cases ((coalesce(problem_type, chosen_type)), opened_at DESC, id DESC);

-- What happened in a span of time. Events come in the order of their times: a few bytes for a
-- thousand of them, and nothing to keep up when one is written.
CREATE INDEX events_by_time ON events USING brin (at) WITH (pages_per_range = 32, autosummarize = on);

-- migrate:down

DROP INDEX events_by_time;
DROP INDEX cases_by_kind;
DROP TABLE apps;
