use async_trait::async_trait;
use lucid_model::{audit::AuditEntry, id::AuditId};
use lucid_ports::{AuditFilter, AuditStore, Page, PageRequest, StoreError};
use rusqlite::{Connection, params, types::Value};

use super::{
    SqliteStore,
    columns::Columns,
    fault::Fault,
    query::{Conditions, List, Source, execute},
};

/// Adds an entry in the transaction of the change it tells of; an entry that is there already is the same entry.
pub(crate) fn add(connection: &Connection, entry: &AuditEntry) -> Result<(), Fault> {
    let AuditEntry { id, at, actor, action, subject, detail, request_id } = entry;
    let sql = "INSERT INTO audit (at, id, actor, action, subject, detail, request_id) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
    execute(connection, sql, params![at.0, id.0.as_bytes(), actor, action, subject, detail, request_id])?;
    Ok(())
}

pub(crate) fn list(filter: &AuditFilter, page: PageRequest<()>) -> List {
    let text = |value: &Option<String>| value.clone().map(Value::Text);
    let conditions =
        Conditions::default().and("subject = ?", text(&filter.subject)).and("actor = ?", text(&filter.actor)).and("action = ?", text(&filter.action));
    let source = Source { columns: "id, at, actor, action, subject, detail, request_id", table: "audit", joins: "" };
    List::new(&source, conditions, &["at", "id"], &page)
}

fn read(columns: &mut Columns<'_>) -> Result<AuditEntry, Fault> {
    Ok(AuditEntry {
        id: columns.id(AuditId)?,
        at: columns.time()?,
        actor: columns.take()?,
        action: columns.take()?,
        subject: columns.take()?,
        detail: columns.take()?,
        request_id: columns.take()?,
    })
}

#[async_trait]
impl AuditStore for SqliteStore {
    async fn add_audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.core.write(move |connection| add(connection, &entry)).await
    }
    async fn audit(&self, filter: &AuditFilter, page: PageRequest<()>) -> Result<Page<AuditEntry>, StoreError> {
        let list = list(filter, page);
        self.core.read(move |connection| list.run(connection, read)).await
    }
}
