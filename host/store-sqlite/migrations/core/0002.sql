-- The audit log becomes a chain: numbered, linked, sealed, insert-only.

-- Whose chain it is. A random UUIDv4, for the life of the file.
CREATE TABLE audit_writer (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id BLOB NOT NULL CHECK (length(id) = 16)
) STRICT;
INSERT INTO audit_writer (one, id) VALUES (1, unhex(
    hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || hex(randomblob(6))));

-- What is there already becomes the first link, which the store makes when it opens the file.
CREATE TABLE audit_chained (
    -- Place in the chain, from 1 without gaps: nothing is ever removed, and what a rollback takes back is given out again.
    number INTEGER PRIMARY KEY CHECK (number > 0),
    link INTEGER NOT NULL CHECK (link > 0),
    at INTEGER NOT NULL,
    id BLOB NOT NULL CHECK (length(id) = 16),
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    request_id TEXT,
    before BLOB CHECK (length(before) = 32),
    after BLOB CHECK (length(after) = 32),
    UNIQUE (at, id)
) STRICT;
INSERT INTO audit_chained (link, at, id, actor, action, subject, detail, request_id)
    SELECT 1, at, id, actor, action, subject, detail, request_id FROM audit ORDER BY at, id;
DROP TABLE audit;
ALTER TABLE audit_chained RENAME TO audit;
CREATE INDEX audit_actor ON audit (actor, at, id);
CREATE INDEX audit_action ON audit (action, at, id);
CREATE INDEX audit_subject ON audit (subject, at, id);

-- A link a transaction that added entries; its digest is computed from its columns and the writer.
CREATE TABLE audit_links (
    seq INTEGER PRIMARY KEY CHECK (seq > 0),
    previous BLOB NOT NULL CHECK (length(previous) = 32),
    entries BLOB NOT NULL CHECK (length(entries) = 32),
    count INTEGER NOT NULL CHECK (count > 0),
    total INTEGER NOT NULL CHECK (total >= count),
    at INTEGER NOT NULL
) STRICT;

CREATE TABLE audit_seals (
    seq INTEGER PRIMARY KEY CHECK (seq > 0),
    -- The bytes that are signed.
    statement BLOB NOT NULL,
    signature BLOB NOT NULL CHECK (length(signature) = 64)
) STRICT;

-- The log is insert-only, whoever writes.
CREATE TRIGGER audit_is_never_updated BEFORE UPDATE ON audit BEGIN SELECT RAISE (ABORT, 'the audit log is insert-only'); END;
CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit BEGIN SELECT RAISE (ABORT, 'the audit log is insert-only'); END;
CREATE TRIGGER audit_links_are_never_updated BEFORE UPDATE ON audit_links BEGIN SELECT RAISE (ABORT, 'the audit log is insert-only'); END;
CREATE TRIGGER audit_links_are_never_deleted BEFORE DELETE ON audit_links BEGIN SELECT RAISE (ABORT, 'the audit log is insert-only'); END;
CREATE TRIGGER audit_seals_are_never_updated BEFORE UPDATE ON audit_seals BEGIN SELECT RAISE (ABORT, 'the audit log is insert-only'); END;
CREATE TRIGGER audit_seals_are_never_deleted BEFORE DELETE ON audit_seals BEGIN SELECT RAISE (ABORT, 'the audit log is insert-only'); END;
CREATE TRIGGER audit_writer_is_never_updated BEFORE UPDATE ON audit_writer BEGIN SELECT RAISE (ABORT, 'the audit log is insert-only'); END;
CREATE TRIGGER audit_writer_is_never_deleted BEFORE DELETE ON audit_writer BEGIN SELECT RAISE (ABORT, 'the audit log is insert-only'); END;
