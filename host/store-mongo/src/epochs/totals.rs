use lucid_model::{
    epochs::receipt::ScoreRow,
    id::{NodeId, PoolScope},
};
use lucid_ports::NodeTotals;
use lucid_store::sums::{Observed, TooLarge, Totals};

use super::chunks;
use crate::{MongoStore, fault::Fault, fields::Fields};

impl From<TooLarge> for Fault {
    fn from(TooLarge(node): TooLarge) -> Self {
        Self::Bad(format!("a sum of node {node} does not fit"))
    }
}

impl MongoStore {
    /// Goes through all rows of closed epochs that start in `[from_s, to_s)`, oldest first, a chunk
    /// at a time.
    async fn each_chunk(
        &self,
        (from_s, to_s): (i64, i64),
        mut take: impl FnMut(PoolScope, &[ScoreRow]) -> Result<(), TooLarge>,
    ) -> Result<(), Fault> {
        for claim in self.closed_between(from_s, to_s).await? {
            let mut cursor = self.staged_chunks(claim.record.epoch.start_s, claim.staged).await?;
            while cursor.advance().await? {
                let chunk = chunks::read(Fields::of(&cursor.deserialize_current()?))?;
                take(chunk.header.pool, &chunk.rows)?;
            }
        }
        Ok(())
    }

    pub(super) async fn sum_totals(
        &self,
        from_s: i64,
        to_s: i64,
    ) -> Result<Vec<NodeTotals>, Fault> {
        let mut totals = Totals::default();
        self.each_chunk((from_s, to_s), |pool, rows| totals.add(pool, rows)).await?;
        Ok(totals.finish())
    }

    pub(super) async fn sum_observed(
        &self,
        from_s: i64,
        to_s: i64,
    ) -> Result<Vec<(NodeId, u64)>, Fault> {
        let mut observed = Observed::default();
        self.each_chunk((from_s, to_s), |_, rows| observed.add(rows)).await?;
        Ok(observed.finish())
    }
}
