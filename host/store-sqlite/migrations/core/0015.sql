-- What people decide about payments, and fewer indices that have each node's score: an owner's nodes are few enough to sort.

CREATE TABLE payments_switch (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    frozen_at INTEGER,
    frozen_by TEXT,
    frozen_reason TEXT,
    version INTEGER NOT NULL
) STRICT;

CREATE TABLE proposals (
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    payout BLOB NOT NULL CHECK (length(payout) = 16),
    -- The transaction of one that was paid; null: it was not.
    txid TEXT,
    evidence TEXT NOT NULL,
    actor TEXT NOT NULL,
    at INTEGER NOT NULL,
    decided_at INTEGER,
    decided_by TEXT,
    accepted INTEGER
) STRICT;

-- Each had every node's score, or the time of its epoch: a close wrote all of it.
DROP INDEX nodes_owner_score;
DROP INDEX latest_scores_owner_score;
DROP INDEX latest_scores_owner_calculated;
