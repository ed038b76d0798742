//! Money, read from one end to the other; also of a file that a service has open.

use std::{collections::HashMap, path::Path, sync::Arc};

use async_trait::async_trait;
use lucid_model::{
    id::PayoutId,
    money::{
        ledger::{Account, Entry, Leg, Stream},
        payout::Payout,
        settlement::SettlementRecord,
    },
};
use lucid_ports::{Books, StoreError};
use lucid_store::OpenError;
use rusqlite::{Connection, params};

use crate::{
    CORE, SqliteStore, database,
    fault::Fault,
    money::{ledger, payouts, settlements},
    query::rows,
    readers::Readers,
};

/// Opens the books of a store's directory for reading, also while a service has the store open.
///
/// # Errors
/// [`OpenError`] if there is no store, or it is of another schema than this binary's.
pub(crate) fn open_books(dir: &Path) -> Result<Arc<dyn Books>, OpenError> {
    let connection = database::open_for_reading(dir, "core", CORE.len())?;
    Ok(Arc::new(Readers::new(vec![connection])))
}

/// A page of entries, and all their legs at once: looking up those of each would take most of the
/// time.
fn entries_after(
    connection: &Connection,
    after: Option<(Stream, u64)>,
    limit: u32,
) -> Result<Vec<Entry>, Fault> {
    let (stream, seq) = after.map_or((String::new(), 0), |(stream, seq)| (stream.name(), seq));
    let seq = i64::try_from(seq).unwrap_or(i64::MAX);
    let page = "FROM ledger WHERE (stream, seq) > (?, ?) ORDER BY stream, seq LIMIT ?";
    let mut entries = rows(
        connection,
        &format!("SELECT {} {page}", ledger::ENTRY),
        params![stream, seq, limit],
        ledger::read_entry,
    )?;
    let places: HashMap<i64, usize> =
        entries.iter().enumerate().map(|(place, (number, _))| (*number, place)).collect();
    let sql = format!(
        "SELECT l.entry, l.place, l.account, l.amount FROM (SELECT number {page}) e JOIN legs l ON l.entry = e.number"
    );
    let mut legs = rows(connection, &sql, params![stream, seq, limit], |columns| {
        let (entry, place): (i64, u32) = (columns.take()?, columns.take()?);
        Ok((
            entry,
            place,
            Leg { account: columns.word(Account::from_name)?, amount: columns.money()? },
        ))
    })?;
    // Mostly in order already.
    legs.sort_by_key(|(entry, place, _)| (*entry, *place));
    for (number, _, leg) in legs {
        if let Some((_, entry)) = places.get(&number).and_then(|place| entries.get_mut(*place)) {
            entry.draft.legs.push(leg);
        }
    }
    Ok(entries.into_iter().map(|(_, entry)| entry).collect())
}

fn settlements_after(
    connection: &Connection,
    start_s: Option<i64>,
    limit: u32,
) -> Result<Vec<SettlementRecord>, Fault> {
    let sql = format!(
        "SELECT {} FROM settlements WHERE period_start_s > ? ORDER BY period_start_s LIMIT ?",
        settlements::COLUMNS
    );
    rows(connection, &sql, params![start_s.unwrap_or(i64::MIN), limit], settlements::read)
}

fn payouts_after(
    connection: &Connection,
    after: Option<PayoutId>,
    limit: u32,
) -> Result<Vec<Payout>, Fault> {
    let sql = format!("SELECT {} FROM payouts WHERE id > ? ORDER BY id LIMIT ?", payouts::COLUMNS);
    // No id is as short as none.
    let after = after.map_or_else(Vec::new, |id| id.0.as_bytes().to_vec());
    rows(connection, &sql, params![after, limit], payouts::read)
}

#[async_trait]
impl Books for Readers {
    async fn ledger_after(
        &self,
        after: Option<(Stream, u64)>,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        self.run(move |connection| entries_after(connection, after, limit)).await
    }
    async fn settlements_after(
        &self,
        start_s: Option<i64>,
        limit: u32,
    ) -> Result<Vec<SettlementRecord>, StoreError> {
        self.run(move |connection| settlements_after(connection, start_s, limit)).await
    }
    async fn payouts_after(
        &self,
        after: Option<PayoutId>,
        limit: u32,
    ) -> Result<Vec<Payout>, StoreError> {
        self.run(move |connection| payouts_after(connection, after, limit)).await
    }
}

#[async_trait]
impl Books for SqliteStore {
    async fn ledger_after(
        &self,
        after: Option<(Stream, u64)>,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        self.core.read(move |connection| entries_after(connection, after, limit)).await
    }
    async fn settlements_after(
        &self,
        start_s: Option<i64>,
        limit: u32,
    ) -> Result<Vec<SettlementRecord>, StoreError> {
        self.core.read(move |connection| settlements_after(connection, start_s, limit)).await
    }
    async fn payouts_after(
        &self,
        after: Option<PayoutId>,
        limit: u32,
    ) -> Result<Vec<Payout>, StoreError> {
        self.core.read(move |connection| payouts_after(connection, after, limit)).await
    }
}
