-- How large the second of two subjects in a picture is, in percent of the first. Pictures of earlier versions have no
-- such number.
ALTER TABLE images ADD COLUMN second_subject INTEGER;
