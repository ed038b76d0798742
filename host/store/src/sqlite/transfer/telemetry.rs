use lucid_model::{credit::Interval, id::NodeId, metric::Sample, observation::Observation, time::TimeMs};
use rusqlite::{Connection, params};

use super::{
    super::{
        columns::stored,
        fault::Fault,
        query::execute,
        reports,
        telemetry::{SESSION, USAGE, read_session, read_usage, sample},
    },
    pages::Walk,
};
use crate::transfer::{BLOCK_SAMPLES, Key, LiveRecord, Record, blocks};

pub(super) fn live(connection: &Connection, after: Option<&Key>, limit: u32) -> Result<Vec<Record>, Fault> {
    let walk = Walk {
        columns: "live.node, live.last_seen, live.sample_at, s.highest, s.digest",
        from: "live LEFT JOIN sequences s ON s.node = live.node",
        keys: &["live.node"],
    };
    let found = walk.next(connection, after, limit, |c| {
        let (node, last_seen, sample_at) = (c.id(NodeId)?, c.time()?, c.time_or_none()?);
        let sequence = match c.take::<Option<i64>>()? {
            Some(highest) => Some((highest.cast_unsigned(), c.digest()?)),
            None => None,
        };
        Ok((LiveRecord { node, last_seen, newest: None, sequence }, sample_at))
    })?;
    let newest = |(live, sample_at): (LiveRecord, Option<TimeMs>)| {
        let newest = sample_at.map(|at| sample(connection, live.node, at)).transpose()?.flatten();
        Ok(Record::Live(Box::new(LiveRecord { newest, ..live })))
    };
    found.into_iter().map(newest).collect()
}

pub(super) fn presence(connection: &Connection, after: Option<&Key>, limit: u32) -> Result<Vec<Record>, Fault> {
    Walk { columns: "node, from_ms, to_ms", from: "presence", keys: &["node", "from_ms"] }
        .next(connection, after, limit, |c| Ok(Record::Presence { node: c.id(NodeId)?, span: Interval { from: c.time()?, to: c.time()? } }))
}

pub(super) fn sessions(connection: &Connection, after: Option<&Key>, limit: u32) -> Result<Vec<Record>, Fault> {
    Walk { columns: SESSION, from: "sessions", keys: &["session"] }
        .next(connection, after, limit, |c| Ok(Record::Session(Box::new(read_session(c)?))))
}

/// Whole blocks: one that the page cuts off is left for the next, if it is not all there is.
pub(super) fn samples(connection: &Connection, after: Option<&Key>, limit: u32) -> Result<Vec<Record>, Fault> {
    let columns = format!("node, at, arrived_at, active_sessions, uptime_s, {USAGE}");
    let rows_max = u32::try_from(BLOCK_SAMPLES).unwrap_or(u32::MAX).saturating_mul(limit.max(1)).saturating_add(1);
    let found = Walk { columns: &columns, from: "samples", keys: &["node", "at"] }.next(connection, after, rows_max, |c| {
        let (node, at, arrived_at) = (c.id(NodeId)?, c.time()?, c.time()?);
        let (active_sessions, uptime_s) = (c.take()?, c.counter()?);
        Ok(Sample { node, at, arrived_at, usage: read_usage(c)?, active_sessions, uptime_s })
    })?;
    let is_all = found.len() < usize::try_from(rows_max).unwrap_or(usize::MAX);
    let mut records = Vec::new();
    for of_node in found.chunk_by(|left, right| left.node == right.node) {
        if let Some(first) = of_node.first() {
            records.extend(blocks(first.node, of_node));
        }
    }
    if !is_all {
        records.pop();
    }
    Ok(records)
}

pub(super) fn insert_live(connection: &Connection, live: &LiveRecord) -> Result<bool, Fault> {
    let LiveRecord { node, last_seen, newest, sequence } = live;
    if let Some((highest, digest)) = sequence {
        let sql = "INSERT INTO sequences (node, highest, digest) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
        execute(connection, sql, params![node.0.as_bytes(), stored(*highest)?, digest.0])?;
    }
    // The newest sample is one of the node's, and found there. Its block comes later.
    if let Some(newest) = newest {
        reports::add_sample(connection, *node, newest)?;
    }
    let sql = "INSERT INTO live (node, last_seen, sample_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
    Ok(execute(connection, sql, params![node.0.as_bytes(), last_seen.0, newest.map(|sample| sample.at.0)])? == 1)
}

pub(super) fn insert_presence(connection: &Connection, node: NodeId, span: Interval) -> Result<bool, Fault> {
    let sql = "INSERT INTO presence (node, from_ms, to_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
    Ok(execute(connection, sql, params![node.0.as_bytes(), span.from.0, span.to.0])? == 1)
}

pub(super) fn insert_session(connection: &Connection, session: &Observation) -> Result<bool, Fault> {
    reports::insert_session(connection, session, "ON CONFLICT DO NOTHING")
}

/// A block has no key here: it counts as added if each sample is there as it should be.
pub(super) fn insert_samples(connection: &Connection, node: NodeId, samples: &[Sample]) -> Result<bool, Fault> {
    let mut equal = true;
    for added in samples {
        equal &= reports::add_sample(connection, node, added)? || sample(connection, node, added.at)?.as_ref() == Some(added);
    }
    Ok(equal)
}
