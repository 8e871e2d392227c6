-- What the classifier read out of each case's words, heeded or not, and what a newer one would have.

-- migrate:up

ALTER TABLE cases
    ADD guess jsonb CHECK (guess IS NULL OR jsonb_typeof(guess) = 'object'),
    ADD shadow jsonb CHECK (shadow IS NULL OR jsonb_typeof(shadow) = 'object');

-- migrate:down

ALTER TABLE cases DROP guess, DROP shadow;
