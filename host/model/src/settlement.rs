//! From scores to shares: what a settlement period's record says, and which accruals it books.

use std::collections::BTreeMap;

use crate::{
    epoch::Period,
    id::{Digest, NodeId, PoolScope},
    ledger::{Draft, LedgerError},
    money::{MicroUsdt, MoneyError},
    policy::{PolicyIdentity, Weights},
    score::Ppm,
    split::{BadBudget, Claim, cap_shares, split_largest_remainder},
};

/// Why a period cannot be settled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettlementError {
    /// The policy answered for another number of nodes.
    #[error("{weights} weights for {nodes} nodes")]
    WrongCount {
        /// Weights given.
        weights: usize,
        /// Nodes asked about.
        nodes: usize,
    },
    /// The budget is negative.
    #[error(transparent)]
    Budget(#[from] BadBudget),
    /// A sum is not representable.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// An entry cannot be made.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What one node gets of one period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accrual {
    /// The node.
    pub node: NodeId,
    /// Its share.
    pub share: MicroUsdt,
    /// The part of it that is held back.
    pub held: MicroUsdt,
}

/// How one pool's budget of one period is booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSettlement {
    /// Which period.
    pub period: Period,
    /// Which pool.
    pub pool: PoolScope,
    /// What was shared.
    pub budget: MicroUsdt,
    /// Shares above zero.
    pub accruals: Vec<Accrual>,
    /// What goes back.
    pub remainder: MicroUsdt,
}

/// Turns a policy's weights into shares of a pool's budget. `eligible` says who may get anything at all,
/// whatever the policy says.
///
/// # Errors
/// [`SettlementError`] if the answer does not fit the nodes or a sum is not representable.
pub fn settle_pool(
    period: Period,
    pool: PoolScope,
    budget: MicroUsdt,
    nodes: &[(NodeId, bool)],
    answer: &Weights,
    share_max: Ppm,
) -> Result<PoolSettlement, SettlementError> {
    if answer.weights.len() != nodes.len() {
        return Err(SettlementError::WrongCount { weights: answer.weights.len(), nodes: nodes.len() });
    }
    let cap_of = |place: usize| answer.caps.get(place).copied().filter(|c| *c > 0).map(|c| MicroUsdt(i64::try_from(c).unwrap_or(i64::MAX)));
    let mut claims: Vec<Claim> = nodes
        .iter()
        .zip(&answer.weights)
        .enumerate()
        .map(|(place, ((node, eligible), weight))| Claim { node: *node, weight: if *eligible { *weight } else { 0 }, cap: cap_of(place) })
        .collect();
    cap_shares(&mut claims, budget, share_max)?;
    let shares = split_largest_remainder(budget, &claims, period.start_s)?;
    let mut accruals = Vec::new();
    for (place, ((node, _), share)) in nodes.iter().zip(&shares.shares).enumerate() {
        if *share > MicroUsdt::ZERO {
            let held = share.checked_mul_ppm_floor(answer.held.get(place).map_or(0, |p| p.0))?;
            accruals.push(Accrual { node: *node, share: *share, held });
        }
    }
    Ok(PoolSettlement { period, pool, budget, accruals, remainder: shares.remainder })
}

/// What an earlier try to settle a pool has booked already.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BookedBefore {
    /// Shares, by node.
    pub shares: BTreeMap<NodeId, MicroUsdt>,
    /// What went back.
    pub remainder: MicroUsdt,
}

impl BookedBefore {
    /// What was booked, shares and what went back.
    ///
    /// # Errors
    /// [`MoneyError`] if that is not representable.
    pub fn sum(&self) -> Result<MicroUsdt, MoneyError> {
        MicroUsdt::checked_sum(self.shares.values().copied().chain([self.remainder]))
    }

    /// Whether all of it is as it is meant to be now.
    pub fn agrees(&self, settled: &PoolSettlement) -> bool {
        let now: BTreeMap<NodeId, MicroUsdt> = settled.accruals.iter().map(|accrual| (accrual.node, accrual.share)).collect();
        let same = self.shares.iter().all(|(node, share)| now.get(node) == Some(share));
        same && (self.remainder == MicroUsdt::ZERO || self.remainder == settled.remainder)
    }
}

/// Shares what is left of a budget among those who have nothing of it yet, by the same rules: what an earlier try booked stays. For a settlement
/// that was interrupted, and would share otherwise by now, because a node was suspended or a policy changed in between.
///
/// # Errors
/// As [`settle_pool`]; [`SettlementError::Budget`] if more is booked than there was.
pub fn settle_rest(
    (period, pool): (Period, PoolScope),
    budget: MicroUsdt,
    before: &BookedBefore,
    nodes: &[(NodeId, bool)],
    answer: &Weights,
    share_max: Ppm,
) -> Result<PoolSettlement, SettlementError> {
    if answer.weights.len() != nodes.len() {
        return Err(SettlementError::WrongCount { weights: answer.weights.len(), nodes: nodes.len() });
    }
    let (mut rest, mut of_rest) = (Vec::new(), Weights::default());
    for (place, (node, eligible)) in nodes.iter().enumerate().filter(|(_, (node, _))| !before.shares.contains_key(node)) {
        rest.push((*node, *eligible));
        of_rest.weights.extend(answer.weights.get(place));
        of_rest.held.push(answer.held.get(place).copied().unwrap_or(Ppm(0)));
        of_rest.caps.push(answer.caps.get(place).copied().unwrap_or(0));
    }
    settle_pool(period, pool, budget.checked_sub(before.sum()?)?, &rest, &of_rest, share_max)
}

