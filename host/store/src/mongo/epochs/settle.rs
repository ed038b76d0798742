use lucid_model::{
    epoch::EpochRecord,
    receipt::{ScoreRow, ScoredChunk},
    vote::Vote,
};
use mongodb::bson::{doc, oid::ObjectId};

use super::{
    chunks::{self, CHUNKS},
    record::{self, Claim, EPOCHS},
};
use crate::mongo::{
    MongoStore,
    fault::Fault,
    fields::{Fields, id},
    nodes::NODES,
    once::{self, Statement},
};

impl MongoStore {
    /// Closes an epoch, or ends a close that a crash left. `false`: it is another call's.
    pub(super) async fn close(&self, record: &EpochRecord, chunks: &[ScoredChunk], votes: &[Vote]) -> Result<bool, Fault> {
        let start_s = record.epoch.start_s;
        if let Some(chunk) = chunks.iter().find(|chunk| chunk.header.period != record.epoch) {
            return Err(Fault::Bad(format!("chunk {} of epoch {} in epoch {}", chunk.header.index, chunk.header.period, record.epoch)));
        }
        if let Some(claim) = self.claim_of(start_s).await? {
            self.settle(&claim).await?;
            return Ok(false);
        }
        // A node counts an epoch only after the ones before it: one that came late would be lost without a word.
        if !chunks.is_empty() && self.newest_start().await?.is_some_and(|newest_s| newest_s > start_s) {
            return Err(Fault::Bad(format!("epoch {} is scored after a later one", record.epoch)));
        }
        let staged = ObjectId::new();
        self.stage_chunks(staged, chunks).await?;
        self.stage_votes(start_s, staged, votes).await?;
        let ours = once::insert(&self.collection(EPOCHS), record::claim(record, staged)?).await?;
        let claim = self.claim_of(start_s).await?;
        let claim = claim.ok_or_else(|| Fault::Bad(format!("epoch {} is missing after its claim", record.epoch)))?;
        self.settle(&claim).await?;
        Ok(ours)
    }

    /// Writes what follows from a claim, and closes the epoch. Each step may be repeated, by anybody, at any time.
    pub(crate) async fn settle(&self, claim: &Claim) -> Result<(), Fault> {
        let start_s = claim.record.epoch.start_s;
        if !claim.closed {
            let mut chunks = self.staged_chunks(start_s, claim.staged).await?;
            while chunks.advance().await? {
                let chunk = chunks::read(Fields::of(&chunks.deserialize_current()?))?;
                self.add_scores(claim, &chunk).await?;
                self.move_latest(claim, &chunk).await?;
                self.count_in_nodes(start_s, &chunk.rows).await?;
            }
            self.add_votes(start_s, claim.staged).await?;
            self.show(claim).await?;
        }
        // What other attempts staged: they have lost, whether they know it or not.
        self.unstage_votes(start_s).await?;
        self.collection(CHUNKS).delete_many(doc! { "epoch_start_s": start_s, "staged": { "$ne": claim.staged } }).await?;
        Ok(())
    }

    /// The nodes' own scores and lifetimes. A node that is held has no score this epoch: its last one stands. What it
    /// counted is in the same document and in the same write, so that no epoch is counted twice.
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
