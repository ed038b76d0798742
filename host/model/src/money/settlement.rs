//! From scores to shares: what a settlement period's record says, and which accruals it books.

use crate::{
    epochs::{epoch::Period, score::Ppm},
    id::{NodeId, PoolScope},
    money::{
        MicroUsdt, MoneyError,
        ledger::{Draft, LedgerError},
        split::{BadBudget, Claim, cap_shares, split_largest_remainder},
    },
    policies::Weights,
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
    pub pool: PoolScope,
    /// What was shared.
    pub budget: MicroUsdt,
    /// Shares above zero.
    pub accruals: Vec<Accrual>,
    /// What goes back.
    pub remainder: MicroUsdt,
    /// What the entries say they are for: the period, its epochs, the policy.
    pub cause: String,
}

/// Turns a policy's weights into shares of a pool's budget. `eligible` says who may get anything at
/// all, whatever the policy says.
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
    cause: String,
) -> Result<PoolSettlement, SettlementError> {
    if answer.weights.len() != nodes.len() {
        return Err(SettlementError::WrongCount {
            weights: answer.weights.len(),
            nodes: nodes.len(),
        });
    }
    let cap_of = |place: usize| {
        answer
            .caps
            .get(place)
            .copied()
            .filter(|c| *c > 0)
            .map(|c| MicroUsdt(i64::try_from(c).unwrap_or(i64::MAX)))
    };
    let mut claims: Vec<Claim<NodeId>> = nodes
        .iter()
        .zip(&answer.weights)
        .enumerate()
        .map(|(place, ((node, eligible), weight))| Claim {
            by: *node,
            weight: if *eligible { *weight } else { 0 },
            cap: cap_of(place),
        })
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
    Ok(PoolSettlement { period, pool, budget, accruals, remainder: shares.remainder, cause })
}

impl PoolSettlement {
    /// The entries that book it: the budget set aside, the accruals, what goes back. Booking them
    /// twice books once.
    ///
    /// # Errors
    /// [`SettlementError::Ledger`] if an amount cannot be represented.
    pub fn drafts(&self) -> Result<Vec<Draft>, SettlementError> {
        let start = self.period.start_s;
        let mut drafts = vec![Draft::fund(start, self.pool, self.budget)?];
        for accrual in &self.accruals {
            drafts.push(Draft::accrue(
                start,
                self.pool,
                accrual.node,
                accrual.share,
                accrual.held,
                self.cause.clone(),
            )?);
        }
        if self.remainder > MicroUsdt::ZERO {
            drafts.push(Draft::remainder(start, self.pool, self.remainder)?);
        }
        Ok(drafts)
    }
}

/// How a period's budgets are shared. It is kept before anything of it is booked, and whoever goes
/// on with an interrupted settlement books what was kept first: who of two shared otherwise in the
/// meantime does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// Which period.
    pub period: Period,
    /// Pools with a budget.
    pub pools: Vec<PoolSettlement>,
    /// Why less is shared than was meant to be, if so.
    pub note: Option<String>,
}

impl Distribution {
    /// What the period's record says once all of it is booked.
    ///
    /// # Errors
    /// [`MoneyError`] if a sum is not representable.
    pub fn record(&self) -> Result<SettlementRecord, MoneyError> {
        let accruals = || self.pools.iter().flat_map(|pool| &pool.accruals);
        Ok(SettlementRecord {
            period: self.period,
            count: u32::try_from(accruals().count()).unwrap_or(u32::MAX),
            sum: MicroUsdt::checked_sum(accruals().map(|accrual| accrual.share))?,
            budget: MicroUsdt::checked_sum(self.pools.iter().map(|pool| pool.budget))?,
            remainder: MicroUsdt::checked_sum(self.pools.iter().map(|pool| pool.remainder))?,
            note: self.note.clone(),
        })
    }
}

/// What is kept of a settled period: payable once it says what was booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettlementRecord {
    /// Which period.
    pub period: Period,
    /// Accruals booked.
    pub count: u32,
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
        let period = crate::epochs::epoch::PeriodLength::new(86_400)
            .unwrap()
            .period_at(crate::time::TimeMs(0));
        let nodes: Vec<_> = (1..=3).map(|i| (NodeId(uuid::Uuid::from_u128(i)), i != 2)).collect();
        let answer = Weights {
            weights: vec![1, 1000, 3],
            held: vec![Ppm(0), Ppm(0), Ppm(250_000)],
            ..Weights::default()
        };
        let settled = settle_pool(
            period,
            PoolScope::Unassigned,
            MicroUsdt(100),
            &nodes,
            &answer,
            Ppm(250_000),
            "why".into(),
        )
        .unwrap();
        assert_eq!(
            settled.accruals,
            [
                Accrual { node: nodes[0].0, share: MicroUsdt(25), held: MicroUsdt(0) },
                Accrual { node: nodes[2].0, share: MicroUsdt(75), held: MicroUsdt(18) },
            ]
        );
        assert!(
            settle_pool(
                period,
                PoolScope::Unassigned,
                MicroUsdt(1),
                &nodes[..2],
                &answer,
                Ppm(0),
                String::new()
            )
            .is_err()
        );
    }
}
