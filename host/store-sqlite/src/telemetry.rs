pub(crate) mod reports;
pub(crate) mod rolling;
pub(crate) mod samples;
pub(crate) mod series;
pub(crate) mod stretches;

use async_trait::async_trait;
use futures::future::try_join_all;
use lucid_model::{
    epochs::score::Ppm,
    id::{NodeId, SessionId},
    telemetry::{
        credit::Interval,
        metric::{NetworkCounters, Resolution, Rollup, Sample, Usage, UsageSum, UsageSummary},
        observation::{Observation, Observer, Verdict},
    },
    time::TimeMs,
};
use lucid_ports::{
    LiveState, NodeObserved, Report, ReportOutcome, SeriesKept, SeriesStore, StoreError,
    TelemetryStore, Walked,
};
use lucid_store::{packing, series::summary};
use rusqlite::{Connection, params};

use crate::{
    SqliteStore,
    columns::Columns,
    fault::Fault,
    query::{first, rows},
};

pub(crate) const SESSION: &str = "session, node, from_ms, to_ms, quality, by_observer, received_at, verdict, voided, reason, \
                       cpu, memory, disk, bytes_sent, bytes_received, packets_sent, packets_received";
pub(crate) const USAGE: &str =
    "cpu, memory, disk, bytes_sent, bytes_received, packets_sent, packets_received";

pub(crate) fn read_usage(columns: &mut Columns<'_>) -> Result<Usage, Fault> {
    Ok(Usage {
        cpu: columns.ppm()?,
        memory: columns.ppm()?,
        disk: columns.ppm()?,
        network: NetworkCounters {
            bytes_sent: columns.counter()?,
            bytes_received: columns.counter()?,
            packets_sent: columns.counter()?,
            packets_received: columns.counter()?,
        },
    })
}

/// Usage that may not have been sent: then every column of it is NULL.
fn read_usage_or_none(columns: &mut Columns<'_>) -> Result<Option<Usage>, Fault> {
    let Some(cpu) = columns.take::<Option<u32>>()? else { return Ok(None) };
    let (memory, disk) = (columns.ppm()?, columns.ppm()?);
    let network = NetworkCounters {
        bytes_sent: columns.counter()?,
        bytes_received: columns.counter()?,
        packets_sent: columns.counter()?,
        packets_received: columns.counter()?,
    };
    Ok(Some(Usage { cpu: Ppm(cpu), memory, disk, network }))
}

pub(crate) fn read_session(columns: &mut Columns<'_>) -> Result<Observation, Fault> {
    let (session, node) = (columns.id(SessionId)?, columns.id(NodeId)?);
    let span = read_interval(columns)?;
    let quality = columns.ppm()?;
    let by = if columns.take()? { Observer::Observer } else { Observer::Itself };
    let received_at = columns.time()?;
    let (word, voided, reason): (String, bool, Option<String>) =
        (columns.take()?, columns.take()?, columns.take()?);
    let verdict = match word.as_str() {
        "rejected" if voided => Verdict::Voided(reason.unwrap_or_default()),
        "accepted" => Verdict::Accepted,
        "rejected" => Verdict::Rejected(reason.unwrap_or_default()),
        "unverified" => Verdict::Unverified,
        other => return Err(Fault::Bad(format!("verdict {other:?}"))),
    };
    Ok(Observation {
        session,
        node,
        span,
        quality,
        usage: read_usage_or_none(columns)?,
        by,
        received_at,
        verdict,
    })
}

fn read_interval(columns: &mut Columns<'_>) -> Result<Interval, Fault> {
    Ok(Interval { from: columns.time()?, to: columns.time()? })
}

fn live_state(connection: &Connection, node: NodeId) -> Result<Option<LiveState>, Fault> {
    let sql = "SELECT last_seen, newest FROM live WHERE node = ?";
    first(connection, sql, [node.0.as_bytes()], |c| {
        Ok(LiveState { last_seen: c.time()?, sample: newest_sample(c, node)? })
    })
}

/// The newest sample, as a live state has it.
pub(crate) fn newest_sample(
    columns: &mut Columns<'_>,
    node: NodeId,
) -> Result<Option<Sample>, Fault> {
    let bytes: Option<Vec<u8>> = columns.take()?;
    Ok(bytes.map(|bytes| packing::from_bytes(node, &bytes)).transpose()?)
}

fn fleet_usage(
    connection: &Connection,
    nodes: Option<Vec<NodeId>>,
    range: Interval,
) -> Result<(UsageSummary, u64), Fault> {
    let nodes = match nodes {
        Some(nodes) => nodes,
        None => rows(connection, "SELECT node FROM live ORDER BY node", [], |c| c.id(NodeId))?,
    };
    let (mut sum, mut open) = (UsageSum::default(), 0_u64);
    for node in nodes {
        if let Some(rollup) = series::usage(connection, node, range)? {
            sum.add_node(&rollup, range);
        }
        let newest = live_state(connection, node)?.and_then(|live| live.sample);
        open = open.saturating_add(newest.map_or(0, |sample| u64::from(sample.active_sessions)));
    }
    Ok((sum.finish(), open))
}

