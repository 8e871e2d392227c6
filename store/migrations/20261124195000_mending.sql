-- What operators mend from the page: have services and engines started again, enter a password.

-- migrate:up

ALTER TABLE operator_acts
    DROP CONSTRAINT operator_acts_act_check,
    DROP CONSTRAINT operator_acts_what_check,
    ADD CONSTRAINT operator_acts_act_check CHECK (act IN (
        'pause', 'resume', 'audit', 'drain', 'undrain', 'read_again', 'recount', 'retell',
        'start_again', 'let_in'
    )),
    ADD CONSTRAINT operator_acts_what_check CHECK (
        (act IN ('pause', 'resume', 'drain', 'undrain', 'start_again', 'let_in')) <= (what <> '')
    );

-- migrate:down

DELETE FROM operator_acts WHERE act IN ('start_again', 'let_in');
ALTER TABLE operator_acts
    DROP CONSTRAINT operator_acts_act_check,
    DROP CONSTRAINT operator_acts_what_check,
    ADD CONSTRAINT operator_acts_act_check CHECK (act IN (
        'pause', 'resume', 'audit', 'drain', 'undrain', 'read_again', 'recount', 'retell'
    )),
    ADD CONSTRAINT operator_acts_what_check CHECK (
        (act IN ('pause', 'resume', 'drain', 'undrain')) <= (what <> '')
    );
