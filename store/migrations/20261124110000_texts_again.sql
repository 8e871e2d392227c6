-- Texts that got lost are sent once more, and how many go out is counted.

-- migrate:up

ALTER TABLE deliveries
    -- The notice that was lost on its way and that this one repeats.
    ADD instead_of uuid,
    -- When one that was lost is sent once more; null again once that is done.
    ADD again_at timestamptz;

CREATE INDEX deliveries_to_repeat ON deliveries (again_at) WHERE again_at IS NOT NULL;

-- migrate:down

ALTER TABLE deliveries DROP instead_of, DROP again_at;
