-- A check is part of the table's text alone: SQLite's manual has it changed there.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
    SET sql = replace(
        replace(sql, '(kind IN (''protect'', ''evaluate'', ''probe''))',
            '(kind IN (''protect'', ''evaluate'', ''probe'', ''study''))'),
        '(kind = ''evaluate'') = (parent_id', '(kind IN (''evaluate'', ''study'')) = (parent_id')
    WHERE type = 'table' AND name = 'jobs';
UPDATE sqlite_schema
    SET sql = replace(sql, '''probe'', ''revocation'')',
        '''probe'', ''revocation'', ''matrix_plan'', ''matrix_cell'', ''matrix_cells'', ''matrix_report'', '
        || '''report_page'', ''certificate'')')
    WHERE type = 'table' AND name = 'artifacts';
PRAGMA writable_schema = RESET;
