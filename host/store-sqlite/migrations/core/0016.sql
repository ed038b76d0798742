-- Stores know when they were put back from a backup. Runs that people plan for chosen nodes, and let go by themselves; and fewer indices that a plan writes.

ALTER TABLE runs ADD COLUMN executor TEXT;
-- Sixteen bytes a node; null: everybody who can be paid.
ALTER TABLE runs ADD COLUMN nodes BLOB;
ALTER TABLE runs ADD COLUMN root BLOB CHECK (root IS NULL OR length(root) = 32);
UPDATE runs SET executor = 'system' WHERE state IN ('approved', 'done');
CREATE INDEX runs_created ON runs (created_at, id);
CREATE INDEX runs_cycle ON runs (cycle, created_at, id);
-- An owner's payouts are few enough to sort: each of these was a page more to write for every payout.
DROP INDEX payouts_owner_updated;
DROP INDEX payouts_owner_amount;
DROP INDEX payouts_owner_status;

ALTER TABLE payments_switch ADD COLUMN restored_at INTEGER;
ALTER TABLE payments_switch ADD COLUMN reconcile_since INTEGER;
ALTER TABLE payments_switch ADD COLUMN reconciled_at INTEGER;

-- Which start of the service wrote last, which the directory says, too; and which file of it this is.
CREATE TABLE boot (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id TEXT NOT NULL,
    file INTEGER NOT NULL
) STRICT;

-- Proposals are about balances, too.
CREATE TABLE proposals_about (
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    payout BLOB CHECK (payout IS NULL OR length(payout) = 16),
    -- The transaction of a payout that was paid; null: it was not.
    txid TEXT,
    node BLOB CHECK (node IS NULL OR length(node) = 16),
    correction TEXT,
    amount INTEGER,
    evidence TEXT NOT NULL,
    actor TEXT NOT NULL,
    at INTEGER NOT NULL,
    decided_at INTEGER,
    decided_by TEXT,
    accepted INTEGER,
    CHECK ((payout IS NULL) = (node IS NOT NULL))
) STRICT;
INSERT INTO proposals_about (id, payout, txid, evidence, actor, at, decided_at, decided_by, accepted)
    SELECT id, payout, txid, evidence, actor, at, decided_at, decided_by, accepted FROM proposals;
DROP TABLE proposals;
ALTER TABLE proposals_about RENAME TO proposals;
