ALTER TABLE approvals DROP CONSTRAINT approvals_requested_by_fkey;
