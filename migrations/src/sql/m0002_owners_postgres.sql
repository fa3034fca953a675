ALTER TABLE base_models DROP CONSTRAINT base_models_manifest_sha256_key;
ALTER TABLE base_models ADD COLUMN owner_id UUID REFERENCES users (id) ON DELETE CASCADE;
ALTER TABLE base_models ADD COLUMN facts TEXT;
