-- Below which span of which trace a job was created (W3C Trace Context); nothing where there are no traces.
ALTER TABLE jobs ADD COLUMN traceparent TEXT CHECK (length(traceparent) = 55);
