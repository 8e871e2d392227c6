-- Texts that got lost are sent once more, and how many go out is counted.

-- migrate:up

ALTER TABLE cases
    -- When they told us the place for which we had asked, and when we thanked them.
    ADD place_told_at timestamptz,
    ADD place_thanked_at timestamptz;

CREATE INDEX cases_to_thank_for ON cases (place_told_at)
    WHERE place_told_at IS NOT NULL AND place_thanked_at IS NULL;

ALTER TABLE mailbox_folders
    -- Every mail up to this UID is in the books and stays where it lies, or is gone.
    ADD done_up_to bigint NOT NULL DEFAULT 0 CHECK (done_up_to >= 0);

ALTER TABLE mail_ids
    -- The mail by which its reporter opened the case: our answers name it.
    ADD opened boolean NOT NULL DEFAULT false;

CREATE UNIQUE INDEX mail_ids_opened ON mail_ids (case_id) WHERE opened;

ALTER TABLE complaints
    -- Who looked at a message in quarantine and left it there, and why: then it counts as ignored.
    ADD left_by text,
    ADD left_why text;

CREATE INDEX complaints_set_aside ON complaints (state, received_at DESC)
    WHERE state IN ('quarantined', 'ignored');

ALTER TABLE deliveries
    -- The notice that was lost on its way and that this one repeats.
    ADD instead_of uuid,
    -- When one that was lost is sent once more; null again once that is done.
    ADD again_at timestamptz,
    ADD urgent boolean NOT NULL DEFAULT false;

CREATE INDEX deliveries_to_repeat ON deliveries (again_at) WHERE again_at IS NOT NULL;

-- Texts held back by a spending cap have a medium; other notices that were withheld were never
-- written.
CREATE INDEX deliveries_held_back ON deliveries (settled_at)
    WHERE state = 'withheld' AND medium <> '';

-- Texts that were handed over, for the spending caps; a month of them.
CREATE TABLE text_spending (
    notice_id uuid PRIMARY KEY,
    number text NOT NULL,
    at timestamptz NOT NULL
);

CREATE INDEX text_spending_by_age ON text_spending (at);
CREATE INDEX text_spending_of_number ON text_spending (number, at);

-- migrate:down

DROP TABLE text_spending;
DROP INDEX deliveries_held_back;

ALTER TABLE mailbox_folders DROP done_up_to;
DROP INDEX mail_ids_opened;
ALTER TABLE mail_ids DROP opened;
DROP INDEX complaints_set_aside;
ALTER TABLE complaints DROP left_by, DROP left_why;
ALTER TABLE cases DROP place_told_at, DROP place_thanked_at;
ALTER TABLE deliveries DROP instead_of, DROP again_at, DROP urgent;
