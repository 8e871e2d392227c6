-- Which reports were told to whom, so that nobody gets one twice.

-- migrate:up

CREATE TABLE mailed_reports (
    report text NOT NULL CHECK (report <> ''),
    first_day date NOT NULL,
    last_day date NOT NULL,
    recipient text NOT NULL CHECK (recipient <> ''),
    told_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (report, first_day, last_day, recipient),
    CHECK (first_day <= last_day)
);

-- migrate:down

DROP TABLE mailed_reports;
