use lucid_model::{
    id::NodeId,
    telemetry::{
        credit::Interval,
        metric::{Resolution, Sample},
        observation::Observation,
    },
    time::TimeMs,
};
use lucid_store::{
    packing,
    transfer::{Key, LiveRecord, Part, Record, RollupsRecord, blocks},
};
use rusqlite::{Connection, params};

use super::pages::Walk;
use crate::{
    columns::stored,
    fault::Fault,
    query::{execute, exists, first},
    telemetry::{SESSION, newest_sample, read_session, reports, samples::all, series},
};

pub(super) fn live(
    connection: &Connection,
    after: Option<&Key>,
    limit: u32,
) -> Result<Vec<Record>, Fault> {
    let walk = Walk {
        columns: "live.node, live.last_seen, live.newest, s.highest, s.digest",
        from: "live LEFT JOIN sequences s ON s.node = live.node",
        keys: &["live.node"],
    };
    walk.next(connection, after, limit, |c| {
        let (node, last_seen) = (c.id(NodeId)?, c.time()?);
        let newest = newest_sample(c, node)?;
        let sequence = match c.take::<Option<i64>>()? {
            Some(highest) => Some((highest.cast_unsigned(), c.digest()?)),
            None => None,
        };
        Ok(Record::Live(Box::new(LiveRecord { node, last_seen, newest, sequence })))
    })
}

pub(super) fn presence(
    connection: &Connection,
    after: Option<&Key>,
    limit: u32,
) -> Result<Vec<Record>, Fault> {
    Walk { columns: "node, from_ms, to_ms", from: "presence", keys: &["node", "from_ms"] }.next(
        connection,
        after,
        limit,
        |c| {
            Ok(Record::Presence {
                node: c.id(NodeId)?,
                span: Interval { from: c.time()?, to: c.time()? },
            })
        },
    )
}

pub(super) fn sessions(
    connection: &Connection,
    after: Option<&Key>,
    limit: u32,
) -> Result<Vec<Record>, Fault> {
    Walk { columns: SESSION, from: "sessions", keys: &["session"] }.next(
        connection,
        after,
        limit,
        |c| Ok(Record::Session(Box::new(read_session(c)?))),
    )
}

/// Whole nodes: a page may be longer than was asked for.
pub(super) fn samples(
    connection: &Connection,
    after: Option<&Key>,
    limit: u32,
) -> Result<Vec<Record>, Fault> {
    let mut records = Vec::new();
    let begun = match after.map(|key| key.0.as_slice()) {
        Some([Part::Bytes(node), Part::Number(at)]) => Some((node.clone(), at.saturating_add(1))),
        _ => None,
    };
    let mut from = begun.as_ref().map(|(node, _)| node.clone()).unwrap_or_default();
    let mut sql = "SELECT node FROM live WHERE node >= ? ORDER BY node LIMIT 1";
    while let Some(node) = first(connection, sql, [&from], |c| c.id(NodeId))? {
        let since = begun
            .as_ref()
            .filter(|(begun, _)| begun == node.0.as_bytes())
            .map_or(i64::MIN, |(_, at)| *at);
        let all = all(connection, node, Interval { from: TimeMs(since), to: TimeMs(i64::MAX) })?;
        records.extend(blocks(node, &all));
        if records.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
            break;
        }
        from = node.0.as_bytes().to_vec();
        sql = "SELECT node FROM live WHERE node > ? ORDER BY node LIMIT 1";
    }
    Ok(records)
}

/// What is kept of hours that were rolled up.
pub(super) fn rollups(
    connection: &Connection,
    after: Option<&Key>,
    limit: u32,
) -> Result<Vec<Record>, Fault> {
    let walk = Walk {
        columns: "h.node, h.hour, h.rollups, f.rollups",
        from: "rollups_1h h LEFT JOIN rollups_5m f ON f.node = h.node AND f.hour = h.hour",
        keys: &["h.node", "h.hour"],
    };
    walk.next(connection, after, limit, |c| {
        Ok(Record::Rollups(Box::new(RollupsRecord {
            node: c.id(NodeId)?,
            hour: c.time()?,
            of_hour: c.take()?,
            of_fives: c.take()?,
        })))
    })
}

pub(super) fn insert_rollups(
    connection: &Connection,
    record: &RollupsRecord,
) -> Result<bool, Fault> {
    let RollupsRecord { node, hour, of_hour, of_fives } = record;
    let known = exists(
        connection,
        "SELECT 1 FROM rollups_1h WHERE node = ? AND hour = ?",
        params![node.0.as_bytes(), hour.0],
    )?;
    if !known {
        series::put(connection, *node, *hour, Resolution::Hour, of_hour)?;
        if let Some(of_fives) = of_fives {
            series::put(connection, *node, *hour, Resolution::FiveMinutes, of_fives)?;
        }
    }
    Ok(!known)
}

pub(super) fn insert_live(connection: &Connection, live: &LiveRecord) -> Result<bool, Fault> {
    let LiveRecord { node, last_seen, newest, sequence } = live;
    if let Some((highest, digest)) = sequence {
        let sql =
            "INSERT INTO sequences (node, highest, digest) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
        execute(connection, sql, params![node.0.as_bytes(), stored(*highest)?, digest.0])?;
    }
    let sql = "INSERT INTO live (node, last_seen, newest) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
    Ok(execute(
        connection,
        sql,
        params![node.0.as_bytes(), last_seen.0, newest.as_ref().map(packing::to_bytes)],
    )? == 1)
}

pub(super) fn insert_presence(
    connection: &Connection,
    node: NodeId,
    span: Interval,
) -> Result<bool, Fault> {
    let sql = "INSERT INTO presence (node, from_ms, to_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
    Ok(execute(connection, sql, params![node.0.as_bytes(), span.from.0, span.to.0])? == 1)
}

pub(super) fn insert_session(
    connection: &Connection,
    session: &Observation,
) -> Result<bool, Fault> {
    reports::insert_session(connection, session, "ON CONFLICT DO NOTHING")
}

/// A block has no key here: it counts as added if each sample is there as it should be.
pub(super) fn insert_samples(
    connection: &Connection,
    node: NodeId,
    samples: &[Sample],
) -> Result<bool, Fault> {
    let mut equal = true;
    for added in samples {
        let there = || all(connection, node, Interval { from: added.at, to: added.at.plus_ms(1) });
        equal &= reports::add_sample(connection, node, added)? || there()?.first() == Some(added);
    }
    Ok(equal)
}
