-- Webhooks, and what is on its way to them.

CREATE TABLE webhooks (
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    url TEXT NOT NULL,
    description TEXT,
    events TEXT NOT NULL,
    node BLOB CHECK (node IS NULL OR length(node) = 16),
    pool BLOB CHECK (pool IS NULL OR length(pool) = 16),
    secret TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    disabled_reason TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    version INTEGER NOT NULL
) STRICT;

CREATE TABLE deliveries (
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    webhook BLOB NOT NULL CHECK (length(webhook) = 16),
    event_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    next_attempt_at INTEGER NOT NULL,
    finished_at INTEGER,
    status INTEGER,
    error TEXT
) STRICT;
CREATE INDEX deliveries_due ON deliveries (webhook, next_attempt_at, id) WHERE state = 'pending';
CREATE INDEX deliveries_webhook ON deliveries (webhook, created_at, id);
CREATE INDEX deliveries_state ON deliveries (webhook, state, created_at, id);
CREATE INDEX deliveries_created ON deliveries (created_at);
