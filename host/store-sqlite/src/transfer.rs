//! The side of a copy that is a SQLite store.

mod pages;
mod puts;
mod telemetry;

use std::path::Path;

use async_trait::async_trait;
use lucid_model::money::{payout::PaymentsSwitch, settlement::Distribution};
use lucid_ports::{Stamp, StoreError};
use lucid_store::{
    OpenError,
    transfer::{Expected, Key, Kind, Record, Transfer},
};
use rusqlite::{Connection, params};

use crate::{
    CORE, SqliteStore, TELEMETRY,
    database::{Database, open_for_reading},
    fault::Fault,
    money::settlements,
    query::{count, execute, first},
    stamp, unopened,
};

/// The tables that a kind is read from.
fn tables(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Pools => &["pools"],
        Kind::Enrolments => &["enrolments"],
        Kind::PoolStandings => &["pool_standings"],
        Kind::Nodes => &["nodes"],
        Kind::Policies => &["policy_versions", "policy_bundles"],
        Kind::Activations => &["activations"],
        Kind::PolicyReports => &["policy_reports"],
        Kind::Imports => &["imports"],
        Kind::Requests => &["requests"],
        Kind::Frames => &["frames"],
        Kind::FrameChunks => &["frame_chunks"],
        Kind::Epochs => &["epochs"],
        Kind::Scores => &["scored", "scored_rows"],
        Kind::LatestScores => &["latest_scores"],
        Kind::OnDemand => &["on_demand"],
        Kind::Votes => &["votes"],
        Kind::Ledger => &["ledger", "legs"],
        Kind::Adjustments => &["adjustments"],
        Kind::Shadows => &["shadows"],
        Kind::ShadowResults => &["shadow_results"],
        Kind::Settlements => &["settlements"],
        Kind::Runs => &["runs"],
        Kind::Payouts => &["payouts"],
        Kind::Proposals => &["proposals"],
        Kind::Mismatches => &["mismatches"],
        Kind::Alerts => &["alerts"],
        Kind::Webhooks => &["webhooks"],
        Kind::Deliveries => &["deliveries"],
        Kind::Audit => &["audit"],
        Kind::AuditLinks => &["audit_links"],
        Kind::AuditSeals => &["audit_seals"],
        Kind::Live => &["live", "sequences"],
        Kind::Presence => &["presence"],
        Kind::Sessions => &["sessions"],
        Kind::Samples => &["samples", "packed_samples"],
        Kind::Rollups => &["rollups_1h", "rollups_5m"],
    }
}

/// Something that is in the store of a directory: a table that has a row. A directory that is not
/// there is empty.
pub(crate) fn occupied(dir: &Path) -> Result<Option<String>, OpenError> {
    for (name, steps) in [("core", CORE), ("telemetry", TELEMETRY)] {
        let path = dir.join(format!("{name}.db"));
        if !path.exists() {
            continue;
        }
        let file = open_for_reading(dir, name, steps.len())?;
        let damaged = |source| unopened::of_sqlite(&path, source);
        let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'audit_writer' ORDER BY name";
        let tables: Vec<String> = file
            .prepare(tables)
            .and_then(|mut tables| tables.query_map([], |row| row.get(0))?.collect())
            .map_err(damaged)?;
        for table in tables {
            if file
                .prepare(&format!("SELECT 1 FROM {table}"))
                .and_then(|mut any| any.exists([]))
                .map_err(damaged)?
            {
                return Ok(Some(table));
            }
        }
    }
    Ok(None)
}

/// Whether the store of a directory has the mark of a copy.
pub(crate) fn is_marked(dir: &Path) -> Result<bool, OpenError> {
    let file = open_for_reading(dir, "core", CORE.len())?;
    let damaged = |source| unopened::of_sqlite(&dir.join("core.db"), source);
    file.prepare("SELECT 1 FROM copying").and_then(|mut mark| mark.exists([])).map_err(damaged)
}

impl SqliteStore {
    fn file_of(&self, kind: Kind) -> &Database {
        match kind {
            Kind::Live | Kind::Presence | Kind::Sessions | Kind::Samples | Kind::Rollups => {
                &self.telemetry
            }
            _ => &self.core,
        }
    }
}

