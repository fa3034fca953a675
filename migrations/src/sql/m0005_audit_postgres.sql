-- An entry never changes, and goes only with its whole log: the head first, then the entries.
CREATE FUNCTION audit_events_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF NOT EXISTS (SELECT 1 FROM audit_chains WHERE log_id = OLD.log_id) THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION 'an audit entry goes only with its log';
    END IF;
    RAISE EXCEPTION 'an audit entry never changes';
END $$;
CREATE TRIGGER audit_events_keep BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION audit_events_refuse();
