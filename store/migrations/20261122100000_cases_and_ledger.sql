-- Cases and what happened to them, and the ledger of every message received.

-- migrate:up

-- One case per complaint. Its id is the complaint's id, so that a complaint told ten times is one
-- row. What the router and staff change stands here; how it came to be stands in events.
CREATE TABLE cases (
    id uuid PRIMARY KEY,
    reference text NOT NULL UNIQUE CHECK (reference <> ''),
    status text NOT NULL DEFAULT 'new'
        CHECK (status IN ('new', 'triage', 'assigned', 'in_progress', 'closed')),
    channel text NOT NULL CHECK (channel <> ''),
    text text NOT NULL,
    language text NOT NULL CHECK (language <> ''),
    opened_at timestamptz NOT NULL,

    -- chosen by the resident or the call taker, foretold by the router, in force
    chosen_type text,
    predicted_type text,
    problem_type text,
    confidence double precision CHECK (confidence BETWEEN 0 AND 1),
    alternatives jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(alternatives) = 'array'),
    reasons jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(reasons) = 'array'),
    model text NOT NULL DEFAULT '',

    address text,
    lat double precision CHECK (lat BETWEEN -90 AND 90),
    lon double precision CHECK (lon BETWEEN -180 AND 180),
    place_source text,
    district text,
    CHECK ((lat IS NULL) = (lon IS NULL)),

    reporter_name text,
    reporter_email text,
    reporter_phone text,
    entered_by text,

    department text,
    -- The router knows people that no account knows yet; what it said of them is kept here.
    assignee text,
    assignee_name text,
    assignee_email text,
    assignee_phone text,
    emergency boolean NOT NULL DEFAULT false,
    routed_at timestamptz,
    assigned_at timestamptz,
    -- Who set the place or the type by hand: a routing that comes late leaves their choice alone.
    placed_by text,
    typed_by text,

    outcome text CHECK (outcome IN ('fixed', 'no_violation', 'referred', 'duplicate', 'cannot')),
    closing_words text,
    closed_at timestamptz,

    CHECK (assignee IS NULL OR department IS NOT NULL),
    CHECK (status NOT IN ('assigned', 'in_progress') OR department IS NOT NULL),
    CHECK (status <> 'closed'
           OR (outcome IS NOT NULL AND closing_words IS NOT NULL AND closed_at IS NOT NULL)),
    CHECK (status = 'closed'
           OR (outcome IS NULL AND closing_words IS NULL AND closed_at IS NULL))
) WITH (fillfactor = 85);

CREATE INDEX cases_open_by_assignee ON cases (assignee) WHERE status <> 'closed';
CREATE INDEX cases_by_age ON cases (opened_at);

-- What staff search in. Beside the cases and not among their columns, because a case changes
-- often and its words seldom: an update of a case need not touch this index.
CREATE TABLE case_words (
    case_id uuid PRIMARY KEY REFERENCES cases (id) ON DELETE CASCADE,
    words tsvector NOT NULL
);

CREATE INDEX case_words_words ON case_words USING gin (words);

-- Everything that happened to a case, as data from which a page writes a sentence in the reader's
-- language.
CREATE TABLE events (
    case_id uuid NOT NULL REFERENCES cases (id) ON DELETE CASCADE,
    id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL,
    kind text NOT NULL CHECK (kind <> ''),
    by text,
    public boolean NOT NULL,
    data jsonb NOT NULL CHECK (jsonb_typeof(data) = 'object'),
    PRIMARY KEY (case_id, id)
);

CREATE TABLE notes (
    id uuid PRIMARY KEY,
    case_id uuid NOT NULL REFERENCES cases (id) ON DELETE CASCADE,
    at timestamptz NOT NULL,
    author text NOT NULL,
    text text NOT NULL CHECK (text <> ''),
    public boolean NOT NULL
);

CREATE INDEX notes_of_case ON notes (case_id);

-- Attachments of a case (note_id is null) or of a note; the bytes lie with bus.files.
CREATE TABLE files (
    case_id uuid NOT NULL REFERENCES cases (id) ON DELETE CASCADE,
    id bigint GENERATED ALWAYS AS IDENTITY,
    note_id uuid REFERENCES notes (id) ON DELETE CASCADE,
    sha256 text NOT NULL CHECK (sha256 <> ''),
    media_type text NOT NULL,
    name text NOT NULL,
    size bigint NOT NULL CHECK (size >= 0),
    PRIMARY KEY (case_id, id)
);

-- The ledger: one row per message received, for ever.
-- received = filed + quarantined + ignored + in flight (still in state received).
CREATE TABLE complaints (
    id uuid PRIMARY KEY,
    channel text NOT NULL,
    external_id text NOT NULL,
    received_at timestamptz NOT NULL,
    state text NOT NULL CHECK (state IN ('received', 'filed', 'quarantined', 'ignored')),
    reason text,
    -- Checked at commit: the ledger row is written first, since it says which complaints are new.
    case_id uuid REFERENCES cases (id) DEFERRABLE INITIALLY DEFERRED,
    original jsonb CHECK (jsonb_typeof(original) = 'object'),
    settled_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((state = 'filed') = (case_id IS NOT NULL)),
    CHECK (state NOT IN ('quarantined', 'ignored') OR reason <> '')
);

CREATE INDEX complaints_unfiled ON complaints (state) WHERE state <> 'filed';

-- migrate:down

DROP TABLE complaints;
DROP TABLE files;
DROP TABLE notes;
DROP TABLE events;
DROP TABLE case_words;
DROP TABLE cases;
