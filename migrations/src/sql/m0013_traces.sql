-- Below which span of which trace a job was created (W3C Trace Context); nothing where there are no traces.
ALTER TABLE jobs ADD COLUMN traceparent TEXT CHECK (length(traceparent) = 55);
-- An account's jobs under way are counted for each new one, however many have ended.
CREATE INDEX jobs_owner_status ON jobs (owner_id, status);
