ALTER TABLE jobs DROP CONSTRAINT jobs_kind_check;
ALTER TABLE jobs ADD CONSTRAINT jobs_kind_check CHECK (kind IN ('protect', 'evaluate', 'probe'));
ALTER TABLE artifacts DROP CONSTRAINT artifacts_kind_check;
ALTER TABLE artifacts ADD CONSTRAINT artifacts_kind_check CHECK (kind IN
    ('protected_unet', 'gallery_image', 'report', 'preview', 'commitment', 'probe', 'revocation'));

-- What was one subject becomes the first of several concepts.
UPDATE jobs SET spec = (
    (spec::jsonb - ARRAY['protected_set_id', 'class_name', 'identifier', 'objective'])
    || jsonb_build_object('concepts', jsonb_build_array(jsonb_build_object(
        'protected_set_id', spec::jsonb -> 'protected_set_id',
        'subject', 'object'::text,
        'class_name', spec::jsonb -> 'class_name',
        'identifier', spec::jsonb -> 'identifier',
        'objective', spec::jsonb -> 'objective',
        'action', 'protect'::text))))::text
    WHERE NOT jsonb_exists(spec::jsonb, 'concepts');
