//! Samples: rows as they arrived, and packed windows of what is older. Neither alone is all.

use std::collections::BTreeMap;

use lucid_model::{
    id::NodeId,
    telemetry::{credit::Interval, metric::Sample},
    time::TimeMs,
};
use lucid_store::packing::{self, PACKED_SAMPLES_MAX};
use rusqlite::{Connection, params};

use crate::{
    fault::Fault,
    query::{execute, rows},
    telemetry::{USAGE, read_usage},
};

/// Samples are packed in windows: longer ones pack better, and are written again with every hour of
/// theirs.
pub(crate) const WINDOW_MS: i64 = 4 * 3_600_000;

/// The start of the window that an instant is in.
pub(crate) fn window_of(at: TimeMs) -> TimeMs {
    TimeMs(at.0.saturating_sub(at.0.rem_euclid(WINDOW_MS)))
}

/// Rows in a range, the newest first.
pub(crate) fn arrived(
    connection: &Connection,
    node: NodeId,
    range: Interval,
    limit: u32,
) -> Result<Vec<Sample>, Fault> {
    let sql = format!(
        "SELECT at, arrived_at, active_sessions, uptime_s, {USAGE} FROM samples WHERE node = ? AND at >= ? AND at < ? ORDER BY at DESC LIMIT ?"
    );
    rows(connection, &sql, params![node.0.as_bytes(), range.from.0, range.to.0, limit], |c| {
        let (at, arrived_at, active_sessions, uptime_s) =
            (c.time()?, c.time()?, c.take()?, c.counter()?);
        Ok(Sample { node, at, arrived_at, usage: read_usage(c)?, active_sessions, uptime_s })
    })
}

/// The windows of a range that have anything, the newest first.
fn windows(connection: &Connection, node: NodeId, range: Interval) -> Result<Vec<TimeMs>, Fault> {
    let sql = "SELECT DISTINCT window FROM packed_samples WHERE node = ? AND window >= ? AND window < ? ORDER BY window DESC";
    rows(connection, sql, params![node.0.as_bytes(), window_of(range.from).0, range.to.0], |c| {
        c.time()
    })
}

/// All samples of a window that are packed.
pub(crate) fn packed(
    connection: &Connection,
    node: NodeId,
    window: TimeMs,
) -> Result<Vec<Sample>, Fault> {
    let sql = "SELECT zstd FROM packed_samples WHERE node = ? AND window = ? ORDER BY part";
    let parts: Vec<Vec<u8>> =
        rows(connection, sql, params![node.0.as_bytes(), window.0], |c| c.take())?;
    let mut samples = Vec::new();
    for part in parts {
        samples.extend(packing::unpack(node, &part)?);
    }
    Ok(samples)
}

/// Windows of a node of which something is packed, in the order of time.
pub(crate) fn packed_windows(connection: &Connection, node: NodeId) -> Result<Vec<TimeMs>, Fault> {
    let sql = "SELECT DISTINCT window FROM packed_samples WHERE node = ? ORDER BY window";
    rows(connection, sql, [node.0.as_bytes()], |c| c.time())
}

/// Replaces what is packed of a window.
pub(crate) fn pack(
    connection: &Connection,
    node: NodeId,
    window: TimeMs,
    samples: &[Sample],
) -> Result<(), Fault> {
    execute(
        connection,
        "DELETE FROM packed_samples WHERE node = ? AND window = ?",
        params![node.0.as_bytes(), window.0],
    )?;
    for (part, samples) in (0_i64..).zip(samples.chunks(PACKED_SAMPLES_MAX)) {
        let zstd = packing::pack(&samples.iter().map(packing::to_bytes).collect::<Vec<_>>())?;
        let sql = "INSERT INTO packed_samples (node, window, part, zstd) VALUES (?, ?, ?, ?)";
        execute(connection, sql, params![node.0.as_bytes(), window.0, part, zstd])?;
    }
    Ok(())
}

/// The newest samples of a range, oldest first. What was packed arrived first: a row of the same
/// instant was sent again.
pub(crate) fn newest(
    connection: &Connection,
    node: NodeId,
    range: Interval,
    limit: u32,
) -> Result<Vec<Sample>, Fault> {
    let limit_of = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut found: BTreeMap<TimeMs, Sample> =
        arrived(connection, node, range, limit)?.into_iter().map(|s| (s.at, s)).collect();
    for window in windows(connection, node, range)? {
        let later = found.range(window.plus_ms(WINDOW_MS)..).count();
        if later >= limit_of {
            break;
        }
        let inside = packed(connection, node, window)?
            .into_iter()
            .filter(|s| range.from <= s.at && s.at < range.to);
        found.extend(inside.map(|s| (s.at, s)));
    }
    let mut newest: Vec<_> = found.into_values().rev().take(limit_of).collect();
    newest.reverse();
    Ok(newest)
}

/// All samples of a range, oldest first.
pub(crate) fn all(
    connection: &Connection,
    node: NodeId,
    range: Interval,
) -> Result<Vec<Sample>, Fault> {
    newest(connection, node, range, u32::MAX)
}
