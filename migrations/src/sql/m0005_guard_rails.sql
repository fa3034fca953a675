-- Portable between SQLite and PostgreSQL. Notices and deletions refer to no account: they outlive it.
ALTER TABLE galleries ADD COLUMN collateral TEXT;

CREATE TABLE approvals (
    id UUID PRIMARY KEY NOT NULL,
    owner_id UUID NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    requested_by UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    job_id UUID NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    unet_sha256 TEXT NOT NULL CHECK (length(unet_sha256) = 64),
    reasons TEXT NOT NULL,
    reviewer_email TEXT NOT NULL,
    note TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'approved', 'rejected')),
    decision_note TEXT,
    decided_by UUID,
    created_at BIGINT NOT NULL,
    decided_at BIGINT,
    CHECK ((status = 'pending') = (decided_by IS NULL)),
    CHECK (decided_by IS NULL OR decided_by <> requested_by)
);
CREATE INDEX approvals_job ON approvals (job_id, unet_sha256);
CREATE INDEX approvals_owner ON approvals (owner_id, id);
CREATE INDEX approvals_reviewer ON approvals (reviewer_email, id);

CREATE TABLE notices (
    id UUID PRIMARY KEY NOT NULL,
    category TEXT NOT NULL,
    object TEXT NOT NULL,
    object_id UUID NOT NULL,
    owner_id UUID NOT NULL,
    explanation TEXT NOT NULL,
    name TEXT NOT NULL,
    email TEXT NOT NULL,
    receipt_hash TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('received', 'suspended', 'dismissed', 'restored')),
    statement TEXT,
    counter_notice TEXT,
    appeal TEXT,
    decided_by UUID,
    created_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    decided_at BIGINT
);
CREATE INDEX notices_object ON notices (object_id, status);
CREATE INDEX notices_owner ON notices (owner_id, id);

CREATE TABLE exports (
    id UUID PRIMARY KEY NOT NULL,
    owner_id UUID NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX exports_owner ON exports (owner_id, id);

CREATE TABLE deletions (
    id UUID PRIMARY KEY NOT NULL,
    receipt TEXT NOT NULL,
    deleted_at BIGINT NOT NULL
);
