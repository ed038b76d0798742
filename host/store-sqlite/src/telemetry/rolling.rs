//! Rolling up and forgetting, in steps that are short: the writer has others to serve.
//!
//! A row of `samples` is in no rollup yet. One transaction packs rows into their window, rolls
//! their hours up, and removes them, so that a crash leaves either the rows or what was made of
//! them.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use lucid_model::{
    id::NodeId,
    telemetry::{
        credit::Interval,
        metric::{Resolution, Sample},
    },
    time::{DAY_MS, TimeMs},
};
use lucid_ports::{SeriesKept, StoreError, Walked};
use lucid_store::series::renew;
use rusqlite::{Connection, params};

use crate::{
    SqliteStore,
    columns::blob,
    fault::Fault,
    query::{execute, first, rows},
    telemetry::{
        samples::{self, WINDOW_MS, window_of},
        series,
    },
};

/// Rows that one job packs at most.
const ROWS_MAX: u32 = 1_000;
/// Rows that one statement removes at most; each may have several pages.
const REMOVED_MAX: usize = 100;
/// Jobs that wait for the writer at once: they share a transaction, which takes no further one
/// after its time.
const JOBS_MAX: usize = 8;

/// Nodes that ever reported, after this one.
fn nodes_after(
    connection: &Connection,
    after: Option<NodeId>,
    limit: u32,
) -> Result<Vec<NodeId>, Fault> {
    let after = after.map_or(rusqlite::types::Value::Blob(Vec::new()), |node| blob(node.0));
    rows(
        connection,
        "SELECT node FROM live WHERE node > ? ORDER BY node LIMIT ?",
        params![after, limit],
        |c| c.id(NodeId),
    )
}

fn is_due(connection: &Connection, node: NodeId, before: TimeMs) -> Result<bool, Fault> {
    let oldest = first(
        connection,
        "SELECT min(at) FROM samples WHERE node = ?",
        [node.0.as_bytes()],
        |c| c.time_or_none(),
    )?;
    Ok(oldest.flatten().is_some_and(|oldest| oldest < before))
}

/// Rolls up the oldest rows of a node; how many hours they were of.
fn roll_up(connection: &Connection, node: NodeId, before: TimeMs) -> Result<u64, Fault> {
    let oldest = first(
        connection,
        "SELECT min(at) FROM samples WHERE node = ?",
        [node.0.as_bytes()],
        |c| c.time_or_none(),
    )?
    .flatten();
    let Some(oldest) = oldest.filter(|oldest| *oldest < before) else { return Ok(0) };
    let window = window_of(oldest);
    let sql = "SELECT max(at) FROM (SELECT at FROM samples WHERE node = ? AND at < ? ORDER BY at LIMIT ?)";
    let end = before.min(window.plus_ms(WINDOW_MS));
    let last = first(connection, sql, params![node.0.as_bytes(), end.0, ROWS_MAX], |c| c.time())?
        .unwrap_or(oldest);
    let rows = Interval { from: oldest, to: last.plus_ms(1) };
    let arrived = samples::arrived(connection, node, rows, ROWS_MAX)?;
    let hours: BTreeSet<_> =
        arrived.iter().map(|sample| Resolution::Hour.floor(sample.at)).collect();
    let mut all: BTreeMap<TimeMs, Sample> =
        arrived.into_iter().map(|sample| (sample.at, sample)).collect();
    // What is packed arrived first.
    all.extend(
        samples::packed(connection, node, window)?.into_iter().map(|sample| (sample.at, sample)),
    );
    let all: Vec<_> = all.into_values().collect();
    samples::pack(connection, node, window, &all)?;
    renew_hours(connection, node, &hours, &all)?;
    execute(
        connection,
        "DELETE FROM samples WHERE node = ? AND at >= ? AND at < ?",
        params![node.0.as_bytes(), rows.from.0, rows.to.0],
    )?;
    Ok(u64::try_from(hours.len()).unwrap_or(u64::MAX))
}

fn renew_hours(
    connection: &Connection,
    node: NodeId,
    hours: &BTreeSet<TimeMs>,
    samples: &[Sample],
) -> Result<(), Fault> {
    for hour in hours {
        let of_hour: Vec<_> = samples
            .iter()
            .filter(|sample| Resolution::Hour.floor(sample.at) == *hour)
            .copied()
            .collect();
        let kept = series::kept_hour(connection, node, *hour)?;
        series::keep(connection, node, *hour, &renew(&of_hour, &kept.fives, kept.hour))?;
    }
    Ok(())
}

