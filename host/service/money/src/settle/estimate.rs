//! What nodes have earned since the last settlement, as far as it can be said before the next one:
//! by the epochs that are closed, the budget in proportion to them. Computed once after each epoch,
//! when somebody asks; nothing of it is booked, and nothing is owed by it.

use std::{collections::BTreeMap, sync::Arc};

use lucid_fleet::Siblings;
use lucid_foundation::ServiceError;
use lucid_model::{
    epochs::epoch::Period,
    fleet::node::{Node, NodeStatus},
    id::NodeId,
    money::MicroUsdt,
    policies::Scope,
};

use super::PoolToShare;
use crate::Money;

/// Estimates as they were after an epoch.
#[derive(Debug, Default)]
pub(crate) struct Estimates {
    /// Start of the epoch that was closed last.
    after: Option<i64>,
    shares: BTreeMap<NodeId, MicroUsdt>,
}

impl Money {
    /// What a node has earned that did not accrue yet, about; nothing where no policy can say.
    pub(crate) async fn estimated(&self, node: NodeId) -> Result<MicroUsdt, ServiceError> {
        let Some(last) = self.parts.epoch_records.last_epoch().await? else {
            return Ok(MicroUsdt::ZERO);
        };
        let after = Some(last.epoch.start_s);
        let kept = Arc::clone(&self.estimates.lock());
        let estimates = if kept.after == after {
            kept
        } else {
            let mut shares = BTreeMap::new();
            let mut period = self.next_to_settle().await?;
            while let Some(next) = period.filter(|period| period.start() < last.epoch.end()) {
                self.estimate(next, last.epoch, &mut shares).await?;
                period = Some(next.next());
            }
            let made = Arc::new(Estimates { after, shares });
            *self.estimates.lock() = Arc::clone(&made);
            made
        };
        Ok(estimates.shares.get(&node).copied().unwrap_or_default())
    }

    async fn estimate(
        &self,
        period: Period,
        last: Period,
        shares: &mut BTreeMap<NodeId, MicroUsdt>,
    ) -> Result<(), ServiceError> {
        let pools = self.parts.epochs.earned_in(period).await?;
        let (budgets, _) = self.pool_budgets(period, &pools).await?;
        let snapshot = self.parts.runtime.snapshot();
        let siblings = Siblings::count(&self.parts.epochs.fleet(period).await?);
        let may_earn = |_: NodeId, node: Option<&Node>| {
            node.is_some_and(|n| n.status != NodeStatus::Suspended)
        };
        let closed_s = last.end_s().min(period.end_s()).saturating_sub(period.start_s).max(0);
        for (pool, members) in pools {
            let whole = budgets.get(&pool).copied().unwrap_or_default();
            let so_far = i128::from(whole.0) * i128::from(closed_s)
                / i128::from(period.length.seconds().max(1));
            let budget = MicroUsdt(i64::try_from(so_far).unwrap_or(whole.0));
            let Some(policy) = snapshot
                .payout(Scope::of(pool), period.start_s)
                .filter(|_| budget > MicroUsdt::ZERO)
            else {
                continue;
            };
            let shared = PoolToShare {
                period,
                pool,
                budget,
                members,
                siblings: &siblings,
                revision: snapshot.revision(),
                roots: &[],
                may_earn: &may_earn,
            };
            // What a policy cannot share now is not estimated; the settlement says so aloud.
            let Ok(settled) = self.share_pool(policy.as_ref(), shared).await else { continue };
            for accrual in settled.accruals {
                let sum = shares.entry(accrual.node).or_default();
                *sum = sum.checked_add(accrual.share)?;
            }
        }
        Ok(())
    }
}
