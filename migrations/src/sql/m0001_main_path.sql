-- Portable between SQLite and PostgreSQL. Moments are milliseconds since the Unix epoch, hashes are
-- lower-case hexadecimal SHA-256, JSON is text. SQLite stores a UUID as a 16 byte blob.

CREATE TABLE users (
    id UUID PRIMARY KEY NOT NULL,
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE sessions (
    token_hash TEXT PRIMARY KEY NOT NULL,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE base_models (
    id UUID PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    family TEXT NOT NULL,
    resolution INTEGER NOT NULL CHECK (resolution > 0),
    licence TEXT NOT NULL,
    manifest_sha256 TEXT NOT NULL UNIQUE CHECK (length(manifest_sha256) = 64),
    size_bytes BIGINT NOT NULL CHECK (size_bytes >= 0),
    classes TEXT NOT NULL,
    targets TEXT NOT NULL,
    identifiers TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE base_model_files (
    model_id UUID NOT NULL REFERENCES base_models (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('model_file', 'encoder')),
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    size_bytes BIGINT NOT NULL CHECK (size_bytes >= 0),
    PRIMARY KEY (model_id, name)
);

CREATE TABLE protected_sets (
    id UUID PRIMARY KEY NOT NULL,
    owner_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('draft', 'sealed')),
    attestation TEXT,
    manifest_sha256 TEXT CHECK (length(manifest_sha256) = 64),
    created_at BIGINT NOT NULL,
    CHECK ((status = 'sealed') = (attestation IS NOT NULL)),
    CHECK ((status = 'sealed') = (manifest_sha256 IS NOT NULL))
);
CREATE INDEX protected_sets_owner ON protected_sets (owner_id, id);

CREATE TABLE images (
    id UUID PRIMARY KEY NOT NULL,
    owner_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    set_id UUID NOT NULL REFERENCES protected_sets (id) ON DELETE CASCADE,
    filename TEXT NOT NULL,
    width INTEGER NOT NULL CHECK (width > 0),
    height INTEGER NOT NULL CHECK (height > 0),
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    content_sha256 TEXT NOT NULL CHECK (length(content_sha256) = 64),
    content_media_type TEXT NOT NULL,
    content_size_bytes BIGINT NOT NULL CHECK (content_size_bytes > 0),
    exif_removed BOOLEAN NOT NULL,
    gps_removed BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (set_id, sha256)
);
CREATE INDEX images_set ON images (set_id, id);

CREATE TABLE uploads (
    id UUID PRIMARY KEY NOT NULL,
    owner_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    set_id UUID NOT NULL REFERENCES protected_sets (id) ON DELETE CASCADE,
    filename TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size_bytes BIGINT NOT NULL CHECK (size_bytes > 0),
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    status TEXT NOT NULL CHECK (status IN ('pending', 'received', 'completed')),
    image_id UUID REFERENCES images (id) ON DELETE SET NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    CHECK (status = 'completed' OR image_id IS NULL)
);
CREATE INDEX uploads_set ON uploads (set_id);
CREATE INDEX uploads_image ON uploads (image_id);
CREATE INDEX uploads_expiry ON uploads (status, expires_at);

CREATE TABLE idempotency_keys (
    principal_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    idempotency_key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status INTEGER,
    headers TEXT,
    body TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (principal_id, idempotency_key),
    CHECK ((status IS NULL) = (headers IS NULL) AND (status IS NULL) = (body IS NULL))
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

CREATE TABLE nodes (
    id UUID PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    threads INTEGER NOT NULL,
    memory_bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL
);

CREATE TABLE jobs (
    id UUID PRIMARY KEY NOT NULL,
    owner_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    set_id UUID NOT NULL REFERENCES protected_sets (id),
    model_id UUID NOT NULL REFERENCES base_models (id),
    parent_id UUID REFERENCES jobs (id),
    idempotency_key TEXT,
    kind TEXT NOT NULL CHECK (kind IN ('protect', 'evaluate')),
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

CREATE TABLE job_events (
    job_id UUID NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    sequence BIGINT NOT NULL CHECK (sequence > 0),
    at BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (job_id, sequence)
);

CREATE TABLE artifacts (
    id UUID PRIMARY KEY NOT NULL,
    owner_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    job_id UUID NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('protected_unet', 'gallery_image', 'report')),
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    size_bytes BIGINT NOT NULL CHECK (size_bytes >= 0),
    created_at BIGINT NOT NULL,
    UNIQUE (job_id, name)
);

CREATE TABLE galleries (
    id UUID PRIMARY KEY NOT NULL,
    owner_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    set_id UUID NOT NULL REFERENCES protected_sets (id),
    protect_job_id UUID NOT NULL REFERENCES jobs (id),
    evaluation_job_id UUID NOT NULL UNIQUE REFERENCES jobs (id),
    title TEXT NOT NULL,
    output TEXT NOT NULL,
    is_public BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX galleries_owner ON galleries (owner_id, id);
CREATE INDEX galleries_protect_job ON galleries (protect_job_id);
CREATE INDEX galleries_public ON galleries (is_public, id);
