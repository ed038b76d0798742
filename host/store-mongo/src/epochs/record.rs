use lucid_model::{
    consensus::BlockRef,
    epochs::{epoch::EpochRecord, score::Ppm},
    policies::Revision,
};
use lucid_ports::{EpochFilter, Page, PageRequest};
use mongodb::bson::{Bson, Document, doc, oid::ObjectId};

use crate::{
    MongoStore,
    fault::Fault,
    fields::{Fields, digest, stored},
    index::Index,
    page::{collect, page},
};

pub(crate) const EPOCHS: &str = "epochs";
const CLOSING: &str = "closing";
pub(crate) const CLOSED: &str = "closed";
/// The place of the first chunk whose nodes do not have their scores; no number once all have.
pub(crate) const SETTLED_FROM: &str = "settled_from";

pub(crate) const INDICES: &[Index] = &[
    Index {
        collection: EPOCHS,
        name: "epochs_state",
        keys: &[("state", 1), ("_id", 1)],
        unique: false,
        partial: None,
        why: "epochs that are closed, by start; those being closed",
    },
    Index {
        collection: EPOCHS,
        name: "epochs_votes",
        keys: &[("votes_from", 1), ("_id", 1)],
        unique: false,
        partial: None,
        why: "epochs whose votes are not all made",
    },
    Index {
        collection: EPOCHS,
        name: "epochs_settled",
        keys: &[(SETTLED_FROM, 1), ("_id", 1)],
        unique: false,
        partial: None,
        why: "epochs whose nodes do not all have their scores",
    },
];

/// An epoch's document, whatever its state.
pub(crate) struct Claim {
    pub(crate) record: EpochRecord,
    /// The name under which its content is staged.
    pub(crate) staged: ObjectId,
    pub(crate) closed: bool,
    /// The first chunk whose nodes do not have their scores, where that is left for later.
    pub(crate) settled_from: Option<i64>,
}

pub(crate) fn claim(record: &EpochRecord, staged: ObjectId) -> Result<Document, Fault> {
    Ok(doc! {
        "_id": record.epoch.start_s,
        "v": 1,
        "state": CLOSING,
        "staged": staged,
        "length_s": record.epoch.length.seconds(),
        "closed_at": record.closed_at.0,
        "revision": stored(record.policy_revision.0)?,
        "rules": record.rules,
        "nodes": record.nodes,
        "eligible": record.eligible,
        "held": record.held,
        "root": digest(record.root),
        "previous_link": digest(record.previous_link),
        "completeness": record.completeness.map(|share| share.0),
        "block": record.block.as_ref().map(block_document),
    })
}

pub(crate) fn block_document(block: &BlockRef) -> Document {
    doc! { "id": &block.id, "hash": &block.hash }
}

pub(crate) fn read_block(fields: Fields<'_>) -> Result<Option<BlockRef>, Fault> {
    fields
        .document_or_none("block")?
        .map(|block| Ok(BlockRef { id: block.text("id")?, hash: block.text("hash")? }))
        .transpose()
}

pub(crate) fn read(fields: Fields<'_>) -> Result<EpochRecord, Fault> {
    Ok(EpochRecord {
        epoch: fields.period("_id", "length_s")?,
        closed_at: fields.time("closed_at")?,
        policy_revision: Revision(fields.number("revision")?),
        rules: fields.number("rules")?,
        nodes: fields.number("nodes")?,
        eligible: fields.number("eligible")?,
        held: fields.number("held")?,
        root: fields.digest("root")?,
        previous_link: fields.digest("previous_link")?,
        completeness: fields.number_or_none("completeness")?.map(Ppm),
        block: read_block(fields)?,
    })
}

pub(crate) fn read_claim(fields: Fields<'_>) -> Result<Claim, Fault> {
    let staged = fields
        .get("staged")
        .and_then(Bson::as_object_id)
        .ok_or_else(|| Fault::Bad("field staged is missing".to_owned()))?;
    Ok(Claim {
        record: read(fields)?,
        staged,
        closed: fields.text("state")? == CLOSED,
        settled_from: fields.number_or_none(SETTLED_FROM)?,
    })
}

impl MongoStore {
    pub(crate) async fn claim_of(&self, epoch_start_s: i64) -> Result<Option<Claim>, Fault> {
        let found = self.collection(EPOCHS).find_one(doc! { "_id": epoch_start_s }).await?;
        found.map(|found| read_claim(Fields::of(&found))).transpose()
    }

