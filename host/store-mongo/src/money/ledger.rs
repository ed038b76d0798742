//! The ledger: an entry is one document with all its legs and the balances after it, so that
//! booking is one insert.
//!
//! There is no head to keep: an entry is booked if the entry before it in its stream is there and
//! leads to it, and nobody else has its place. Entries never change, so what was checked stays
//! true, and the unique (stream, seq) decides between two. A crash leaves an entry or none.

mod booking;

use std::collections::BTreeMap;

use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    id::NodeId,
    money::{
        MicroUsdt,
        ledger::{Account, Balances, Draft, Entry, EntryKind, Head, Leg, Stream},
    },
};
use lucid_ports::{Booked, LedgerStore, StoreError};
use mongodb::{
    Collection,
    bson::{Bson, Document, doc},
};

use crate::{
    MongoStore,
    fault::Fault,
    fields::{Fields, stored},
    index::Index,
    page::collect,
};

pub(crate) const LEDGER: &str = "ledger";

pub(crate) const INDICES: &[Index] = &[
    Index {
        collection: LEDGER,
        name: "ledger_stream",
        keys: &[("stream", 1), ("seq", -1)],
        unique: true,
        partial: None,
        why: "one entry a place of a stream; heads and streams",
    },
    Index {
        collection: LEDGER,
        name: "ledger_account",
        keys: &[("legs.account", 1)],
        unique: false,
        partial: None,
        why: "the sum of an account",
    },
];

pub(crate) fn document(entry: &Entry) -> Result<Document, Fault> {
    let (draft, balances) = (&entry.draft, &entry.balances);
    let legs: Vec<Bson> = draft
        .legs
        .iter()
        .map(|leg| doc! { "account": leg.account.name(), "amount": leg.amount.0 }.into())
        .collect();
    Ok(doc! {
        "_id": &draft.id,
        "v": 1,
        "stream": draft.stream.name(),
        "seq": stored(entry.seq)?,
        "kind": draft.kind.name(),
        "cause": &draft.cause,
        "at": entry.at.0,
        "legs": legs,
        "available": balances.available.0,
        "held": balances.held.0,
        "reserved": balances.reserved.0,
        "receivable": balances.receivable.0,
    })
}

fn read_head(fields: Fields<'_>) -> Result<Head, Fault> {
    let balances = Balances {
        available: fields.money("available")?,
        held: fields.money("held")?,
        reserved: fields.money("reserved")?,
        receivable: fields.money("receivable")?,
    };
    Ok(Head { seq: fields.number("seq")?, balances })
}

pub(crate) fn read(fields: Fields<'_>) -> Result<Entry, Fault> {
    let legs = fields.documents("legs")?;
    let legs = legs.into_iter().map(|leg| {
        Ok(Leg { account: leg.word("account", Account::from_name)?, amount: leg.money("amount")? })
    });
    let draft = Draft {
        id: fields.text("_id")?,
        stream: fields.word("stream", Stream::from_name)?,
        kind: fields.word("kind", EntryKind::from_name)?,
        legs: legs.collect::<Result<_, Fault>>()?,
        cause: fields.text("cause")?,
    };
    let head = read_head(fields)?;
    Ok(Entry { draft, seq: head.seq, at: fields.time("at")?, balances: head.balances })
}

fn read_node_head(fields: Fields<'_>) -> Result<(NodeId, Head), Fault> {
    Ok((fields.word("_id", node_of)?, read_head(fields)?))
}

fn node_of(stream: &str) -> Option<NodeId> {
    match Stream::from_name(stream) {
        Some(Stream::Node(node)) => Some(node),
        Some(Stream::Treasury) | None => None,
    }
}

/// By the ids of accruals, which begin with their period's start.
async fn accrued(
    ledger: &Collection<Document>,
    period_start_s: i64,
) -> Result<BTreeMap<NodeId, MicroUsdt>, Fault> {
    // The character after the colon.
    let ids =
        doc! { "$gte": format!("acc:{period_start_s}:"), "$lt": format!("acc:{period_start_s};") };
    let accrued = collect(
        ledger.find(doc! { "_id": ids }).projection(doc! { "stream": 1, "legs": 1 }).await?,
        |fields| {
            let node = fields.word("stream", node_of)?;
            let mut available = MicroUsdt::ZERO;
            for leg in fields.documents("legs")? {
                if leg.word("account", Account::from_name)? == Account::Available(node) {
                    available = leg.money("amount")?;
                }
            }
            Ok((node, available))
        },
    );
    Ok(accrued.await?.into_iter().collect())
}

