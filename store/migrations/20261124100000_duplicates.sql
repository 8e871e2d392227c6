-- Reports of one problem: joined into one case, followed by others, gathered into an incident.

-- migrate:up

-- Where open cases lie, so that those near a point are found at once.
CREATE INDEX cases_by_place ON cases (lat, lon) WHERE status <> 'closed' AND lat IS NOT NULL;

-- Many reports of one kind in one area within a short time: a storm.
CREATE TABLE incidents (
    id uuid PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('proposed', 'open', 'closed', 'dismissed')),
    problem_type text NOT NULL CHECK (problem_type <> ''),
    -- The middle of its reports, and how far from it a report belongs to it, in metres.
    lat double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
    lon double precision NOT NULL CHECK (lon BETWEEN -180 AND 180),
    reach double precision NOT NULL CHECK (reach > 0),
    -- The span of its reports.
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    -- How long after the last report another one still belongs to it.
    lasts interval NOT NULL CHECK (lasts > interval '0'),
    -- Whether further reports of its kind are attached by themselves.
    takes_in boolean NOT NULL,
    proposed_at timestamptz NOT NULL,
    opened_at timestamptz,
    -- None: Buckstop itself.
    opened_by text,
    department text,
    assignee text,
    outcome text CHECK (outcome IN ('fixed', 'no_violation', 'referred', 'duplicate', 'cannot')),
    closing_words text,
    closed_at timestamptz,
    settled_by text,
    CHECK (first_at <= last_at),
    CHECK (state NOT IN ('open', 'closed') OR opened_at IS NOT NULL),
    CHECK ((state = 'closed') = (closed_at IS NOT NULL)),
    CHECK ((state = 'closed') = (outcome IS NOT NULL AND closing_words IS NOT NULL)),
    CHECK (assignee IS NULL OR department IS NOT NULL)
);

CREATE INDEX incidents_alive ON incidents (last_at) WHERE state IN ('proposed', 'open');
CREATE INDEX incidents_taking_in ON incidents (id) WHERE state = 'open' AND takes_in;

-- What the city said to all of its reporters; each of its cases has it as a note, too.
CREATE TABLE incident_notes (
    id uuid PRIMARY KEY,
    incident_id uuid NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    at timestamptz NOT NULL,
    author text NOT NULL,
    text text NOT NULL CHECK (text <> ''),
    public boolean NOT NULL
);

CREATE INDEX incident_notes_of_incident ON incident_notes (incident_id, at);

ALTER TABLE cases
    -- The case that goes on for this one; what it was before stands in merges.
    ADD merged_into uuid REFERENCES cases (id),
    ADD incident_id uuid REFERENCES incidents (id),
    -- It was taken out of an incident, and is attached to none by itself.
    ADD by_itself boolean NOT NULL DEFAULT false,
    ADD CHECK (merged_into IS NULL OR (status = 'closed' AND outcome = 'duplicate')),
    ADD CHECK (merged_into <> id);

CREATE INDEX cases_merged ON cases (merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX cases_of_incident ON cases (incident_id) WHERE incident_id IS NOT NULL;

-- Open cases that lie by themselves and belong to an incident, as far as kind, place and time say.
CREATE VIEW belonging AS
SELECT i.id AS incident_id, c.id AS case_id
FROM incidents i
JOIN cases c ON c.problem_type = i.problem_type
WHERE c.status <> 'closed' AND c.incident_id IS NULL AND NOT c.by_itself
  AND c.opened_at BETWEEN i.first_at - i.lasts AND i.last_at + i.lasts
  AND ((c.lat - i.lat) * 111320) ^ 2 + ((c.lon - i.lon) * 111320 * cos(radians(i.lat))) ^ 2
      <= i.reach ^ 2;

-- What a joined case was, so that it can be taken out again as if nothing had been.
CREATE TABLE merges (
    case_id uuid PRIMARY KEY REFERENCES cases (id) ON DELETE CASCADE,
    into_id uuid NOT NULL REFERENCES cases (id),
    at timestamptz NOT NULL,
    by text NOT NULL,
    status_before text NOT NULL
        CHECK (status_before IN ('triage', 'assigned', 'in_progress')),
    placed_by_before text,
    -- It made an emergency of the case that stays.
    raised_alarm boolean NOT NULL,
    -- In the link by which its reporter wants to hear nothing more of the case that stays.
    stop_key text NOT NULL UNIQUE CHECK (stop_key <> ''),
    stopped_at timestamptz,
    CHECK (case_id <> into_id)
);

CREATE INDEX merges_into ON merges (into_id);

-- The reference that somebody got for a message that joined a case: it leads to that.
CREATE TABLE joined_references (
    reference text PRIMARY KEY CHECK (reference <> ''),
    case_id uuid NOT NULL REFERENCES cases (id) ON DELETE CASCADE,
    at timestamptz NOT NULL
);

CREATE INDEX joined_references_of_case ON joined_references (case_id);

-- Who follows a case without having a case of their own. Its id is the message by which they joined.
CREATE TABLE followers (
    id uuid PRIMARY KEY,
    case_id uuid NOT NULL REFERENCES cases (id) ON DELETE CASCADE,
    reference text NOT NULL CHECK (reference <> ''),
    name text,
    email text,
    phone text,
    texts boolean NOT NULL,
    language text NOT NULL CHECK (language <> ''),
    channel text NOT NULL CHECK (channel <> ''),
    since timestamptz NOT NULL,
    stop_key text NOT NULL UNIQUE CHECK (stop_key <> ''),
    stopped_at timestamptz,
    CHECK (email IS NOT NULL OR phone IS NOT NULL)
);

CREATE INDEX followers_of_case ON followers (case_id);

-- migrate:down

DROP VIEW belonging;
DROP TABLE followers;
DROP TABLE joined_references;
DROP TABLE merges;
ALTER TABLE cases DROP merged_into, DROP incident_id, DROP by_itself;
DROP TABLE incident_notes;
DROP TABLE incidents;
DROP INDEX cases_by_place;
