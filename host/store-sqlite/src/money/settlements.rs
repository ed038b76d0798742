use async_trait::async_trait;
use lucid_model::money::settlement::{Distribution, SettlementRecord};
use lucid_ports::{SettlementStore, StoreError};
use lucid_store::packing;
use rusqlite::{Connection, params};

use crate::{
    SqliteStore,
    columns::Columns,
    fault::Fault,
    query::{execute, exists, first},
};

pub(crate) const COLUMNS: &str = "period_start_s, length_s, accruals, sum, budget, remainder, note";

pub(crate) fn read(columns: &mut Columns<'_>) -> Result<SettlementRecord, Fault> {
    Ok(SettlementRecord {
        period: columns.period()?,
        count: columns.take()?,
        sum: columns.money()?,
        budget: columns.money()?,
        remainder: columns.money()?,
        note: columns.take()?,
    })
}

/// Adds a period's settlement; `false` if it is there.
pub(crate) fn insert(connection: &Connection, record: &SettlementRecord) -> Result<bool, Fault> {
    let sql = format!(
        "INSERT INTO settlements ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    );
    let (start_s, length_s) = (record.period.start_s, record.period.length.seconds());
    let values = params![
        start_s,
        length_s,
        record.count,
        record.sum.0,
        record.budget.0,
        record.remainder.0,
        record.note
    ];
    Ok(execute(connection, &sql, values)? == 1)
}

/// Keeps how a period is shared, unless that is kept, or the period settled.
fn keep(connection: &Connection, period_start_s: i64, packed: &[u8]) -> Result<(), Fault> {
    if !exists(connection, "SELECT 1 FROM settlements WHERE period_start_s = ?", [period_start_s])?
    {
        let sql = "INSERT INTO distributions (period_start_s, packed) VALUES (?, ?) ON CONFLICT DO NOTHING";
        execute(connection, sql, params![period_start_s, packed])?;
    }
    Ok(())
}

pub(crate) fn unpack(columns: &mut Columns<'_>) -> Result<Distribution, Fault> {
    Ok(packing::unpack_distribution(&columns.take::<Vec<u8>>()?)?)
}

#[async_trait]
impl SettlementStore for SqliteStore {
    async fn settlement(
        &self,
        period_start_s: i64,
    ) -> Result<Option<SettlementRecord>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM settlements WHERE period_start_s = ?");
        self.core.lookup(|connection| first(connection, &sql, [period_start_s], read)).await
    }
    async fn last_settlement(&self) -> Result<Option<SettlementRecord>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM settlements ORDER BY period_start_s DESC LIMIT 1");
        self.core.lookup(|connection| first(connection, &sql, [], read)).await
    }
    async fn keep_distribution(&self, distribution: Distribution) -> Result<(), StoreError> {
        let packed = packing::pack_distribution(&distribution).map_err(Fault::from)?;
        self.core
            .write(move |connection| keep(connection, distribution.period.start_s, &packed))
            .await
    }
    async fn distribution(&self, period_start_s: i64) -> Result<Option<Distribution>, StoreError> {
        let sql = "SELECT packed FROM distributions WHERE period_start_s = ?";
        self.core.read(move |connection| first(connection, sql, [period_start_s], unpack)).await
    }
    async fn record_settlement(&self, record: SettlementRecord) -> Result<bool, StoreError> {
        self.core
            .write(move |connection| {
                execute(
                    connection,
                    "DELETE FROM distributions WHERE period_start_s = ?",
                    [record.period.start_s],
                )?;
                insert(connection, &record)
            })
            .await
    }
}
