-- Portable between SQLite and PostgreSQL. Join tokens and credentials are kept as hashes alone.
ALTER TABLE nodes ADD COLUMN origin TEXT NOT NULL DEFAULT 'local' CHECK (origin IN ('local', 'joined'));
ALTER TABLE nodes ADD COLUMN intake TEXT NOT NULL DEFAULT 'open' CHECK (intake IN ('open', 'paused', 'draining'));
ALTER TABLE nodes ADD COLUMN join_hash TEXT;
ALTER TABLE nodes ADD COLUMN join_expires_at BIGINT;
ALTER TABLE nodes ADD COLUMN credential_hash TEXT;
ALTER TABLE nodes ADD COLUMN joined_at BIGINT;
ALTER TABLE nodes ADD COLUMN revoked_at BIGINT;
ALTER TABLE nodes ADD COLUMN facts TEXT;
CREATE UNIQUE INDEX nodes_join ON nodes (join_hash) WHERE join_hash IS NOT NULL;
CREATE UNIQUE INDEX nodes_credential ON nodes (credential_hash) WHERE credential_hash IS NOT NULL;

-- What a node must have; 0 where nobody planned it.
ALTER TABLE jobs ADD COLUMN required_memory_bytes BIGINT NOT NULL DEFAULT 0 CHECK (required_memory_bytes >= 0);

-- One row a claim: who held which job, from when to when, and how that ended.
CREATE TABLE job_attempts (
    id UUID PRIMARY KEY NOT NULL,
    job_id UUID NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    token BIGINT NOT NULL,
    node_id UUID NOT NULL REFERENCES nodes (id),
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    ended_as TEXT CHECK (ended_as IN ('queued', 'succeeded', 'failed', 'canceled')),
    reason TEXT,
    UNIQUE (job_id, token),
    CHECK ((ended_at IS NULL) = (ended_as IS NULL))
);
CREATE INDEX job_attempts_node ON job_attempts (node_id, id);
CREATE INDEX job_attempts_open ON job_attempts (node_id) WHERE ended_at IS NULL;
CREATE INDEX jobs_node ON jobs (node_id) WHERE lease_until IS NOT NULL;
