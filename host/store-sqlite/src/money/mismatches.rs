//! Payouts that the payment service contradicts.

use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    id::{MismatchId, NodeId, PayoutId},
    money::payout::{Mismatch, MismatchKind, Remedy},
    time::TimeMs,
};
use lucid_ports::{MismatchStore, Page, PageRequest, StoreError};
use rusqlite::{Connection, params};

use crate::{
    SqliteStore, audit,
    columns::Columns,
    fault::Fault,
    query::{Conditions, List, Source, execute, first},
};

pub(crate) const COLUMNS: &str =
    "id, payout, node, amount, kind, evidence, first_at, confirmed_at, ended_at, remedy";

pub(crate) fn read(columns: &mut Columns<'_>) -> Result<Mismatch, Fault> {
    Ok(Mismatch {
        id: columns.id(MismatchId)?,
        payout: columns.id(PayoutId)?,
        node: columns.id(NodeId)?,
        amount: columns.money()?,
        kind: columns.word(MismatchKind::from_name)?,
        evidence: columns.take()?,
        first_at: columns.time()?,
        confirmed_at: columns.time()?,
        ended: columns
            .time_or_none()?
            .zip(columns.take::<Option<String>>()?.as_deref().and_then(Remedy::from_name)),
    })
}

/// Adds a mismatch; `false` if it is there.
pub(crate) fn insert(connection: &Connection, mismatch: &Mismatch) -> Result<bool, Fault> {
    let sql = format!(
        "INSERT INTO mismatches ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    );
    let values = params![
        mismatch.id.0.as_bytes(),
        mismatch.payout.0.as_bytes(),
        mismatch.node.0.as_bytes(),
        mismatch.amount.0,
        mismatch.kind.name(),
        mismatch.evidence,
        mismatch.first_at.0,
        mismatch.confirmed_at.0,
        mismatch.ended.map(|(at, _)| at.0),
        mismatch.ended.map(|(_, remedy)| remedy.name()),
    ];
    Ok(execute(connection, &sql, values)? == 1)
}

fn list(open_only: bool, page: &PageRequest<()>) -> List {
    let conditions =
        if open_only { Conditions::of("ended_at IS NULL") } else { Conditions::default() };
    List::new(
        &Source { columns: COLUMNS, table: "mismatches", joins: "" },
        conditions,
        &["id"],
        page,
    )
}

#[async_trait]
impl MismatchStore for SqliteStore {
    async fn add_mismatch(
        &self,
        mismatch: Mismatch,
        entry: AuditEntry,
    ) -> Result<bool, StoreError> {
        self.core
            .write(move |connection| {
                let added = insert(connection, &mismatch)?;
                if added {
                    audit::add(connection, &entry)?;
                }
                Ok(added)
            })
            .await
    }
    async fn mismatch(&self, id: MismatchId) -> Result<Option<Mismatch>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM mismatches WHERE id = ?");
        self.core.lookup(|connection| first(connection, &sql, [id.0.as_bytes()], read)).await
    }
    async fn mismatches(
        &self,
        open_only: bool,
        page: PageRequest<()>,
    ) -> Result<Page<Mismatch>, StoreError> {
        let list = list(open_only, &page);
        self.core.read(move |connection| list.run(connection, read)).await
    }
    async fn end_mismatch(
        &self,
        id: MismatchId,
        at: TimeMs,
        remedy: Remedy,
        entry: AuditEntry,
    ) -> Result<bool, StoreError> {
        self.core
            .write(move |connection| {
                let sql = "UPDATE mismatches SET ended_at = ?, remedy = ? WHERE id = ? AND ended_at IS NULL";
                let ended = execute(connection, sql, params![at.0, remedy.name(), id.0.as_bytes()])? == 1;
                if ended {
                    audit::add(connection, &entry)?;
                }
                Ok(ended)
            })
            .await
    }
}
