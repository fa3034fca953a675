-- Portable between SQLite and PostgreSQL. Programs that wait to be signed in; both codes by their hash alone.
CREATE TABLE device_authorizations (
    device_hash TEXT PRIMARY KEY NOT NULL,
    user_hash TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    address TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    interval_milliseconds BIGINT NOT NULL,
    asked_at BIGINT,
    denied BOOLEAN NOT NULL,
    user_id UUID REFERENCES users (id) ON DELETE CASCADE,
    organisation_id UUID REFERENCES organisations (id) ON DELETE CASCADE,
    CHECK ((user_id IS NULL) = (organisation_id IS NULL)),
    CHECK (NOT denied OR user_id IS NULL)
);
CREATE INDEX device_authorizations_user ON device_authorizations (user_id);
