//! The durable record of transfers and votes: one SQLite file, one writer thread, one reader.

mod reader;
mod row;
mod writer;

use std::path::Path;

use rusqlite::Connection;
use tokio::sync::mpsc;

use crate::SandboxError;

pub(crate) use reader::Reader;
pub(crate) use row::{NewTransfer, NewVote, Transfer, Vote};
pub(crate) use writer::{Outcome, Writer, WriterThread};

const FILE_NAME: &str = "sandbox.db";
const FORMAT: i64 = 1;
const BUSY_TIMEOUT_MS: u32 = 5_000;
const READ_CACHE_STATEMENTS: usize = 32;

const SCHEMA: &str = "
CREATE TABLE transfers (
    seq               INTEGER PRIMARY KEY AUTOINCREMENT,
    idempotency_key   TEXT    NOT NULL,
    body_sha256       TEXT    NOT NULL,
    deduped           INTEGER NOT NULL,
    payout_id         TEXT    NOT NULL,
    copy              INTEGER NOT NULL,
    external_id       TEXT    NOT NULL UNIQUE,
    transaction_id    TEXT    NOT NULL UNIQUE,
    reference         TEXT,
    node_id           TEXT,
    user_id           TEXT,
    recipient_address TEXT    NOT NULL,
    amount_micro_usdt INTEGER NOT NULL CHECK (amount_micro_usdt > 0),
    currency          TEXT    NOT NULL,
    accepted_at_ms    INTEGER NOT NULL,
    settled_at_ms     INTEGER NOT NULL,
    fails             INTEGER NOT NULL,
    UNIQUE (payout_id, copy)
) STRICT;
CREATE UNIQUE INDEX transfers_by_key ON transfers (idempotency_key) WHERE deduped = 1;
CREATE INDEX transfers_by_reference ON transfers (reference) WHERE reference IS NOT NULL;
CREATE TABLE votes (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    node_id        TEXT    NOT NULL,
    block_id       TEXT    NOT NULL,
    copy           INTEGER NOT NULL,
    vote_id        TEXT    NOT NULL UNIQUE,
    block_hash     TEXT    NOT NULL,
    score          TEXT    NOT NULL,
    vote           TEXT    NOT NULL,
    merkle_root    TEXT    NOT NULL,
    signature      TEXT    NOT NULL,
    voted_at       TEXT    NOT NULL,
    accepted_at_ms INTEGER NOT NULL,
    UNIQUE (node_id, block_id, copy)
) STRICT;
";

/// Why the record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("record could not be read")]
    Read(#[from] rusqlite::Error),
    #[error("record was not written: the batch failed or the writer has stopped")]
    NotWritten,
    #[error("reading the record was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// Opens or creates the record in a folder and starts its writer thread.
pub(crate) fn open(
    data_dir: &Path,
    confirm_delay_ms: i64,
) -> Result<(Writer, WriterThread, Reader), SandboxError> {
    std::fs::create_dir_all(data_dir)
        .map_err(|source| SandboxError::DataDir { path: data_dir.to_owned(), source })?;
    let path = data_dir.join(FILE_NAME);
    let failed = |source| SandboxError::Record { path: path.clone(), source };
    let mut writing = Connection::open(&path).map_err(failed)?;
    prepare(&mut writing).map_err(failed)?;
    let found: i64 =
        writing.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    if found != FORMAT {
        return Err(SandboxError::Format { path, found, expected: FORMAT });
    }
    let reading = Connection::open(&path).map_err(failed)?;
    reading.pragma_update(None, "busy_timeout", BUSY_TIMEOUT_MS).map_err(failed)?;
    reading.pragma_update(None, "query_only", true).map_err(failed)?;
    reading.set_prepared_statement_cache_capacity(READ_CACHE_STATEMENTS);
    let (sender, receiver) = mpsc::channel(writer::QUEUE_JOBS_MAX);
    let thread = writer::spawn(writing, receiver, confirm_delay_ms)?;
    Ok((Writer::new(sender), thread, Reader::new(reading)))
}

fn prepare(connection: &mut Connection) -> Result<(), rusqlite::Error> {
    connection.pragma_update(None, "busy_timeout", BUSY_TIMEOUT_MS)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let schema = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version: i64 = schema.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == 0 {
        schema.execute_batch(SCHEMA)?;
        schema.pragma_update(None, "user_version", FORMAT)?;
    }
    schema.commit()
}
