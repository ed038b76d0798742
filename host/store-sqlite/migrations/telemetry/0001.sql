-- telemetry.db: what nodes report. Counters are 64 bits of two's complement: they are never compared here.

CREATE TABLE samples (
    node BLOB NOT NULL CHECK (length(node) = 16),
    at INTEGER NOT NULL,
    arrived_at INTEGER NOT NULL,
    cpu INTEGER NOT NULL,
    memory INTEGER NOT NULL,
    disk INTEGER NOT NULL,
    bytes_sent INTEGER NOT NULL,
    bytes_received INTEGER NOT NULL,
    packets_sent INTEGER NOT NULL,
    packets_received INTEGER NOT NULL,
    active_sessions INTEGER NOT NULL,
    uptime_s INTEGER NOT NULL,
    PRIMARY KEY (node, at)
) STRICT, WITHOUT ROWID;

CREATE TABLE presence (
    node BLOB NOT NULL CHECK (length(node) = 16),
    from_ms INTEGER NOT NULL,
    to_ms INTEGER NOT NULL,
    PRIMARY KEY (node, from_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX presence_end ON presence (node, to_ms, from_ms);

CREATE TABLE sessions (
    session BLOB NOT NULL UNIQUE CHECK (length(session) = 16),
    node BLOB NOT NULL CHECK (length(node) = 16),
    from_ms INTEGER NOT NULL,
    to_ms INTEGER NOT NULL,
    quality INTEGER NOT NULL,
    cpu INTEGER,
    memory INTEGER,
    disk INTEGER,
    bytes_sent INTEGER,
    bytes_received INTEGER,
    packets_sent INTEGER,
    packets_received INTEGER,
    by_observer INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('accepted', 'rejected', 'unverified')),
    reason TEXT
) STRICT;
CREATE INDEX sessions_end ON sessions (node, to_ms, from_ms);
CREATE INDEX sessions_unverified ON sessions (session) WHERE verdict = 'unverified';

CREATE TABLE sequences (
    node BLOB NOT NULL PRIMARY KEY CHECK (length(node) = 16),
    highest INTEGER NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32)
) STRICT, WITHOUT ROWID;

-- What changes with every report; the newest sample itself is in samples.
CREATE TABLE live (
    node BLOB NOT NULL PRIMARY KEY CHECK (length(node) = 16),
    last_seen INTEGER NOT NULL,
    sample_at INTEGER
) STRICT, WITHOUT ROWID;
