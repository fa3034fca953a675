-- Portable between SQLite and PostgreSQL. A chain is locked by its head while an entry is added, so that
-- it never forks. Neither table refers to an account: a log outlives mistakes, and is removed by name.
CREATE TABLE audit_chains (
    log_id UUID PRIMARY KEY NOT NULL,
    sequence BIGINT NOT NULL CHECK (sequence >= 0),
    hash TEXT NOT NULL CHECK (length(hash) = 64)
);

CREATE TABLE audit_events (
    id UUID PRIMARY KEY NOT NULL,
    log_id UUID NOT NULL,
    sequence BIGINT NOT NULL CHECK (sequence > 0),
    entry TEXT NOT NULL,
    previous_hash TEXT NOT NULL CHECK (length(previous_hash) = 64),
    hash TEXT NOT NULL CHECK (length(hash) = 64),
    UNIQUE (log_id, sequence)
);
