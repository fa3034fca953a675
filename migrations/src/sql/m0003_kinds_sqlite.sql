-- SQLite cannot change a constraint: both tables are made anew. Their rows go and come back inside one
-- transaction, with the events that a deletion takes along; galleries that name a job wait until the end.
PRAGMA defer_foreign_keys = ON;

CREATE TABLE jobs_kept AS SELECT * FROM jobs;
CREATE TABLE job_events_kept AS SELECT * FROM job_events;
CREATE TABLE artifacts_kept AS SELECT * FROM artifacts;
DROP TABLE artifacts;
DROP TABLE jobs;

CREATE TABLE jobs (
    id UUID PRIMARY KEY NOT NULL,
    owner_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    set_id UUID NOT NULL REFERENCES protected_sets (id),
    model_id UUID NOT NULL REFERENCES base_models (id),
    parent_id UUID REFERENCES jobs (id),
    idempotency_key TEXT,
    kind TEXT NOT NULL CHECK (kind IN ('protect', 'evaluate', 'probe')),
    status TEXT NOT NULL CHECK (status IN
        ('queued', 'starting', 'running', 'canceling', 'succeeded', 'failed', 'canceled')),
    status_reason TEXT NOT NULL,
    spec TEXT NOT NULL,
    priority INTEGER NOT NULL,
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    token BIGINT NOT NULL,
    node_id UUID REFERENCES nodes (id),
    lease_until BIGINT,
    finish_digest TEXT,
    last_sequence BIGINT NOT NULL,
    progress TEXT NOT NULL,
    resume_step INTEGER,
    resume_sha256 TEXT CHECK (length(resume_sha256) = 64),
    resume_size_bytes BIGINT,
    metrics TEXT,
    failure TEXT,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    completed_at BIGINT,
    CHECK ((status IN ('starting', 'running', 'canceling')) = (lease_until IS NOT NULL)),
    CHECK ((status IN ('succeeded', 'failed', 'canceled')) = (completed_at IS NOT NULL)),
    CHECK ((status = 'failed') = (failure IS NOT NULL)),
    CHECK ((kind = 'evaluate') = (parent_id IS NOT NULL))
);
CREATE UNIQUE INDEX jobs_idempotency ON jobs (owner_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX jobs_claim ON jobs (status, priority, created_at);
CREATE INDEX jobs_owner ON jobs (owner_id, id);
CREATE INDEX jobs_parent ON jobs (parent_id);
CREATE INDEX jobs_set ON jobs (set_id);
CREATE INDEX jobs_lease ON jobs (lease_until) WHERE lease_until IS NOT NULL;
INSERT INTO jobs SELECT * FROM jobs_kept;
DELETE FROM job_events;
INSERT INTO job_events SELECT * FROM job_events_kept;

CREATE TABLE artifacts (
    id UUID PRIMARY KEY NOT NULL,
    owner_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    job_id UUID NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN
        ('protected_unet', 'gallery_image', 'report', 'preview', 'commitment', 'probe', 'revocation')),
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    size_bytes BIGINT NOT NULL CHECK (size_bytes >= 0),
    created_at BIGINT NOT NULL,
    UNIQUE (job_id, name)
);
INSERT INTO artifacts SELECT * FROM artifacts_kept;

DROP TABLE artifacts_kept;
DROP TABLE job_events_kept;
DROP TABLE jobs_kept;

-- What was one subject becomes the first of several concepts.
UPDATE jobs SET spec = json_remove(
    json_set(spec, '$.concepts', json_array(json_object(
        'protected_set_id', json_extract(spec, '$.protected_set_id'),
        'subject', 'object',
        'class_name', json_extract(spec, '$.class_name'),
        'identifier', json_extract(spec, '$.identifier'),
        'objective', json(json_extract(spec, '$.objective')),
        'action', 'protect'))),
    '$.protected_set_id', '$.class_name', '$.identifier', '$.objective')
    WHERE json_type(spec, '$.concepts') IS NULL;
