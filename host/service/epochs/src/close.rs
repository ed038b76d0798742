//! Closing an epoch: facts, frame, scores, then the record with its votes, in that order, each
//! durable before the next.
//!
//! Whoever comes after a crash goes on with what is stored: a frame is not made again, a pool that
//! is scored is not scored again, and what is fixed as the epoch's result stays.

use lucid_foundation::ServiceError;
use lucid_model::{
    consensus::BlockRef,
    epochs::{
        epoch::{EpochRecord, Period},
        frame::FrameHead,
        score::{PPM, Ppm, RULES_VERSION},
    },
    id::Digest,
    money::merkle,
    notifications::event::EventKind,
};
use lucid_ports::{NodeFilter, NodeSort, Order, PageRequest, StagedChunk, TRACE};

use crate::{
    Epochs, Stage,
    scoring::{Replaced, Scored},
};

/// Between two looks whether enough reports have arrived.
const LATE_LOOK_MS: i64 = 10_000;
/// Nodes of an epoch up to which each score is an event; beyond, the epoch is, and its scores are
/// asked for.
const SCORE_EVENTS_MAX: u32 = 2_000;

impl Epochs {
    /// Closes the oldest epoch that is due; none if none is. Before that the nodes get what they
    /// have of the ones before.
    ///
    /// # Errors
    /// [`ServiceError`] if something is missing now: nothing half done counts, the next call goes
    /// on.
    pub async fn close_due_epoch(&self) -> Result<Option<EpochRecord>, ServiceError> {
        if self.parts.clock.sure_now().is_none_or(|now| now < *self.no_epoch_before.lock()) {
            return Ok(None);
        }
        self.apply_scores().await?;
        let last = self.parts.epoch_records.last_epoch().await?;
        let Some(epoch) = self.next_epoch(last.as_ref()).await? else { return Ok(None) };
        let due = epoch.end().plus_ms(self.config.epoch_close_delay_ms);
        *self.no_epoch_before.lock() = due;
        if self.parts.clock.now() < due {
            return Ok(None);
        }
        let closed = self.close(epoch, last.map_or_else(Digest::default, |l| l.link())).await;
        if !matches!(closed, Ok(None)) {
            self.closing_ended();
        }
        closed
    }

    /// Gives nodes the scores of epochs that were closed before their nodes were written: facts of
    /// an epoch have the scores of the one before.
    async fn apply_scores(&self) -> Result<(), ServiceError> {
        let mut parts = 0_u64;
        while self.parts.epoch_records.apply_scores().await? {
            parts += 1;
        }
        if parts > 0 {
            tracing::info!(parts, "all nodes have the scores of what is closed");
        }
        Ok(())
    }

    /// The epoch after the last closed one; the first begins with the first node. A new length
    /// starts at its next boundary.
    pub async fn next_epoch(
        &self,
        last: Option<&EpochRecord>,
    ) -> Result<Option<Period>, ServiceError> {
        if let Some(last) = last {
            let at_end = self.parts.rules.epoch.period_at(last.epoch.end());
            return Ok(Some(if at_end.start() < last.epoch.end() {
                at_end.next()
            } else {
                at_end
            }));
        }
        let oldest =
            PageRequest { page: 1, limit: 1, sort: NodeSort::CreatedAt, order: Order::Ascending };
        let first = self.parts.nodes.nodes(&NodeFilter::default(), oldest).await?.items.pop();
        Ok(first.map(|node| self.parts.rules.epoch.period_at(node.created_at)))
    }

    #[tracing::instrument(target = TRACE, level = "trace", name = "service.close_epoch", skip_all)]
    async fn close(
        &self,
        epoch: Period,
        previous_link: Digest,
    ) -> Result<Option<EpochRecord>, ServiceError> {
        let verified = self.parts.telemetry.verify_sessions(epoch.interval()).await;
        self.alert_if_blocked(epoch, verified)?;
        let snapshot = self.parts.runtime.snapshot();
        let facts = self.fleet_facts(epoch).await?;
        let completeness = facts.completeness();
        self.is_complete_by(completeness);
        let framed = self.parts.frames.frame_parts(epoch.start_s).await?.is_some();
        if !framed {
            if self.should_wait_for_reports(epoch, completeness) {
                return Ok(None);
            }
            let head = FrameHead {
                period: epoch,
                revision: snapshot.revision(),
                score_multiplier: self.parts.rules.score_multiplier,
            };
            self.parts.frames.write_frame(epoch, facts.chunks(head)).await?;
        }
        let scored = self.score_frame(snapshot.as_ref(), epoch).await;
        let Scored { attempt, chunks, replaced } = self.alert_if_blocked(epoch, scored)?;
        let block = self.block_at_close().await?;
        let sum = |of: fn(&StagedChunk) -> u32| chunks.iter().map(of).fold(0, u32::saturating_add);
        let record = EpochRecord {
            epoch,
            closed_at: self.parts.clock.now(),
            policy_revision: snapshot.revision(),
            rules: RULES_VERSION,
            nodes: sum(|chunk| chunk.header.rows),
            eligible: sum(|chunk| chunk.eligible),
            held: sum(|chunk| chunk.held),
            root: merkle::root(&chunks.iter().map(|chunk| chunk.root).collect::<Vec<_>>()),
            previous_link,
            block,
            completeness: Some(completeness),
        };
        let nodes = u64::from(record.nodes);
        self.progressed(epoch, Stage::Storing, 0, Some(nodes));
        match self.parts.epoch_records.close_staged(record.clone(), attempt).await? {
            // What an attempt before this one had fixed when it ended counts, and nobody was told
            // of it.
            Some(closed) => {
                self.publish_epoch_closed(&closed, chunks.len()).await?;
                if closed == record {
                    self.alert_replaced_policies(epoch, &replaced);
                }
                Ok(Some(closed))
            }
            None => Ok(Some(record)),
        }
    }

