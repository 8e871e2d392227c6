-- How streams and durables stood, minute by minute; and the ledger can say when messages came.

-- migrate:up

-- One row a minute, swept after two days: what the operators' page draws of the last hour and day.
CREATE TABLE bus_samples (
    minute timestamptz PRIMARY KEY,
    at timestamptz NOT NULL,
    -- by name: messages ever stored
    streams jsonb NOT NULL CHECK (jsonb_typeof(streams) = 'object'),
    -- by name: [waiting, ever arrived, ever answered]
    durables jsonb NOT NULL CHECK (jsonb_typeof(durables) = 'object')
);

-- Messages are written about as they come: a small index is enough to find those of the last day.
CREATE INDEX complaints_by_time ON complaints USING brin (received_at) WITH (autosummarize = on);

-- migrate:down

DROP INDEX complaints_by_time;
DROP TABLE bus_samples;
