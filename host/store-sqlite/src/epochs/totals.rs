use lucid_model::{
    epochs::receipt::ScoreRow,
    id::{NodeId, PoolScope},
};
use lucid_ports::NodeTotals;
use lucid_store::{
    packing,
    sums::{Observed, TooLarge, Totals},
};
use rusqlite::Connection;

use crate::{columns::Columns, epochs::scores::PACKED, fault::Fault};

impl From<TooLarge> for Fault {
    fn from(TooLarge(node): TooLarge) -> Self {
        Self::Bad(format!("a sum of node {node} does not fit"))
    }
}

/// Goes through all rows of closed epochs that start in `[from_s, to_s)`, oldest first, a chunk at
/// a time.
fn each_chunk(
    connection: &Connection,
    (from_s, to_s): (i64, i64),
    mut take: impl FnMut(PoolScope, &[ScoreRow]) -> Result<(), TooLarge>,
) -> Result<(), Fault> {
    let sql = format!(
        "SELECT c.pool, r.packed FROM epochs e CROSS JOIN scored c ON c.epoch_start_s = e.start_s AND c.attempt = e.attempt{PACKED} \
         WHERE e.start_s >= ? AND e.start_s < ? AND e.settled IS NULL ORDER BY e.start_s, c.idx"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut cursor = statement.query([from_s, to_s])?;
    while let Some(row) = cursor.next()? {
        let mut columns = Columns::of(row);
        let (pool, packed) = (columns.scope()?, columns.take::<Vec<u8>>()?);
        take(pool, &packing::unpack_rows(&packed)?)?;
    }
    Ok(())
}

pub(crate) fn observed_seconds(
    connection: &Connection,
    from_s: i64,
    to_s: i64,
) -> Result<Vec<(NodeId, u64)>, Fault> {
    let mut observed = Observed::default();
    each_chunk(connection, (from_s, to_s), |_, rows| observed.add(rows))?;
    Ok(observed.finish())
}

pub(crate) fn totals(
    connection: &Connection,
    from_s: i64,
    to_s: i64,
) -> Result<Vec<NodeTotals>, Fault> {
    let mut totals = Totals::default();
    each_chunk(connection, (from_s, to_s), |pool, rows| totals.add(pool, rows))?;
    Ok(totals.finish())
}
