//! Epochs in a row in which a node was scored in one pool: where its rows are, and how many it has.

use lucid_model::id::{NodeId, PoolId, PoolScope};
use rusqlite::{Connection, params, params_from_iter, types::Value};

use crate::{
    columns::{Columns, blob},
    fault::Fault,
    query::{count, execute, exists, first, rows},
};

/// An epoch with the closed ones before and after it.
#[derive(Clone, Copy)]
pub(crate) struct Between {
    start_s: i64,
    before_s: Option<i64>,
    after_s: Option<i64>,
}

impl Between {
    pub(crate) fn of(connection: &Connection, start_s: i64) -> Result<Self, Fault> {
        let one = |sql| {
            first(connection, sql, [start_s], |c| c.take::<Option<i64>>()).map(Option::flatten)
        };
        let before_s = one("SELECT max(start_s) FROM epochs WHERE start_s < ?")?;
        Ok(Self {
            start_s,
            before_s,
            after_s: one("SELECT min(start_s) FROM epochs WHERE start_s > ?")?,
        })
    }
}

/// Says that a node was scored in an epoch. In whatever order epochs come, the stretches are the
/// same.
pub(crate) fn add(
    connection: &Connection,
    node: NodeId,
    pool: PoolScope,
    epoch: Between,
) -> Result<(), Fault> {
    let (node, pool) = (node.0.into_bytes(), pool.pool().map(|pool| pool.0.into_bytes()));
    let longer =
        "UPDATE score_stretches SET to_s = ?1 WHERE node = ?2 AND to_s = ?3 AND pool IS ?4";
    let grown = match epoch.before_s {
        Some(before_s) => {
            execute(connection, longer, params![epoch.start_s, node, before_s, pool])? == 1
        }
        None => false,
    };
    if !grown {
        let inside =
            "SELECT 1 FROM score_stretches WHERE node = ?1 AND from_s <= ?2 AND to_s >= ?2";
        if exists(connection, inside, params![node, epoch.start_s])? {
            return Ok(());
        }
        let sql = "INSERT INTO score_stretches (node, from_s, to_s, pool) VALUES (?1, ?2, ?2, ?3)";
        execute(connection, sql, params![node, epoch.start_s, pool])?;
    }
    let Some(after_s) = epoch.after_s else { return Ok(()) };
    let next =
        "DELETE FROM score_stretches WHERE node = ? AND from_s = ? AND pool IS ? RETURNING to_s";
    if let Some(to_s) = first(connection, next, params![node, after_s, pool], |c| c.take::<i64>())?
    {
        execute(connection, longer, params![to_s, node, epoch.start_s, pool])?;
    }
    Ok(())
}

/// In which pool a node was scored in an epoch.
pub(crate) fn pool_at(
    connection: &Connection,
    node: NodeId,
    epoch_start_s: i64,
) -> Result<Option<PoolScope>, Fault> {
    let sql = "SELECT pool FROM score_stretches WHERE node = ?1 AND from_s <= ?2 AND to_s >= ?2";
    first(connection, sql, params![node.0.as_bytes(), epoch_start_s], |c| c.scope())
}

/// Closed epochs in which a node was scored, perhaps in one pool only; by start.
pub(crate) struct History {
    sql: String,
    values: Vec<Value>,
}

impl History {
    pub(crate) fn of(node: NodeId, pool: Option<PoolId>) -> Self {
        let (filter, pool) = match pool {
            Some(pool) => (" AND s.pool = ?", Some(blob(pool.0))),
            None => ("", None),
        };
        let sql = format!(
            "FROM score_stretches s CROSS JOIN epochs e ON e.start_s >= s.from_s AND e.start_s <= s.to_s WHERE s.node = ?{filter} AND e.settled IS NULL"
        );
        Self { sql, values: std::iter::once(blob(node.0)).chain(pool).collect() }
    }

    pub(crate) fn count(&self, connection: &Connection) -> Result<u64, Fault> {
        count(connection, &format!("SELECT count(*) {}", self.sql), params_from_iter(&self.values))
    }

    /// Starts and pools, so many from a place on.
    pub(crate) fn starts(
        &self,
        connection: &Connection,
        direction: &str,
        limit: i64,
        offset: i64,
    ) -> Result<Vec<(i64, PoolScope)>, Fault> {
        let sql = format!(
            "SELECT e.start_s, s.pool {} ORDER BY e.start_s {direction} LIMIT {limit} OFFSET {offset}",
            self.sql
        );
        rows(connection, &sql, params_from_iter(&self.values), |c: &mut Columns<'_>| {
            Ok((c.take()?, c.scope()?))
        })
    }
}
