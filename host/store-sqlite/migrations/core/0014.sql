-- Versions that are asked beside the active ones, and receipts that adjust closed epochs.

CREATE TABLE shadows (
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    params TEXT NOT NULL,
    pool TEXT,
    from_s INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    ended_at INTEGER,
    ended_by TEXT,
    end_reason TEXT
) STRICT;
CREATE INDEX shadows_running ON shadows (id) WHERE ended_at IS NULL;

CREATE TABLE shadow_results (
    -- Follows from the next two.
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    shadow BLOB NOT NULL CHECK (length(shadow) = 16),
    period_start_s INTEGER NOT NULL,
    length_s INTEGER NOT NULL,
    at INTEGER NOT NULL,
    findings TEXT NOT NULL
) STRICT;
CREATE INDEX shadow_results_period ON shadow_results (shadow, period_start_s);

CREATE TABLE adjustments (
    -- Follows from the next three.
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    epoch_start_s INTEGER NOT NULL,
    node BLOB NOT NULL CHECK (length(node) = 16),
    number INTEGER NOT NULL,
    session BLOB NOT NULL CHECK (length(session) = 16),
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    chunk_root BLOB NOT NULL CHECK (length(chunk_root) = 32),
    -- The rows before and after.
    rows TEXT NOT NULL
) STRICT;
CREATE INDEX adjustments_epoch ON adjustments (epoch_start_s, node, number);
CREATE INDEX adjustments_node ON adjustments (node, epoch_start_s, number);
