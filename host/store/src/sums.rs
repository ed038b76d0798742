//! What nodes earned over closed epochs, summed up row by row; sums as wide as every backend keeps
//! them. What became of votes.

use std::collections::HashMap;

use lucid_model::{
    consensus::{VoteState, VoteTally},
    epochs::receipt::ScoreRow,
    id::{NodeId, PoolScope},
};
use lucid_ports::NodeTotals;

/// A sum that has no place.
pub struct TooLarge(pub NodeId);

struct Sums {
    pool: PoolScope,
    eligible: bool,
    observed_s: i64,
    score_seconds: i64,
    raw_sum_centi: i64,
    epochs: u32,
}

impl Default for Sums {
    fn default() -> Self {
        Self {
            pool: PoolScope::Unassigned,
            eligible: false,
            observed_s: 0,
            score_seconds: 0,
            raw_sum_centi: 0,
            epochs: 0,
        }
    }
}

impl Sums {
    /// Takes a newer epoch's row in; none if a sum does not fit.
    fn add(&mut self, pool: PoolScope, row: &ScoreRow) -> Option<()> {
        self.pool = pool;
        if !row.held {
            self.epochs = self.epochs.checked_add(1)?;
        }
        if row.eligible {
            let (raw, observed_s) = (i64::from(row.raw.0), i64::from(row.observed_s));
            self.eligible = true;
            self.observed_s = self.observed_s.checked_add(observed_s)?;
            self.score_seconds = self.score_seconds.checked_add(raw.checked_mul(observed_s)?)?;
            self.raw_sum_centi = self.raw_sum_centi.checked_add(raw)?;
        }
        Some(())
    }
}

/// Totals of nodes; epochs are taken in from the oldest on.
#[derive(Default)]
pub struct Totals(HashMap<NodeId, Sums>);

impl Totals {
    pub fn add(&mut self, pool: PoolScope, rows: &[ScoreRow]) -> Result<(), TooLarge> {
        rows.iter().try_for_each(|row| {
            self.0.entry(row.node).or_default().add(pool, row).ok_or(TooLarge(row.node))
        })
    }

    /// By node.
    pub fn finish(self) -> Vec<NodeTotals> {
        let total = |(node, sums): (NodeId, Sums)| NodeTotals {
            node,
            pool: sums.pool,
            eligible: sums.eligible,
            observed_s: sums.observed_s.cast_unsigned(),
            score_seconds: sums.score_seconds.cast_unsigned(),
            raw_sum_centi: sums.raw_sum_centi.cast_unsigned(),
            epochs: sums.epochs,
        };
        let mut totals: Vec<_> = self.0.into_iter().map(total).collect();
        totals.sort_unstable_by_key(|total| total.node);
        totals
    }
}

/// Credited seconds of nodes.
#[derive(Default)]
pub struct Observed(HashMap<NodeId, u64>);

impl Observed {
    pub fn add(&mut self, rows: &[ScoreRow]) -> Result<(), TooLarge> {
        rows.iter().filter(|row| row.observed_s > 0).try_for_each(|row| {
            let sum = self.0.entry(row.node).or_default();
            *sum = sum.checked_add(u64::from(row.observed_s)).ok_or(TooLarge(row.node))?;
            Ok(())
        })
    }

    /// By node; those without any are left out.
    pub fn finish(self) -> Vec<(NodeId, u64)> {
        let mut observed: Vec<_> = self.0.into_iter().collect();
        observed.sort_unstable_by_key(|(node, _)| *node);
        observed
    }
}

/// What became of the votes of each epoch; of counts by epoch and state, by epoch.
pub fn tallies(counted: Vec<(i64, VoteState, u64)>) -> Vec<(i64, VoteTally)> {
    let mut tallies: Vec<(i64, VoteTally)> = Vec::new();
    for (epoch_start_s, state, count) in counted {
        match tallies.last_mut().filter(|(start_s, _)| *start_s == epoch_start_s) {
            Some((_, tally)) => tally.add(state, count),
            None => {
                let mut tally = VoteTally::default();
                tally.add(state, count);
                tallies.push((epoch_start_s, tally));
            }
        }
    }
    tallies
}
