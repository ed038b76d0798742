use lucid_model::{
    consensus::Vote,
    epochs::{
        epoch::EpochRecord,
        receipt::{ScoreRow, ScoredChunk},
    },
    money::merkle,
};
use mongodb::bson::{Bson, Document, doc, oid::ObjectId};

use super::{
    chunks::{self, CHUNKS},
    record::{self, CLOSED, Claim, EPOCHS, SETTLED_FROM, read_claim},
};
use crate::{
    MongoStore,
    fault::Fault,
    fields::{Fields, id},
    fleet::nodes::NODES,
    once::{self, Statement},
};

impl MongoStore {
    /// Closes an epoch, or ends a close that a crash left: the record that counts. `None`: another
    /// call closed it.
    pub(super) async fn close(
        &self,
        record: &EpochRecord,
        chunks: &[ScoredChunk],
        votes: &[Vote],
    ) -> Result<Option<EpochRecord>, Fault> {
        let start_s = record.epoch.start_s;
        if let Some(chunk) = chunks.iter().find(|chunk| chunk.header.period != record.epoch) {
            return Err(Fault::Bad(format!(
                "chunk {} of epoch {} in epoch {}",
                chunk.header.index, chunk.header.period, record.epoch
            )));
        }
        if let Some(claim) = self.claim_of(start_s).await? {
            return self.settle(claim).await;
        }
        while self.apply_some().await? {}
        // A node counts an epoch only after the ones before it: one that came late would be lost
        // without a word.
        if !chunks.is_empty()
            && self.newest_start().await?.is_some_and(|newest_s| newest_s > start_s)
        {
            return Err(Fault::Bad(format!("epoch {} is scored after a later one", record.epoch)));
        }
        let staged = ObjectId::new();
        self.stage_chunks_as(staged, chunks).await?;
        self.stage_votes(start_s, staged, votes).await?;
        self.claim(record, record::claim(record, staged)?).await
    }

    /// The same, with what an attempt staged; its votes and what its nodes have of it are made
    /// later.
    pub(super) async fn close_attempt(
        &self,
        record: &EpochRecord,
        staged: ObjectId,
    ) -> Result<Option<EpochRecord>, Fault> {
        let start_s = record.epoch.start_s;
        if let Some(claim) = self.claim_of(start_s).await? {
            return self.settle(claim).await;
        }
        if self.newest_start().await?.is_some_and(|newest_s| newest_s > start_s) {
            return Err(Fault::Bad(format!("epoch {} is scored after a later one", record.epoch)));
        }
        let roots: Vec<_> =
            self.staged_heads(start_s, staged).await?.iter().map(|chunk| chunk.root).collect();
        if merkle::root(&roots) != record.root {
            // Who closed the epoch meanwhile took away what others had staged.
            if let Some(claim) = self.claim_of(start_s).await? {
                return self.settle(claim).await;
            }
            return Err(Fault::Bad(format!(
                "the chunks that are stored for epoch {start_s} have another root than its record"
            )));
        }
        let mut claim = record::claim(record, staged)?;
        // The places of the first chunk whose votes are not made, and of the first whose nodes do
        // not have their scores.
        claim.insert("votes_from", 0_i64);
        claim.insert(SETTLED_FROM, 0_i64);
        self.claim(record, claim).await
    }

    /// Whose claim it is, it is settled here and now.
    async fn claim(
        &self,
        record: &EpochRecord,
        document: Document,
    ) -> Result<Option<EpochRecord>, Fault> {
        let start_s = record.epoch.start_s;
        once::insert(&self.collection(EPOCHS), document).await?;
        let claim = self.claim_of(start_s).await?;
        let claim = claim.ok_or_else(|| {
            Fault::Bad(format!("epoch {} is missing after its claim", record.epoch))
        })?;
        self.settle(claim).await
    }

