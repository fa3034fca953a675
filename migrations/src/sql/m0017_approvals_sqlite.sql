-- SQLite cannot drop a constraint: the table is made anew. Nothing refers to it.
CREATE TABLE approvals_kept AS SELECT * FROM approvals;
DROP TABLE approvals;

CREATE TABLE approvals (
    id UUID PRIMARY KEY NOT NULL,
    owner_id UUID NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    requested_by UUID NOT NULL,
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
INSERT INTO approvals SELECT * FROM approvals_kept;
DROP TABLE approvals_kept;
CREATE INDEX approvals_job ON approvals (job_id, unet_sha256);
CREATE INDEX approvals_owner ON approvals (owner_id, id);
CREATE INDEX approvals_reviewer ON approvals (reviewer_email, id);
