-- More that operators do: have a process finish and take nothing new, have a span read again, have
-- read models and streams made again from what the database has.

-- migrate:up

ALTER TABLE operator_acts
    DROP CONSTRAINT operator_acts_act_check,
    DROP CONSTRAINT operator_acts_check,
    DROP CONSTRAINT operator_acts_check1,
    ADD CONSTRAINT operator_acts_act_check CHECK (act IN (
        'pause', 'resume', 'audit', 'drain', 'undrain', 'read_again', 'recount', 'retell'
    )),
    ADD CONSTRAINT operator_acts_until_check CHECK ((act = 'pause') = (until IS NOT NULL)),
    ADD CONSTRAINT operator_acts_what_check CHECK (
        (act IN ('pause', 'resume', 'drain', 'undrain')) <= (what <> '')
    );

-- migrate:down

DELETE FROM operator_acts WHERE act NOT IN ('pause', 'resume', 'audit');
ALTER TABLE operator_acts
    DROP CONSTRAINT operator_acts_act_check,
    DROP CONSTRAINT operator_acts_until_check,
    DROP CONSTRAINT operator_acts_what_check,
    ADD CONSTRAINT operator_acts_act_check CHECK (act IN ('pause', 'resume', 'audit')),
    ADD CONSTRAINT operator_acts_check CHECK ((act = 'pause') = (until IS NOT NULL)),
    ADD CONSTRAINT operator_acts_check1 CHECK ((act = 'audit') = (what = ''));
