-- Scored chunks are packed, stored under the name of an attempt before their epoch is closed, and found by pool and node.

-- A chunk that was scored. It counts if its attempt is that of its epoch's record.
CREATE TABLE scored (
    epoch_start_s INTEGER NOT NULL,
    attempt BLOB NOT NULL CHECK (length(attempt) = 12),
    idx INTEGER NOT NULL,
    length_s INTEGER NOT NULL,
    pool BLOB CHECK (length(pool) = 16),
    row_count INTEGER NOT NULL,
    frame BLOB NOT NULL CHECK (length(frame) = 32),
    policy_name TEXT NOT NULL,
    policy_version TEXT NOT NULL,
    policy_digest BLOB NOT NULL CHECK (length(policy_digest) = 32),
    params BLOB NOT NULL CHECK (length(params) = 32),
    abi TEXT NOT NULL,
    rules INTEGER NOT NULL,
    -- Derived from the rows, so that an attempt can go on without them.
    root BLOB NOT NULL CHECK (length(root) = 32),
    eligible INTEGER NOT NULL,
    held INTEGER NOT NULL,
    -- The least and the greatest node of the rows; null if there are none.
    node_min BLOB CHECK (length(node_min) = 16),
    node_max BLOB CHECK (length(node_max) = 16),
    PRIMARY KEY (epoch_start_s, attempt, idx)
) STRICT, WITHOUT ROWID;
CREATE INDEX scored_pool ON scored (epoch_start_s, pool, node_min);
CREATE TABLE scored_rows (
    epoch_start_s INTEGER NOT NULL,
    attempt BLOB NOT NULL CHECK (length(attempt) = 12),
    idx INTEGER NOT NULL,
    packed BLOB NOT NULL,
    UNIQUE (epoch_start_s, attempt, idx)
) STRICT;

-- Epochs in a row in which a node was scored in one pool. Derived from the chunks; it says where a node's rows are.
CREATE TABLE score_stretches (
    node BLOB NOT NULL CHECK (length(node) = 16),
    from_s INTEGER NOT NULL,
    to_s INTEGER NOT NULL CHECK (to_s >= from_s),
    pool BLOB CHECK (length(pool) = 16),
    PRIMARY KEY (node, from_s)
) STRICT, WITHOUT ROWID;

-- Whose chunks count.
ALTER TABLE epochs ADD COLUMN attempt BLOB CHECK (length(attempt) = 12);
-- While an epoch is being closed: the place of the first chunk whose nodes do not know of it. Null once it is closed.
ALTER TABLE epochs ADD COLUMN settled INTEGER;
-- The place of the first chunk whose votes are not made. Null once all are.
ALTER TABLE epochs ADD COLUMN votes_from INTEGER;
ALTER TABLE epochs ADD COLUMN completeness INTEGER;
CREATE INDEX epochs_closed ON epochs (closed_at);
CREATE INDEX epochs_closing ON epochs (start_s) WHERE settled IS NOT NULL;
CREATE INDEX epochs_without_votes ON epochs (start_s) WHERE votes_from IS NOT NULL;

-- What is in `chunks` and `scores` is packed when the file is opened, an epoch a transaction.
