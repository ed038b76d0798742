-- core.db: everything but telemetry. Ids are 16 bytes, digests 32, times milliseconds, money micro-USDT.

CREATE TABLE stamp (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    environment TEXT NOT NULL,
    network TEXT NOT NULL,
    rail TEXT NOT NULL,
    family BLOB NOT NULL CHECK (length(family) = 16)
) STRICT;

CREATE TABLE audit (
    at INTEGER NOT NULL,
    id BLOB NOT NULL CHECK (length(id) = 16),
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    request_id TEXT,
    PRIMARY KEY (at, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_actor ON audit (actor, at, id);
CREATE INDEX audit_action ON audit (action, at, id);
CREATE INDEX audit_subject ON audit (subject, at, id);

CREATE TABLE nodes (
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    owner BLOB NOT NULL CHECK (length(owner) = 16),
    external_id TEXT,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    pool BLOB CHECK (length(pool) = 16),
    ip TEXT NOT NULL,
    port INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    score INTEGER,
    observed_s INTEGER NOT NULL,
    public_key BLOB CHECK (length(public_key) = 32),
    version INTEGER NOT NULL,
    doc TEXT NOT NULL
) STRICT;
-- What may exist once exists once among live nodes; history keeps the rest.
CREATE UNIQUE INDEX nodes_live_address ON nodes (ip, port) WHERE status <> 'deregistered';
CREATE UNIQUE INDEX nodes_live_key ON nodes (public_key) WHERE status <> 'deregistered' AND public_key IS NOT NULL;
CREATE UNIQUE INDEX nodes_live_external ON nodes (external_id) WHERE status <> 'deregistered' AND external_id IS NOT NULL;
CREATE INDEX nodes_created ON nodes (created_at, id) WHERE status <> 'deregistered';
CREATE INDEX nodes_updated ON nodes (updated_at, id) WHERE status <> 'deregistered';
CREATE INDEX nodes_score ON nodes (score, id) WHERE status <> 'deregistered';
CREATE INDEX nodes_name ON nodes (name, id) WHERE status <> 'deregistered';
CREATE INDEX nodes_owner_created ON nodes (owner, created_at, id) WHERE status <> 'deregistered';
CREATE INDEX nodes_owner_updated ON nodes (owner, updated_at, id) WHERE status <> 'deregistered';
CREATE INDEX nodes_owner_score ON nodes (owner, score, id) WHERE status <> 'deregistered';
CREATE INDEX nodes_owner_name ON nodes (owner, name, id) WHERE status <> 'deregistered';
CREATE INDEX nodes_status_created ON nodes (status, created_at, id) WHERE status <> 'deregistered';
CREATE INDEX nodes_pool ON nodes (pool, id) WHERE pool IS NOT NULL;

CREATE TABLE pools (
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    name TEXT NOT NULL UNIQUE,
    description TEXT,
    status TEXT NOT NULL,
    max_nodes INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    auto_assignment INTEGER NOT NULL,
    load_balancing TEXT NOT NULL,
    health_check_interval_s INTEGER NOT NULL,
    failover_enabled INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT;
CREATE INDEX pools_created ON pools (created_at, id);
CREATE INDEX pools_updated ON pools (updated_at, id);
CREATE INDEX pools_name ON pools (name, id);
CREATE INDEX pools_status_created ON pools (status, created_at, id);

CREATE TABLE policy_versions (
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    kind TEXT NOT NULL,
    abi TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    uploaded_at INTEGER NOT NULL,
    uploaded_by TEXT NOT NULL
) STRICT;
CREATE INDEX policy_versions_uploaded ON policy_versions (uploaded_at, digest);

-- Apart from their versions: listing versions never reads a component.
CREATE TABLE policy_bundles (
    digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    manifest TEXT NOT NULL,
    component BLOB NOT NULL,
    golden TEXT NOT NULL
) STRICT;

CREATE TABLE activations (
    revision INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    params TEXT NOT NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE INDEX activations_scope ON activations (kind, scope, revision);

CREATE TABLE imports (
    digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    outcome TEXT NOT NULL
) STRICT;

-- A frame without chunks is a frame: an epoch without nodes.
CREATE TABLE frames (
    epoch_start_s INTEGER PRIMARY KEY,
    length_s INTEGER NOT NULL
) STRICT;
CREATE TABLE frame_chunks (
    epoch_start_s INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    zstd BLOB NOT NULL,
    UNIQUE (epoch_start_s, idx)
) STRICT;

CREATE TABLE epochs (
    start_s INTEGER PRIMARY KEY,
    length_s INTEGER NOT NULL,
    closed_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    rules INTEGER NOT NULL,
    nodes INTEGER NOT NULL,
    eligible INTEGER NOT NULL,
    held INTEGER NOT NULL,
    root BLOB NOT NULL CHECK (length(root) = 32),
    previous_link BLOB NOT NULL CHECK (length(previous_link) = 32),
    block_id TEXT,
    block_hash TEXT
) STRICT;
CREATE INDEX epochs_without_block ON epochs (start_s) WHERE block_id IS NULL;

CREATE TABLE chunks (
    epoch_start_s INTEGER NOT NULL,
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
    PRIMARY KEY (epoch_start_s, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE scores (
    epoch_start_s INTEGER NOT NULL,
    node BLOB NOT NULL CHECK (length(node) = 16),
    chunk INTEGER NOT NULL,
    place INTEGER NOT NULL,
    calculated_at INTEGER NOT NULL,
    observed_s INTEGER NOT NULL,
    window_observed_s INTEGER NOT NULL,
    eligible INTEGER NOT NULL,
    multiplier INTEGER NOT NULL,
    raw INTEGER NOT NULL,
    score INTEGER NOT NULL,
    sessions INTEGER NOT NULL,
    factor_observation INTEGER NOT NULL,
    factor_quality INTEGER NOT NULL,
    factor_uptime INTEGER NOT NULL,
    factor_resources INTEGER NOT NULL,
    factor_network INTEGER NOT NULL,
    reason TEXT,
    held INTEGER NOT NULL,
    PRIMARY KEY (epoch_start_s, node)
) STRICT, WITHOUT ROWID;
CREATE INDEX scores_history ON scores (node, calculated_at, epoch_start_s);

-- Which row of scores is a node's latest, with the columns that lists of latest scores sort and filter by.
CREATE TABLE latest_scores (
    node BLOB NOT NULL PRIMARY KEY CHECK (length(node) = 16),
    epoch_start_s INTEGER NOT NULL,
    calculated_at INTEGER NOT NULL,
    score INTEGER NOT NULL,
    pool BLOB CHECK (length(pool) = 16),
    owner BLOB CHECK (length(owner) = 16)
) STRICT, WITHOUT ROWID;
CREATE INDEX latest_scores_score ON latest_scores (score, node);
CREATE INDEX latest_scores_calculated ON latest_scores (calculated_at, node);
CREATE INDEX latest_scores_owner_score ON latest_scores (owner, score, node);
CREATE INDEX latest_scores_owner_calculated ON latest_scores (owner, calculated_at, node);
CREATE INDEX latest_scores_owner_node ON latest_scores (owner, node);
CREATE INDEX latest_scores_pool_node ON latest_scores (pool, node) WHERE pool IS NOT NULL;

CREATE TABLE on_demand (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    node BLOB NOT NULL CHECK (length(node) = 16),
    calculated_at INTEGER NOT NULL,
    score INTEGER NOT NULL,
    doc TEXT NOT NULL
) STRICT;
CREATE INDEX on_demand_history ON on_demand (node, calculated_at);

CREATE TABLE votes (
    epoch_start_s INTEGER NOT NULL,
    node BLOB NOT NULL CHECK (length(node) = 16),
    owner BLOB CHECK (length(owner) = 16),
    score INTEGER NOT NULL,
    block_id TEXT,
    block_hash TEXT,
    choice TEXT NOT NULL,
    at INTEGER NOT NULL,
    merkle_root BLOB NOT NULL CHECK (length(merkle_root) = 32),
    state TEXT NOT NULL,
    vote_id TEXT,
    answer TEXT,
    attempts INTEGER NOT NULL,
    next_attempt_at INTEGER NOT NULL,
    PRIMARY KEY (epoch_start_s, node)
) STRICT, WITHOUT ROWID;
CREATE INDEX votes_node ON votes (node, epoch_start_s);
CREATE INDEX votes_owner ON votes (owner, epoch_start_s, node);
CREATE INDEX votes_state ON votes (state, epoch_start_s, node);
CREATE INDEX votes_due ON votes (epoch_start_s, node) WHERE state = 'pending' AND block_id IS NOT NULL;
CREATE INDEX votes_without_block ON votes (epoch_start_s) WHERE state = 'pending' AND block_id IS NULL;

CREATE TABLE ledger (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    stream TEXT NOT NULL,
    seq INTEGER NOT NULL CHECK (seq > 0),
    kind TEXT NOT NULL,
    cause TEXT NOT NULL,
    at INTEGER NOT NULL,
    available INTEGER NOT NULL CHECK (available >= 0),
    held INTEGER NOT NULL CHECK (held >= 0),
    reserved INTEGER NOT NULL CHECK (reserved >= 0),
    receivable INTEGER NOT NULL CHECK (receivable >= 0),
    UNIQUE (stream, seq)
) STRICT;
CREATE TABLE legs (
    entry INTEGER NOT NULL,
    place INTEGER NOT NULL,
    account TEXT NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (entry, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX legs_account ON legs (account, amount);
-- Derived from the ledger in the transaction that books: the last entry of each stream.
CREATE TABLE heads (
    stream TEXT NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL,
    available INTEGER NOT NULL,
    held INTEGER NOT NULL,
    reserved INTEGER NOT NULL,
    receivable INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX heads_available ON heads (available, stream) WHERE stream <> 'treasury';
-- The ledger is insert-only, whoever writes.
CREATE TRIGGER ledger_is_never_updated BEFORE UPDATE ON ledger BEGIN SELECT RAISE (ABORT, 'the ledger is insert-only'); END;
CREATE TRIGGER ledger_is_never_deleted BEFORE DELETE ON ledger BEGIN SELECT RAISE (ABORT, 'the ledger is insert-only'); END;
CREATE TRIGGER legs_are_never_updated BEFORE UPDATE ON legs BEGIN SELECT RAISE (ABORT, 'the ledger is insert-only'); END;
CREATE TRIGGER legs_are_never_deleted BEFORE DELETE ON legs BEGIN SELECT RAISE (ABORT, 'the ledger is insert-only'); END;

CREATE TABLE settlements (
    period_start_s INTEGER PRIMARY KEY,
    length_s INTEGER NOT NULL,
    accruals INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    budget INTEGER NOT NULL,
    remainder INTEGER NOT NULL,
    note TEXT
) STRICT;

CREATE TABLE runs (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    cycle INTEGER NOT NULL,
    state TEXT NOT NULL,
    planner TEXT NOT NULL,
    approver TEXT,
    payouts INTEGER NOT NULL,
    total INTEGER NOT NULL,
    reason TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT;
CREATE INDEX runs_open ON runs (created_at, id) WHERE state IN ('planned', 'approved');

CREATE TABLE payouts (
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    run BLOB NOT NULL CHECK (length(run) = 16),
    node BLOB NOT NULL CHECK (length(node) = 16),
    owner BLOB NOT NULL CHECK (length(owner) = 16),
    cycle INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    address TEXT NOT NULL,
    wallet_version INTEGER NOT NULL,
    state TEXT NOT NULL,
    sends INTEGER NOT NULL,
    ambiguous INTEGER NOT NULL,
    request BLOB,
    external_id TEXT,
    txid TEXT,
    reason TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    submitted_at INTEGER,
    processed_at INTEGER,
    next_attempt_at INTEGER NOT NULL,
    closed INTEGER NOT NULL,
    score INTEGER,
    observed_s INTEGER NOT NULL,
    period_start_s INTEGER NOT NULL,
    period_end_s INTEGER NOT NULL,
    version INTEGER NOT NULL,
    -- The contract's coarser word, derived from the state; kept because lists sort and filter by it.
    status TEXT NOT NULL,
    UNIQUE (node, cycle, attempt)
) STRICT;
CREATE UNIQUE INDEX payouts_one_open ON payouts (node) WHERE closed = 0;
CREATE UNIQUE INDEX payouts_external ON payouts (external_id) WHERE external_id IS NOT NULL;
CREATE UNIQUE INDEX payouts_txid ON payouts (txid) WHERE txid IS NOT NULL;
CREATE INDEX payouts_outbox ON payouts (next_attempt_at, created_at, id) WHERE closed = 0;
CREATE INDEX payouts_created ON payouts (created_at, id);
CREATE INDEX payouts_updated ON payouts (updated_at, id);
CREATE INDEX payouts_amount ON payouts (amount, id);
CREATE INDEX payouts_status ON payouts (status, id);
CREATE INDEX payouts_node ON payouts (node, created_at, id);
CREATE INDEX payouts_owner_created ON payouts (owner, created_at, id);
CREATE INDEX payouts_owner_updated ON payouts (owner, updated_at, id);
CREATE INDEX payouts_owner_amount ON payouts (owner, amount, id);
CREATE INDEX payouts_owner_status ON payouts (owner, status, id);
CREATE INDEX payouts_run ON payouts (run, created_at, id);
CREATE INDEX payouts_status_created ON payouts (status, created_at, id);
