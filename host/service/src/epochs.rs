//! Closing an epoch: frame, scores, votes, in that order, each durable before the next.

use std::collections::BTreeMap;

use lucid_model::{
    credit::{self, Interval},
    epoch::{EpochRecord, Period},
    event::EventKind,
    facts::{Fact, FactRow},
    frame::{FrameChunk, FrameHead},
    id::{Digest, NodeId, PoolScope},
    node::{Node, NodeStatus},
    observation::{Observation, Observer, Verdict, mean_observed_quality},
    receipt::{ScoredChunk, epoch_root},
    score::{Ppm, RULES_VERSION},
    time::TimeMs,
    vote::{Vote, VoteChoice, VoteState},
};
use lucid_ports::{NodeFilter, NodeObserved, NodeSort, Order, PageRequest, PolicySnapshot};

use self::scoring::{Replaced, Scored};
use crate::{Service, ServiceError, Trust, liveness::WALK_BATCH, siblings::Siblings};

mod scoring;

impl Service {
    /// Closes the oldest epoch that is due; none if none is.
    ///
    /// # Errors
    /// [`ServiceError`] if something is missing now: nothing half done counts, the next call goes on.
    pub async fn close_due_epoch(&self) -> Result<Option<EpochRecord>, ServiceError> {
        if self.now() < *self.no_epoch_before.lock() {
            return Ok(None);
        }
        let last = self.store().last_epoch().await?;
        let Some(epoch) = self.next_epoch(last.as_ref()).await? else { return Ok(None) };
        let due = epoch.end().plus_ms(self.config.epoch_close_delay_ms);
        *self.no_epoch_before.lock() = due;
        if self.now() < due {
            return Ok(None);
        }
        self.close(epoch, last.map_or_else(Digest::default, |l| l.link())).await.map(Some)
    }

    /// The epoch after the last closed one; the first begins with the first node. A new length starts at its
    /// next boundary.
    pub(crate) async fn next_epoch(&self, last: Option<&EpochRecord>) -> Result<Option<Period>, ServiceError> {
        if let Some(last) = last {
            let at_end = self.config.epoch.period_at(last.epoch.end());
            return Ok(Some(if at_end.start() < last.epoch.end() { at_end.next() } else { at_end }));
        }
        let oldest = PageRequest { page: 1, limit: 1, sort: NodeSort::CreatedAt, order: Order::Ascending };
        let first = self.store().nodes(&NodeFilter::default(), oldest).await?.items.pop();
        Ok(first.map(|node| self.config.epoch.period_at(node.created_at)))
    }

    async fn close(&self, epoch: Period, previous_link: Digest) -> Result<EpochRecord, ServiceError> {
        let verified = self.verify_sessions(epoch.interval()).await;
        self.unless_it_waits(epoch, verified)?;
        let snapshot = self.ports.policies.snapshot();
        let frame = self.frame(epoch, snapshot.as_ref()).await?;
        let frame = self.store().write_frame(epoch, frame).await?;
        let scored = self.score_frame(snapshot.as_ref(), &frame).await;
        let Scored { chunks, replaced } = self.unless_it_waits(epoch, scored)?;
        let root = epoch_root(&chunks);
        let closed_at = self.now();
        let block = match &self.ports.chain {
            Some(chain) => chain.latest_block().await.inspect_err(|error| tracing::warn!(%error, "the epoch's block is pinned later")).ok(),
            None => None,
        };
        let rows = || chunks.iter().flat_map(|c| &c.rows);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let record = EpochRecord {
            epoch,
            closed_at,
            policy_revision: snapshot.revision(),
            rules: RULES_VERSION,
            nodes: count(rows().count()),
            eligible: count(rows().filter(|r| r.eligible).count()),
            held: count(rows().filter(|r| r.held).count()),
            root,
            previous_link,
            block,
        };
        let votes = votes_of(&record, &chunks);
        match self.store().commit_epoch(record.clone(), chunks.clone(), votes).await? {
            Some(closed) if closed == record => {
                self.tell_of_epoch(&record, &chunks);
                self.tell_of_replaced(epoch, &replaced);
            }
            // What an attempt before this one had fixed when it ended counts, and nobody was told of it.
            Some(closed) => {
                let chunks = self.store().scored(epoch.start_s).await?;
                self.tell_of_epoch(&closed, &chunks);
                return Ok(closed);
            }
            None => {}
        }
        Ok(record)
    }

