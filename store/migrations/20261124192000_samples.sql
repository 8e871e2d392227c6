-- How streams and durables stood, minute by minute.

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

-- migrate:down

DROP TABLE bus_samples;
