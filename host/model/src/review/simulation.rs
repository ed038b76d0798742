//! How another version of a policy would have decided about what is over: what each node had, and
//! what it would have had. A scoring policy is compared by scores, a payout policy by USDT.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{
    epochs::{
        frame::FrameChunk,
        receipt::{ScoreRow, ScoredChunk},
        score::ScoreCenti,
    },
    id::{NodeId, PoolScope},
    money::MicroUsdt,
};

/// Sums of one side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Side {
    /// Σ scores, hundredths.
    pub score_centi: u64,
    /// Σ unclamped score (hundredths) × credited seconds of epochs in which the node was eligible:
    /// what pools share by.
    pub score_seconds: u64,
    /// Epochs in which the score would have been more than 100.
    pub clamped: u64,
    /// Epochs in which the policy failed for the node.
    pub held: u64,
}

impl Side {
    fn add(&mut self, row: &ScoreRow) {
        self.score_centi += u64::from(row.score.0);
        if row.eligible {
            self.score_seconds = self
                .score_seconds
                .saturating_add(u64::from(row.raw.0).saturating_mul(u64::from(row.observed_s)));
        }
        self.clamped += u64::from(row.raw.0 > row.score.0);
        self.held += u64::from(row.held);
    }

    fn plus(self, other: Self) -> Self {
        Self {
            score_centi: self.score_centi + other.score_centi,
            score_seconds: self.score_seconds.saturating_add(other.score_seconds),
            clamped: self.clamped + other.clamped,
            held: self.held + other.held,
        }
    }
}

/// A node, or all of them, on both sides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// Epochs that it was scored in; of all nodes, rows.
    pub epochs: u64,
    pub before: Side,
    /// As it would have been.
    pub after: Side,
}

impl Change {
    /// Mean score of a side, to the nearest hundredth.
    pub fn mean(&self, side: &Side) -> ScoreCenti {
        let mean =
            side.score_centi.saturating_add(self.epochs / 2).checked_div(self.epochs).unwrap_or(0);
        ScoreCenti(u32::try_from(mean).unwrap_or(u32::MAX))
    }
}

/// What two versions decided about a node, or about all of them.
pub trait Compared: Copy + Default + PartialEq {
    /// More, or less, of what counts: score-seconds or micro-USDT.
    fn difference(&self) -> i128;
    /// Whether anything is another.
    fn is_changed(&self) -> bool;
    /// Both together.
    #[must_use]
    fn plus(self, other: Self) -> Self;
}

impl Compared for Change {
    fn difference(&self) -> i128 {
        i128::from(self.after.score_seconds) - i128::from(self.before.score_seconds)
    }
    fn is_changed(&self) -> bool {
        self.before != self.after
    }
    fn plus(self, other: Self) -> Self {
        Self {
            epochs: self.epochs + other.epochs,
            before: self.before.plus(other.before),
            after: self.after.plus(other.after),
        }
    }
}

/// What a node accrued, or all of them, on both sides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Earned {
    /// As it was booked.
    pub before: MicroUsdt,
    /// As it would have been.
    pub after: MicroUsdt,
}

impl Compared for Earned {
    fn difference(&self) -> i128 {
        i128::from(self.after.0) - i128::from(self.before.0)
    }
    fn is_changed(&self) -> bool {
        self.before != self.after
    }
    fn plus(self, other: Self) -> Self {
        let sum = |one: MicroUsdt, two: MicroUsdt| MicroUsdt(one.0.saturating_add(two.0));
        Self { before: sum(self.before, other.before), after: sum(self.after, other.after) }
    }
}

/// A node with the pool that it was in last, and what two versions decided about it.
pub type Of<C> = (NodeId, PoolScope, C);

/// What is told of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary<C> {
    /// Nodes that were compared.
    pub nodes: u64,
    /// Nodes of which anything is another.
    pub changed: u64,
    /// All together.
    pub total: C,
    /// Who gains most.
    pub winners: Vec<Of<C>>,
    /// Who loses most.
    pub losers: Vec<Of<C>>,
}

/// A version's answers to what others had been asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Simulation<C> {
    /// Epochs, or settlement periods.
    pub periods: u64,
    /// Each node, with the pool that it was in last.
    pub nodes: BTreeMap<NodeId, (PoolScope, C)>,
}

impl<C: Compared> Simulation<C> {
    /// Adds what was decided about a node.
    pub fn put(&mut self, node: NodeId, pool: PoolScope, change: C) {
        let entry = self.nodes.entry(node).or_insert((pool, C::default()));
        *entry = (pool, entry.1.plus(change));
    }

    /// All nodes together.
    pub fn total(&self) -> C {
        self.nodes.values().fold(C::default(), |sum, (_, one)| sum.plus(*one))
    }

    /// Nodes of which anything would have been another.
    pub fn changed(&self) -> u64 {
        self.nodes.values().filter(|(_, change)| change.is_changed()).count() as u64
    }

