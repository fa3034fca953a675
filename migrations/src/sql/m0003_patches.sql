-- Portable between SQLite and PostgreSQL. One account's patch has its bytes once, however often they are sent.
CREATE TABLE patches (
    id UUID PRIMARY KEY NOT NULL,
    owner_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    width INTEGER NOT NULL CHECK (width > 0),
    height INTEGER NOT NULL CHECK (height > 0),
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    size_bytes BIGINT NOT NULL CHECK (size_bytes > 0),
    created_at BIGINT NOT NULL,
    UNIQUE (owner_id, sha256)
);
CREATE INDEX patches_page ON patches (owner_id, id);
CREATE INDEX artifacts_kind ON artifacts (owner_id, kind, id);

-- Reports have another name for the rate now.
UPDATE galleries SET output = replace(output, '"target_rate":', '"objective_rate":');
-- Kept answers that show a job show the old form; the jobs themselves remember their keys.
DELETE FROM idempotency_keys WHERE body LIKE '%"spec":{%';
