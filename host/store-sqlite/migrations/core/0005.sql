-- From which period on an activation applies; 0: at once.
ALTER TABLE activations ADD COLUMN from_s INTEGER NOT NULL DEFAULT 0;

-- What the gate found. The rowid is the order; `policy` is null where the manifest could not be read.
CREATE TABLE policy_reports (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    cause TEXT NOT NULL,
    origin TEXT NOT NULL,
    kind TEXT,
    params TEXT NOT NULL,
    checks TEXT NOT NULL,
    name TEXT,
    version TEXT,
    digest BLOB CHECK (digest IS NULL OR length(digest) = 32)
) STRICT;
CREATE INDEX policy_reports_digest ON policy_reports (digest, id);
