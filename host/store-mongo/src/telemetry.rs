pub(crate) mod buckets;
pub(crate) mod live;
pub(crate) mod reports;
pub(crate) mod rolling;
pub(crate) mod series;
pub(crate) mod sessions;

use std::collections::HashMap;

use async_trait::async_trait;
use lucid_model::{
    id::{NodeId, SessionId},
    telemetry::{
        credit::Interval,
        metric::{Resolution, Rollup, Sample, UsageSum, UsageSummary, merge_all},
        observation::Observation,
    },
    time::TimeMs,
};
use lucid_ports::{
    LiveState, NodeObserved, Report, ReportOutcome, SeriesKept, SeriesStore, StoreError,
    TelemetryStore, Walked,
};
use lucid_store::series::summary;
use tokio::task::spawn_blocking;

use crate::{
    MongoStore,
    among::Among,
    fault::Fault,
    telemetry::{buckets::Seen, live::LIVE},
};

/// Nodes whose samples are in memory at once.
const NODES_AT_ONCE_MAX: usize = 100;
/// The same, where they follow each other and are asked of an epoch.
const OBSERVED_AT_ONCE_MAX: usize = 1_000;

impl MongoStore {
    async fn newest_samples(
        &self,
        node: NodeId,
        range: Interval,
        limit: u32,
    ) -> Result<Vec<Sample>, Fault> {
        let seen = self.seen(&[node], range).await?.remove(&node).unwrap_or_default();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut newest: Vec<_> = seen.samples.into_values().rev().take(limit).collect();
        newest.reverse();
        Ok(newest)
    }

    async fn node_usage(&self, node: NodeId, range: Interval) -> Result<UsageSummary, Fault> {
        Ok(summary(self.rolled_usage(&[node], range).await?.remove(&node), range))
    }

    async fn usage_of_all(
        &self,
        nodes: Option<&[NodeId]>,
        range: Interval,
    ) -> Result<(UsageSummary, u64), Fault> {
        let all = match nodes {
            Some(nodes) => nodes.to_vec(),
            None => live::nodes(&self.collection(LIVE)).await?,
        };
        let (mut sum, mut open) = (UsageSum::default(), 0_u64);
        for nodes in all.chunks(NODES_AT_ONCE_MAX) {
            self.rolled_usage(nodes, range)
                .await?
                .values()
                .for_each(|rollup| sum.add_node(rollup, range));
            for state in live::states(&self.collection(LIVE), nodes).await?.into_iter().flatten() {
                open = open.saturating_add(
                    state.sample.map_or(0, |sample| u64::from(sample.active_sessions)),
                );
            }
        }
        Ok((sum.finish(), open))
    }

    async fn observed_of(
        &self,
        nodes: &[NodeId],
        range: Interval,
    ) -> Result<Vec<NodeObserved>, StoreError> {
        let mut reading = Vec::with_capacity(nodes.len().div_ceil(OBSERVED_AT_ONCE_MAX));
        for nodes in nodes.chunks(OBSERVED_AT_ONCE_MAX) {
            let among = Among::few_or_neighbours(nodes);
            let live = live::of(&self.collection(LIVE), among).await?;
            self.fold_claims_of(&live).await?;
            let (past, sessions) =
                (self.past(among, range).await?, self.find_overlapping(among, range).await?);
            // Read beside what is asked next: the server waits for nobody.
            let nodes = nodes.to_vec();
            reading.push(spawn_blocking(move || {
                let (seen, sessions) = (past.seen(live, range)?, sessions::overlapping(&sessions)?);
                Ok::<_, Fault>(observed(&nodes, range, seen, sessions))
            }));
        }
        let mut all = Vec::with_capacity(nodes.len());
        for observed in reading {
            all.extend(observed.await.map_err(|_| StoreError::Unavailable {
                detail: "reading was stopped".to_owned(),
            })??);
        }
        Ok(all)
    }
}

/// What was observed of each of these nodes, in their order.
fn observed(
    nodes: &[NodeId],
    range: Interval,
    mut seen: HashMap<NodeId, Seen>,
    overlapping: Vec<Observation>,
) -> Vec<NodeObserved> {
    let mut sessions = HashMap::<NodeId, Vec<Observation>>::new();
    for session in overlapping {
        sessions.entry(session.node).or_default().push(session);
    }
    let of_node = |node: &NodeId| {
        let Seen { samples, presence } = seen.remove(node).unwrap_or_default();
        let usage = summary(merge_all(samples.values().map(Rollup::of)), range);
        let presence = presence.into_iter().map(|(from, to)| Interval { from, to }).collect();
        NodeObserved {
            node: *node,
            sessions: sessions.remove(node).unwrap_or_default(),
            presence,
            usage,
        }
    };
    nodes.iter().map(of_node).collect()
}

#[async_trait]
impl TelemetryStore for MongoStore {
    async fn store_report(&self, report: Report) -> Result<ReportOutcome, StoreError> {
        Ok(self.keep_report(&report).await?)
    }
    async fn live_states(&self, nodes: &[NodeId]) -> Result<Vec<Option<LiveState>>, StoreError> {
        Ok(live::states(&self.collection(LIVE), nodes).await?)
    }
    async fn last_presence(&self, node: NodeId) -> Result<Option<Interval>, StoreError> {
        Ok(live::last_presence(&self.collection(LIVE), node).await?)
    }
    async fn observed(
        &self,
        nodes: &[NodeId],
        range: Interval,
    ) -> Result<Vec<NodeObserved>, StoreError> {
        self.observed_of(nodes, range).await
    }
    async fn unverified(
        &self,
        range: Interval,
        limit: u32,
    ) -> Result<Vec<Observation>, StoreError> {
        Ok(self.unverified_sessions(range, limit).await?)
    }
    async fn session(&self, id: SessionId) -> Result<Option<Observation>, StoreError> {
        Ok(self.one_session(id).await?)
    }
    async fn set_verdicts(&self, sessions: Vec<Observation>) -> Result<(), StoreError> {
        for session in &sessions {
            self.set_verdict(session).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl SeriesStore for MongoStore {
    async fn samples(
        &self,
        node: NodeId,
        range: Interval,
        limit: u32,
    ) -> Result<Vec<Sample>, StoreError> {
        Ok(self.newest_samples(node, range, limit).await?)
    }
    async fn series(
        &self,
        node: NodeId,
        range: Interval,
        resolution: Resolution,
    ) -> Result<Vec<Rollup>, StoreError> {
        Ok(self.points(node, range, resolution).await?)
    }
    async fn roll_up(
        &self,
        after: Option<NodeId>,
        before: TimeMs,
        limit: u32,
    ) -> Result<Walked, StoreError> {
        Ok(self.roll_nodes_up(after, before, limit).await?)
    }
    async fn roll_up_again(&self, after: Option<NodeId>, limit: u32) -> Result<Walked, StoreError> {
        Ok(self.roll_nodes_up_again(after, limit).await?)
    }
    async fn forget_series(
        &self,
        after: Option<NodeId>,
        kept: SeriesKept,
        limit: u32,
    ) -> Result<Walked, StoreError> {
        Ok(self.forget_of_nodes(after, kept, limit).await?)
    }
    async fn usage(&self, node: NodeId, range: Interval) -> Result<UsageSummary, StoreError> {
        Ok(self.node_usage(node, range).await?)
    }
    async fn fleet_usage(
        &self,
        nodes: Option<&[NodeId]>,
        range: Interval,
    ) -> Result<(UsageSummary, u64), StoreError> {
        Ok(self.usage_of_all(nodes, range).await?)
    }
}
