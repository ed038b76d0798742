use async_trait::async_trait;
use lucid_model::settlement::SettlementRecord;
use lucid_ports::{SettlementStore, StoreError};
use rusqlite::{Connection, params};

use super::{
    SqliteStore,
    columns::Columns,
    fault::Fault,
    query::{execute, first},
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
    let sql = format!("INSERT INTO settlements ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING");
    let (start_s, length_s) = (record.period.start_s, record.period.length.seconds());
    let values = params![start_s, length_s, record.count, record.sum.0, record.budget.0, record.remainder.0, record.note];
    Ok(execute(connection, &sql, values)? == 1)
}

#[async_trait]
impl SettlementStore for SqliteStore {
    async fn settlement(&self, period_start_s: i64) -> Result<Option<SettlementRecord>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM settlements WHERE period_start_s = ?");
        self.core.lookup(|connection| first(connection, &sql, [period_start_s], read)).await
    }
    async fn last_settlement(&self) -> Result<Option<SettlementRecord>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM settlements ORDER BY period_start_s DESC LIMIT 1");
        self.core.lookup(|connection| first(connection, &sql, [], read)).await
    }
    async fn record_settlement(&self, record: SettlementRecord) -> Result<bool, StoreError> {
        self.core.write(move |connection| insert(connection, &record)).await
    }
}