    /// Nodes that would have gained most, and those that would have lost most: at most so many of
    /// each.
    pub fn extremes(&self, most: usize) -> [Vec<Of<C>>; 2] {
        let mut all: Vec<_> = self
            .nodes
            .iter()
            .filter(|(_, (_, c))| c.difference() != 0)
            .map(|(node, (pool, c))| (*node, *pool, *c))
            .collect();
        all.sort_by_key(|(node, _, change)| (change.difference(), *node));
        let losers =
            all.iter().filter(|(_, _, c)| c.difference() < 0).take(most).copied().collect();
        let winners =
            all.iter().rev().filter(|(_, _, c)| c.difference() > 0).take(most).copied().collect();
        [winners, losers]
    }

    /// What is told of it.
    pub fn summary(&self, most: usize) -> Summary<C> {
        let [winners, losers] = self.extremes(most);
        Summary {
            nodes: self.nodes.len() as u64,
            changed: self.changed(),
            total: self.total(),
            winners,
            losers,
        }
    }
}

impl Simulation<Earned> {
    /// Every node as a line of comma-separated values, below one with the names. No value can be
    /// taken for a formula.
    pub fn csv(&self) -> String {
        let mut csv = String::from("node_id,pool_id,usdt_before,usdt_after,difference\n");
        for (node, (pool, earned)) in &self.nodes {
            let difference = MicroUsdt(earned.after.0.saturating_sub(earned.before.0));
            // Writing into a text does not fail.
            let _ = writeln!(csv, "{node},{pool},{},{},{difference}", earned.before, earned.after);
        }
        csv
    }
}

impl Simulation<Change> {
    /// Adds a chunk: as it was scored, and as it would have been.
    pub fn add(&mut self, frame: &FrameChunk, before: &ScoredChunk, after: &ScoredChunk) {
        for (before, after) in before.rows.iter().zip(&after.rows) {
            let mut change = Change { epochs: 1, ..Change::default() };
            change.before.add(before);
            change.after.add(after);
            self.put(before.node, frame.pool, change);
        }
    }

    /// Every node as a line of comma-separated values, below one with the names. No value can be
    /// taken for a formula.
    pub fn csv(&self) -> String {
        let mut csv = String::from(
            "node_id,pool_id,epochs,mean_score_before,mean_score_after,score_seconds_before,score_seconds_after,difference,\
             clamped_before,clamped_after,held_before,held_after\n",
        );
        for (node, (pool, change)) in &self.nodes {
            let Change { epochs, before, after } = change;
            let means = (change.mean(before), change.mean(after));
            // Writing into a text does not fail.
            let _ = writeln!(
                csv,
                "{node},{pool},{epochs},{},{},{},{},{},{},{},{},{}",
                means.0,
                means.1,
                before.score_seconds,
                after.score_seconds,
                change.difference(),
                before.clamped,
                after.clamped,
                before.held,
                after.held
            );
        }
        csv
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::epochs::{frame, receipt, score::RawCenti};

    fn chunk(raws: [u32; 3]) -> (FrameChunk, ScoredChunk) {
        let frame = frame::example(3);
        let mut scored = receipt::example(&frame);
        for (row, raw) in scored.rows.iter_mut().zip(raws) {
            (row.raw, row.score, row.eligible, row.observed_s, row.held) =
                (RawCenti(raw), RawCenti(raw).clamp(), raw != 1, 10, false);
        }
        (frame, scored)
    }

    #[test]
    fn what_each_node_gains_and_loses_is_told_by_what_pools_share_by() {
        let mut simulation = Simulation::default();
        let ((frame, before), (_, after)) = (chunk([5_000, 9_000, 1]), chunk([12_000, 8_000, 1]));
        for _ in 0..2 {
            simulation.add(&frame, &before, &after);
        }
        let [winners, losers] = simulation.extremes(20);
        assert_eq!((winners.len(), losers.len(), simulation.changed()), (1, 1, 2));
        let (node, _, change) = winners[0];
        assert_eq!((node, change.difference(), change.epochs), (frame.nodes[0], 140_000, 2));
        assert_eq!(
            (change.mean(&change.before), change.mean(&change.after)),
            (ScoreCenti(5_000), ScoreCenti(10_000)),
            "clamped"
        );
        assert_eq!(losers[0].2.difference(), -20_000);
        let total = simulation.total();
        assert_eq!(
            (total.epochs, total.difference(), total.after.clamped, total.before.clamped),
            (6, 120_000, 2, 0)
        );
        let csv = simulation.csv();
        assert_eq!(csv.lines().count(), 4);
        assert!(
            csv.lines()
                .nth(2)
                .unwrap()
                .ends_with(",unassigned,2,90.00,80.00,180000,160000,-20000,0,0,0,0"),
            "{csv}"
        );
    }
}
