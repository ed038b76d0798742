use std::collections::BTreeMap;

use lucid_model::{
    id::{NodeId, PoolScope},
    receipt::{ChunkHeader, ScoreRow},
};
use lucid_ports::NodeTotals;

use super::chunks;
use crate::mongo::{MongoStore, fault::Fault, fields::Fields};

/// What one node earned so far; sums as wide as every backend keeps them.
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
        Self { pool: PoolScope::Unassigned, eligible: false, observed_s: 0, score_seconds: 0, raw_sum_centi: 0, epochs: 0 }
    }
}

impl Sums {
    /// Takes a newer epoch's row in; none if a sum does not fit.
    fn add(&mut self, header: &ChunkHeader, row: &ScoreRow) -> Option<()> {
        self.pool = header.pool;
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

impl MongoStore {
    /// Goes through all rows of closed epochs that start in `[from_s, to_s)`, oldest first, a chunk at a time.
    async fn each_row(&self, (from_s, to_s): (i64, i64), mut take: impl FnMut(&ChunkHeader, &ScoreRow) -> Option<()>) -> Result<(), Fault> {
        for claim in self.closed_between(from_s, to_s).await? {
            let mut cursor = self.staged_chunks(claim.record.epoch.start_s, claim.staged).await?;
            while cursor.advance().await? {
                let chunk = chunks::read(Fields::of(&cursor.deserialize_current()?))?;
                for row in &chunk.rows {
                    take(&chunk.header, row).ok_or_else(|| Fault::Bad(format!("a sum of node {} does not fit", row.node)))?;
                }
            }
        }
        Ok(())
    }

    pub(super) async fn sum_totals(&self, from_s: i64, to_s: i64) -> Result<Vec<NodeTotals>, Fault> {
        let mut sums = BTreeMap::<NodeId, Sums>::new();
        self.each_row((from_s, to_s), |header, row| sums.entry(row.node).or_default().add(header, row)).await?;
        let totals = sums.into_iter().map(|(node, sums)| NodeTotals {
            node,
            pool: sums.pool,
            eligible: sums.eligible,
            observed_s: sums.observed_s.cast_unsigned(),
            score_seconds: sums.score_seconds.cast_unsigned(),
            raw_sum_centi: sums.raw_sum_centi.cast_unsigned(),
            epochs: sums.epochs,
        });
        Ok(totals.collect())
    }

    pub(super) async fn sum_observed(&self, from_s: i64, to_s: i64) -> Result<Vec<(NodeId, u64)>, Fault> {
        let mut sums = BTreeMap::<NodeId, u64>::new();
        let add = |_: &ChunkHeader, row: &ScoreRow| {
            let sum = sums.entry(row.node).or_default();
            *sum = sum.checked_add(u64::from(row.observed_s))?;
            Some(())
        };
        self.each_row((from_s, to_s), add).await?;
        Ok(sums.into_iter().filter(|(_, observed_s)| *observed_s > 0).collect())
    }
}
