//! What checks found of pools.

use lucid_model::{
    fleet::pool::health::{Health, Members, Replaced, Standing},
    id::{NodeId, PoolId},
    time::TimeMs,
};
use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::{
    columns::{Columns, json, stored},
    fault::Fault,
    query::{execute, first, rows},
};

pub(crate) const COLUMNS: &str =
    "pool, health, since, better, checked_at, working, failed, replaced, version";

pub(crate) fn read(columns: &mut Columns<'_>) -> Result<Standing, Fault> {
    Ok(Standing {
        pool: columns.id(PoolId)?,
        health: columns.word(Health::from_name)?,
        since: columns.time()?,
        better: columns.word_or_none(Health::from_name)?,
        checked_at: columns.time()?,
        members: Members { working: columns.take()?, failed: columns.take()? },
        replaced: columns
            .json::<Vec<(Uuid, i64)>>()?
            .into_iter()
            .map(|(node, at)| Replaced { node: NodeId(node), at: TimeMs(at) })
            .collect(),
        version: columns.unsigned()?,
    })
}

/// Adds a standing; `false` if the pool has one.
pub(crate) fn insert(connection: &Connection, standing: &Standing) -> Result<bool, Fault> {
    let sql = format!(
        "INSERT INTO pool_standings ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    );
    let replaced: Vec<_> = standing.replaced.iter().map(|r| (r.node.0, r.at.0)).collect();
    let values = params![
        standing.pool.0.as_bytes(),
        standing.health.name(),
        standing.since.0,
        standing.better.map(Health::name),
        standing.checked_at.0,
        standing.members.working,
        standing.members.failed,
        json(&replaced)?,
        stored(standing.version)?,
    ];
    Ok(execute(connection, &sql, values)? == 1)
}

pub(crate) fn all(connection: &Connection) -> Result<Vec<Standing>, Fault> {
    rows(connection, &format!("SELECT {COLUMNS} FROM pool_standings ORDER BY pool"), [], read)
}

pub(crate) fn one(connection: &Connection, pool: PoolId) -> Result<Option<Standing>, Fault> {
    first(
        connection,
        &format!("SELECT {COLUMNS} FROM pool_standings WHERE pool = ?"),
        [pool.0.as_bytes()],
        read,
    )
}

/// Takes the place of the version before, if that is there and its pool too.
pub(crate) fn keep(connection: &Connection, standing: &Standing) -> Result<bool, Fault> {
    let pool = standing.pool.0.as_bytes();
    if first(connection, "SELECT 1 FROM pools WHERE id = ?", [pool], |c| c.take::<i64>())?.is_none()
    {
        return Ok(false);
    }
    let before = stored(standing.version.saturating_sub(1))?;
    if before > 0
        && execute(
            connection,
            "DELETE FROM pool_standings WHERE pool = ? AND version = ?",
            params![pool, before],
        )? == 0
    {
        return Ok(false);
    }
    insert(connection, standing)
}

pub(crate) fn forget(connection: &Connection, pool: PoolId) -> Result<(), Fault> {
    execute(connection, "DELETE FROM pool_standings WHERE pool = ?", [pool.0.as_bytes()]).map(drop)
}
