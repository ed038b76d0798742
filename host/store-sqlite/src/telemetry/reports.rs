use lucid_model::{
    id::{Digest, NodeId, SessionId},
    telemetry::{
        metric::Sample,
        observation::{Observation, Observer, Verdict},
    },
};
use lucid_ports::{Report, ReportOutcome, SessionOutcome};
use lucid_store::packing;
use rusqlite::{Connection, params};

use crate::{
    columns::stored,
    fault::Fault,
    query::{execute, first},
};

/// Stores all of a report, or nothing if its place in the sequence is taken.
pub(crate) fn store(connection: &Connection, report: &Report) -> Result<ReportOutcome, Fault> {
    if let Some((sequence, digest)) = report.sequence
        && let Some(outcome) = take_place(connection, report.node, sequence, digest)?
    {
        return Ok(outcome);
    }
    for sample in &report.samples {
        add_sample(connection, report.node, sample)?;
    }
    if let Some(presence) = report.presence {
        let sql = "INSERT INTO presence (node, from_ms, to_ms) VALUES (?, ?, ?) \
                   ON CONFLICT (node, from_ms) DO UPDATE SET to_ms = max(to_ms, excluded.to_ms)";
        execute(
            connection,
            sql,
            params![report.node.0.as_bytes(), presence.from.0, presence.to.0],
        )?;
    }
    let outcomes = report
        .sessions
        .iter()
        .map(|session| add_session(connection, session))
        .collect::<Result<_, _>>()?;
    touch(connection, report)?;
    Ok(ReportOutcome::Stored(outcomes))
}

/// Takes the report's number; an outcome if that is not to be had.
fn take_place(
    connection: &Connection,
    node: NodeId,
    sequence: u64,
    digest: Digest,
) -> Result<Option<ReportOutcome>, Fault> {
    let sql = "SELECT highest, digest FROM sequences WHERE node = ?";
    match first(connection, sql, [node.0.as_bytes()], |c| Ok((c.unsigned()?, c.digest()?)))? {
        Some((highest, last)) if highest == sequence && last == digest => {
            return Ok(Some(ReportOutcome::Repeated));
        }
        Some((highest, _)) if sequence <= highest => {
            return Ok(Some(ReportOutcome::SequenceTaken { highest }));
        }
        _ => {}
    }
    let sql = "INSERT INTO sequences (node, highest, digest) VALUES (?, ?, ?) \
               ON CONFLICT (node) DO UPDATE SET highest = excluded.highest, digest = excluded.digest";
    execute(connection, sql, params![node.0.as_bytes(), stored(sequence)?, digest.0])?;
    Ok(None)
}

/// A second sample of the same instant is the same sample, sent again.
pub(crate) fn add_sample(
    connection: &Connection,
    node: NodeId,
    sample: &Sample,
) -> Result<bool, Fault> {
    let sql = "INSERT INTO samples (node, at, arrived_at, cpu, memory, disk, bytes_sent, bytes_received, packets_sent, packets_received, \
               active_sessions, uptime_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
    let (usage, network) = (&sample.usage, &sample.usage.network);
    let values = params![
        node.0.as_bytes(),
        sample.at.0,
        sample.arrived_at.0,
        usage.cpu.0,
        usage.memory.0,
        usage.disk.0,
        network.bytes_sent.cast_signed(),
        network.bytes_received.cast_signed(),
        network.packets_sent.cast_signed(),
        network.packets_received.cast_signed(),
        sample.active_sessions,
        sample.uptime_s.cast_signed(),
    ];
    Ok(execute(connection, sql, values)? == 1)
}

