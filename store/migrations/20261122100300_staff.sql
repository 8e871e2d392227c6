-- Who works for the city, what they may do, and who is signed in.

-- migrate:up

CREATE TABLE accounts (
    login text PRIMARY KEY CHECK (login <> '' AND login = lower(login)),
    name text NOT NULL,
    email text NOT NULL,
    phone text,
    department text,
    language text NOT NULL DEFAULT 'en' CHECK (language <> ''),
    active boolean NOT NULL DEFAULT true,
    -- Argon2id; without one nobody can sign in, yet cases can lie on their desk.
    password_hash text CHECK (password_hash <> ''),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE account_roles (
    login text NOT NULL REFERENCES accounts (login) ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('call_taker', 'staff', 'lead', 'operator', 'admin')),
    PRIMARY KEY (login, role)
);

-- Only the digest of a session's id: who reads this table cannot become anybody.
CREATE TABLE sessions (
    id_sha256 bytea PRIMARY KEY CHECK (octet_length(id_sha256) = 32),
    login text,
    data jsonb NOT NULL CHECK (jsonb_typeof(data) = 'object'),
    expires_at timestamptz NOT NULL
);

CREATE INDEX sessions_of_login ON sessions (login);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- migrate:down

DROP TABLE sessions;
DROP TABLE account_roles;
DROP TABLE accounts;
