-- Keys of organisations, wrapped by a master key of the instance. Whoever removes a row makes everything that was
-- sealed with it unreadable.
CREATE TABLE data_keys (
    owner_id UUID NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    version INTEGER NOT NULL CHECK (version > 0),
    master TEXT NOT NULL,
    wrapped TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (owner_id, version)
);
CREATE INDEX data_keys_master ON data_keys (master);

-- A sealed picture is another object than its pixels. Pictures of earlier versions have none of this.
ALTER TABLE images ADD COLUMN key_version INTEGER;
ALTER TABLE images ADD COLUMN stored_sha256 TEXT CHECK (length(stored_sha256) = 64);
ALTER TABLE images ADD COLUMN thumbnail_sha256 TEXT CHECK (length(thumbnail_sha256) = 64);
ALTER TABLE images ADD COLUMN blur_hash TEXT;
ALTER TABLE images ADD COLUMN difference_hash TEXT CHECK (length(difference_hash) = 16);
ALTER TABLE images ADD COLUMN sharpness INTEGER;
