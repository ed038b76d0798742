//! Money, read from one end to the other; also of a file that a service has open.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use lucid_model::{
    id::PayoutId,
    ledger::{Account, Entry, Leg, Stream},
    payout::Payout,
    settlement::SettlementRecord,
};
use lucid_ports::{Books, StoreError};
use rusqlite::{Connection, params};

use super::{CORE, SqliteStore, database, fault::Fault, ledger, payouts, query::rows, readers::Readers, settlements};
use crate::OpenError;

/// Opens the books of a store's directory for reading, also while a service has the store open.
///
/// # Errors
/// [`OpenError`] if there is no store, or it is of another schema than this binary's.
pub(crate) fn open_books(dir: &Path) -> Result<Arc<dyn Books>, OpenError> {
    let connection = database::open_for_reading(dir, "core", CORE.len())?;
    Ok(Arc::new(Readers::new(vec![connection])))
}

/// Entries with their legs, a row a leg: looking up the legs of each would take most of the time.
fn entries_after(connection: &Connection, after: Option<(Stream, u64)>, limit: u32) -> Result<Vec<Entry>, Fault> {
    let (stream, seq) = after.map_or((String::new(), 0), |(stream, seq)| (stream.name(), seq));
    let sql = format!(
        "SELECT {}, l.account, l.amount FROM (SELECT * FROM ledger WHERE (stream, seq) > (?, ?) ORDER BY stream, seq LIMIT ?) e \
         JOIN legs l ON l.entry = e.number ORDER BY e.stream, e.seq, l.place",
        ledger::ENTRY
    );
    let seq = i64::try_from(seq).unwrap_or(i64::MAX);
    let read = |columns: &mut super::columns::Columns<'_>| {
        let entry = ledger::read_entry(columns)?;
        Ok((entry, Leg { account: columns.word(Account::from_name)?, amount: columns.money()? }))
    };
    let (mut entries, mut last): (Vec<Entry>, Option<i64>) = (Vec::new(), None);
    for ((number, entry), leg) in rows(connection, &sql, params![stream, seq, limit], read)? {
        if last != Some(number) {
            entries.push(entry);
            last = Some(number);
        }
        entries.last_mut().into_iter().for_each(|entry| entry.draft.legs.push(leg));
    }
    Ok(entries)
}

fn settlements_after(connection: &Connection, start_s: Option<i64>, limit: u32) -> Result<Vec<SettlementRecord>, Fault> {
    let sql = format!("SELECT {} FROM settlements WHERE period_start_s > ? ORDER BY period_start_s LIMIT ?", settlements::COLUMNS);
    rows(connection, &sql, params![start_s.unwrap_or(i64::MIN), limit], settlements::read)
}

fn payouts_after(connection: &Connection, after: Option<PayoutId>, limit: u32) -> Result<Vec<Payout>, Fault> {
    let sql = format!("SELECT {} FROM payouts WHERE id > ? ORDER BY id LIMIT ?", payouts::COLUMNS);
    // No id is as short as none.
    let after = after.map_or_else(Vec::new, |id| id.0.as_bytes().to_vec());
    rows(connection, &sql, params![after, limit], payouts::read)
}

#[async_trait]
impl Books for Readers {
    async fn ledger_after(&self, after: Option<(Stream, u64)>, limit: u32) -> Result<Vec<Entry>, StoreError> {
        self.run(move |connection| entries_after(connection, after, limit)).await
    }
    async fn settlements_after(&self, start_s: Option<i64>, limit: u32) -> Result<Vec<SettlementRecord>, StoreError> {
        self.run(move |connection| settlements_after(connection, start_s, limit)).await
    }
    async fn payouts_after(&self, after: Option<PayoutId>, limit: u32) -> Result<Vec<Payout>, StoreError> {
        self.run(move |connection| payouts_after(connection, after, limit)).await
    }
}

#[async_trait]
impl Books for SqliteStore {
    async fn ledger_after(&self, after: Option<(Stream, u64)>, limit: u32) -> Result<Vec<Entry>, StoreError> {
        self.core.read(move |connection| entries_after(connection, after, limit)).await
    }
    async fn settlements_after(&self, start_s: Option<i64>, limit: u32) -> Result<Vec<SettlementRecord>, StoreError> {
        self.core.read(move |connection| settlements_after(connection, start_s, limit)).await
    }
    async fn payouts_after(&self, after: Option<PayoutId>, limit: u32) -> Result<Vec<Payout>, StoreError> {
        self.core.read(move |connection| payouts_after(connection, after, limit)).await
    }
}
