-- Samples of hours that are over are packed, in windows of four hours; their rollups outlive them. What is in samples is in no
-- rollup yet.

CREATE TABLE packed_samples (
    node BLOB NOT NULL CHECK (length(node) = 16),
    window INTEGER NOT NULL,
    part INTEGER NOT NULL,
    zstd BLOB NOT NULL,
    PRIMARY KEY (node, window, part)
) STRICT;

CREATE TABLE rollups_5m (
    node BLOB NOT NULL CHECK (length(node) = 16),
    hour INTEGER NOT NULL,
    rollups BLOB NOT NULL,
    PRIMARY KEY (node, hour)
) STRICT, WITHOUT ROWID;

CREATE TABLE rollups_1h (
    node BLOB NOT NULL CHECK (length(node) = 16),
    hour INTEGER NOT NULL,
    rollups BLOB NOT NULL,
    PRIMARY KEY (node, hour)
) STRICT, WITHOUT ROWID;

-- The newest sample stays when the others are forgotten.
ALTER TABLE live ADD COLUMN newest BLOB;
UPDATE live SET newest = (
    SELECT sample_bytes(at, arrived_at, cpu, memory, disk, active_sessions, bytes_sent, bytes_received, packets_sent, packets_received, uptime_s)
    FROM samples WHERE samples.node = live.node AND samples.at = live.sample_at
);
ALTER TABLE live DROP COLUMN sample_at;
