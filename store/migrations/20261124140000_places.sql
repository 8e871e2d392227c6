-- What became of the question where a case is, and whom else it concerns.

-- migrate:up

ALTER TABLE cases
    -- found, named, vague, ambiguous, outside, refer, none; null: it was routed before we kept it.
    ADD place_outcome text,
    -- The place as the router read it, of which the outcome speaks.
    ADD place_given text,
    ADD place_choices jsonb,
    -- When the router is to look again, since a geocoder had not answered; and how often it did.
    ADD place_look_at timestamptz,
    ADD place_looks integer NOT NULL DEFAULT 0,
    -- An agency of the city's folder.
    ADD refer_to text,
    ADD refer_how text,
    ADD refer_because text,
    ADD refer_certain boolean NOT NULL DEFAULT false;

CREATE INDEX cases_with_open_place ON cases (heard_at)
    WHERE place_outcome IN ('vague', 'ambiguous', 'outside') AND place_asked_at IS NULL
      AND status <> 'closed';
CREATE INDEX cases_to_look_at ON cases (place_look_at) WHERE place_look_at IS NOT NULL;

-- migrate:down

DROP INDEX cases_with_open_place;
DROP INDEX cases_to_look_at;
ALTER TABLE cases
    DROP place_outcome, DROP place_given, DROP place_choices, DROP place_look_at, DROP place_looks,
    DROP refer_to, DROP refer_how, DROP refer_because, DROP refer_certain;
