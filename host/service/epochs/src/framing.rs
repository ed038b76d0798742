//! What is known of every node when an epoch ends: facts first, then the frame they become.

use std::collections::BTreeMap;

use futures::{TryStreamExt as _, try_join};
use lucid_fleet::{SharedTraits, Siblings, WALK_BATCH};
use lucid_foundation::ServiceError;
use lucid_model::{
    epochs::{
        epoch::Period,
        facts::{Fact, FactRow},
        frame::FrameHead,
        score::Ppm,
    },
    fleet::node::{Node, NodeStatus},
    id::{NodeId, PoolScope},
    telemetry::{
        credit::{self, Interval},
        metric::samples_expected,
        observation::{Observation, Observer, Verdict, mean_observed_quality},
    },
    time::TimeMs,
};
use lucid_ports::{FrameChunks, NodeObserved, TRACE};

use super::closing::Stage;
use crate::{Epochs, Trust};

/// Nodes whose facts are gathered at once: enough that a store reads what it found of some while it
/// looks for others.
const FACTS_BATCH: u32 = 4_000;

/// Facts of the nodes of one pool, and what they share, row by row.
#[derive(Default)]
struct PoolFacts {
    rows: Vec<(NodeId, FactRow)>,
    traits: Vec<SharedTraits>,
}

/// What a node is credited with in an epoch.
pub(crate) struct Credit {
    /// Union of its sessions that count ∩ presence.
    pub(crate) credited_s: i64,
    presence_ms: i64,
    /// Sessions that count.
    pub(crate) sessions: usize,
    /// What observers vouch for, if any did.
    pub(crate) quality: Option<Ppm>,
}

/// Everything that is known of every live node in an epoch.
pub(super) struct FleetFacts {
    pools: BTreeMap<PoolScope, PoolFacts>,
    /// Reports that arrived of those that were expected of active nodes.
    arrived: u64,
    expected: u64,
}

impl FleetFacts {
    /// Share of the expected reports that arrived; all, if none was expected.
    pub(super) fn completeness(&self) -> Ppm {
        if self.expected == 0 {
            Ppm(lucid_model::epochs::score::PPM)
        } else {
            Ppm::ratio_floor(self.arrived, self.expected)
        }
    }

    /// The frame's chunks, made one after the other: pools in the order of their ids, nodes in that
    /// of theirs.
    pub(super) fn chunks(self, head: FrameHead) -> FrameChunks {
        let mut next = 0;
        Box::new(self.pools.into_iter().flat_map(move |(pool, facts)| {
            let first = next;
            next += u32::try_from(
                facts.rows.len().div_ceil(lucid_model::epochs::frame::CHUNK_NODES_MAX),
            )
            .unwrap_or(u32::MAX);
            head.each_chunk(pool, facts.rows, first)
        }))
    }
}

/// A sorted list to look up in; half of what a map takes.
struct ByNode<T>(Vec<(NodeId, T)>);

impl<T: Copy + Default> ByNode<T> {
    fn of(mut list: Vec<(NodeId, T)>) -> Self {
        list.sort_unstable_by_key(|(node, _)| *node);
        Self(list)
    }
    fn get(&self, node: NodeId) -> T {
        self.0
            .binary_search_by_key(&node, |(node, _)| *node)
            .ok()
            .and_then(|place| self.0.get(place))
            .map(|(_, value)| *value)
            .unwrap_or_default()
    }
}

impl Epochs {
    /// Gathers the facts of the fleet, a batch of nodes after the other.
    #[tracing::instrument(target = TRACE, level = "trace", name = "service.gather_facts", skip_all)]
    pub(super) async fn fleet_facts(&self, epoch: Period) -> Result<FleetFacts, ServiceError> {
        let window_from = epoch.end_s() - self.config.eligibility_window_s;
        let taken_back = self.taken_back_s(window_from, epoch.start_s).await?;
        let mut earlier = self.parts.scores.observed_seconds(window_from, epoch.start_s).await?;
        if !taken_back.is_empty() {
            earlier.iter_mut().for_each(|(node, seconds)| {
                *seconds = seconds.saturating_sub(taken_back.get(node).copied().unwrap_or(0))
            });
        }
        let earlier = ByNode::of(earlier);
        let streaks = ByNode::of(self.streaks().await?);
        let mut siblings = Siblings::default();
        let mut fleet = FleetFacts { pools: BTreeMap::new(), arrived: 0, expected: 0 };
        let (mut batches, mut count) = (self.parts.nodes.live_nodes(FACTS_BATCH).await?, 0);
        let mut next = batches.try_next().await?;
        while let Some(mut nodes) = next {
            nodes.retain(|node| counts(epoch, node));
            let ids: Vec<_> = nodes.iter().map(|n| n.id).collect();
            // The next nodes are read while this is what is looked up of these.
            let (observed, following) =
                try_join!(self.parts.reports.observed(&ids, epoch.interval()), batches.try_next())?;
            next = following;
            for (node, observed) in nodes.iter().zip(&observed) {
                let mut facts = self.facts(epoch, node, observed, earlier.get(node.id));
                facts.set(Fact::StreakEpochs, streaks.get(node.id));
                let traits = SharedTraits::of(node);
                siblings.add(&traits);
                let pool = fleet.pools.entry(PoolScope::of(node.pool)).or_default();
                pool.rows.push((node.id, facts));
                pool.traits.push(traits);
                if node.status == NodeStatus::Active {
                    let expected = samples_expected(active_in(epoch, node));
                    fleet.expected += expected;
                    fleet.arrived += observed.usage.samples.min(expected);
                }
            }
            count += nodes.len() as u64;
            self.progressed(epoch, Stage::Gathering, count, None);
        }
        for pool in fleet.pools.values_mut() {
            // Let go of with the pool: nobody needs it once the counts are facts.
            let traits = std::mem::take(&mut pool.traits);
            pool.rows
                .iter_mut()
                .zip(traits)
                .for_each(|((_, row), traits)| siblings.facts(&traits, row));
        }
        Ok(fleet)
    }