/// A session keeps its start, and its end only moves on; what else is said of it is the newest
/// claim. What an observer vouched for, the node's own claim does not replace: it could raise its
/// own quality. A voided one stays.
fn add_session(connection: &Connection, session: &Observation) -> Result<SessionOutcome, Fault> {
    let known = first(
        connection,
        "SELECT node FROM sessions WHERE session = ?",
        [session.session.0.as_bytes()],
        |c| c.id(NodeId),
    )?;
    if known.is_some_and(|node| node != session.node) {
        return Ok(SessionOutcome::OfAnotherNode);
    }
    // A verdict is about the span that was claimed with it. A rejected span gives way to the next
    // claim; an unverified one keeps its verdict while a claim covers less of it.
    let grown = "ON CONFLICT (session) DO UPDATE SET from_ms = CASE verdict WHEN 'rejected' THEN excluded.from_ms ELSE from_ms END, \
               to_ms = CASE verdict WHEN 'rejected' THEN excluded.to_ms ELSE max(to_ms, excluded.to_ms) END, \
               quality = excluded.quality, cpu = excluded.cpu, memory = excluded.memory, disk = excluded.disk, bytes_sent = excluded.bytes_sent, bytes_received = excluded.bytes_received, \
               packets_sent = excluded.packets_sent, packets_received = excluded.packets_received, by_observer = excluded.by_observer, \
               received_at = excluded.received_at, \
               verdict = CASE WHEN verdict = 'unverified' AND excluded.to_ms < to_ms THEN verdict ELSE excluded.verdict END, \
               reason = CASE WHEN verdict = 'unverified' AND excluded.to_ms < to_ms THEN reason ELSE excluded.reason END \
               WHERE excluded.by_observer >= by_observer AND NOT voided";
    insert_session(connection, session, grown)?;
    Ok(SessionOutcome::Stored)
}

/// Adds a session as it is; what becomes of one that is there says `otherwise`.
pub(crate) fn insert_session(
    connection: &Connection,
    session: &Observation,
    otherwise: &str,
) -> Result<bool, Fault> {
    let sql = format!(
        "INSERT INTO sessions (session, node, from_ms, to_ms, quality, cpu, memory, disk, bytes_sent, bytes_received, packets_sent, \
         packets_received, by_observer, received_at, verdict, voided, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) {otherwise}"
    );
    let (verdict, voided, reason) = verdict_words(&session.verdict);
    let usage = session.usage.as_ref();
    let counter = |read: fn(&lucid_model::telemetry::metric::NetworkCounters) -> u64| {
        usage.map(|u| read(&u.network).cast_signed())
    };
    let values = params![
        session.session.0.as_bytes(),
        session.node.0.as_bytes(),
        session.span.from.0,
        session.span.to.0,
        session.quality.0,
        usage.map(|u| u.cpu.0),
        usage.map(|u| u.memory.0),
        usage.map(|u| u.disk.0),
        counter(|n| n.bytes_sent),
        counter(|n| n.bytes_received),
        counter(|n| n.packets_sent),
        counter(|n| n.packets_received),
        session.by == Observer::Observer,
        session.received_at.0,
        verdict,
        voided,
        reason,
    ];
    Ok(execute(connection, &sql, values)? == 1)
}

/// The newest sample as bytes, which sort by its time. One that says how the node is now replaces
/// whatever is there, also one that is dated later by a clock that was ahead; a late one only what
/// is older.
fn touch(connection: &Connection, report: &Report) -> Result<(), Fault> {
    let is_of_now = report.samples.iter().any(|sample| !sample.is_late());
    let sql = "INSERT INTO live (node, last_seen, newest) VALUES (?1, ?2, ?3) ON CONFLICT (node) DO UPDATE SET \
               last_seen = max(last_seen, excluded.last_seen), \
               newest = CASE WHEN ?4 THEN excluded.newest ELSE coalesce(max(newest, excluded.newest), newest, excluded.newest) END";
    let newest = report.samples.iter().map(packing::to_bytes).max();
    execute(
        connection,
        sql,
        params![report.node.0.as_bytes(), report.arrived_at.0, newest, is_of_now],
    )?;
    Ok(())
}

/// Replaces a session's verdict.
pub(crate) fn set_verdict(
    connection: &Connection,
    session: SessionId,
    node: NodeId,
    verdict: &Verdict,
) -> Result<(), Fault> {
    let (word, voided, reason) = verdict_words(verdict);
    let sql =
        "UPDATE sessions SET verdict = ?, voided = ?, reason = ? WHERE session = ? AND node = ?";
    execute(
        connection,
        sql,
        params![word, voided, reason, session.0.as_bytes(), node.0.as_bytes()],
    )?;
    Ok(())
}

fn verdict_words(verdict: &Verdict) -> (&'static str, bool, Option<&str>) {
    match verdict {
        Verdict::Accepted => ("accepted", false, None),
        Verdict::Rejected(reason) => ("rejected", false, Some(reason)),
        Verdict::Voided(reason) => ("rejected", true, Some(reason)),
        Verdict::Unverified => ("unverified", false, None),
    }
}
