use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use lucid_model::{
    audit::AuditEntry,
    money::ledger::{Entry, Head, LedgerError, Stream},
};
use lucid_ports::Booked;
use mongodb::{
    Collection,
    bson::{Document, doc, oid::ObjectId},
    error::ErrorKind,
};

use super::{document, read_head};
use crate::{
    audit,
    fault::Fault,
    fields::{Fields, stored},
    page::collect,
};

/// Entries that are read and inserted with one command; far below what a message may hold.
const WAVE_ENTRIES_MAX: usize = 500;

/// Books entries, each by itself, those of one stream one after the other.
pub(super) async fn book(
    ledger: &Collection<Document>,
    entries: &[Entry],
) -> Result<Vec<Booked>, Fault> {
    let mut outcomes = vec![Booked::SeqTaken; entries.len()];
    let mut waiting: Vec<_> = entries.iter().zip(&mut outcomes).collect();
    while !waiting.is_empty() {
        // An entry is checked against the one before it: no wave has two of one stream.
        let (mut streams, mut wave, mut later) = (BTreeSet::new(), Vec::new(), Vec::new());
        for (entry, outcome) in waiting {
            let goes = wave.len() < WAVE_ENTRIES_MAX && streams.insert(entry.draft.stream);
            if goes { wave.push((entry, outcome)) } else { later.push((entry, outcome)) }
        }
        let sent: Vec<_> = wave.iter().map(|(entry, _)| (*entry, None)).collect();
        for ((_, outcome), booked) in wave.into_iter().zip(book_wave(ledger, &sent).await?) {
            *outcome = booked;
        }
        waiting = later;
    }
    Ok(outcomes)
}

/// Books one entry, and its audit entry with it.
pub(super) async fn book_one(
    ledger: &Collection<Document>,
    entry: &Entry,
    audit: &AuditEntry,
) -> Result<Booked, Fault> {
    let booked = book_wave(ledger, &[(entry, Some(audit))]).await?;
    booked
        .first()
        .copied()
        .ok_or_else(|| Fault::Bad(format!("no outcome of entry {}", entry.draft.id)))
}

/// Books entries of different streams.
async fn book_wave(
    ledger: &Collection<Document>,
    wave: &[(&Entry, Option<&AuditEntry>)],
) -> Result<Vec<Booked>, Fault> {
    let before = entries_before(ledger, wave).await?;
    let write = ObjectId::new();
    let mut documents = Vec::new();
    let mut sent = HashSet::new();
    for (entry, audit) in wave {
        if !continues(entry, &before)? {
            continue;
        }
        let mut document = document(entry)?;
        if let Some(audit) = audit {
            document.insert("audit", audit::intents(std::slice::from_ref(*audit)));
        }
        document.insert("write", write);
        documents.push(document);
        sent.insert(entry.draft.id.as_str());
    }
    let done = documents.is_empty() || insert(ledger, &documents).await?;
    if done && sent.len() == wave.len() {
        return Ok(vec![Booked::Done; wave.len()]);
    }
    let held = holders(ledger, wave).await?;
    wave.iter()
        .map(|(entry, _)| match held.get(&entry.draft.id) {
            Some(holder) if *holder == write => Ok(Booked::Done),
            Some(_) => Ok(Booked::Already),
            None => Ok(Booked::SeqTaken),
        })
        .collect()
}

/// Inserts what can be; `false` if unique keys refused some.
async fn insert(ledger: &Collection<Document>, documents: &[Document]) -> Result<bool, Fault> {
    let Err(fault) = ledger.insert_many(documents).ordered(false).await.map_err(Fault::from) else {
        return Ok(true);
    };
    // Some may be in without an answer: who holds their ids says which. What is not there may still
    // be on its way, and must not be taken for a lost place: then nobody can say, and booking again
    // finds what is there.
    if fault.is_duplicate() && refused_only(&fault) { Ok(false) } else { Err(fault) }
}

/// Whether the server answered for every document.
fn refused_only(fault: &Fault) -> bool {
    match fault {
        Fault::Driver(error) => {
            matches!(error.kind.as_ref(), ErrorKind::InsertMany(many) if many.write_concern_error.is_none())
        }
        Fault::Bad(_) | Fault::Contended(_) => false,
    }
}

/// Whether the entry follows from the one before it. One that was drafted behind another that did
/// not get its place has balances that are no longer true: it must be drafted again, too.
fn continues(entry: &Entry, before: &HashMap<(Stream, u64), Head>) -> Result<bool, Fault> {
    let head = match entry.seq.checked_sub(1) {
        None => return Ok(false),
        Some(0) => Head::default(),
        Some(seq) => match before.get(&(entry.draft.stream, seq)) {
            Some(head) => *head,
            None => return Ok(false),
        },
    };
    match entry.draft.clone().book(head, entry.at) {
        Ok(next) => Ok(next == *entry),
        Err(LedgerError::Overdrawn { .. } | LedgerError::Money(_)) => Ok(false),
        Err(error @ (LedgerError::Unbalanced { .. } | LedgerError::WrongStream { .. })) => {
            Err(Fault::Bad(error.to_string()))
        }
    }
}

/// The heads that the entries say they follow.
async fn entries_before(
    ledger: &Collection<Document>,
    wave: &[(&Entry, Option<&AuditEntry>)],
) -> Result<HashMap<(Stream, u64), Head>, Fault> {
    let mut streams_of = BTreeMap::<u64, Vec<String>>::new();
    for (entry, _) in wave {
        if let Some(before @ 1..) = entry.seq.checked_sub(1) {
            streams_of.entry(before).or_default().push(entry.draft.stream.name());
        }
    }
    if streams_of.is_empty() {
        return Ok(HashMap::new());
    }
    let places = streams_of
        .into_iter()
        .map(|(seq, streams)| Ok(doc! { "stream": { "$in": streams }, "seq": stored(seq)? }));
    let places = places.collect::<Result<Vec<_>, Fault>>()?;
    let heads = collect(ledger.find(doc! { "$or": places }).await?, |fields| {
        let head = read_head(fields)?;
        Ok(((fields.word("stream", Stream::from_name)?, head.seq), head))
    });
    Ok(heads.await?.into_iter().collect())
}

/// The writes that the ids' entries came with.
async fn holders(
    ledger: &Collection<Document>,
    wave: &[(&Entry, Option<&AuditEntry>)],
) -> Result<HashMap<String, ObjectId>, Fault> {
    let ids: Vec<_> = wave.iter().map(|(entry, _)| entry.draft.id.as_str()).collect();
    let cursor =
        ledger.find(doc! { "_id": { "$in": ids } }).projection(doc! { "write": 1 }).await?;
    let read = |fields: Fields<'_>| {
        let write = fields.get("write").and_then(mongodb::bson::Bson::as_object_id);
        Ok((
            fields.text("_id")?,
            write.ok_or_else(|| Fault::Bad("field write is missing".to_owned()))?,
        ))
    };
    Ok(collect(cursor, read).await?.into_iter().collect())
}
