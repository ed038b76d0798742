-- Alerts about nodes, and when those of a pool's members are raised.

-- Limits of usage in millionths, and seconds without a report.
ALTER TABLE pools ADD COLUMN alert_cpu INTEGER;
ALTER TABLE pools ADD COLUMN alert_memory INTEGER;
ALTER TABLE pools ADD COLUMN alert_disk INTEGER;
ALTER TABLE pools ADD COLUMN alert_missed_heartbeat_s INTEGER;

CREATE TABLE alerts (
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    node BLOB NOT NULL CHECK (length(node) = 16),
    kind TEXT NOT NULL,
    raised_at INTEGER NOT NULL,
    cleared_at INTEGER,
    message TEXT NOT NULL,
    value INTEGER,
    limit_value INTEGER
) STRICT;
-- One active alert a node and kind, whoever raises it.
CREATE UNIQUE INDEX alerts_active ON alerts (node, kind) WHERE cleared_at IS NULL;
CREATE INDEX alerts_walk ON alerts (id) WHERE cleared_at IS NULL;
CREATE INDEX alerts_node ON alerts (node, raised_at, id);
CREATE INDEX alerts_cleared ON alerts (cleared_at) WHERE cleared_at IS NOT NULL;
