-- An entry never changes, and goes only with its whole log: the head first, then the entries.
CREATE TRIGGER audit_events_keep BEFORE UPDATE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'an audit entry never changes');
END;
CREATE TRIGGER audit_events_stay BEFORE DELETE ON audit_events
WHEN EXISTS (SELECT 1 FROM audit_chains WHERE log_id = OLD.log_id)
BEGIN
    SELECT RAISE(ABORT, 'an audit entry goes only with its log');
END;
