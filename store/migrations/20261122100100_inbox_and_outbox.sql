-- What was heard, and what is to be told, each in the transaction of its effects.

-- migrate:up

-- Messages that a listener has answered, where no row of their own shows it.
CREATE TABLE inbox (
    consumer text NOT NULL,
    message_id uuid NOT NULL,
    heard_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, message_id)
);

CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fact_id uuid NOT NULL,
    tag text NOT NULL,
    subject text NOT NULL,
    payload bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    told_at timestamptz,
    -- Why the bus will never take it. The row waits for a person, and nobody waits behind it.
    problem text CHECK (problem <> '')
);

CREATE INDEX outbox_untold ON outbox (id) WHERE told_at IS NULL;

-- migrate:down

DROP TABLE outbox;
DROP TABLE inbox;
