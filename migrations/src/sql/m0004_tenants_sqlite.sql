-- A foreign key is part of the table's text alone: SQLite's manual has it changed there, with the rows left
-- where they are, in place of ten tables made anew.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
    SET sql = replace(sql, 'REFERENCES users (id)', 'REFERENCES organisations (id)')
    WHERE type = 'table' AND name IN ('protected_sets', 'images', 'uploads', 'jobs', 'artifacts',
        'galleries', 'patches', 'base_models', 'model_imports');
PRAGMA writable_schema = RESET;
UPDATE sessions SET id = randomblob(16);
CREATE UNIQUE INDEX sessions_id ON sessions (id);
