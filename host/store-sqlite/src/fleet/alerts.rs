use async_trait::async_trait;
use lucid_model::{
    fleet::alert::{Alert, AlertKind, Measured},
    id::{AlertId, NodeId},
    time::TimeMs,
};
use lucid_ports::{AlertStore, Page, PageRequest, StoreError};
use rusqlite::{Connection, params};

use crate::{
    SqliteStore,
    columns::{Columns, blob},
    fault::Fault,
    query::{Conditions, List, Source, execute, first, rows},
};

pub(crate) const COLUMNS: &str =
    "id, node, kind, raised_at, cleared_at, message, value, limit_value";

pub(crate) fn read(columns: &mut Columns<'_>) -> Result<Alert, Fault> {
    Ok(Alert {
        id: columns.id(AlertId)?,
        node: columns.id(NodeId)?,
        kind: columns.word(AlertKind::from_name)?,
        raised_at: columns.time()?,
        cleared_at: columns.time_or_none()?,
        message: columns.take()?,
        measured: read_measured(columns)?,
    })
}

fn read_measured(columns: &mut Columns<'_>) -> Result<Option<Measured>, Fault> {
    let (value, limit): (Option<u32>, Option<u32>) = (columns.take()?, columns.take()?);
    Ok(value.zip(limit).map(|(value, limit)| Measured { value, limit }))
}

/// Adds an alert; `false` if it is there, or the node has an active one of its kind.
pub(crate) fn insert(connection: &Connection, alert: &Alert) -> Result<bool, Fault> {
    let sql = format!(
        "INSERT INTO alerts ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    );
    let values = params![
        alert.id.0.as_bytes(),
        alert.node.0.as_bytes(),
        alert.kind.name(),
        alert.raised_at.0,
        alert.cleared_at.map(|at| at.0),
        alert.message,
        alert.measured.map(|measured| measured.value),
        alert.measured.map(|measured| measured.limit),
    ];
    Ok(execute(connection, &sql, values)? == 1)
}

fn clear(
    connection: &Connection,
    node: NodeId,
    kind: AlertKind,
    at: TimeMs,
) -> Result<Option<Alert>, Fault> {
    let sql = format!(
        "UPDATE alerts SET cleared_at = ? WHERE node = ? AND kind = ? AND cleared_at IS NULL RETURNING {COLUMNS}"
    );
    first(connection, &sql, params![at.0, node.0.as_bytes(), kind.name()], read)
}

fn active_after(
    connection: &Connection,
    after: Option<AlertId>,
    limit: u32,
) -> Result<Vec<Alert>, Fault> {
    let sql = format!(
        "SELECT {COLUMNS} FROM alerts INDEXED BY alerts_walk WHERE cleared_at IS NULL AND id > ? ORDER BY id LIMIT ?"
    );
    // No id is as short as none.
    let after = after.map_or_else(Vec::new, |id| id.0.as_bytes().to_vec());
    rows(connection, &sql, params![after, limit], read)
}

pub(crate) fn list(node: NodeId, page: PageRequest<()>) -> List {
    let conditions = Conditions::default().and("node = ?", Some(blob(node.0)));
    List::new(
        &Source { columns: COLUMNS, table: "alerts", joins: "" },
        conditions,
        &["raised_at", "id"],
        &page,
    )
}

#[async_trait]
impl AlertStore for SqliteStore {
    async fn raise_alert(&self, alert: Alert) -> Result<bool, StoreError> {
        self.core.write(move |connection| insert(connection, &alert)).await
    }
    async fn clear_alert(
        &self,
        node: NodeId,
        kind: AlertKind,
        at: TimeMs,
    ) -> Result<Option<Alert>, StoreError> {
        self.core.write(move |connection| clear(connection, node, kind, at)).await
    }
    async fn active_alerts_after(
        &self,
        after: Option<AlertId>,
        limit: u32,
    ) -> Result<Vec<Alert>, StoreError> {
        self.core.read(move |connection| active_after(connection, after, limit)).await
    }
    async fn active_alerts(&self, node: NodeId) -> Result<Vec<Alert>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM alerts WHERE node = ? AND cleared_at IS NULL ORDER BY raised_at, id"
        );
        self.core.lookup(|connection| rows(connection, &sql, [node.0.as_bytes()], read)).await
    }
    async fn alerts(&self, node: NodeId, page: PageRequest<()>) -> Result<Page<Alert>, StoreError> {
        let list = list(node, page);
        self.core.read(move |connection| list.run(connection, read)).await
    }
    async fn forget_alerts(&self, before: TimeMs, limit: u32) -> Result<u64, StoreError> {
        self.core
            .write(move |connection| {
                let sql = "DELETE FROM alerts WHERE rowid IN (SELECT rowid FROM alerts WHERE cleared_at IS NOT NULL AND cleared_at < ? LIMIT ?)";
                Ok(execute(connection, sql, params![before.0, limit])? as u64)
            })
            .await
    }
}
