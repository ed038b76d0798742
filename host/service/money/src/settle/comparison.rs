//! How another payout policy would have shared the budgets of periods that are settled.

use std::collections::BTreeMap;

use lucid_fleet::Siblings;
use lucid_foundation::ServiceError;
use lucid_model::{
    epochs::epoch::Period,
    fleet::node::{Node, NodeStatus},
    id::{NodeId, PoolScope},
    money::MicroUsdt,
    review::simulation::{Earned, Simulation},
    telemetry::credit::Interval,
};
use lucid_ports::{NodeTotals, PayoutPolicy};

use super::PoolToShare;
use crate::{Money, voids::accrued};

/// Most periods that one simulation asks about.
const PERIODS_MAX: usize = 400;

impl Money {
    /// Every settled period that begins in a range, shared once more.
    pub async fn simulate_payouts(
        &self,
        policy: &dyn PayoutPolicy,
        range: Interval,
        pool: Option<PoolScope>,
    ) -> Result<Simulation<Earned>, ServiceError> {
        let mut all = Simulation::default();
        for period in self.settled_in(range).await? {
            let one = self.share_again(policy, period, pool).await?;
            all.periods += one.periods;
            one.nodes.into_iter().for_each(|(node, (pool, earned))| all.put(node, pool, earned));
        }
        Ok(all)
    }

    /// Settled periods that begin in a range, in order.
    pub async fn settled_in(&self, range: Interval) -> Result<Vec<Period>, ServiceError> {
        // Before the first epoch nothing was settled.
        let (Some(last), Some(first)) = (
            self.parts.settlements.last_settlement().await?,
            self.parts.epochs.first_epoch().await?,
        ) else {
            return Ok(Vec::new());
        };
        let mut period = self.parts.rules.settlement.period_at(range.from.max(first.start()));
        if period.start() < range.from {
            period = period.next();
        }
        let mut found = Vec::new();
        while period.start() < range.to && period.start_s <= last.period.start_s {
            found.extend(
                self.parts
                    .settlements
                    .settlement(period.start_s)
                    .await?
                    .map(|record| record.period),
            );
            if found.len() > PERIODS_MAX {
                return Err(ServiceError::invalid(
                    "from",
                    format!(
                        "the range has more than {PERIODS_MAX} settlement periods, which is the most"
                    ),
                ));
            }
            period = period.next();
        }
        Ok(found)
    }

    /// How a policy would have shared what a period's pools had, beside what was booked. Facts of
    /// nodes are those of now; who was suspended since is not left out for it.
    pub async fn share_again(
        &self,
        policy: &dyn PayoutPolicy,
        period: Period,
        only: Option<PoolScope>,
    ) -> Result<Simulation<Earned>, ServiceError> {
        let siblings = Siblings::count(&self.parts.epochs.fleet(period).await?);
        let revision = self.parts.runtime.snapshot().revision();
        let mut compared = Simulation { periods: 1, ..Simulation::default() };
        for (pool, members) in self
            .parts
            .epochs
            .earned_in(period)
            .await?
            .into_iter()
            .filter(|(pool, _)| only.is_none_or(|only| only == *pool))
        {
            let Some(budget) = self.budget_set_aside(period, pool).await? else { continue };
            let before = self.booked_to(period, &members).await?;
            let may_earn = |id: NodeId, node: Option<&Node>| {
                before.contains_key(&id) || node.is_some_and(|n| n.status != NodeStatus::Suspended)
            };
            let ids: Vec<_> = members.iter().map(|of| of.node).collect();
            let shared = PoolToShare {
                period,
                pool,
                budget,
                members,
                siblings: &siblings,
                revision,
                roots: &[],
                may_earn: &may_earn,
            };
            let again = self.share_pool(policy, shared).await?;
            let after: BTreeMap<NodeId, MicroUsdt> =
                again.accruals.iter().map(|accrual| (accrual.node, accrual.share)).collect();
            for node in ids {
                let of = |side: &BTreeMap<NodeId, MicroUsdt>| {
                    side.get(&node).copied().unwrap_or_default()
                };
                compared.put(node, pool, Earned { before: of(&before), after: of(&after) });
            }
        }
        Ok(compared)
    }

    /// What was accrued by whom.
    async fn booked_to(
        &self,
        period: Period,
        members: &[NodeTotals],
    ) -> Result<BTreeMap<NodeId, MicroUsdt>, ServiceError> {
        let mut booked = BTreeMap::new();
        for of in members {
            if let Some(entry) =
                self.parts.ledger.entry(&format!("acc:{period}:{}", of.node)).await?
            {
                booked.insert(of.node, accrued(&entry, of.node));
            }
        }
        Ok(booked)
    }
}
