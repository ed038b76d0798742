//! Reading, within what the caller may see.

use lucid_model::{
    consensus::Vote,
    epochs::{epoch::EpochRecord, score::Ppm},
    fleet::node::{Node, NodeStatus},
    id::{NodeId, PayoutId, RunId, UserId},
    money::{
        MicroUsdt,
        ledger::{Balances, Stream},
        payout::{Payout, Run},
        settlement::SettlementRecord,
    },
    telemetry::{
        credit::Interval,
        metric::{Sample, UsageSummary, samples_expected},
    },
    time::TimeMs,
};
use lucid_ports::{
    EpochFilter, LiveState, NodeFilter, NodeSort, Order, Page, PageRequest, PayoutFilter,
    PayoutSort, ScoreFilter, ScoreSort, ScoreView, VoteFilter,
};

use crate::{Actor, Service, ServiceError};

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

/// How many of the samples are there that so many nodes should have sent.
fn completeness(summary: &UsageSummary, nodes: u64, range: Interval) -> Ppm {
    Ppm::ratio_floor(summary.samples_expected, samples_expected(range).saturating_mul(nodes))
}

/// Keeps a list to what the caller may see: its own, and of a node's token only that node's.
fn narrow(actor: &Actor, owner: &mut Option<UserId>, node: &mut Option<NodeId>) {
    if !actor.sees_all() {
        *owner = Some(actor.user);
        *node = actor.node.or(*node);
    }
}

/// What a node has earned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earnings {
    /// What is booked and was not paid yet.
    pub balances: Balances,
    /// What did not accrue yet, about.
    pub estimated: MicroUsdt,
    /// What was paid in all.
    pub paid: MicroUsdt,
}

