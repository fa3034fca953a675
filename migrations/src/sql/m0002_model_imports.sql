-- Portable between SQLite and PostgreSQL. The same bytes are one model for everybody, and one for each
-- account that imported them: nobody learns from an import what others have.
CREATE UNIQUE INDEX base_models_manifest ON base_models (manifest_sha256) WHERE owner_id IS NULL;
CREATE UNIQUE INDEX base_models_owner ON base_models (owner_id, manifest_sha256)
    WHERE owner_id IS NOT NULL;

CREATE TABLE model_imports (
    id UUID PRIMARY KEY NOT NULL,
    owner_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    licence TEXT NOT NULL,
    classes TEXT NOT NULL,
    pinned_sha256 TEXT CHECK (length(pinned_sha256) = 64),
    source TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN
        ('uploading', 'downloading', 'verifying', 'ready', 'failed')),
    failure TEXT,
    model_id UUID REFERENCES base_models (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    touched_at BIGINT NOT NULL,
    CHECK ((status = 'failed') = (failure IS NOT NULL)),
    CHECK ((status = 'ready') = (model_id IS NOT NULL))
);
CREATE INDEX model_imports_owner ON model_imports (owner_id, id);
CREATE INDEX model_imports_model ON model_imports (model_id);
CREATE INDEX model_imports_age ON model_imports (status, touched_at);

CREATE TABLE model_import_files (
    import_id UUID NOT NULL REFERENCES model_imports (id) ON DELETE CASCADE,
    number INTEGER NOT NULL CHECK (number >= 0),
    name TEXT NOT NULL,
    size_bytes BIGINT NOT NULL CHECK (size_bytes > 0),
    sha256 TEXT CHECK (length(sha256) = 64),
    etag TEXT,
    stored BOOLEAN NOT NULL,
    PRIMARY KEY (import_id, number),
    UNIQUE (import_id, name),
    CHECK (NOT stored OR sha256 IS NOT NULL)
);

ALTER TABLE nodes ADD COLUMN families TEXT;