fn observed(connection: &Connection, node: NodeId, range: Interval) -> Result<NodeObserved, Fault> {
    let sessions = format!(
        "SELECT {SESSION} FROM sessions WHERE node = ?1 AND to_ms > ?2 AND from_ms < ?3 ORDER BY from_ms, session"
    );
    let presence = "SELECT from_ms, to_ms FROM presence WHERE node = ?1 AND to_ms > ?2 AND from_ms < ?3 ORDER BY from_ms";
    let overlapping = params![node.0.as_bytes(), range.from.0, range.to.0];
    Ok(NodeObserved {
        node,
        sessions: rows(connection, &sessions, overlapping, read_session)?,
        presence: rows(connection, presence, overlapping, read_interval)?,
        usage: summary(series::usage(connection, node, range)?, range),
    })
}

#[async_trait]
impl TelemetryStore for SqliteStore {
    async fn store_report(&self, report: Report) -> Result<ReportOutcome, StoreError> {
        self.telemetry.write(move |connection| reports::store(connection, &report)).await
    }
    async fn live_states(&self, nodes: &[NodeId]) -> Result<Vec<Option<LiveState>>, StoreError> {
        if let [node] = nodes {
            return self
                .telemetry
                .lookup(|connection| Ok(vec![live_state(connection, *node)?]))
                .await;
        }
        let nodes = nodes.to_vec();
        self.telemetry
            .read(move |connection| {
                nodes.into_iter().map(|node| live_state(connection, node)).collect()
            })
            .await
    }
    async fn last_presence(&self, node: NodeId) -> Result<Option<Interval>, StoreError> {
        let sql = "SELECT from_ms, to_ms FROM presence WHERE node = ? ORDER BY to_ms DESC, from_ms LIMIT 1";
        self.telemetry
            .lookup(|connection| first(connection, sql, [node.0.as_bytes()], read_interval))
            .await
    }
    /// By two of the readers.
    async fn observed(
        &self,
        nodes: &[NodeId],
        range: Interval,
    ) -> Result<Vec<NodeObserved>, StoreError> {
        let halves = nodes.chunks(nodes.len().div_ceil(2).max(1)).map(|half| {
            let half = half.to_vec();
            self.telemetry.read(move |connection| {
                half.into_iter()
                    .map(|node| observed(connection, node, range))
                    .collect::<Result<Vec<_>, _>>()
            })
        });
        Ok(try_join_all(halves).await?.concat())
    }
    async fn unverified(
        &self,
        range: Interval,
        limit: u32,
    ) -> Result<Vec<Observation>, StoreError> {
        let sql = format!(
            "SELECT {SESSION} FROM sessions WHERE verdict = 'unverified' AND to_ms > ? AND from_ms < ? ORDER BY session LIMIT ?"
        );
        self.telemetry
            .read(move |connection| {
                rows(connection, &sql, params![range.from.0, range.to.0, limit], read_session)
            })
            .await
    }
    async fn session(&self, id: SessionId) -> Result<Option<Observation>, StoreError> {
        let sql = format!("SELECT {SESSION} FROM sessions WHERE session = ?");
        self.telemetry
            .lookup(|connection| first(connection, &sql, [id.0.as_bytes()], read_session))
            .await
    }
    async fn set_verdicts(&self, sessions: Vec<Observation>) -> Result<(), StoreError> {
        self.telemetry
            .write(move |connection| {
                sessions.iter().try_for_each(|s| {
                    reports::set_verdict(connection, s.session, s.node, &s.verdict)
                })
            })
            .await
    }
}

#[async_trait]
impl SeriesStore for SqliteStore {
    async fn samples(
        &self,
        node: NodeId,
        range: Interval,
        limit: u32,
    ) -> Result<Vec<Sample>, StoreError> {
        self.telemetry.read(move |connection| samples::newest(connection, node, range, limit)).await
    }
    async fn series(
        &self,
        node: NodeId,
        range: Interval,
        resolution: Resolution,
    ) -> Result<Vec<Rollup>, StoreError> {
        self.telemetry
            .read(move |connection| series::points(connection, node, range, resolution))
            .await
    }
    async fn roll_up(
        &self,
        after: Option<NodeId>,
        before: TimeMs,
        limit: u32,
    ) -> Result<Walked, StoreError> {
        self.roll_nodes_up(after, before, limit).await
    }
    async fn roll_up_again(&self, after: Option<NodeId>, limit: u32) -> Result<Walked, StoreError> {
        self.roll_nodes_up_again(after, limit).await
    }
    async fn forget_series(
        &self,
        after: Option<NodeId>,
        kept: SeriesKept,
        limit: u32,
    ) -> Result<Walked, StoreError> {
        self.forget_of_nodes(after, kept, limit).await
    }
    async fn usage(&self, node: NodeId, range: Interval) -> Result<UsageSummary, StoreError> {
        self.telemetry
            .read(move |connection| Ok(summary(series::usage(connection, node, range)?, range)))
            .await
    }
    async fn fleet_usage(
        &self,
        nodes: Option<&[NodeId]>,
        range: Interval,
    ) -> Result<(UsageSummary, u64), StoreError> {
        let nodes = nodes.map(<[NodeId]>::to_vec);
        self.telemetry.read(move |connection| fleet_usage(connection, nodes, range)).await
    }
}
