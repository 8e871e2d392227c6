-- What is remembered of the mailboxes that residents write to, from one look to the next.

-- migrate:up

CREATE TABLE mailbox_folders (
    mailbox text NOT NULL CHECK (mailbox <> ''),
    folder text NOT NULL CHECK (folder <> ''),
    uidvalidity bigint NOT NULL CHECK (uidvalidity >= 0),
    PRIMARY KEY (mailbox, folder)
);

-- Only mail that still lies in its folder: a UID alone says nothing about a mail, so the row goes
-- with the mail, and all rows go when UIDVALIDITY changes. What became of the mail is the ledger's.
CREATE TABLE mailbox_mails (
    mailbox text NOT NULL,
    folder text NOT NULL,
    uid bigint NOT NULL CHECK (uid > 0),
    -- Counted before a mail is read, so that a mail that kills its reader is known by it.
    tries integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
    complaint_id uuid,
    settled boolean NOT NULL DEFAULT false,
    PRIMARY KEY (mailbox, folder, uid),
    FOREIGN KEY (mailbox, folder) REFERENCES mailbox_folders ON DELETE CASCADE
);

-- migrate:down

DROP TABLE mailbox_mails;
DROP TABLE mailbox_folders;
