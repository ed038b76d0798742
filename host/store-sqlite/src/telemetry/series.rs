//! What there is of a node in a range: rollups, and the samples of hours that are not rolled up.

use std::collections::BTreeMap;

use lucid_model::{
    id::NodeId,
    telemetry::{
        credit::Interval,
        metric::{Resolution, Rollup},
    },
    time::TimeMs,
};
use lucid_store::{
    packing,
    series::{HourRollups, Series, cut_hours, exact_hours, hours_of},
};
use rusqlite::{Connection, params};

use crate::{
    fault::Fault,
    query::{execute, rows},
    telemetry::samples,
};

const HOUR_MS: i64 = Resolution::Hour.ms();

/// Where rollups of a resolution are.
fn table(resolution: Resolution) -> &'static str {
    if resolution == Resolution::Hour { "rollups_1h" } else { "rollups_5m" }
}

/// Kept rollups of the hours in a range of whole hours, by hour.
fn kept(
    connection: &Connection,
    node: NodeId,
    hours: Interval,
    resolution: Resolution,
) -> Result<BTreeMap<TimeMs, Vec<Rollup>>, Fault> {
    let sql = format!(
        "SELECT hour, rollups FROM {} WHERE node = ? AND hour >= ? AND hour < ? ORDER BY hour",
        table(resolution)
    );
    let found =
        rows(connection, &sql, params![node.0.as_bytes(), hours.from.0, hours.to.0], |c| {
            let (hour, packed): (_, Vec<u8>) = (c.time()?, c.take()?);
            Ok((hour, packing::unpack_rollups(hour, &packed)?))
        })?;
    Ok(found.into_iter().collect())
}

fn kept_hours(
    connection: &Connection,
    node: NodeId,
    hours: Interval,
) -> Result<BTreeMap<TimeMs, Rollup>, Fault> {
    let kept = kept(connection, node, hours, Resolution::Hour)?;
    Ok(kept
        .into_iter()
        .filter_map(|(hour, rollups)| Some((hour, rollups.first().copied()?)))
        .collect())
}

/// What is kept of one hour.
pub(crate) fn kept_hour(
    connection: &Connection,
    node: NodeId,
    hour: TimeMs,
) -> Result<HourRollups, Fault> {
    let range = Resolution::Hour.from(hour);
    let fives =
        kept(connection, node, range, Resolution::FiveMinutes)?.remove(&hour).unwrap_or_default();
    Ok(HourRollups { fives, hour: kept_hours(connection, node, range)?.remove(&hour) })
}

/// Keeps the rollups of an hour in the place of those that were kept.
pub(crate) fn keep(
    connection: &Connection,
    node: NodeId,
    hour: TimeMs,
    rollups: &HourRollups,
) -> Result<(), Fault> {
    let of_hour: Vec<_> = rollups.hour.into_iter().collect();
    for (resolution, rollups) in
        [(Resolution::FiveMinutes, &rollups.fives), (Resolution::Hour, &of_hour)]
    {
        if !rollups.is_empty() {
            put(connection, node, hour, resolution, &packing::pack_rollups(hour, rollups))?;
        }
    }
    Ok(())
}

/// Keeps packed rollups as they are.
pub(crate) fn put(
    connection: &Connection,
    node: NodeId,
    hour: TimeMs,
    resolution: Resolution,
    packed: &[u8],
) -> Result<(), Fault> {
    let sql = format!(
        "INSERT INTO {} (node, hour, rollups) VALUES (?, ?, ?) ON CONFLICT (node, hour) DO UPDATE SET rollups = excluded.rollups",
        table(resolution)
    );
    execute(connection, &sql, params![node.0.as_bytes(), hour.0, packed])?;
    Ok(())
}

/// Unpacks the hours that are open, and these.
fn unpack(
    connection: &Connection,
    node: NodeId,
    hours: Interval,
    series: &mut Series,
) -> Result<(), Fault> {
    let open = "SELECT DISTINCT at - at % ?1 FROM samples WHERE node = ?2 AND at >= ?3 AND at < ?4";
    let open = rows(
        connection,
        open,
        params![HOUR_MS, node.0.as_bytes(), hours.from.0, hours.to.0],
        |c| c.time(),
    )?;
    series.unpacked_hours.extend(open);
    let stretches = series.unpacked_hours.iter().map(|hour| Resolution::Hour.from(*hour)).collect();
    for stretch in lucid_model::telemetry::credit::union(stretches) {
        series.samples.extend(samples::all(connection, node, stretch)?);
    }
    Ok(())
}

/// What it takes to sum a range up.
pub(crate) fn usage(
    connection: &Connection,
    node: NodeId,
    range: Interval,
) -> Result<Option<Rollup>, Fault> {
    let hours = hours_of(range);
    let mut series = Series {
        unpacked_hours: exact_hours(range),
        hours: kept_hours(connection, node, hours)?,
        ..Series::default()
    };
    for hour in cut_hours(range) {
        series.fives.extend(kept(
            connection,
            node,
            Resolution::Hour.from(hour),
            Resolution::FiveMinutes,
        )?);
    }
    unpack(connection, node, hours, &mut series)?;
    Ok(series.usage(range))
}

/// Rollups of a resolution whose intervals begin in the range.
pub(crate) fn points(
    connection: &Connection,
    node: NodeId,
    range: Interval,
    resolution: Resolution,
) -> Result<Vec<Rollup>, Fault> {
    let hours = hours_of(range);
    let mut series = Series::default();
    match resolution {
        Resolution::Minute => {
            let whole =
                Interval { from: resolution.floor(range.from), to: resolution.ceil(range.to) };
            series.samples = samples::all(connection, node, whole)?;
            return Ok(series.points(range, resolution));
        }
        Resolution::FiveMinutes => series.fives = kept(connection, node, hours, resolution)?,
        Resolution::Hour => series.hours = kept_hours(connection, node, hours)?,
    }
    unpack(connection, node, hours, &mut series)?;
    Ok(series.points(range, resolution))
}
