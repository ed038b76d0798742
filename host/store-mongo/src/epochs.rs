//! Epochs: a close spans many documents, and happens at one of them.
//!
//! 1. *Staged*: chunks with their rows and lists of votes are written under a name that only this attempt has. Nobody
//!    reads them. A crash leaves documents that the next close of the epoch takes away.
//! 2. *Claimed*: the epoch's document is inserted with that name, in state `closing`. Its unique `_id` decides whose
//!    attempt it is; from here on the result is fixed.
//! 3. *Settled*: rows, votes, latest scores and nodes are written from what is staged under the claim, by ids that
//!    follow from epoch and node; whoever comes may do it again, in part or as a whole. A node remembers the last epoch
//!    it counted, in the write that counts it.
//! 4. *Closed*: the state becomes `closed`. Readers of epochs, scores and votes go by that only.
//!
//! An attempt that stages pool by pool names itself, so that it is gone on with after a crash in 1;
//! its chunks have to have the record's root. It is closed first and settled later, a chunk after
//! the other, epochs in their order (`settled_from`): a write a node is most of what a close would
//! take. Until then a score is found in its chunk. Its votes are made of its rows when there is
//! somebody to send them.
//!
//! After a crash in 3 the epoch is not there for readers, so that the service closes it again: that
//! call finds the claim, settles what it says, not what the call brought, and answers the claim's
//! record. Of all calls that settle an epoch the one whose write closed it answers a record, so
//! that it is told of once.

pub(crate) mod adjustments;
pub(crate) mod chunks;
pub(crate) mod frames;
pub(crate) mod latest;
pub(crate) mod record;
pub(crate) mod scores;
mod settle;
mod totals;

use async_trait::async_trait;
use lucid_model::{
    consensus::{BlockRef, Vote},
    epochs::{
        epoch::{EpochRecord, Period},
        frame::FrameChunk,
        receipt::{OnDemandReceipt, ScoredChunk},
        score::ScoreCenti,
    },
    id::NodeId,
    time::TimeMs,
};
use lucid_ports::{
    Attempt, EpochFilter, EpochStore, FrameChunks, FramePart, FrameStore, NodeTotals, Page,
    PageRequest, ScoreFilter, ScoreSort, ScoreStore, ScoreView, Staged, StoreError,
};
use mongodb::bson::oid::ObjectId;

use crate::{MongoStore, fault::Fault};

pub(crate) use self::{
    chunks::INDICES as CHUNKS, latest::INDICES as LATEST, record::INDICES as RECORDS,
    scores::INDICES as SCORES,
};

#[async_trait]
impl EpochStore for MongoStore {
    async fn staged(&self, epoch_start_s: i64) -> Result<Option<Staged>, StoreError> {
        Ok(self.staged_by_newest(epoch_start_s).await?)
    }
    async fn stage_chunks(
        &self,
        period: Period,
        attempt: Attempt,
        chunks: Vec<ScoredChunk>,
    ) -> Result<(), StoreError> {
        if let Some(chunk) = chunks.iter().find(|chunk| chunk.header.period != period) {
            return Err(Fault::Bad(format!(
                "chunk {} of epoch {} in epoch {period}",
                chunk.header.index, chunk.header.period
            ))
            .into());
        }
        if self.claim_of(period.start_s).await?.is_some() {
            return Ok(());
        }
        Ok(self.stage_chunks_as(ObjectId::from_bytes(attempt.bytes()), &chunks).await?)
    }
    async fn close_staged(
        &self,
        record: EpochRecord,
        attempt: Attempt,
    ) -> Result<Option<EpochRecord>, StoreError> {
        Ok(self.close_attempt(&record, ObjectId::from_bytes(attempt.bytes())).await?)
    }
    async fn commit_epoch(
        &self,
        record: EpochRecord,
        chunks: Vec<ScoredChunk>,
        votes: Vec<Vote>,
    ) -> Result<Option<EpochRecord>, StoreError> {
        Ok(self.close(&record, &chunks, &votes).await?)
    }
    async fn last_epoch(&self) -> Result<Option<EpochRecord>, StoreError> {
        Ok(self.last_closed().await?)
    }
    async fn epochs(
        &self,
        filter: EpochFilter,
        page: PageRequest<()>,
    ) -> Result<Page<EpochRecord>, StoreError> {
        Ok(self.closed_epochs(filter, &page).await?)
    }
    async fn pin_block(&self, epoch_start_s: i64, block: BlockRef) -> Result<(), StoreError> {
        Ok(self.pin(epoch_start_s, &block).await?)
    }
    async fn scored_chunk(
        &self,
        epoch_start_s: i64,
        index: u32,
    ) -> Result<Option<ScoredChunk>, StoreError> {
        Ok(self.one_scored_chunk(epoch_start_s, index).await?)
    }
    async fn scored(&self, epoch_start_s: i64) -> Result<Vec<ScoredChunk>, StoreError> {
        Ok(self.scored_chunks(epoch_start_s).await?)
    }
    async fn apply_scores(&self) -> Result<bool, StoreError> {
        Ok(self.apply_some().await?)
    }
}

#[async_trait]
impl FrameStore for MongoStore {
    async fn write_frame(&self, period: Period, chunks: FrameChunks) -> Result<(), StoreError> {
        Ok(self.keep_frame(period, chunks).await?)
    }
    async fn frame_parts(&self, epoch_start_s: i64) -> Result<Option<Vec<FramePart>>, StoreError> {
        Ok(self.stored_parts(epoch_start_s).await?)
    }
    async fn frame_chunk(
        &self,
        epoch_start_s: i64,
        index: u32,
    ) -> Result<Option<FrameChunk>, StoreError> {
        Ok(self.stored_frame_chunk(epoch_start_s, index).await?)
    }
    async fn frame(&self, epoch_start_s: i64) -> Result<Vec<FrameChunk>, StoreError> {
        Ok(self.stored_frame(epoch_start_s).await?.unwrap_or_default())
    }
}

#[async_trait]
impl ScoreStore for MongoStore {
    async fn scores(
        &self,
        filter: &ScoreFilter,
        page: PageRequest<ScoreSort>,
    ) -> Result<Page<ScoreView>, StoreError> {
        Ok(match filter.node {
            Some(node) => self.score_history(node, filter, &page).await?,
            None => self.latest_scores(filter, &page).await?,
        })
    }
    async fn score(
        &self,
        epoch_start_s: i64,
        node: NodeId,
    ) -> Result<Option<ScoreView>, StoreError> {
        Ok(self.one_score(epoch_start_s, node).await?)
    }
    async fn scores_computed_at(
        &self,
        node: NodeId,
        at: TimeMs,
    ) -> Result<Vec<ScoreCenti>, StoreError> {
        Ok(self.scores_of_second(node, at).await?)
    }
    async fn observed_seconds(
        &self,
        from_s: i64,
        to_s: i64,
    ) -> Result<Vec<(NodeId, u64)>, StoreError> {
        Ok(self.sum_observed(from_s, to_s).await?)
    }
    async fn totals(&self, from_s: i64, to_s: i64) -> Result<Vec<NodeTotals>, StoreError> {
        Ok(self.sum_totals(from_s, to_s).await?)
    }
    async fn add_on_demand(&self, receipt: OnDemandReceipt) -> Result<(), StoreError> {
        Ok(self.keep_on_demand(&receipt).await?)
    }
    async fn forget_on_demand(&self, before: TimeMs, limit: u32) -> Result<u64, StoreError> {
        Ok(self.forget_on_demand_before(before, limit).await?)
    }
}