    /// The newest epoch that is closed or being closed.
    pub(crate) async fn newest_start(&self) -> Result<Option<i64>, Fault> {
        let found = self
            .collection(EPOCHS)
            .find_one(doc! {})
            .projection(doc! { "_id": 1 })
            .sort(doc! { "_id": -1 })
            .await?;
        found.map(|found| Fields::of(&found).number("_id")).transpose()
    }

    /// The write at which an epoch is closed for its readers. `false`: another call's was first.
    pub(crate) async fn show(&self, claim: &Claim) -> Result<bool, Fault> {
        let (epochs, start_s, closed_by) =
            (self.collection(EPOCHS), claim.record.epoch.start_s, ObjectId::new());
        let close = doc! { "$set": { "state": CLOSED, "closed_by": closed_by } };
        let lost = match epochs
            .update_one(doc! { "_id": start_s, "state": CLOSING }, close)
            .await
            .map_err(Fault::from)
        {
            Ok(result) if result.matched_count == 1 => return Ok(true),
            Ok(_) => None,
            Err(fault) if fault.is_ambiguous() => Some(fault),
            Err(fault) => return Err(fault),
        };
        // The driver repeats a write whose answer was lost: then it was closed by the first.
        let ours = epochs
            .find_one(doc! { "_id": start_s, "closed_by": closed_by })
            .projection(doc! { "_id": 1 })
            .await?
            .is_some();
        match lost {
            Some(fault) if !ours => Err(fault),
            _ => Ok(ours),
        }
    }

    pub(crate) async fn last_closed(&self) -> Result<Option<EpochRecord>, Fault> {
        let found = self
            .collection(EPOCHS)
            .find_one(doc! { "state": CLOSED })
            .sort(doc! { "_id": -1 })
            .await?;
        found.map(|found| read(Fields::of(&found))).transpose()
    }

    pub(crate) async fn closed_epochs(
        &self,
        filter: EpochFilter,
        request: &PageRequest<()>,
    ) -> Result<Page<EpochRecord>, Fault> {
        let mut conditions = doc! { "state": CLOSED };
        let mut range = Document::new();
        range.extend(filter.from_s.map(|from_s| ("$gte".to_owned(), Bson::Int64(from_s))));
        range.extend(filter.to_s.map(|to_s| ("$lt".to_owned(), Bson::Int64(to_s))));
        if !range.is_empty() {
            conditions.insert("_id", range);
        }
        page(&self.collection(EPOCHS), conditions, &["_id"], request, read).await
    }

    /// Closed epochs that start in `[from_s, to_s)`, with the names of their contents.
    pub(crate) async fn closed_between(&self, from_s: i64, to_s: i64) -> Result<Vec<Claim>, Fault> {
        let filter = doc! { "state": CLOSED, "_id": { "$gte": from_s, "$lt": to_s } };
        collect(self.collection(EPOCHS).find(filter).sort(doc! { "_id": 1 }).await?, read_claim)
            .await
    }

    /// Those of these epochs that are closed, oldest first.
    pub(crate) async fn closed_of(&self, starts_s: Vec<Bson>) -> Result<Vec<EpochRecord>, Fault> {
        let filter = doc! { "state": CLOSED, "_id": { "$in": starts_s } };
        collect(self.collection(EPOCHS).find(filter).sort(doc! { "_id": 1 }).await?, read).await
    }

    /// What a document of an epoch must match to be seen. Epochs are closed in order: what is
    /// claimed while the reader goes on is above the last one that was closed when it began.
    pub(crate) async fn seen_epochs(&self) -> Result<Document, Fault> {
        let last_s = self.last_closed().await?.map_or(i64::MIN, |record| record.epoch.start_s);
        let closing = self
            .collection(EPOCHS)
            .find(doc! { "state": CLOSING })
            .projection(doc! { "_id": 1 })
            .await?;
        let closing = collect(closing, |fields| fields.number::<i64>("_id")).await?;
        Ok(doc! { "$lte": last_s, "$nin": closing })
    }

    /// One write: votes that have no block of their own have their epoch's.
    pub(crate) async fn pin(&self, epoch_start_s: i64, block: &BlockRef) -> Result<(), Fault> {
        let unpinned = doc! { "_id": epoch_start_s, "state": CLOSED, "block": Bson::Null };
        self.collection(EPOCHS)
            .update_one(unpinned, doc! { "$set": { "block": block_document(block) } })
            .await?;
        Ok(())
    }
}