/// What was made beside the records, counted against them.
fn misfits(connection: &Connection, score_rows: i64, streams: i64) -> Result<Vec<String>, Fault> {
    let ends = "SELECT count(*) FROM heads h JOIN ledger l ON l.stream = h.stream AND l.seq = h.seq AND l.available = h.available \
                AND l.held = h.held AND l.reserved = h.reserved AND l.receivable = h.receivable";
    let checks = [
        ("rows of scores", "SELECT coalesce(sum(row_count), 0) FROM scored", score_rows),
        ("ends of ledger streams", ends, streams),
        ("ends of ledger streams", "SELECT count(*) FROM heads", streams),
        (
            "pools whose nodes are miscounted",
            "SELECT count(*) FROM pools p WHERE node_count <> (SELECT count(*) FROM nodes n WHERE n.pool = p.id)",
            0,
        ),
    ];
    let mut misfits = Vec::new();
    for (what, sql, expected) in checks {
        let found =
            first(connection, sql, [], |columns| columns.take::<i64>())?.unwrap_or_default();
        if found != expected {
            misfits.push(format!("{what}: {found}, not {expected}"));
        }
    }
    Ok(misfits)
}

#[async_trait]
impl Transfer for SqliteStore {
    /// A transaction is whole, or was never there; an epoch may be on its way.
    async fn finish_writing(&self) -> Result<(), StoreError> {
        self.close_what_is_fixed().await
    }
    async fn read_stamp(&self) -> Result<Option<Stamp>, StoreError> {
        self.core.read(stamp::find).await
    }
    async fn count(&self, kind: Kind) -> Result<u64, StoreError> {
        let table = tables(kind).first().copied().unwrap_or_default();
        self.file_of(kind)
            .read(move |connection| count(connection, &format!("SELECT count(*) FROM {table}"), []))
            .await
    }
    async fn page(
        &self,
        kind: Kind,
        after: Option<Key>,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError> {
        self.file_of(kind)
            .read(move |connection| pages::page(connection, kind, after.as_ref(), limit))
            .await
    }
    async fn put(&self, kind: Kind, records: Vec<Record>) -> Result<u64, StoreError> {
        self.file_of(kind).write(move |connection| puts::put(connection, &records)).await
    }
    async fn misfits(&self, expected: &Expected) -> Result<Vec<String>, StoreError> {
        let score_rows = i64::try_from(expected.score_rows).unwrap_or(i64::MAX);
        let streams = i64::try_from(expected.books.heads.len()).unwrap_or(i64::MAX);
        self.core.read(move |connection| misfits(connection, score_rows, streams)).await
    }
    async fn read_mark(&self) -> Result<Option<String>, StoreError> {
        self.core
            .read(|connection| {
                first(connection, "SELECT doc FROM copying", [], |columns| columns.take())
            })
            .await
    }
    async fn open_distribution(&self) -> Result<Option<Distribution>, StoreError> {
        let sql = "SELECT packed FROM distributions ORDER BY period_start_s DESC LIMIT 1";
        self.core.read(|connection| first(connection, sql, [], settlements::unpack)).await
    }
    async fn carry_switch(&self, switch: PaymentsSwitch) -> Result<(), StoreError> {
        self.core
            .write(move |connection| {
                crate::boot::mark_copied(connection)?;
                crate::money::decisions::put(connection, &switch)
            })
            .await
    }
    async fn write_mark(&self, mark: Option<String>) -> Result<(), StoreError> {
        self.core
            .write(move |connection| {
                match mark {
                    Some(doc) => {
                        let sql = "INSERT INTO copying (one, doc) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET doc = excluded.doc";
                        execute(connection, sql, params![doc])?
                    }
                    None => execute(connection, "DELETE FROM copying", [])?,
                };
                Ok(())
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{super::query::rows, *};

    /// Tables that no kind has, and why.
    const DERIVED: &[(&str, &str)] = &[
        ("stamp", "written when a copy begins"),
        ("heads", "the last entry of each stream, made with the ledger"),
        ("score_stretches", "made with the scores"),
        ("chunks", "packed into scored when the file was opened"),
        ("scores", "packed into scored_rows when the file was opened"),
        (
            "audit_writer",
            "the file's own chain begins with its first entry: nobody goes on with another's",
        ),
        ("audit_copied_writers", "the writers of copied links"),
        ("copying", "the mark of a copy"),
        ("payments_switch", "carried over when a copy ends"),
        ("distributions", "that of a settlement in the middle is carried over when a copy ends"),
        ("boot", "says of a copy that it is one"),
        ("payer", "the lease that its fence is of does not go on in another store"),
    ];

    #[tokio::test]
    async fn every_table_is_copied_or_named_as_derived() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path()).unwrap();
        let mut found = BTreeSet::new();
        for file in [&store.core, &store.telemetry] {
            let sql =
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
            let names: Vec<String> = file
                .read(move |connection| rows(connection, sql, [], |columns| columns.take()))
                .await
                .unwrap();
            found.extend(names);
        }
        let copied = Kind::ALL.into_iter().flat_map(tables).copied();
        let named: BTreeSet<_> =
            copied.chain(DERIVED.iter().map(|(name, _)| *name)).map(str::to_owned).collect();
        assert_eq!(found, named, "a new table is copied, or said to be made anew from what is");
    }
}
