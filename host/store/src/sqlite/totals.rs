use lucid_model::id::NodeId;
use lucid_ports::NodeTotals;
use rusqlite::Connection;

use super::{columns::Columns, fault::Fault, query::rows};

pub(crate) fn observed_seconds(connection: &Connection, from_s: i64, to_s: i64) -> Result<Vec<(NodeId, u64)>, Fault> {
    let sql = "SELECT node, sum(observed_s) AS total FROM scores WHERE epoch_start_s >= ? AND epoch_start_s < ? GROUP BY node HAVING total > 0";
    rows(connection, sql, [from_s, to_s], |c| Ok((c.id(NodeId)?, c.unsigned()?)))
}

/// SQLite's `sum` of integers fails on overflow, so that a sum is never wrong; `pool` is a bare column beside the
/// only `max`, and so of the newest epoch (SQLite, "Bare columns in an aggregate query").
pub(crate) fn totals(connection: &Connection, from_s: i64, to_s: i64) -> Result<Vec<NodeTotals>, Fault> {
    let sql = "SELECT s.node, c.pool, sum(s.eligible), sum(s.eligible * s.observed_s), sum(s.eligible * s.raw * s.observed_s), \
               sum(s.eligible * s.raw), sum(NOT s.held), max(s.epoch_start_s) \
               FROM scores s CROSS JOIN chunks c ON c.epoch_start_s = s.epoch_start_s AND c.idx = s.chunk \
               WHERE s.epoch_start_s >= ? AND s.epoch_start_s < ? GROUP BY s.node ORDER BY s.node";
    rows(connection, sql, [from_s, to_s], read)
}

fn read(columns: &mut Columns<'_>) -> Result<NodeTotals, Fault> {
    Ok(NodeTotals {
        node: columns.id(NodeId)?,
        pool: columns.scope()?,
        eligible: columns.unsigned()? > 0,
        observed_s: columns.unsigned()?,
        score_seconds: columns.unsigned()?,
        raw_sum_centi: columns.unsigned()?,
        epochs: columns.take()?,
    })
}