impl Service {
    pub(crate) async fn seen_node(&self, actor: &Actor, id: NodeId) -> Result<Node, ServiceError> {
        let node = self.store().node(id).await?.ok_or(ServiceError::no("node"))?;
        if actor.sees(node.owner, id) {
            Ok(node)
        } else {
            Err(ServiceError::Forbidden { why: "the node is another's" })
        }
    }

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
        let node = self.seen_node(actor, id).await?;
        if !node.is_live() {
            return Err(ServiceError::no("node"));
        }
        let live = self.store().live_states(&[id]).await?.pop().flatten();
        let range = self.last(range_ms);
        let summary = self.store().usage(id, range).await?;
        Ok(NodeUsage { live, summary, completeness: completeness(&summary, 1, range) })
    }

    /// Samples of one node over the last `range_ms`, the newest `limit` of them, oldest first.
    ///
    /// # Errors
    /// As [`Service::node_usage`].
    pub async fn node_samples(
        &self,
        actor: &Actor,
        id: NodeId,
        range_ms: i64,
        limit: u32,
    ) -> Result<Vec<Sample>, ServiceError> {
        if !self.seen_node(actor, id).await?.is_live() {
            return Err(ServiceError::no("node"));
        }
        Ok(self.store().samples(id, self.last(range_ms), limit).await?)
    }

    fn last(&self, range_ms: i64) -> Interval {
        let now = self.now();
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
            let by_status = self.store().count_by_status().await?;
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
            let (summary, active_sessions) = self.store().fleet_usage(None, range).await?;
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
                .store()
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
        let (summary, active_sessions) = self.store().fleet_usage(Some(&ids), range).await?;
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

    /// A page of scores.
    ///
    /// # Errors
    /// [`ServiceError`] if a node is named that is unknown or another's.
    pub async fn scores(
        &self,
        actor: &Actor,
        mut filter: ScoreFilter,
        page: PageRequest<ScoreSort>,
    ) -> Result<Page<ScoreView>, ServiceError> {
        if let Some(node) = filter.node {
            self.seen_node(actor, node).await?;
        }
        narrow(actor, &mut filter.owner, &mut filter.node);
        Ok(self.store().scores(&filter, page).await?)
    }

    /// One score.
    ///
    /// # Errors
    /// [`ServiceError`] if there is none, or it is another's.
    pub async fn score(
        &self,
        actor: &Actor,
        epoch_start_s: i64,
        node: NodeId,
    ) -> Result<ScoreView, ServiceError> {
        self.seen_node(actor, node).await?;
        self.store().score(epoch_start_s, node).await?.ok_or(ServiceError::no("score"))
    }

    /// A page of closed epochs.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn epochs(&self, page: PageRequest<()>) -> Result<Page<EpochRecord>, ServiceError> {
        Ok(self.store().epochs(EpochFilter::default(), page).await?)
    }

    /// A page of votes.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn votes(
        &self,
        actor: &Actor,
        mut filter: VoteFilter,
        page: PageRequest<()>,
    ) -> Result<Page<Vote>, ServiceError> {
        if actor.node.is_some() && filter.node.is_some_and(|node| actor.node != Some(node)) {
            return Err(ServiceError::Forbidden { why: "the node is another's" });
        }
        narrow(actor, &mut filter.owner, &mut filter.node);
        Ok(self.store().votes(&filter, page).await?)
    }

    /// A page of payouts.
    ///
    /// # Errors
    /// [`ServiceError`] if a node is named that is unknown or another's.
    pub async fn payouts(
        &self,
        actor: &Actor,
        mut filter: PayoutFilter,
        page: PageRequest<PayoutSort>,
    ) -> Result<Page<Payout>, ServiceError> {
        if let Some(node) = filter.node {
            self.seen_node(actor, node).await?;
        }
        narrow(actor, &mut filter.owner, &mut filter.node);
        Ok(self.store().payouts(&filter, page).await?)
    }

    /// One payout.
    ///
    /// # Errors
    /// [`ServiceError`] if there is none, or it is another's.
    pub async fn payout(&self, actor: &Actor, id: PayoutId) -> Result<Payout, ServiceError> {
        let payout = self.store().payout(id).await?.ok_or(ServiceError::no("payout"))?;
        if actor.sees(payout.owner, payout.node) {
            Ok(payout)
        } else {
            Err(ServiceError::Forbidden { why: "the payout is another's" })
        }
    }

    /// One run.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub async fn run(&self, id: RunId) -> Result<Run, ServiceError> {
        self.store().run(id).await?.ok_or(ServiceError::no("run"))
    }

    /// What a node has earned: its balances.
    ///
    /// # Errors
    /// [`ServiceError`] if the node is unknown or another's.
    pub async fn earnings(&self, actor: &Actor, id: NodeId) -> Result<Earnings, ServiceError> {
        self.seen_node(actor, id).await?;
        let all = Interval { from: TimeMs(0), to: TimeMs(i64::MAX) };
        let paid =
            self.store().payments(&[id], all).await?.into_iter().map(|(_, _, amount)| amount);
        Ok(Earnings {
            balances: self.store().head(Stream::Node(id)).await?.balances,
            estimated: self.estimated(id).await?,
            paid: MicroUsdt::checked_sum(paid)?,
        })
    }

    /// What the treasury has.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn treasury(&self) -> Result<MicroUsdt, ServiceError> {
        Ok(self.store().head(Stream::Treasury).await?.balances.available)
    }

    /// The last settled period.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn last_settlement(&self) -> Result<Option<SettlementRecord>, ServiceError> {
        Ok(self.store().last_settlement().await?)
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn ready(&self) -> Result<(), ServiceError> {
        self.store().count_by_status().await.map(|_| ()).map_err(ServiceError::from)
    }

    /// Whether every kind of policy is active.
    pub fn policies_loaded(&self) -> bool {
        use lucid_model::policies::Scope::Default;
        let snapshot = self.ports.policies.snapshot();
        let now_s = self.now().unix_s_floor();
        snapshot.scoring(Default, now_s).is_some()
            && snapshot.validation(Default, now_s).is_some()
            && snapshot.payout(Default, now_s).is_some()
    }

    /// Nodes by status.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn count_by_status(&self) -> Result<Vec<(NodeStatus, u64)>, ServiceError> {
        Ok(self.store().count_by_status().await?)
    }
}