/// The end of a stream, read from the ledger itself.
async fn head(ledger: &Collection<Document>, stream: Stream) -> Result<Head, Fault> {
    let last = ledger
        .find_one(doc! { "stream": stream.name() })
        .sort(doc! { "stream": 1, "seq": -1 })
        .await?;
    last.map_or_else(|| Ok(Head::default()), |last| read_head(Fields::of(&last)))
}

async fn entries(
    ledger: &Collection<Document>,
    stream: Stream,
    after_seq: u64,
    limit: u32,
) -> Result<Vec<Entry>, Fault> {
    let filter = doc! { "stream": stream.name(), "seq": { "$gt": stored(after_seq)? } };
    collect(ledger.find(filter).sort(doc! { "seq": 1 }).limit(i64::from(limit)).await?, read).await
}

async fn streams(ledger: &Collection<Document>) -> Result<Vec<Stream>, Fault> {
    let pipeline = [
        doc! { "$sort": { "stream": 1 } },
        doc! { "$group": { "_id": "$stream" } },
        doc! { "$sort": { "_id": 1 } },
    ];
    collect(ledger.aggregate(pipeline).await?, |fields| fields.word("_id", Stream::from_name)).await
}

/// A sum that leaves 64 bits comes back as a float or not at all: an error either way.
async fn account_total(
    ledger: &Collection<Document>,
    account: Account,
) -> Result<MicroUsdt, Fault> {
    let of_account = doc! { "$match": { "legs.account": account.name() } };
    let sum = doc! { "$group": { "_id": Bson::Null, "total": { "$sum": "$legs.amount" } } };
    let pipeline = [of_account.clone(), doc! { "$unwind": "$legs" }, of_account, sum];
    let totals = collect(ledger.aggregate(pipeline).await?, |fields| fields.money("total")).await?;
    Ok(totals.first().copied().unwrap_or_default())
}

/// Sorted as the index is, so that the server jumps from the last entry of a stream to that of the
/// next.
async fn heads_available(
    ledger: &Collection<Document>,
    at_least: MicroUsdt,
) -> Result<Vec<(NodeId, Head)>, Fault> {
    let first = |field: &str| doc! { "$first": format!("${field}") };
    let pipeline = [
        doc! { "$sort": { "stream": 1, "seq": -1 } },
        doc! { "$group": {
            "_id": "$stream",
            "seq": first("seq"),
            "available": first("available"),
            "held": first("held"),
            "reserved": first("reserved"),
            "receivable": first("receivable"),
        } },
        doc! { "$match": { "available": { "$gte": at_least.0 }, "_id": { "$ne": Stream::Treasury.name() } } },
        doc! { "$sort": { "_id": 1 } },
    ];
    collect(ledger.aggregate(pipeline).await?, read_node_head).await
}

async fn entry(ledger: &Collection<Document>, id: &str) -> Result<Option<Entry>, Fault> {
    let found = ledger.find_one(doc! { "_id": id }).await?;
    found.map(|found| read(Fields::of(&found))).transpose()
}

#[async_trait]
impl LedgerStore for MongoStore {
    async fn head(&self, stream: Stream) -> Result<Head, StoreError> {
        Ok(head(&self.collection(LEDGER), stream).await?)
    }
    async fn book(&self, entries: Vec<Entry>) -> Result<Vec<Booked>, StoreError> {
        Ok(booking::book(&self.collection(LEDGER), &entries).await?)
    }
    async fn book_audited(&self, entry: Entry, audit: AuditEntry) -> Result<Booked, StoreError> {
        let booked = booking::book_one(&self.collection(LEDGER), &entry, &audit).await?;
        if booked == Booked::Done {
            self.drain.left(LEDGER, &Bson::String(entry.draft.id), &[audit]);
        }
        Ok(booked)
    }
    async fn entry(&self, id: &str) -> Result<Option<Entry>, StoreError> {
        Ok(entry(&self.collection(LEDGER), id).await?)
    }
    async fn entries(
        &self,
        stream: Stream,
        after_seq: u64,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        Ok(entries(&self.collection(LEDGER), stream, after_seq, limit).await?)
    }
    async fn streams(&self) -> Result<Vec<Stream>, StoreError> {
        Ok(streams(&self.collection(LEDGER)).await?)
    }
    async fn account_total(&self, account: Account) -> Result<MicroUsdt, StoreError> {
        Ok(account_total(&self.collection(LEDGER), account).await?)
    }
    async fn accrued(
        &self,
        period_start_s: i64,
    ) -> Result<BTreeMap<NodeId, MicroUsdt>, StoreError> {
        Ok(accrued(&self.collection(LEDGER), period_start_s).await?)
    }
    async fn heads_available(
        &self,
        at_least: MicroUsdt,
    ) -> Result<Vec<(NodeId, Head)>, StoreError> {
        Ok(heads_available(&self.collection(LEDGER), at_least).await?)
    }
}
