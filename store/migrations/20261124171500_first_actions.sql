-- What was first acted upon in a span is found as quickly as what was opened or closed in it.

-- migrate:up

CREATE INDEX counted_cases_by_first_action ON counted_cases (first_action_at);

-- migrate:down

DROP INDEX counted_cases_by_first_action;