/// Rolls up what is packed of a window; how many hours that is.
fn roll_up_packed(connection: &Connection, node: NodeId, window: TimeMs) -> Result<u64, Fault> {
    let packed = samples::packed(connection, node, window)?;
    let hours: BTreeSet<_> =
        packed.iter().map(|sample| Resolution::Hour.floor(sample.at)).collect();
    renew_hours(connection, node, &hours, &packed)?;
    Ok(u64::try_from(hours.len()).unwrap_or(u64::MAX))
}

/// Removes some rows of a node that are older than the day of `from`.
fn forget(
    connection: &Connection,
    node: NodeId,
    (table, key, from): (&str, &str, TimeMs),
) -> Result<usize, Fault> {
    let day = from.0.saturating_sub(from.0.rem_euclid(DAY_MS));
    let sql = format!(
        "DELETE FROM {table} WHERE node = ?1 AND {key} IN (SELECT {key} FROM {table} WHERE node = ?1 AND {key} < ?2 ORDER BY {key} LIMIT ?3)"
    );
    execute(
        connection,
        &sql,
        params![node.0.as_bytes(), day, i64::try_from(REMOVED_MAX).unwrap_or(i64::MAX)],
    )
}

impl SqliteStore {
    pub(crate) async fn roll_nodes_up(
        &self,
        after: Option<NodeId>,
        before: TimeMs,
        limit: u32,
    ) -> Result<Walked, StoreError> {
        let before = Resolution::Hour.floor(before);
        let (next, due) = self
            .telemetry
            .read(move |connection| {
                let nodes = nodes_after(connection, after, limit)?;
                let next = nodes.last().copied();
                let due = nodes
                    .into_iter()
                    .map(|node| Ok(is_due(connection, node, before)?.then_some(node)));
                Ok((
                    next,
                    due.collect::<Result<Vec<_>, Fault>>()?
                        .into_iter()
                        .flatten()
                        .collect::<Vec<_>>(),
                ))
            })
            .await?;
        let mut done = 0_u64;
        for some in due.chunks(JOBS_MAX) {
            let jobs = some.iter().map(|node| {
                let node = *node;
                self.telemetry.write(move |connection| roll_up(connection, node, before))
            });
            done = try_join_all(jobs).await?.into_iter().fold(done, u64::saturating_add);
        }
        Ok(Walked { done, next })
    }

    pub(crate) async fn roll_nodes_up_again(
        &self,
        after: Option<NodeId>,
        limit: u32,
    ) -> Result<Walked, StoreError> {
        let nodes =
            self.telemetry.read(move |connection| nodes_after(connection, after, limit)).await?;
        let (next, mut done) = (nodes.last().copied(), 0_u64);
        for node in nodes {
            let windows = self
                .telemetry
                .read(move |connection| samples::packed_windows(connection, node))
                .await?;
            for some in windows.chunks(JOBS_MAX) {
                let jobs = some.iter().map(|window| {
                    let window = *window;
                    self.telemetry.write(move |connection| roll_up_packed(connection, node, window))
                });
                done = try_join_all(jobs).await?.into_iter().fold(done, u64::saturating_add);
            }
        }
        Ok(Walked { done, next })
    }

    pub(crate) async fn forget_of_nodes(
        &self,
        after: Option<NodeId>,
        kept: SeriesKept,
        limit: u32,
    ) -> Result<Walked, StoreError> {
        let nodes =
            self.telemetry.read(move |connection| nodes_after(connection, after, limit)).await?;
        let next = nodes.last().copied();
        let tables = [
            ("packed_samples", "window", kept.samples_from),
            ("rollups_5m", "hour", kept.five_minutes_from),
            ("rollups_1h", "hour", kept.hours_from),
        ];
        let mut done = 0_u64;
        for node in nodes {
            for (table, key, from) in tables {
                // Nothing is written for a node that has nothing to forget.
                let day = from.0.saturating_sub(from.0.rem_euclid(DAY_MS));
                let sql = format!("SELECT min({key}) FROM {table} WHERE node = ?");
                let oldest = self
                    .telemetry
                    .read(move |connection| {
                        first(connection, &sql, [node.0.as_bytes()], |c| c.time_or_none())
                    })
                    .await?;
                let mut more = oldest.flatten().is_some_and(|oldest| oldest.0 < day);
                while more {
                    let removed = self
                        .telemetry
                        .write(move |connection| forget(connection, node, (table, key, from)))
                        .await?;
                    done = done.saturating_add(u64::try_from(removed).unwrap_or(u64::MAX));
                    more = removed >= REMOVED_MAX;
                }
            }
        }
        Ok(Walked { done, next })
    }
}