    fn tell_of_epoch(&self, record: &EpochRecord, chunks: &[ScoredChunk]) {
        metrics::counter!("lucid_epochs_total").increment(1);
        metrics::counter!("lucid_scores_total").increment(u64::from(record.nodes));
        let lateness = record.closed_at.ms_since(record.epoch.end());
        metrics::gauge!("lucid_epoch_close_lateness_seconds").set(std::time::Duration::from_millis(lateness.unsigned_abs()).as_secs_f64());
        self.emit(EventKind::EpochClosed { epoch: record.epoch, nodes: record.nodes, eligible: record.eligible, root: record.root });
        for chunk in chunks {
            for row in chunk.rows.iter().filter(|r| !r.held) {
                let (score, observed_s, eligible) = (row.score, row.observed_s, row.eligible);
                let policy = chunk.header.policy.clone();
                self.emit(EventKind::ScoreComputed { node: row.node, epoch: record.epoch, score, observed_s, eligible, policy });
            }
        }
        if record.held > 0 {
            self.alert("held-nodes", format!("{} nodes of epoch {} have no score: their policy failed for them", record.held, record.epoch));
        } else {
            self.clear_alert("held-nodes");
        }
    }

    /// An epoch whose policy cannot answer waits, and a person is told: nothing is guessed.
    fn unless_it_waits<T>(&self, epoch: Period, result: Result<T, ServiceError>) -> Result<T, ServiceError> {
        match &result {
            Ok(_) => self.clear_alert("epoch"),
            Err(error @ (ServiceError::Call(_) | ServiceError::NoPolicy { .. })) => self.alert("epoch", format!("epoch {epoch} waits: {error}")),
            Err(_) => {}
        }
        result
    }

    fn tell_of_replaced(&self, epoch: Period, replaced: &[Replaced]) {
        if replaced.is_empty() {
            return self.clear_alert("policy-replaced");
        }
        let words = |r: &Replaced| format!("pool {} by {} in the place of {}: {}", r.pool, r.by, r.failed, r.reason);
        let pools: Vec<_> = replaced.iter().map(words).collect();
        self.alert("policy-replaced", format!("epoch {epoch} was scored by the last good version: {}", pools.join("; ")));
    }

    /// Everything that is known of every live node in the epoch, by pool.
    async fn frame(&self, epoch: Period, snapshot: &dyn PolicySnapshot) -> Result<Vec<FrameChunk>, ServiceError> {
        let fleet = self.fleet(epoch).await?;
        let window_from = epoch.end_s() - self.config.eligibility_window_s;
        let earlier: BTreeMap<NodeId, u64> = self.store().observed_seconds(window_from, epoch.start_s).await?.into_iter().collect();
        let siblings = Siblings::count(&fleet);
        let streaks = self.streaks().await?;
        let mut pools: BTreeMap<PoolScope, Vec<(NodeId, FactRow)>> = BTreeMap::new();
        for part in fleet.chunks(usize::try_from(WALK_BATCH).unwrap_or(1_000)) {
            let ids: Vec<_> = part.iter().map(|n| n.id).collect();
            let observed = self.store().observed(&ids, epoch.interval()).await?;
            for (node, observed) in part.iter().zip(observed) {
                let mut facts = self.facts(epoch, node, &observed, earlier.get(&node.id).copied().unwrap_or(0), &siblings);
                facts.set(Fact::StreakEpochs, streaks.get(&node.id).copied().unwrap_or(0));
                pools.entry(PoolScope::of(node.pool)).or_default().push((node.id, facts));
            }
        }
        let head = FrameHead { period: epoch, revision: snapshot.revision(), score_multiplier: self.config.score_multiplier };
        let mut chunks = Vec::new();
        for (pool, rows) in pools {
            let first = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
            chunks.extend(head.chunks(pool, rows, first));
        }
        Ok(chunks)
    }

    /// Epochs in a row in which each node was eligible, the last closed one included; nodes that were not are left out.
    async fn streaks(&self) -> Result<BTreeMap<NodeId, i64>, ServiceError> {
        let Some(last) = self.store().last_epoch().await? else { return Ok(BTreeMap::new()) };
        let mut streaks = BTreeMap::new();
        for chunk in self.store().frame(last.epoch.start_s).await? {
            let eligible = |row: &(usize, &NodeId)| chunk.fact(row.0, Fact::Eligible) == 1;
            let streak = |(row, node): (usize, &NodeId)| (*node, chunk.fact(row, Fact::StreakEpochs).saturating_add(1));
            streaks.extend(chunk.nodes.iter().enumerate().filter(eligible).map(streak));
        }
        Ok(streaks)
    }

