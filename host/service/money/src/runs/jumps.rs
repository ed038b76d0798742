//! Payees who get far more than before: a schedule does not approve a run with one by itself.
//!
//! Each payee of the period is held against the median of what it got in the seven periods before
//! it. Whoever got something in fewer of them, a new node above all, is held against the greater of
//! two: its own median, if it has one, and what is typical, which is the median of all payees'
//! medians. So a node that joined in the middle of a period grows to what others get and holds
//! nothing up; one that begins far above them waits for a person. In the first period of all
//! nothing is there to hold anybody against.

use std::collections::BTreeMap;

use lucid_foundation::ServiceError;
use lucid_model::{
    id::NodeId,
    money::{MicroUsdt, settlement::SettlementRecord},
};

use crate::Money;

/// Settlement periods whose median a payee is held against.
const MEDIAN_PERIODS: usize = 7;

/// What nodes got in one period.
type Accrued = BTreeMap<NodeId, MicroUsdt>;

impl Money {
    /// Why a schedule may not approve a run by itself, if payees got far more in its period than
    /// before.
    pub(super) async fn jumps(
        &self,
        mature: &SettlementRecord,
    ) -> Result<Option<String>, ServiceError> {
        let Some(times_max) = self.config.auto_approve_jump_max else { return Ok(None) };
        let (mut before, mut period) = (Vec::new(), mature.period);
        while before.len() < MEDIAN_PERIODS {
            period = self.parts.rules.settlement.period_at(period.start().plus_ms(-1));
            if self.parts.settlements.settlement(period.start_s).await?.is_none() {
                break;
            }
            before.push(self.parts.ledger.accrued(period.start_s).await?);
        }
        let now = self.parts.ledger.accrued(mature.period.start_s).await?;
        let jumped = jumped(&now, &before, times_max);
        Ok((jumped > 0).then(|| format!("{jumped} payees got more than {times_max} times what they, or payees like them, usually get")))
    }
}

/// How many got more than so many times what they are held against.
fn jumped(now: &Accrued, before: &[Accrued], times_max: u32) -> usize {
    let mut earlier = BTreeMap::<NodeId, Vec<MicroUsdt>>::new();
    for (node, amount) in before.iter().flatten() {
        earlier.entry(*node).or_default().push(*amount);
    }
    let typical = median(earlier.values().filter_map(|amounts| median(amounts.clone())).collect());
    let against = |node: &NodeId| {
        let amounts = earlier.get(node).cloned().unwrap_or_default();
        let is_new = amounts.len() < MEDIAN_PERIODS;
        let own = median(amounts);
        if is_new { own.max(typical) } else { own }
    };
    let far_above = |(node, amount): &(&NodeId, &MicroUsdt)| {
        against(node).is_some_and(|against| {
            i128::from(amount.0) > i128::from(against.0) * i128::from(times_max)
        })
    };
    now.iter().filter(far_above).count()
}

/// The upper of the two in the middle, if they are two.
fn median(mut amounts: Vec<MicroUsdt>) -> Option<MicroUsdt> {
    amounts.sort_unstable();
    amounts.get(amounts.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn accrued(amounts: &[(u128, i64)]) -> Accrued {
        amounts
            .iter()
            .map(|(node, amount)| (NodeId(Uuid::from_u128(*node)), MicroUsdt(*amount)))
            .collect()
    }

    /// Two payees who got 100 each in seven periods, and what is added to each of them.
    fn seven(added: &[(u128, i64)]) -> Vec<Accrued> {
        (0..7).map(|_| accrued(&[&[(1, 100), (2, 100)], added].concat())).collect()
    }

    #[test]
    fn who_got_something_in_all_seven_periods_is_held_against_its_own_median() {
        assert_eq!(jumped(&accrued(&[(1, 300), (2, 100)]), &seven(&[]), 3), 0);
        assert_eq!(jumped(&accrued(&[(1, 301), (2, 100)]), &seven(&[]), 3), 1);
        assert_eq!(
            jumped(&accrued(&[(1, 100), (2, 100), (3, 31)]), &seven(&[(3, 10)]), 3),
            1,
            "though others get more"
        );
    }

    #[test]
    fn a_new_node_is_held_against_what_others_get() {
        assert_eq!(jumped(&accrued(&[(1, 100), (2, 100), (9, 300)]), &seven(&[]), 3), 0);
        assert_eq!(jumped(&accrued(&[(1, 100), (2, 100), (9, 301)]), &seven(&[]), 3), 1);
        let many_new: Vec<_> =
            (10..99).map(|node| (node, 301)).chain([(1, 100), (2, 100)]).collect();
        assert_eq!(
            jumped(&accrued(&many_new), &seven(&[]), 3),
            89,
            "many new ones make nothing typical"
        );
        assert_eq!(
            jumped(&accrued(&[(9, 301)]), &seven(&[]), 3),
            1,
            "though nobody else got anything"
        );
    }

    #[test]
    fn a_node_that_joined_late_in_a_period_grows_to_what_others_get() {
        let mut before = seven(&[]);
        before[0].extend(accrued(&[(9, 4)]));
        assert_eq!(jumped(&accrued(&[(1, 100), (2, 100), (9, 100)]), &before, 3), 0);
        assert_eq!(jumped(&accrued(&[(1, 100), (2, 100), (9, 301)]), &before, 3), 1);
        // One that is larger than others and was approved once is held against itself.
        before[0].extend(accrued(&[(9, 500)]));
        assert_eq!(jumped(&accrued(&[(1, 100), (2, 100), (9, 1_500)]), &before, 3), 0);
    }

    #[test]
    fn in_the_first_periods_what_there_is_counts() {
        assert_eq!(
            jumped(&accrued(&[(1, 100), (2, 900)]), &[], 3),
            0,
            "nothing is there to hold them against"
        );
        let one = [accrued(&[(1, 100), (2, 20)])];
        assert_eq!(jumped(&accrued(&[(1, 100), (2, 100), (3, 300)]), &one, 3), 0);
        assert_eq!(
            jumped(&accrued(&[(1, 301), (2, 100), (3, 301)]), &one, 3),
            2,
            "one period is something"
        );
        assert_eq!(jumped(&accrued(&[]), &one, 3), 0);
    }
}
