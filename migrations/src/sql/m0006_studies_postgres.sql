ALTER TABLE jobs DROP CONSTRAINT jobs_kind_check;
ALTER TABLE jobs ADD CONSTRAINT jobs_kind_check CHECK (kind IN ('protect', 'evaluate', 'probe', 'study'));
-- The rule about parents was made without a name.
DO $$
DECLARE
    unnamed TEXT;
BEGIN
    SELECT conname INTO STRICT unnamed FROM pg_constraint
        WHERE conrelid = 'jobs'::regclass AND contype = 'c' AND pg_get_constraintdef(oid) LIKE '%parent_id%';
    EXECUTE format('ALTER TABLE jobs DROP CONSTRAINT %I', unnamed);
END $$;
ALTER TABLE jobs ADD CONSTRAINT jobs_parent_check
    CHECK ((kind IN ('evaluate', 'study')) = (parent_id IS NOT NULL));
ALTER TABLE artifacts DROP CONSTRAINT artifacts_kind_check;
ALTER TABLE artifacts ADD CONSTRAINT artifacts_kind_check CHECK (kind IN
    ('protected_unet', 'gallery_image', 'report', 'preview', 'commitment', 'probe', 'revocation', 'matrix_plan',
    'matrix_cell', 'matrix_cells', 'matrix_report', 'report_page', 'certificate'));
