use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    epochs::adjustment::Adjustment,
    id::{NodeId, SessionId},
};
use lucid_ports::{AdjustmentStore, StoreError};
use lucid_store::documents;
use rusqlite::{Connection, params};

use crate::{
    SqliteStore, audit,
    columns::Columns,
    fault::Fault,
    query::{execute, rows},
};

pub(crate) const COLUMNS: &str =
    "id, epoch_start_s, node, number, session, at, actor, reason, chunk_root, rows";

pub(crate) fn read(columns: &mut Columns<'_>) -> Result<Adjustment, Fault> {
    let _: [u8; 16] = columns.take()?;
    let (epoch_start_s, node, number, session) =
        (columns.take()?, columns.id(NodeId)?, columns.take()?, columns.id(SessionId)?);
    let (at, actor, reason, chunk_root) =
        (columns.time()?, columns.take()?, columns.take()?, columns.digest()?);
    let [before, after] = documents::read_two_rows(&columns.take::<String>()?, node)?;
    Ok(Adjustment {
        node,
        epoch_start_s,
        number,
        session,
        at,
        actor,
        reason,
        chunk_root,
        before,
        after,
    })
}

/// Adds an adjustment; `false` if it is there.
pub(crate) fn insert(connection: &Connection, adjustment: &Adjustment) -> Result<bool, Fault> {
    let sql = format!(
        "INSERT INTO adjustments ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    );
    let id = adjustment.id();
    let values = params![
        id.0.as_bytes(),
        adjustment.epoch_start_s,
        adjustment.node.0.as_bytes(),
        adjustment.number,
        adjustment.session.0.as_bytes(),
        adjustment.at.0,
        adjustment.actor,
        adjustment.reason,
        adjustment.chunk_root.0,
        documents::two_rows([&adjustment.before, &adjustment.after])?,
    ];
    Ok(execute(connection, &sql, values)? == 1)
}

fn of_epochs(
    connection: &Connection,
    node: Option<NodeId>,
    from_s: i64,
    to_s: i64,
) -> Result<Vec<Adjustment>, Fault> {
    let start = format!(
        "SELECT {COLUMNS} FROM adjustments WHERE epoch_start_s >= ?1 AND epoch_start_s < ?2"
    );
    match node {
        Some(node) => rows(
            connection,
            &format!("{start} AND node = ?3 ORDER BY epoch_start_s, number"),
            params![from_s, to_s, node.0.as_bytes()],
            read,
        ),
        None => rows(
            connection,
            &format!("{start} ORDER BY epoch_start_s, node, number"),
            params![from_s, to_s],
            read,
        ),
    }
}

#[async_trait]
impl AdjustmentStore for SqliteStore {
    async fn add_adjustment(
        &self,
        adjustment: Adjustment,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        self.core
            .write(move |connection| {
                let added = insert(connection, &adjustment)?;
                if added {
                    audit::add(connection, &audit)?;
                }
                Ok(added)
            })
            .await
    }
    async fn adjustments(
        &self,
        node: Option<NodeId>,
        from_s: i64,
        to_s: i64,
    ) -> Result<Vec<Adjustment>, StoreError> {
        self.core.lookup(|connection| of_epochs(connection, node, from_s, to_s)).await
    }
}
