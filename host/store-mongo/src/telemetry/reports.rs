//! Storing a report: one write of the node's live document, which is all of it or nothing.
//!
//! The live document has the node's place in its sequence, what is newest, the samples of the last
//! hour and the stretches of presence. When it is full, its samples are sealed into a bucket (see
//! [`crate::telemetry::buckets`]). Sessions are in it as a claim until they are folded (see
//! [`crate::telemetry::sessions`]).

use std::time::Duration;

use lucid_model::id::NodeId;
use lucid_ports::{Report, ReportOutcome};
use lucid_store::packing;
use mongodb::{
    Collection,
    bson::{Bson, Document, doc, oid::ObjectId},
    options::ReturnDocument,
};

use crate::{
    MongoStore,
    fault::Fault,
    fields::{Fields, bytes, digest, id, stored},
    telemetry::{
        live::{Claim, LIVE},
        sessions,
    },
};

/// Weight at which a live document is sealed: an hour of a report each half minute.
const LIVE_WEIGHT_MAX: i64 = 120;
/// Samples of one bucket: far below what a document may hold.
pub(crate) const BUCKET_SAMPLES_MAX: usize = 2_000;
/// Others may make a node's live document, or take the number of its next claim, at the same time:
/// each try that is refused is one that somebody else has won. What refuses it may be seen only
/// once it is on the disk, so that those who come at once wait before they try again: four seconds
/// in all.
const TRIES_MAX: usize = 20;
const PAUSE_FIRST: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(300);

impl MongoStore {
    /// Stores all of a report, or nothing if its place in the sequence is taken.
    pub(crate) async fn keep_report(&self, report: &Report) -> Result<ReportOutcome, Fault> {
        if !report.sessions.is_empty() {
            // Claims are folded in their order: what a crash left comes first.
            self.fold_claims(Some(&[report.node])).await?;
        }
        let live = self.collection(LIVE);
        let write = ObjectId::new();
        let (mut tries, mut pause) = (0, PAUSE_FIRST);
        let after = loop {
            tries += 1;
            let unanswered = match store(&live, report, write).await {
                Ok(Some(after)) => break after,
                // A server may answer with no document when another made it at the same time.
                Ok(None) => None,
                Err(fault) if fault.is_duplicate() => None,
                Err(fault) if fault.is_ambiguous() => Some(fault),
                Err(fault) => return Err(fault),
            };
            match (place(&live, report, write).await?, unanswered) {
                (Place::Taken(outcome), _) => return Ok(outcome),
                (Place::Ours(after), _) => break after,
                // Without an answer it may still come to be written: only a refused one is sent
                // again.
                (Place::Free, Some(fault)) => return Err(fault),
                (Place::Free, None) if tries < TRIES_MAX => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                (Place::Free, None) => {
                    return Err(Fault::Contended(format!(
                        "a report of node {} lost its place to others {TRIES_MAX} times",
                        report.node
                    )));
                }
            }
        };
        let claim = Claim {
            number: Fields::of(&after).number_or_none("claimed")?.unwrap_or_default(),
            sessions: report.sessions.clone(),
        };
        let outcomes = if claim.sessions.is_empty() {
            Vec::new()
        } else {
            self.fold(report.node, &claim).await?
        };
        if Fields::of(&after).number::<i64>("weight")? >= LIVE_WEIGHT_MAX {
            // The report is stored; that its document is still long is no reason to say otherwise.
            if let Err(fault) = self.seal(report.node).await {
                tracing::warn!(node = %report.node, %fault, "samples stay in the live document until the next report");
            }
        }
        Ok(ReportOutcome::Stored(outcomes))
    }
}

fn shown() -> Document {
    doc! { "weight": 1, "claimed": 1, "highest": 1, "digest": 1, "write": 1 }
}

