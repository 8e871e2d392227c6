-- Where a fact stands in the trace of its complaint, while traces are recorded: it goes out later.

-- migrate:up

ALTER TABLE outbox ADD COLUMN traceparent text;

-- migrate:down

ALTER TABLE outbox DROP COLUMN traceparent;
