-- What checks found of pools, and nodes that wait for a place in one.

CREATE TABLE pool_standings (
    pool BLOB NOT NULL UNIQUE CHECK (length(pool) = 16),
    health TEXT NOT NULL,
    since INTEGER NOT NULL,
    better TEXT,
    checked_at INTEGER NOT NULL,
    working INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    -- [[node, milliseconds], …]
    replaced TEXT NOT NULL,
    version INTEGER NOT NULL
) STRICT;
CREATE INDEX nodes_standby ON nodes (id) WHERE status = 'active' AND pool IS NULL;