impl PoolSettlement {
    /// The entries that book it: the budget set aside, the accruals, what goes back. Booking them twice books once.
    ///
    /// # Errors
    /// [`SettlementError::Ledger`] if an amount cannot be represented.
    pub fn drafts(&self, roots: &[Digest], policy: &PolicyIdentity) -> Result<Vec<Draft>, SettlementError> {
        let start = self.period.start_s;
        let cause = format!("period {start}, {} epochs, root {}, policy {}", roots.len(), crate::merkle::root(roots), policy.policy);
        let mut drafts = vec![Draft::fund(start, self.pool, self.budget)?];
        for accrual in &self.accruals {
            drafts.push(Draft::accrue(start, self.pool, accrual.node, accrual.share, accrual.held, cause.clone())?);
        }
        if self.remainder > MicroUsdt::ZERO {
            drafts.push(Draft::remainder(start, self.pool, self.remainder)?);
        }
        Ok(drafts)
    }
}

/// What is kept of a settled period: payable once it says what was booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettlementRecord {
    /// Which period.
    pub period: Period,
    /// Accruals booked.
    pub count: u32,
    /// Their sum.
    pub sum: MicroUsdt,
    /// Budget that was shared, all pools.
    pub budget: MicroUsdt,
    /// Went back to the treasury, all pools.
    pub remainder: MicroUsdt,
    /// Why less was shared than was meant to be, if so.
    pub note: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ineligible_node_gets_nothing_whatever_the_policy_says() {
        let period = crate::epoch::PeriodLength::new(86_400).unwrap().period_at(crate::time::TimeMs(0));
        let nodes: Vec<_> = (1..=3).map(|i| (NodeId(uuid::Uuid::from_u128(i)), i != 2)).collect();
        let answer = Weights { weights: vec![1, 1000, 3], held: vec![Ppm(0), Ppm(0), Ppm(250_000)], ..Weights::default() };
        let settled = settle_pool(period, PoolScope::Unassigned, MicroUsdt(100), &nodes, &answer, Ppm(250_000)).unwrap();
        assert_eq!(
            settled.accruals,
            [
                Accrual { node: nodes[0].0, share: MicroUsdt(25), held: MicroUsdt(0) },
                Accrual { node: nodes[2].0, share: MicroUsdt(75), held: MicroUsdt(18) },
            ]
        );
        assert!(settle_pool(period, PoolScope::Unassigned, MicroUsdt(1), &nodes[..2], &answer, Ppm(0)).is_err());
    }

    #[test]
    fn what_was_booked_before_stays_and_the_rest_is_shared_by_the_rest() {
        let period = crate::epoch::PeriodLength::new(86_400).unwrap().period_at(crate::time::TimeMs(0));
        let nodes: Vec<_> = (1..=4).map(|i| (NodeId(uuid::Uuid::from_u128(i)), true)).collect();
        let answer = Weights { weights: vec![1, 1, 1, 1], held: vec![Ppm(0), Ppm(0), Ppm(0), Ppm(500_000)], ..Weights::default() };
        let whole = settle_pool(period, PoolScope::Unassigned, MicroUsdt(100), &nodes, &answer, Ppm(1_000_000)).unwrap();
        let booked = |shares: &[(usize, i64)], remainder| BookedBefore {
            shares: shares.iter().map(|(place, share)| (nodes[*place].0, MicroUsdt(*share))).collect(),
            remainder: MicroUsdt(remainder),
        };
        assert!(booked(&[(0, 25)], 0).agrees(&whole) && !booked(&[(0, 24)], 0).agrees(&whole) && !booked(&[(0, 25)], 1).agrees(&whole));
        let rest = |before: &BookedBefore, nodes: &[(NodeId, bool)]| {
            settle_rest((period, PoolScope::Unassigned), MicroUsdt(100), before, nodes, &answer, Ppm(1_000_000)).unwrap()
        };
        // The first one got more than it would by now.
        let before = booked(&[(0, 40)], 0);
        let left = rest(&before, &nodes);
        let shares: Vec<_> = left.accruals.iter().map(|accrual| (accrual.share.0, accrual.held.0)).collect();
        assert_eq!((shares, left.remainder), (vec![(20, 0), (20, 0), (20, 10)], MicroUsdt::ZERO));
        // Nobody is left who may get anything: it goes back.
        let nobody: Vec<_> = nodes.iter().map(|(node, _)| (*node, false)).collect();
        assert_eq!((rest(&before, &nobody).accruals, rest(&before, &nobody).remainder), (vec![], MicroUsdt(60)));
        // All of it is booked.
        let all = booked(&[(0, 40), (1, 50)], 10);
        assert_eq!((rest(&all, &nodes).accruals, rest(&all, &nodes).remainder), (vec![], MicroUsdt::ZERO));
        assert!(settle_rest((period, PoolScope::Unassigned), MicroUsdt(99), &all, &nodes, &answer, Ppm(0)).is_err(), "more than there was");
    }
}
