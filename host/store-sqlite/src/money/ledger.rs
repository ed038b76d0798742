use std::collections::BTreeMap;

use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    id::NodeId,
    money::{
        MicroUsdt,
        ledger::{Account, Balances, Draft, Entry, EntryKind, Head, LedgerError, Leg, Stream},
    },
};
use lucid_ports::{Booked, LedgerStore, StoreError};
use rusqlite::{Connection, params};

use crate::{
    SqliteStore, audit,
    columns::{Columns, stored},
    fault::Fault,
    query::{execute, exists, first, rows},
};

pub(crate) const ENTRY: &str =
    "number, id, stream, seq, kind, cause, at, available, held, reserved, receivable";
const HEAD: &str = "seq, available, held, reserved, receivable";

fn read_balances(columns: &mut Columns<'_>) -> Result<Balances, Fault> {
    Ok(Balances {
        available: columns.money()?,
        held: columns.money()?,
        reserved: columns.money()?,
        receivable: columns.money()?,
    })
}

fn read_head(columns: &mut Columns<'_>) -> Result<Head, Fault> {
    Ok(Head { seq: columns.unsigned()?, balances: read_balances(columns)? })
}

/// An entry without its legs, and the number they are found by.
pub(crate) fn read_entry(columns: &mut Columns<'_>) -> Result<(i64, Entry), Fault> {
    let (number, id) = (columns.take()?, columns.take()?);
    let stream = columns.word(Stream::from_name)?;
    let seq = columns.unsigned()?;
    let (kind, cause) = (columns.word(EntryKind::from_name)?, columns.take()?);
    let at = columns.time()?;
    Ok((
        number,
        Entry {
            draft: Draft { id, stream, kind, legs: Vec::new(), cause },
            seq,
            at,
            balances: read_balances(columns)?,
        },
    ))
}

pub(crate) fn with_legs(
    connection: &Connection,
    (number, mut entry): (i64, Entry),
) -> Result<Entry, Fault> {
    let sql = "SELECT account, amount FROM legs WHERE entry = ? ORDER BY place";
    entry.draft.legs = rows(connection, sql, [number], |c| {
        Ok(Leg { account: c.word(Account::from_name)?, amount: c.money()? })
    })?;
    Ok(entry)
}

/// The end of a stream, read from the ledger itself.
fn head(connection: &Connection, stream: Stream) -> Result<Head, Fault> {
    let sql = format!("SELECT {HEAD} FROM ledger WHERE stream = ? ORDER BY seq DESC LIMIT 1");
    Ok(first(connection, &sql, [stream.name()], read_head)?.unwrap_or_default())
}

/// Books one entry if it continues its stream as it is now. An entry that was drafted behind
/// another one that did not get its place has balances that are no longer true: it must be drafted
/// again, too.
fn book(connection: &Connection, entry: &Entry) -> Result<Booked, Fault> {
    let draft = &entry.draft;
    let is_there = || exists(connection, "SELECT 1 FROM ledger WHERE id = ?", [&draft.id]);
    let head = head(connection, draft.stream)?;
    match draft.balances_after(head.balances) {
        Ok(balances) if (entry.seq, entry.balances) == (head.seq + 1, balances) => {
            match insert(connection, entry)? {
                true => Ok(Booked::Done),
                false if is_there()? => Ok(Booked::Already),
                false => {
                    Err(Fault::Bad(format!("ledger entry {} has the place of another", draft.id)))
                }
            }
        }
        Ok(_) | Err(LedgerError::Overdrawn { .. } | LedgerError::Money(_)) => {
            Ok(if is_there()? { Booked::Already } else { Booked::SeqTaken })
        }
        Err(error @ (LedgerError::Unbalanced { .. } | LedgerError::WrongStream { .. })) => {
            Err(Fault::Bad(error.to_string()))
        }
    }
}

/// Adds an entry as it is; `false` if it or its place in the stream is there.
pub(crate) fn insert(connection: &Connection, entry: &Entry) -> Result<bool, Fault> {
    let (draft, balances) = (&entry.draft, &entry.balances);
    let (stream, seq) = (draft.stream.name(), stored(entry.seq)?);
    let (available, held, reserved, receivable) =
        (balances.available.0, balances.held.0, balances.reserved.0, balances.receivable.0);
    let sql = "INSERT INTO ledger (id, stream, seq, kind, cause, at, available, held, reserved, receivable) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
               ON CONFLICT DO NOTHING";
    let values = params![
        draft.id,
        stream,
        seq,
        draft.kind.name(),
        draft.cause,
        entry.at.0,
        available,
        held,
        reserved,
        receivable
    ];
    if execute(connection, sql, values)? == 0 {
        return Ok(false);
    }
    let number = connection.last_insert_rowid();
    for (place, leg) in (0_u32..).zip(&draft.legs) {
        let sql = "INSERT INTO legs (entry, place, account, amount) VALUES (?, ?, ?, ?)";
        execute(connection, sql, params![number, place, leg.account.name(), leg.amount.0])?;
    }
    let sql = "INSERT INTO heads (stream, seq, available, held, reserved, receivable) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (stream) \
               DO UPDATE SET seq = excluded.seq, available = excluded.available, held = excluded.held, reserved = excluded.reserved, \
               receivable = excluded.receivable WHERE excluded.seq > seq";
    execute(connection, sql, params![stream, seq, available, held, reserved, receivable])?;
    Ok(true)
}

