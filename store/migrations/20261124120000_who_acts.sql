-- Who is away, which rules could not run, and who said by hand whether a case is an emergency.

-- migrate:up

CREATE TABLE absences (
    -- Minted by the form, so that a form sent twice says it once.
    id uuid PRIMARY KEY,
    login text NOT NULL REFERENCES accounts (login) ON DELETE CASCADE,
    -- From the beginning of the first day until the end of the last, where the city is; open when
    -- one is missing.
    begins timestamptz,
    ends timestamptz,
    -- Who said it; null: the city's folder.
    said_by text,
    said_at timestamptz NOT NULL DEFAULT now(),
    CHECK (begins < ends)
);

CREATE INDEX absences_of_login ON absences (login);

-- One row for each rule and reason, however often it happens.
CREATE TABLE rule_alarms (
    rule text NOT NULL,
    reason text NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    times integer NOT NULL DEFAULT 1 CHECK (times > 0),
    -- No foreign key: the alarm outlives the case.
    last_case uuid NOT NULL,
    -- The version of the rules that it came from.
    rules text NOT NULL,
    PRIMARY KEY (rule, reason)
);

ALTER TABLE cases
    -- Who said by hand whether it is an emergency: what the router says later leaves that alone.
    ADD urgency_by text;

-- migrate:down

ALTER TABLE cases DROP urgency_by;
DROP TABLE rule_alarms;
DROP TABLE absences;
