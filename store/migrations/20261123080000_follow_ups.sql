-- What residents tell after the first time, and what we learn about reaching them.

-- migrate:up

ALTER TABLE cases
    -- Our number and theirs are one conversation; null: the case began in another way.
    ADD conversation text,
    ADD reporter_texts boolean NOT NULL DEFAULT false,
    -- When the resident was last heard of, which decides what a further text belongs to.
    ADD heard_at timestamptz,
    ADD place_asked_at timestamptz,
    -- The closed case that this one goes on from.
    ADD goes_on_from uuid REFERENCES cases (id);

CREATE INDEX cases_of_conversation ON cases (reporter_phone, heard_at)
    WHERE conversation IS NOT NULL;
CREATE INDEX cases_without_place ON cases (heard_at)
    WHERE conversation IS NOT NULL AND place_asked_at IS NULL AND address IS NULL AND lat IS NULL
      AND status <> 'closed';

ALTER TABLE notes
    -- Told by the resident, or by somebody who answered our mail to them; then `author` is empty.
    ADD from_outside boolean NOT NULL DEFAULT false,
    -- False: it came from an address or number to which we had not written.
    ADD verified boolean NOT NULL DEFAULT true,
    -- Who signed it, where that is not the reporter.
    ADD sender text;

-- Under which Message-ID a resident's own mail can be named by a later one.
CREATE TABLE mail_ids (
    message_id text PRIMARY KEY,
    case_id uuid NOT NULL REFERENCES cases (id) ON DELETE CASCADE
);

CREATE TABLE contact_marks (
    medium text NOT NULL CHECK (medium IN ('email', 'sms')),
    address text NOT NULL CHECK (address <> ''),
    state text NOT NULL CHECK (state IN ('bad', 'soft', 'stopped', 'works')),
    reason text NOT NULL,
    at timestamptz NOT NULL,
    -- Of state soft: how often lately, and since when.
    times integer NOT NULL DEFAULT 1,
    since timestamptz NOT NULL,
    PRIMARY KEY (medium, address)
);

-- Automatic answers, so that nobody, and no robot, gets more than a few.
CREATE TABLE answers (
    address text NOT NULL,
    at timestamptz NOT NULL
);

CREATE INDEX answers_of_address ON answers (address, at);
CREATE INDEX answers_by_age ON answers (at);

-- Texts that could belong to more than one case: their sender was asked which.
CREATE TABLE waiting_texts (
    complaint_id uuid PRIMARY KEY REFERENCES complaints (id) ON DELETE CASCADE,
    phone text NOT NULL,
    conversation text NOT NULL,
    asked_at timestamptz NOT NULL,
    choices uuid[] NOT NULL,
    told text NOT NULL
);

CREATE INDEX waiting_texts_of_conversation ON waiting_texts (phone, conversation);
CREATE INDEX waiting_texts_by_age ON waiting_texts (asked_at);

-- migrate:down

DROP TABLE waiting_texts;
DROP TABLE answers;
DROP TABLE contact_marks;
DROP TABLE mail_ids;
ALTER TABLE notes DROP from_outside, DROP verified, DROP sender;
ALTER TABLE cases
    DROP conversation, DROP reporter_texts, DROP heard_at, DROP place_asked_at, DROP goes_on_from;
