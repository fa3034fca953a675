-- Which job is the next of an account is read at the head of its part of the queue, however long that is: before, each claim sorted
-- everything that waited.
CREATE INDEX jobs_queue ON jobs (status, owner_id, priority DESC, created_at, id);
DROP INDEX jobs_claim;
-- What the latest jobs of a kind measured, however many there are.
CREATE INDEX jobs_measured ON jobs (kind, completed_at) WHERE status = 'succeeded';
-- The newest probe of a set is looked for at each launch.
CREATE INDEX jobs_probes ON jobs (owner_id, set_id, id) WHERE kind = 'probe';
