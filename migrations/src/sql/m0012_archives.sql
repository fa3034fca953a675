-- What became of the files in an uploaded archive, as its owner is told.
ALTER TABLE uploads ADD COLUMN unpacked TEXT;