/// The one write. The unique `_id` refuses it if the document is there with this number or a higher
/// one: the filter does not match it, and the upsert would make a second.
async fn store(
    live: &Collection<Document>,
    report: &Report,
    write: ObjectId,
) -> Result<Option<Document>, Fault> {
    let mut filter = doc! { "_id": id(report.node.0) };
    let mut set = doc! { "v": 1, "write": write };
    if let Some((sequence, body)) = report.sequence {
        filter.insert("highest", doc! { "$not": { "$gte": stored(sequence)? } });
        set.insert("highest", stored(sequence)?);
        set.insert("digest", digest(body));
    }
    let samples: Vec<_> = report.samples.iter().map(packing::to_bytes).collect();
    let mut most = doc! { "last_seen": report.arrived_at.0 };
    // One that says how the node is now replaces whatever is there, also one that is dated later by
    // a clock that was ahead.
    let is_of_now = report.samples.iter().any(|sample| !sample.is_late());
    if let Some(newest) = samples.iter().max() {
        let fields = if is_of_now { &mut set } else { &mut most };
        fields.insert("newest", bytes(newest));
    }
    if let Some(presence) = report.presence {
        most.insert(format!("presence.{}", presence.from.0), presence.to.0);
    }
    // A heartbeat weighs as much as a sample: it may have begun another stretch of presence.
    let weight = i64::try_from(samples.len()).unwrap_or(i64::MAX).max(1);
    let mut increased = doc! { "weight": weight };
    let mut pushed = Document::new();
    if !samples.is_empty() {
        pushed.insert(
            "samples",
            doc! { "$each": samples.iter().map(|sample| bytes(sample)).collect::<Vec<_>>() },
        );
    }
    if !report.sessions.is_empty() {
        increased.insert("claimed", 1_i64);
    }
    let mut update = doc! { "$set": set, "$max": most, "$inc": increased };
    if !report.sessions.is_empty() {
        let claim = next_claim(live, report.node, &mut filter).await?;
        let claimed: Vec<Bson> =
            report.sessions.iter().map(|session| sessions::document(session).into()).collect();
        pushed.insert("claims", doc! { "claim": claim, "sessions": claimed });
    }
    if !pushed.is_empty() {
        update.insert("$push", pushed);
    }
    Ok(live
        .find_one_and_update(filter, update)
        .upsert(true)
        .return_document(ReturnDocument::After)
        .projection(shown())
        .await?)
}

/// The number of the node's next claim; the write is refused if another takes it first.
async fn next_claim(
    live: &Collection<Document>,
    node: NodeId,
    filter: &mut Document,
) -> Result<i64, Fault> {
    let found = live.find_one(doc! { "_id": id(node.0) }).projection(doc! { "claimed": 1 }).await?;
    let claimed: Option<i64> =
        found.map_or(Ok(None), |found| Fields::of(&found).number_or_none("claimed"))?;
    // Not an equality where there is none: an upsert would write it into the new document.
    filter.insert(
        "claimed",
        claimed
            .map_or_else(|| doc! { "$not": { "$gte": 1_i64 } }, |claimed| doc! { "$eq": claimed }),
    );
    Ok(claimed.unwrap_or_default() + 1)
}

/// Who has the report's place in the sequence.
enum Place {
    Taken(ReportOutcome),
    Ours(Document),
    Free,
}

async fn place(
    live: &Collection<Document>,
    report: &Report,
    write: ObjectId,
) -> Result<Place, Fault> {
    let Some(found) = live.find_one(doc! { "_id": id(report.node.0) }).projection(shown()).await?
    else {
        return Ok(Place::Free);
    };
    let fields = Fields::of(&found);
    if fields.get("write").and_then(Bson::as_object_id) == Some(write) {
        return Ok(Place::Ours(found));
    }
    let (Some((sequence, body)), Some(highest)) =
        (report.sequence, fields.number_or_none::<u64>("highest")?)
    else {
        return Ok(Place::Free);
    };
    if highest == sequence && fields.digest("digest")? == body {
        return Ok(Place::Taken(ReportOutcome::Repeated));
    }
    Ok(if sequence <= highest {
        Place::Taken(ReportOutcome::SequenceTaken { highest })
    } else {
        Place::Free
    })
}
