-- Cases that another system had before us.

-- migrate:up

CREATE TABLE imported_cases (
    case_id uuid PRIMARY KEY REFERENCES cases (id) ON DELETE CASCADE,
    -- Whose request it was, and its number there: together they name it for ever.
    source text NOT NULL CHECK (source <> ''),
    number text NOT NULL CHECK (number <> ''),
    imported_at timestamptz NOT NULL,
    -- The digest of what the file said, so that a later file that says something else is noticed.
    said bytea NOT NULL CHECK (octet_length(said) = 32),
    -- Whether its opening and its closing tell how long it took.
    timed boolean NOT NULL,
    UNIQUE (source, number)
);

-- migrate:down

DROP TABLE imported_cases;
