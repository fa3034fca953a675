-- Which device of its node a try ran on, as the node names it; nothing where it did not say.
ALTER TABLE job_attempts ADD COLUMN device TEXT CHECK (length(device) BETWEEN 1 AND 128);