    /// Writes what follows from a claim, but for what is left for later, and closes the epoch. Each
    /// step may be repeated, by anybody, at any time. Its record, if this call closed it.
    pub(crate) async fn settle(&self, claim: Claim) -> Result<Option<EpochRecord>, Fault> {
        let start_s = claim.record.epoch.start_s;
        let mut ours = false;
        if !claim.closed {
            if claim.settled_from.is_none() {
                let mut chunks = self.staged_chunks(start_s, claim.staged).await?;
                while chunks.advance().await? {
                    self.apply_chunk(
                        &claim,
                        &chunks::read(Fields::of(&chunks.deserialize_current()?))?,
                    )
                    .await?;
                }
                self.add_votes(start_s, claim.staged).await?;
            }
            ours = self.show(&claim).await?;
        }
        if let Err(fault) = self.take_left_overs_away(&claim).await {
            // Nobody reads them, and the epoch is closed: whoever closed it has to say so.
            tracing::warn!(epoch = %claim.record.epoch, %fault, "what other attempts to close an epoch left is still there");
        }
        Ok(ours.then_some(claim.record))
    }

    /// A chunk of the oldest closed epoch whose nodes do not all have their scores. Whoever else
    /// does the same writes the same. `false`: there is none.
    pub(crate) async fn apply_some(&self) -> Result<bool, Fault> {
        let lacking = doc! { SETTLED_FROM: { "$gte": 0_i64 }, "state": CLOSED };
        let Some(found) = self.collection(EPOCHS).find_one(lacking).sort(doc! { "_id": 1 }).await?
        else {
            return Ok(false);
        };
        let claim = read_claim(Fields::of(&found))?;
        let (start_s, from) = (claim.record.epoch.start_s, claim.settled_from);
        let chunk = self.staged_from(start_s, claim.staged, from.unwrap_or_default()).await?;
        if let Some(chunk) = &chunk {
            self.apply_chunk(&claim, chunk).await?;
        }
        let next = chunk.map_or(Bson::Null, |chunk| Bson::Int64(i64::from(chunk.header.index) + 1));
        self.collection(EPOCHS)
            .update_one(
                doc! { "_id": start_s, SETTLED_FROM: from },
                doc! { "$set": { SETTLED_FROM: next } },
            )
            .await?;
        Ok(true)
    }

    /// What the nodes of a chunk have of their epoch: each its score in its history, as its latest
    /// one, and as its own with its lifetime.
    async fn apply_chunk(&self, claim: &Claim, chunk: &ScoredChunk) -> Result<(), Fault> {
        self.add_scores(claim, chunk).await?;
        self.move_latest(claim, chunk).await?;
        self.count_in_nodes(claim.record.epoch.start_s, &chunk.rows).await
    }

    /// What other attempts staged: they have lost, whether they know it or not.
    async fn take_left_overs_away(&self, claim: &Claim) -> Result<(), Fault> {
        let start_s = claim.record.epoch.start_s;
        self.unstage_votes(start_s).await?;
        self.collection(CHUNKS)
            .delete_many(doc! { "epoch_start_s": start_s, "staged": { "$ne": claim.staged } })
            .await?;
        Ok(())
    }

    /// The nodes' own scores and lifetimes. A node that is held has no score this epoch: its last
    /// one stands. What it counted is in the same document and in the same write, so that no epoch
    /// is counted twice.
    async fn count_in_nodes(&self, start_s: i64, rows: &[ScoreRow]) -> Result<(), Fault> {
        let statements = rows.iter().map(|row| {
            let mut set = doc! { "counted_s": start_s };
            if !row.held {
                set.insert("score", row.score.0);
            }
            Statement {
                filter: doc! { "_id": id(row.node.0), "counted_s": { "$not": { "$gte": start_s } } },
                update: doc! { "$inc": { "observed_s": i64::from(row.observed_s) }, "$set": set },
                upsert: false,
            }
        });
        once::update_each(self, NODES, statements.collect()).await
    }
}
