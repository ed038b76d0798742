-- Payouts keep a pace of their own, and are looked up while they wait for a person; freezing takes its time; what the payment service tells
-- otherwise of a payout is a record that treasurers end.

ALTER TABLE payouts ADD COLUMN next_send_at INTEGER NOT NULL DEFAULT 0;
-- Milliseconds since the first send in which nobody could look.
ALTER TABLE payouts ADD COLUMN blind_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE payouts ADD COLUMN found_at INTEGER;
-- The transaction that was found; null: it was not paid.
ALTER TABLE payouts ADD COLUMN found_txid TEXT;

ALTER TABLE payments_switch ADD COLUMN freeze_fence INTEGER NOT NULL DEFAULT 0;
ALTER TABLE payments_switch ADD COLUMN still_at INTEGER;
ALTER TABLE payments_switch ADD COLUMN backup_at INTEGER;
-- Whatever was frozen before this is still by now.
UPDATE payments_switch SET still_at = frozen_at;

CREATE TABLE mismatches (
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    payout BLOB NOT NULL CHECK (length(payout) = 16),
    node BLOB NOT NULL CHECK (length(node) = 16),
    amount INTEGER NOT NULL,
    kind TEXT NOT NULL,
    evidence TEXT NOT NULL,
    first_at INTEGER NOT NULL,
    confirmed_at INTEGER NOT NULL,
    ended_at INTEGER,
    remedy TEXT,
    CHECK ((ended_at IS NULL) = (remedy IS NULL))
) STRICT;
CREATE INDEX mismatches_open ON mismatches (id) WHERE ended_at IS NULL;

-- Proposals are about mismatches, too.
CREATE TABLE proposals_about (
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    payout BLOB CHECK (payout IS NULL OR length(payout) = 16),
    -- The transaction of a payout that was paid; null: it was not.
    txid TEXT,
    node BLOB CHECK (node IS NULL OR length(node) = 16),
    correction TEXT,
    amount INTEGER,
    mismatch BLOB CHECK (mismatch IS NULL OR length(mismatch) = 16),
    remedy TEXT,
    evidence TEXT NOT NULL,
    actor TEXT NOT NULL,
    at INTEGER NOT NULL,
    decided_at INTEGER,
    decided_by TEXT,
    accepted INTEGER,
    CHECK ((payout IS NOT NULL) + (node IS NOT NULL) + (mismatch IS NOT NULL) = 1)
) STRICT;
INSERT INTO proposals_about (id, payout, txid, node, correction, amount, evidence, actor, at, decided_at, decided_by, accepted)
    SELECT id, payout, txid, node, correction, amount, evidence, actor, at, decided_at, decided_by, accepted FROM proposals;
DROP TABLE proposals;
ALTER TABLE proposals_about RENAME TO proposals;