    /// Nodes that were registered before the period's end, but for those that nobody approved.
    pub(crate) async fn fleet(&self, epoch: Period) -> Result<Vec<Node>, ServiceError> {
        let (mut fleet, mut after) = (Vec::new(), None);
        loop {
            let nodes = self.store().live_nodes_after(after, WALK_BATCH).await?;
            let Some(last) = nodes.last() else { return Ok(fleet) };
            after = Some(last.id);
            fleet.extend(nodes.into_iter().filter(|n| n.created_at < epoch.end() && n.status != NodeStatus::Pending));
        }
    }

    fn facts(&self, epoch: Period, node: &Node, observed: &NodeObserved, earlier_s: u64, siblings: &Siblings) -> FactRow {
        let counts = |o: &&Observation| o.verdict == Verdict::Accepted && (self.config.trust == Trust::Witnessed || o.by == Observer::Observer);
        let sessions: Vec<Interval> = observed.sessions.iter().filter(counts).map(|o| o.span).collect();
        let session_count = sessions.iter().filter(|s| s.clip(epoch.interval()).length_ms() > 0).count();
        let presence = credit::union(observed.presence.iter().map(|p| p.clip(epoch.interval())).collect());
        let presence_ms = credit::total_ms(&presence);
        let credited_s = credit::credited_ms(sessions, presence, epoch.interval()) / 1000;
        let window_s = earlier_s.saturating_add(credited_s.unsigned_abs());
        let active_ms = node.activated_at.map_or(0, |at| Interval { from: at, to: epoch.end() }.clip(epoch.interval()).length_ms());
        let mut row = FactRow::default();
        row.set(Fact::ObservedS, credited_s);
        row.set(Fact::PresenceS, presence_ms / 1000);
        row.set(Fact::PeriodS, i64::from(epoch.length.seconds()));
        row.set_u64(Fact::WindowObservedS, window_s);
        row.set(Fact::UptimePpm, i64::from(Ppm::ratio_floor(presence_ms.unsigned_abs(), active_ms.unsigned_abs()).0));
        if let Some(quality) = mean_observed_quality(&observed.sessions, epoch.interval()) {
            row.set(Fact::QualityPpm, i64::from(quality.0));
        }
        if observed.usage.samples > 0 {
            row.set(Fact::CpuPpm, i64::from(observed.usage.cpu.0));
            row.set(Fact::MemoryPpm, i64::from(observed.usage.memory.0));
            row.set(Fact::DiskPpm, i64::from(observed.usage.disk.0));
        }
        row.set_u64(Fact::Sessions, session_count as u64);
        row.set(Fact::Eligible, i64::from(window_s >= self.config.observation_min_s && node.status != NodeStatus::Suspended));
        registered_facts(&mut row, node, epoch.end());
        siblings.facts(node, &mut row);
        row
    }
}

/// What follows from the record of a node alone.
pub(crate) fn registered_facts(row: &mut FactRow, node: &Node, at: TimeMs) {
    row.set(Fact::AgeS, at.ms_since(node.created_at) / 1000);
    row.set(Fact::PreviousScoreCenti, node.score.map_or(0, |s| i64::from(s.0)));
    if let Some(hardware) = node.hardware {
        row.set(Fact::Cores, i64::from(hardware.cpu_cores));
        row.set_u64(Fact::MemoryBytes, hardware.memory_bytes);
        row.set_u64(Fact::StorageBytes, hardware.storage_bytes);
    }
}

/// One vote for each node that is eligible and has a score.
fn votes_of(record: &EpochRecord, chunks: &[ScoredChunk]) -> Vec<Vote> {
    let vote = |row: &lucid_model::receipt::ScoreRow| Vote {
        node: row.node,
        epoch_start_s: record.epoch.start_s,
        score: row.score,
        block: record.block.clone(),
        choice: if row.score.0 > 0 { VoteChoice::Approve } else { VoteChoice::Abstain },
        timestamp: record.closed_at,
        merkle_root: record.root,
        state: VoteState::Pending,
        vote_id: None,
        answer: None,
        attempts: 0,
        next_attempt_at: record.closed_at,
    };
    chunks.iter().flat_map(|c| &c.rows).filter(|r| r.eligible && !r.held).map(vote).collect()
}