    /// Whether reports are still on their way, and there is time to wait for them.
    fn should_wait_for_reports(&self, epoch: Period, completeness: Ppm) -> bool {
        let deadline = epoch
            .end()
            .plus_ms(self.config.epoch_close_delay_ms.max(self.config.epoch_deadline_ms));
        if completeness >= self.config.epoch_completeness_min || self.parts.clock.now() >= deadline
        {
            return false;
        }
        tracing::info!(%epoch, completeness_ppm = completeness.0, %deadline, "an epoch waits for reports");
        self.progressed(epoch, Stage::Waiting, 0, None);
        *self.no_epoch_before.lock() = self.parts.clock.now().plus_ms(LATE_LOOK_MS).min(deadline);
        true
    }

    async fn publish_epoch_closed(
        &self,
        record: &EpochRecord,
        chunks: usize,
    ) -> Result<(), ServiceError> {
        metrics::counter!("lucid_epochs_total").increment(1);
        metrics::counter!("lucid_scores_total").increment(u64::from(record.nodes));
        let lateness = record.closed_at.ms_since(record.epoch.end());
        metrics::gauge!("lucid_epoch_close_lateness_seconds")
            .set(std::time::Duration::from_millis(lateness.unsigned_abs()).as_secs_f64());
        metrics::gauge!("lucid_epoch_completeness_ratio")
            .set(f64::from(record.completeness.map_or(PPM, |share| share.0)) / f64::from(PPM));
        self.parts.notifications.emit(EventKind::EpochClosed {
            epoch: record.epoch,
            nodes: record.nodes,
            eligible: record.eligible,
            root: record.root,
        });
        if record.held > 0 {
            self.parts.notifications.alert(
                "held-nodes",
                format!(
                    "{} nodes of epoch {} have no score: their policy failed for them",
                    record.held, record.epoch
                ),
            );
        } else {
            self.parts.notifications.clear_alert("held-nodes");
        }
        if record.nodes > SCORE_EVENTS_MAX {
            return Ok(());
        }
        for index in 0..u32::try_from(chunks).unwrap_or(u32::MAX) {
            let Some(chunk) =
                self.parts.epoch_records.scored_chunk(record.epoch.start_s, index).await?
            else {
                return Ok(());
            };
            for row in chunk.rows.iter().filter(|r| !r.held) {
                let (score, observed_s, eligible) = (row.score, row.observed_s, row.eligible);
                let policy = chunk.header.policy.clone();
                self.parts.notifications.emit(EventKind::ScoreComputed {
                    node: row.node,
                    epoch: record.epoch,
                    score,
                    observed_s,
                    eligible,
                    policy,
                });
            }
        }
        Ok(())
    }

    /// An epoch whose policy cannot answer waits, and a person is told: nothing is guessed.
    fn alert_if_blocked<T>(
        &self,
        epoch: Period,
        result: Result<T, ServiceError>,
    ) -> Result<T, ServiceError> {
        match &result {
            Ok(_) => self.parts.notifications.clear_alert("epoch"),
            Err(error @ (ServiceError::Call(_) | ServiceError::NoPolicy { .. })) => {
                self.parts.notifications.alert("epoch", format!("epoch {epoch} waits: {error}"))
            }
            Err(_) => {}
        }
        result
    }

    fn alert_replaced_policies(&self, epoch: Period, replaced: &[Replaced]) {
        if replaced.is_empty() {
            return self.parts.notifications.clear_alert("policy-replaced");
        }
        let words = |r: &Replaced| {
            format!("pool {} by {} in the place of {}: {}", r.pool, r.by, r.failed, r.reason)
        };
        let pools: Vec<_> = replaced.iter().map(words).collect();
        self.parts.notifications.alert(
            "policy-replaced",
            format!("epoch {epoch} was scored by the last good version: {}", pools.join("; ")),
        );
    }

    /// The newest block, for an epoch that is being closed: none while earlier epochs wait for one,
    /// none that another epoch has. A node has one vote on a block, so no two epochs may share one.
    ///
    /// # Errors
    /// [`ServiceError::Store`]. A chain that does not answer gives none.
    pub async fn block_at_close(&self) -> Result<Option<BlockRef>, ServiceError> {
        let Some(chain) = &self.parts.chain else { return Ok(None) };
        if !self.parts.votes.epochs_without_block().await?.is_empty() {
            return Ok(None);
        }
        let Ok(block) = chain
            .latest_block()
            .await
            .inspect_err(|error| tracing::warn!(%error, "the epoch's block is pinned later"))
        else {
            return Ok(None);
        };
        let taken = self.parts.votes.newest_block().await?;
        Ok(Some(block).filter(|block| taken.as_ref() != Some(block)))
    }
}
