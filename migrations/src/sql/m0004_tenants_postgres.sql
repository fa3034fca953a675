ALTER TABLE protected_sets DROP CONSTRAINT protected_sets_owner_id_fkey;
ALTER TABLE protected_sets ADD CONSTRAINT protected_sets_owner_id_fkey
    FOREIGN KEY (owner_id) REFERENCES organisations (id) ON DELETE CASCADE;
ALTER TABLE images DROP CONSTRAINT images_owner_id_fkey;
ALTER TABLE images ADD CONSTRAINT images_owner_id_fkey
    FOREIGN KEY (owner_id) REFERENCES organisations (id) ON DELETE CASCADE;
ALTER TABLE uploads DROP CONSTRAINT uploads_owner_id_fkey;
ALTER TABLE uploads ADD CONSTRAINT uploads_owner_id_fkey
    FOREIGN KEY (owner_id) REFERENCES organisations (id) ON DELETE CASCADE;
ALTER TABLE jobs DROP CONSTRAINT jobs_owner_id_fkey;
ALTER TABLE jobs ADD CONSTRAINT jobs_owner_id_fkey
    FOREIGN KEY (owner_id) REFERENCES organisations (id) ON DELETE CASCADE;
ALTER TABLE artifacts DROP CONSTRAINT artifacts_owner_id_fkey;
ALTER TABLE artifacts ADD CONSTRAINT artifacts_owner_id_fkey
    FOREIGN KEY (owner_id) REFERENCES organisations (id) ON DELETE CASCADE;
ALTER TABLE galleries DROP CONSTRAINT galleries_owner_id_fkey;
ALTER TABLE galleries ADD CONSTRAINT galleries_owner_id_fkey
    FOREIGN KEY (owner_id) REFERENCES organisations (id) ON DELETE CASCADE;
ALTER TABLE patches DROP CONSTRAINT patches_owner_id_fkey;
ALTER TABLE patches ADD CONSTRAINT patches_owner_id_fkey
    FOREIGN KEY (owner_id) REFERENCES organisations (id) ON DELETE CASCADE;
ALTER TABLE base_models DROP CONSTRAINT base_models_owner_id_fkey;
ALTER TABLE base_models ADD CONSTRAINT base_models_owner_id_fkey
    FOREIGN KEY (owner_id) REFERENCES organisations (id) ON DELETE CASCADE;
ALTER TABLE model_imports DROP CONSTRAINT model_imports_owner_id_fkey;
ALTER TABLE model_imports ADD CONSTRAINT model_imports_owner_id_fkey
    FOREIGN KEY (owner_id) REFERENCES organisations (id) ON DELETE CASCADE;
UPDATE sessions SET id = gen_random_uuid();
CREATE UNIQUE INDEX sessions_id ON sessions (id);
