-- A proposal may be about several payouts: what became of each, as JSON.
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
    resolutions TEXT,
    evidence TEXT NOT NULL,
    actor TEXT NOT NULL,
    at INTEGER NOT NULL,
    decided_at INTEGER,
    decided_by TEXT,
    accepted INTEGER,
    CHECK ((payout IS NOT NULL) + (node IS NOT NULL) + (mismatch IS NOT NULL) + (resolutions IS NOT NULL) = 1)
) STRICT;
INSERT INTO proposals_about
    (id, payout, txid, node, correction, amount, mismatch, remedy, evidence, actor, at, decided_at, decided_by, accepted)
    SELECT id, payout, txid, node, correction, amount, mismatch, remedy, evidence, actor, at, decided_at, decided_by, accepted FROM proposals;
DROP TABLE proposals;
ALTER TABLE proposals_about RENAME TO proposals;
