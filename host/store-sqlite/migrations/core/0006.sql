-- Copies of other stores: chains of the audit log that other writers made, and the mark of a copy that is not finished.

-- The file's own chain is chain 0, and its numbers are as they were. A chain that was copied has a number of its own, and its
-- places and links are numbered from (chain << 40) on: audit.number and audit_links.seq stay keys of one column.
CREATE TABLE audit_copied_writers (
    chain INTEGER PRIMARY KEY CHECK (chain > 0),
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16)
) STRICT;
CREATE TRIGGER audit_copied_writers_are_never_updated BEFORE UPDATE ON audit_copied_writers
    BEGIN SELECT RAISE (ABORT, 'the audit log is insert-only'); END;
CREATE TRIGGER audit_copied_writers_are_never_deleted BEFORE DELETE ON audit_copied_writers
    BEGIN SELECT RAISE (ABORT, 'the audit log is insert-only'); END;

-- How far a copy into this store has come; whoever serves refuses a store that has a row here.
CREATE TABLE copying (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    doc TEXT NOT NULL
) STRICT;
