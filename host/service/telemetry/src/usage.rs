//! What nodes measured lately.

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    epochs::score::Ppm,
    fleet::node::NodeStatus,
    id::NodeId,
    telemetry::{
        credit::Interval,
        metric::{Sample, UsageSummary, samples_expected},
    },
};
use lucid_ports::{LiveState, NodeFilter, NodeSort, Order, PageRequest};

use crate::Telemetry;

/// Usage of one node over a range.
#[derive(Debug, Clone, Copy)]
pub struct NodeUsage {
    /// The newest report.
    pub live: Option<LiveState>,
    /// Means and differences.
    pub summary: UsageSummary,
    /// Samples of those that were expected.
    pub completeness: Ppm,
}

/// Usage of the nodes a caller sees.
#[derive(Debug, Clone, Copy)]
pub struct FleetUsage {
    /// Live nodes.
    pub total_nodes: u64,
    /// Of them active.
    pub active_nodes: u64,
    /// Means and sums.
    pub summary: UsageSummary,
    /// Sessions open in the newest samples.
    pub active_sessions: u64,
    /// Samples of those that were expected of the live nodes.
    pub completeness: Ppm,
}

/// Share of the samples expected of `nodes` nodes in a range.
fn completeness(summary: &UsageSummary, nodes: u64, range: Interval) -> Ppm {
    Ppm::ratio_floor(summary.samples_expected, samples_expected(range).saturating_mul(nodes))
}

impl Telemetry {
    /// Usage of one node over the last `range_ms`.
    ///
    /// # Errors
    /// [`ServiceError`] if the node is unknown or another's.
    pub async fn node_usage(
        &self,
        actor: &Actor,
        id: NodeId,
        range_ms: i64,
    ) -> Result<NodeUsage, ServiceError> {
        let node = self.parts.fleet.seen_node(actor, id).await?;
        if !node.is_live() {
            return Err(ServiceError::no("node"));
        }
        let live = self.parts.reports.live_states(&[id]).await?.pop().flatten();
        let range = self.last(range_ms);
        let summary = self.parts.series.usage(id, range).await?;
        Ok(NodeUsage { live, summary, completeness: completeness(&summary, 1, range) })
    }

    /// Samples of one node over the last `range_ms`, the newest `limit` of them, oldest first.
    ///
    /// # Errors
    /// As [`Telemetry::node_usage`].
    pub async fn node_samples(
        &self,
        actor: &Actor,
        id: NodeId,
        range_ms: i64,
        limit: u32,
    ) -> Result<Vec<Sample>, ServiceError> {
        if !self.parts.fleet.seen_node(actor, id).await?.is_live() {
            return Err(ServiceError::no("node"));
        }
        Ok(self.parts.series.samples(id, self.last(range_ms), limit).await?)
    }

    fn last(&self, range_ms: i64) -> Interval {
        let now = self.parts.clock.now();
        Interval { from: now.plus_ms(-range_ms), to: now.plus_ms(1) }
    }

    /// Usage of all nodes the caller sees over the last `range_ms`.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn fleet_usage(
        &self,
        actor: &Actor,
        range_ms: i64,
    ) -> Result<FleetUsage, ServiceError> {
        if actor.sees_all() {
            let by_status = self.parts.nodes.count_by_status().await?;
            let of = |wanted: Option<NodeStatus>| {
                by_status
                    .iter()
                    .filter(|(s, _)| {
                        *s != NodeStatus::Deregistered && wanted.is_none_or(|w| w == *s)
                    })
                    .map(|(_, n)| n)
                    .sum()
            };
            let range = self.last(range_ms);
            let (summary, active_sessions) = self.parts.series.fleet_usage(None, range).await?;
            let (total_nodes, active_nodes) = (of(None), of(Some(NodeStatus::Active)));
            let completeness = completeness(&summary, total_nodes, range);
            return Ok(FleetUsage {
                total_nodes,
                active_nodes,
                summary,
                active_sessions,
                completeness,
            });
        }
        let filter = NodeFilter { owner: Some(actor.user), ..NodeFilter::default() };
        let (mut own, mut page) = (Vec::new(), 1);
        loop {
            let part = self
                .parts
                .nodes
                .nodes(
                    &filter,
                    PageRequest {
                        page,
                        limit: 100,
                        sort: NodeSort::CreatedAt,
                        order: Order::Ascending,
                    },
                )
                .await?;
            own.extend(part.items.iter().map(|n| (n.id, n.status)));
            if part.items.len() < 100 {
                break;
            }
            page += 1;
        }
        let ids: Vec<_> = own.iter().map(|(id, _)| *id).collect();
        let range = self.last(range_ms);
        let (summary, active_sessions) = self.parts.series.fleet_usage(Some(&ids), range).await?;
        let (total_nodes, active) = (
            ids.len() as u64,
            own.iter().filter(|(_, status)| *status == NodeStatus::Active).count(),
        );
        let completeness = completeness(&summary, total_nodes, range);
        Ok(FleetUsage {
            total_nodes,
            active_nodes: active as u64,
            summary,
            active_sessions,
            completeness,
        })
    }
}