    /// Epochs in a row in which each node was eligible, the last closed one included; nodes that
    /// were not are left out.
    async fn streaks(&self) -> Result<Vec<(NodeId, i64)>, ServiceError> {
        let Some(last) = self.parts.epoch_records.last_epoch().await? else {
            return Ok(Vec::new());
        };
        let parts = self.parts.frames.frame_parts(last.epoch.start_s).await?.unwrap_or_default();
        let mut streaks = Vec::new();
        for (index, _) in (0..).zip(&parts) {
            let Some(chunk) = self.parts.frames.frame_chunk(last.epoch.start_s, index).await?
            else {
                continue;
            };
            let eligible = |row: &(usize, &NodeId)| chunk.fact(row.0, Fact::Eligible) == 1;
            let streak = |(row, node): (usize, &NodeId)| {
                (*node, chunk.fact(row, Fact::StreakEpochs).saturating_add(1))
            };
            streaks.extend(chunk.nodes.iter().enumerate().filter(eligible).map(streak));
        }
        Ok(streaks)
    }

    /// Nodes that were registered before the period's end, but for those that nobody approved.
    pub async fn fleet(&self, epoch: Period) -> Result<Vec<Node>, ServiceError> {
        let (mut batches, mut fleet) = (self.parts.nodes.live_nodes(WALK_BATCH).await?, Vec::new());
        while let Some(nodes) = batches.try_next().await? {
            fleet.extend(nodes.into_iter().filter(|node| counts(epoch, node)));
        }
        Ok(fleet)
    }

    /// What counts of what was seen of a node in an epoch.
    pub(crate) fn credit(&self, epoch: Period, observed: &NodeObserved) -> Credit {
        let counts = |o: &&Observation| {
            o.verdict == Verdict::Accepted
                && (self.config.trust == Trust::Witnessed || o.by == Observer::Observer)
        };
        let sessions: Vec<Interval> =
            observed.sessions.iter().filter(counts).map(|o| o.span).collect();
        let session_count =
            sessions.iter().filter(|s| s.clip(epoch.interval()).length_ms() > 0).count();
        let presence =
            credit::union(observed.presence.iter().map(|p| p.clip(epoch.interval())).collect());
        let presence_ms = credit::total_ms(&presence);
        let credited_s = credit::credited_ms(sessions, presence, epoch.interval()) / 1000;
        Credit {
            credited_s,
            presence_ms,
            sessions: session_count,
            quality: mean_observed_quality(&observed.sessions, epoch.interval()),
        }
    }

    fn facts(
        &self,
        epoch: Period,
        node: &Node,
        observed: &NodeObserved,
        earlier_s: u64,
    ) -> FactRow {
        let Credit { credited_s, presence_ms, sessions, quality } = self.credit(epoch, observed);
        let window_s = earlier_s.saturating_add(credited_s.unsigned_abs());
        let active_ms = active_in(epoch, node).length_ms();
        let mut row = FactRow::default();
        row.set(Fact::ObservedS, credited_s);
        row.set(Fact::PresenceS, presence_ms / 1000);
        row.set(Fact::ActiveS, active_ms / 1000);
        row.set_u64(Fact::Samples, observed.usage.samples);
        row.set(Fact::PeriodS, i64::from(epoch.length.seconds()));
        row.set_u64(Fact::WindowObservedS, window_s);
        row.set(
            Fact::UptimePpm,
            i64::from(Ppm::ratio_floor(presence_ms.unsigned_abs(), active_ms.unsigned_abs()).0),
        );
        if let Some(quality) = quality {
            row.set(Fact::QualityPpm, i64::from(quality.0));
        }
        if observed.usage.samples > 0 {
            row.set(Fact::CpuPpm, i64::from(observed.usage.cpu.0));
            row.set(Fact::MemoryPpm, i64::from(observed.usage.memory.0));
            row.set(Fact::DiskPpm, i64::from(observed.usage.disk.0));
        }
        row.set_u64(Fact::Sessions, sessions as u64);
        row.set(
            Fact::Eligible,
            i64::from(
                window_s >= self.config.observation_min_s && node.status != NodeStatus::Suspended,
            ),
        );
        registered_facts(&mut row, node, epoch.end());
        row
    }
}

fn counts(epoch: Period, node: &Node) -> bool {
    node.created_at < epoch.end() && node.status != NodeStatus::Pending
}

/// The part of an epoch from a node's activation on.
fn active_in(epoch: Period, node: &Node) -> Interval {
    let from = node.activated_at.unwrap_or(epoch.end());
    Interval { from, to: epoch.end() }.clip(epoch.interval())
}

/// What follows from the record of a node alone.
pub fn registered_facts(row: &mut FactRow, node: &Node, at: TimeMs) {
    row.set(Fact::AgeS, at.ms_since(node.created_at) / 1000);
    row.set(Fact::PreviousScoreCenti, node.score.map_or(0, |s| i64::from(s.0)));
    if let Some(hardware) = node.hardware {
        row.set(Fact::Cores, i64::from(hardware.cpu_cores));
        row.set_u64(Fact::MemoryBytes, hardware.memory_bytes);
        row.set_u64(Fact::StorageBytes, hardware.storage_bytes);
    }
}
