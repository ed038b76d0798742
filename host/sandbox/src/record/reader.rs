//! Queries, on a connection of their own beside the writer.

use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _, Params, params};

use super::{
    RecordError,
    row::{TRANSFER_COLUMNS, Transfer, VOTE_COLUMNS, Vote},
};

/// Reads the record.
#[derive(Debug, Clone)]
pub(crate) struct Reader(Arc<Mutex<Connection>>);

impl Reader {
    pub(super) fn new(connection: Connection) -> Self {
        Self(Arc::new(Mutex::new(connection)))
    }

    /// The first visible transfer that this payout id or external id names.
    pub(crate) async fn transfer_by_id(
        &self,
        id: String,
        now_ms: i64,
    ) -> Result<Option<Transfer>, RecordError> {
        let sql =
            "(payout_id = ?1 OR external_id = ?1) AND accepted_at_ms <= ?2 ORDER BY seq LIMIT 1";
        self.read(move |connection| one_transfer(connection, sql, params![id, now_ms])).await
    }

    /// The first visible transfer with this reference.
    pub(crate) async fn transfer_by_reference(
        &self,
        reference: String,
        now_ms: i64,
    ) -> Result<Option<Transfer>, RecordError> {
        let sql = "reference = ?1 AND accepted_at_ms <= ?2 ORDER BY seq LIMIT 1";
        self.read(move |connection| one_transfer(connection, sql, params![reference, now_ms])).await
    }

    /// The latest transfer of any other payout.
    pub(crate) async fn transfer_of_another(
        &self,
        payout_id: String,
    ) -> Result<Option<Transfer>, RecordError> {
        let sql = "payout_id <> ?1 ORDER BY seq DESC LIMIT 1";
        self.read(move |connection| one_transfer(connection, sql, params![payout_id])).await
    }

    /// Transfers in the order they were recorded, after a sequence number.
    pub(crate) async fn transfers(
        &self,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Transfer>, RecordError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {TRANSFER_COLUMNS} FROM transfers WHERE seq > ?1 ORDER BY seq LIMIT ?2"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            statement.query_map(params![after, limit], Transfer::from_row)?.collect()
        })
        .await
    }

    /// The vote with this id.
    pub(crate) async fn vote_by_id(&self, vote_id: String) -> Result<Option<Vote>, RecordError> {
        self.one_vote("vote_id = ?1", vote_id).await
    }

    /// The latest vote with another vote id.
    pub(crate) async fn vote_of_another(
        &self,
        vote_id: String,
    ) -> Result<Option<Vote>, RecordError> {
        self.one_vote("vote_id <> ?1", vote_id).await
    }

    async fn one_vote(
        &self,
        condition: &'static str,
        vote_id: String,
    ) -> Result<Option<Vote>, RecordError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {VOTE_COLUMNS} FROM votes WHERE {condition} ORDER BY seq DESC LIMIT 1"
            );
            connection.prepare_cached(&sql)?.query_row(params![vote_id], Vote::from_row).optional()
        })
        .await
    }

    /// Votes in the order they were recorded, after a sequence number.
    pub(crate) async fn votes(&self, after: i64, limit: i64) -> Result<Vec<Vote>, RecordError> {
        self.read(move |connection| {
            let sql =
                format!("SELECT {VOTE_COLUMNS} FROM votes WHERE seq > ?1 ORDER BY seq LIMIT ?2");
            let mut statement = connection.prepare_cached(&sql)?;
            statement.query_map(params![after, limit], Vote::from_row)?.collect()
        })
        .await
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, RecordError> {
        let connection = Arc::clone(&self.0);
        Ok(tokio::task::spawn_blocking(move || query(&connection.lock())).await??)
    }
}

fn one_transfer(
    connection: &Connection,
    condition: &str,
    params: impl Params,
) -> Result<Option<Transfer>, rusqlite::Error> {
    let sql = format!("SELECT {TRANSFER_COLUMNS} FROM transfers WHERE {condition}");
    connection.prepare_cached(&sql)?.query_row(params, Transfer::from_row).optional()
}
