-- Nodes without an address, networks and wallets to count by, enrolment tokens, requests with idempotency keys.

ALTER TABLE nodes RENAME TO nodes_0001;
CREATE TABLE nodes (
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    owner BLOB NOT NULL CHECK (length(owner) = 16),
    external_id TEXT,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    pool BLOB CHECK (length(pool) = 16),
    ip TEXT,
    port INTEGER,
    -- The /24 or /64 of ip, and the payee address: what caps are counted by.
    network TEXT,
    wallet TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    score INTEGER,
    observed_s INTEGER NOT NULL,
    public_key BLOB CHECK (length(public_key) = 32),
    version INTEGER NOT NULL,
    doc TEXT NOT NULL,
    CHECK ((ip IS NULL) = (port IS NULL) AND (ip IS NULL) = (network IS NULL))
) STRICT;
INSERT INTO nodes (id, owner, external_id, name, status, pool, ip, port, network, wallet, created_at, updated_at, score, observed_s, public_key, version, doc)
    SELECT id, owner, external_id, name, status, pool, ip, port, network_of(ip), doc ->> '$.wallet.address', created_at, updated_at, score, observed_s,
           public_key, version, doc
    FROM nodes_0001;
DROP TABLE nodes_0001;

-- What may exist once exists once among live nodes; history keeps the rest.
CREATE UNIQUE INDEX nodes_live_address ON nodes (ip, port) WHERE status <> 'deregistered' AND ip IS NOT NULL;
CREATE UNIQUE INDEX nodes_live_key ON nodes (public_key) WHERE status <> 'deregistered' AND public_key IS NOT NULL;
CREATE UNIQUE INDEX nodes_live_external ON nodes (external_id) WHERE status <> 'deregistered' AND external_id IS NOT NULL;
CREATE INDEX nodes_live_network ON nodes (network) WHERE status <> 'deregistered' AND network IS NOT NULL;
CREATE INDEX nodes_live_wallet ON nodes (wallet) WHERE status <> 'deregistered' AND wallet IS NOT NULL;
-- One index for each list that may be long: all nodes, an owner's, those in a status. A pool has at most 1000 nodes: sorted when asked for.
CREATE INDEX nodes_created ON nodes (created_at, id) WHERE status <> 'deregistered';
CREATE INDEX nodes_updated ON nodes (updated_at, id) WHERE status <> 'deregistered';
CREATE INDEX nodes_score ON nodes (score, id) WHERE status <> 'deregistered';
CREATE INDEX nodes_name ON nodes (name, id) WHERE status <> 'deregistered';
CREATE INDEX nodes_owner_created ON nodes (owner, created_at, id) WHERE status <> 'deregistered';
CREATE INDEX nodes_owner_updated ON nodes (owner, updated_at, id) WHERE status <> 'deregistered';
CREATE INDEX nodes_owner_score ON nodes (owner, score, id) WHERE status <> 'deregistered';
CREATE INDEX nodes_owner_name ON nodes (owner, name, id) WHERE status <> 'deregistered';
CREATE INDEX nodes_status_created ON nodes (status, created_at, id) WHERE status <> 'deregistered';
CREATE INDEX nodes_status_updated ON nodes (status, updated_at, id) WHERE status <> 'deregistered';
CREATE INDEX nodes_status_score ON nodes (status, score, id) WHERE status <> 'deregistered';
CREATE INDEX nodes_status_name ON nodes (status, name, id) WHERE status <> 'deregistered';
CREATE INDEX nodes_pool ON nodes (pool, id) WHERE pool IS NOT NULL;

-- How many nodes a pool has, kept by the transaction that moves one: listing and placing never count.
ALTER TABLE pools ADD COLUMN node_count INTEGER NOT NULL DEFAULT 0 CHECK (node_count >= 0);
UPDATE pools SET node_count = (SELECT count(*) FROM nodes WHERE nodes.pool = pools.id);
CREATE TRIGGER nodes_join AFTER INSERT ON nodes WHEN NEW.pool IS NOT NULL BEGIN
    UPDATE pools SET node_count = node_count + 1 WHERE id = NEW.pool;
END;
CREATE TRIGGER nodes_move AFTER UPDATE OF pool ON nodes WHEN NEW.pool IS NOT OLD.pool BEGIN
    UPDATE pools SET node_count = node_count - 1 WHERE id = OLD.pool;
    UPDATE pools SET node_count = node_count + 1 WHERE id = NEW.pool;
END;
CREATE INDEX pools_node_count ON pools (node_count, id);
CREATE INDEX pools_emptiest ON pools (node_count, created_at, id) WHERE status = 'active' AND auto_assignment AND node_count < max_nodes;

CREATE TABLE enrolments (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    owner BLOB NOT NULL CHECK (length(owner) = 16),
    name TEXT NOT NULL,
    scope TEXT NOT NULL,
    pool BLOB CHECK (length(pool) = 16),
    uses_max INTEGER NOT NULL,
    uses INTEGER NOT NULL CHECK (uses <= uses_max),
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX enrolments_created ON enrolments (created_at, id);
CREATE INDEX enrolments_owner ON enrolments (owner, created_at, id);

CREATE TABLE requests (
    subject TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    creates BLOB NOT NULL CHECK (length(creates) = 16),
    lease_until INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    -- Set once it is answered.
    status INTEGER,
    headers TEXT,
    body BLOB,
    PRIMARY KEY (subject, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_expiry ON requests (expires_at);
