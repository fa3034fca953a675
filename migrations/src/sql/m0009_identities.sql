-- Portable between SQLite and PostgreSQL. People as identity providers know them. An account that a provider opened has
-- the empty text as its password's hash until a letter sets one.
CREATE TABLE identities (
    id UUID PRIMARY KEY NOT NULL,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    email TEXT,
    created_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL,
    UNIQUE (issuer, subject)
);
CREATE INDEX identities_user ON identities (user_id);

-- Ways to a provider and back that are not at their end; what the browser holds is here by its hash alone.
CREATE TABLE authorizations (
    token_hash TEXT PRIMARY KEY NOT NULL,
    browser_hash TEXT NOT NULL,
    issuer TEXT NOT NULL,
    purpose TEXT NOT NULL CHECK (purpose IN ('sign_in', 'link', 'second_factor')),
    user_id UUID REFERENCES users (id) ON DELETE CASCADE,
    return_to TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    CHECK ((purpose = 'sign_in') = (user_id IS NULL))
);
CREATE INDEX authorizations_user ON authorizations (user_id);
CREATE INDEX authorizations_end ON authorizations (expires_at);