/// By the ids of accruals, which begin with their period's start.
fn accrued(
    connection: &Connection,
    period_start_s: i64,
) -> Result<BTreeMap<NodeId, MicroUsdt>, Fault> {
    let sql = "SELECT l.stream, g.amount FROM ledger l JOIN legs g ON g.entry = l.number \
               WHERE l.id >= ? AND l.id < ? AND g.account = 'available:' || l.stream";
    // The character after the colon.
    let (from, to) = (format!("acc:{period_start_s}:"), format!("acc:{period_start_s};"));
    let accrued = rows(connection, sql, [from, to], |columns| {
        Ok((columns.word(node_of)?, columns.money()?))
    })?;
    Ok(accrued.into_iter().collect())
}

fn node_of(stream: &str) -> Option<NodeId> {
    match Stream::from_name(stream) {
        Some(Stream::Node(node)) => Some(node),
        Some(Stream::Treasury) | None => None,
    }
}

fn read_node_head(columns: &mut Columns<'_>) -> Result<(NodeId, Head), Fault> {
    Ok((columns.word(node_of)?, read_head(columns)?))
}

#[async_trait]
impl LedgerStore for SqliteStore {
    async fn head(&self, stream: Stream) -> Result<Head, StoreError> {
        self.core.lookup(|connection| head(connection, stream)).await
    }
    async fn book(&self, entries: Vec<Entry>) -> Result<Vec<Booked>, StoreError> {
        self.core
            .write(move |connection| entries.iter().map(|entry| book(connection, entry)).collect())
            .await
    }
    async fn book_audited(&self, entry: Entry, audit: AuditEntry) -> Result<Booked, StoreError> {
        self.core
            .write(move |connection| {
                let booked = book(connection, &entry)?;
                if booked == Booked::Done {
                    audit::add(connection, &audit)?;
                }
                Ok(booked)
            })
            .await
    }
    async fn entry(&self, id: &str) -> Result<Option<Entry>, StoreError> {
        let sql = format!("SELECT {ENTRY} FROM ledger WHERE id = ?");
        self.core
            .lookup(|connection| {
                let found = first(connection, &sql, [id], read_entry)?;
                found.map(|entry| with_legs(connection, entry)).transpose()
            })
            .await
    }
    async fn entries(
        &self,
        stream: Stream,
        after_seq: u64,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        let sql =
            format!("SELECT {ENTRY} FROM ledger WHERE stream = ? AND seq > ? ORDER BY seq LIMIT ?");
        self.core
            .read(move |connection| {
                let found = rows(
                    connection,
                    &sql,
                    params![stream.name(), stored(after_seq)?, limit],
                    read_entry,
                )?;
                found.into_iter().map(|entry| with_legs(connection, entry)).collect()
            })
            .await
    }
    async fn streams(&self) -> Result<Vec<Stream>, StoreError> {
        self.core
            .read(|connection| {
                rows(connection, "SELECT stream FROM heads ORDER BY stream", [], |c| {
                    c.word(Stream::from_name)
                })
            })
            .await
    }
    async fn account_total(&self, account: Account) -> Result<MicroUsdt, StoreError> {
        let sql = "SELECT coalesce(sum(amount), 0) FROM legs WHERE account = ?";
        let total = self
            .core
            .read(move |connection| first(connection, sql, [account.name()], |c| c.money()))
            .await?;
        Ok(total.unwrap_or_default())
    }
    async fn accrued(
        &self,
        period_start_s: i64,
    ) -> Result<BTreeMap<NodeId, MicroUsdt>, StoreError> {
        self.core.read(move |connection| accrued(connection, period_start_s)).await
    }
    async fn heads_available(
        &self,
        at_least: MicroUsdt,
    ) -> Result<Vec<(NodeId, Head)>, StoreError> {
        let sql = format!(
            "SELECT stream, {HEAD} FROM heads WHERE stream <> 'treasury' AND available >= ? ORDER BY stream"
        );
        self.core.read(move |connection| rows(connection, &sql, [at_least.0], read_node_head)).await
    }
}
