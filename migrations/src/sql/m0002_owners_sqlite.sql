-- SQLite cannot drop a constraint: the table is made anew. Its rows go and come back inside one
-- transaction, with the files that a deletion takes along; jobs that name a model wait until the end.
PRAGMA defer_foreign_keys = ON;

CREATE TABLE base_models_kept AS SELECT * FROM base_models;
CREATE TABLE base_model_files_kept AS SELECT * FROM base_model_files;
DROP TABLE base_models;

CREATE TABLE base_models (
    id UUID PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    family TEXT NOT NULL,
    resolution INTEGER NOT NULL CHECK (resolution > 0),
    licence TEXT NOT NULL,
    manifest_sha256 TEXT NOT NULL CHECK (length(manifest_sha256) = 64),
    size_bytes BIGINT NOT NULL CHECK (size_bytes >= 0),
    classes TEXT NOT NULL,
    targets TEXT NOT NULL,
    identifiers TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    owner_id UUID REFERENCES users (id) ON DELETE CASCADE,
    facts TEXT
);
INSERT INTO base_models (id, name, family, resolution, licence, manifest_sha256, size_bytes,
        classes, targets, identifiers, created_at)
    SELECT id, name, family, resolution, licence, manifest_sha256, size_bytes,
        classes, targets, identifiers, created_at FROM base_models_kept;
DELETE FROM base_model_files;
INSERT INTO base_model_files SELECT * FROM base_model_files_kept;

DROP TABLE base_model_files_kept;
DROP TABLE base_models_kept;
