-- What we sent to people, and what nobody could handle.

-- migrate:up

-- One row per notice. No foreign key to cases: a notice that went out stays on record even where
-- the database is younger than the streams.
CREATE TABLE deliveries (
    id uuid PRIMARY KEY,
    case_id uuid NOT NULL,
    reference text NOT NULL DEFAULT '',
    notice text NOT NULL,
    medium text NOT NULL DEFAULT '',
    recipient text NOT NULL DEFAULT '',
    recipient_name text,
    language text NOT NULL DEFAULT '',
    subject_line text NOT NULL DEFAULT '',
    text text NOT NULL DEFAULT '',
    html text,
    attachments jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(attachments) = 'array'),
    state text NOT NULL
        CHECK (state IN ('queued', 'sent', 'delivered', 'failed', 'unknown', 'withheld')),
    sender text,
    provider_id text,
    reason text,
    queued_at timestamptz NOT NULL,
    settled_at timestamptz,
    tries integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
    CHECK (state = 'withheld' OR (medium <> '' AND recipient <> '')),
    CHECK (state NOT IN ('failed', 'withheld') OR reason IS NOT NULL),
    CHECK ((state IN ('queued', 'unknown')) = (settled_at IS NULL))
-- Room on each page, so that settling a notice touches no index.
) WITH (fillfactor = 80);

CREATE INDEX deliveries_of_case ON deliveries (case_id);
CREATE INDEX deliveries_by_age ON deliveries (queued_at);

CREATE TABLE dead_letters (
    id uuid PRIMARY KEY,
    durable text NOT NULL,
    stream text NOT NULL,
    sequence bigint NOT NULL,
    original_subject text NOT NULL,
    original_id text NOT NULL,
    complaint_id uuid,
    reason text NOT NULL,
    tries integer NOT NULL,
    headers jsonb NOT NULL CHECK (jsonb_typeof(headers) = 'object'),
    payload text NOT NULL,
    at timestamptz NOT NULL,
    resolved_at timestamptz,
    resolved_by text,
    resolved_how text CHECK (resolved_how IN ('replayed', 'discarded')),
    resolved_why text,
    CHECK ((resolved_at IS NULL) = (resolved_how IS NULL)),
    CHECK ((resolved_at IS NULL) = (resolved_by IS NULL)),
    CHECK (resolved_how IS DISTINCT FROM 'discarded' OR resolved_why <> '')
);

CREATE INDEX dead_letters_waiting ON dead_letters (at) WHERE resolved_at IS NULL;
CREATE INDEX dead_letters_of_complaint ON dead_letters (complaint_id);

-- migrate:down

DROP TABLE dead_letters;
DROP TABLE deliveries;
