-- Each counted case as a few numbers in one value: what reads very many of them at once reads
-- those, and looks up afterwards what the numbers of names mean. store/counted.py unpacks them.

-- migrate:up

CREATE TABLE counted_names (
    mark bigint PRIMARY KEY,
    name text NOT NULL
);

INSERT INTO counted_names (mark, name)
SELECT DISTINCT hashtextextended(n.name, 0), n.name
FROM counted_cases c
CROSS JOIN LATERAL (
    VALUES (c.channel), (c.department), (c.problem_type), (c.district), (c.assignee)
) AS n (name)
WHERE n.name IS NOT NULL;

ALTER TABLE counted_cases ADD packed bytea NOT NULL GENERATED ALWAYS AS (
    timestamptz_send(opened_at)
    || timestamptz_send(coalesce(closed_at, 'infinity'))
    || timestamptz_send(coalesce(first_action_at, 'infinity'))
    || float4send(coalesce(lat, 'nan'))
    || float4send(coalesce(lon, 'nan'))
    || int2send((
        imported::int
        | (timed::int << 1)
        | (type_foretold::int << 2)
        | (type_corrected::int << 3)
        | (department_foretold::int << 4)
        | (department_corrected::int << 5)
        | ((reopened_at IS NOT NULL)::int << 6)
        | ((outcome IS NOT DISTINCT FROM 'duplicate')::int << 7)
    )::int2)
    || int8send(hashtextextended(channel, 0))
    || int8send(coalesce(hashtextextended(department, 0), 0))
    || int8send(coalesce(hashtextextended(problem_type, 0), 0))
    || int8send(coalesce(hashtextextended(district, 0), 0))
    || int8send(coalesce(hashtextextended(assignee, 0), 0))
    || int8send(coalesce(hashtextextended(place, 0), 0))
) STORED;

-- migrate:down

ALTER TABLE counted_cases DROP packed;

DROP TABLE counted_names;
