use std::collections::HashMap;

use lucid_model::{epochs::receipt::ScoredChunk, id::AuditWriterId};
use lucid_store::transfer::{LatestRecord, Record, RequestRecord};
use rusqlite::{Connection, params};

use super::telemetry;
use crate::{
    audit,
    columns::json,
    consensus,
    epochs::{self, adjustments, closing::AT_ONCE, frames, scores},
    fault::Fault,
    fleet::{alerts, enrolments, pools, registration},
    money::{decisions, ledger, mismatches, payouts, runs, settlements},
    notifications::webhooks,
    policies::{self, gate_reports},
    query::execute,
    review::{shadows, standings},
    telemetry::stretches::{self, Between},
};

/// Adds records as they are; how many were not there.
pub(super) fn put(connection: &Connection, records: &[Record]) -> Result<u64, Fault> {
    let (mut added, mut chains) = (0, HashMap::new());
    for record in records {
        if insert(connection, record, &mut chains)? {
            added += 1;
        }
    }
    Ok(added)
}

fn chain_of(
    connection: &Connection,
    writer: AuditWriterId,
    chains: &mut HashMap<AuditWriterId, i64>,
) -> Result<i64, Fault> {
    if let Some(chain) = chains.get(&writer) {
        return Ok(*chain);
    }
    let chain = audit::chain::copied(connection, writer)?;
    chains.insert(writer, chain);
    Ok(chain)
}

fn insert(
    connection: &Connection,
    record: &Record,
    chains: &mut HashMap<AuditWriterId, i64>,
) -> Result<bool, Fault> {
    match record {
        Record::Pool(pool) => pools::insert(connection, pool),
        Record::Enrolment(enrolment) => enrolments::insert(connection, enrolment),
        Record::Node(node) => registration::insert(connection, node),
        Record::Policy(stored) => policies::insert_version(connection, stored),
        Record::Activation(activation) => {
            policies::insert_activation(connection, activation.revision, activation)
        }
        Record::PolicyReport(report) => gate_reports::insert(connection, report),
        Record::Import(import) => {
            let sql = "INSERT INTO imports (digest, outcome) VALUES (?, ?) ON CONFLICT DO NOTHING";
            Ok(execute(connection, sql, params![import.digest.0, import.outcome])? == 1)
        }
        Record::Request(request) => insert_request(connection, request),
        Record::Frame(period) => frames::insert(connection, *period),
        Record::FrameChunk { epoch_start_s, index, zstd } => {
            frames::insert_chunk(connection, *epoch_start_s, *index, zstd)
        }
        Record::Epoch(record) => epochs::insert(connection, record, AT_ONCE),
        Record::Scores { chunk, .. } => insert_scores(connection, chunk),
        Record::Latest(latest) => insert_latest(connection, latest),
        Record::OnDemand(receipt) => scores::add_on_demand(connection, receipt),
        Record::Vote { owner, vote } => consensus::insert(connection, *owner, vote),
        Record::Ledger(entry) => ledger::insert(connection, entry),
        Record::Adjustment(adjustment) => adjustments::insert(connection, adjustment),
        Record::Shadow(shadow) => shadows::insert(connection, shadow),
        Record::ShadowResult(result) => shadows::insert_result(connection, result),
        Record::Settlement(record) => settlements::insert(connection, record),
        Record::Run(run) => runs::insert(connection, run),
        Record::Payout(payout) => payouts::insert(connection, payout),
        Record::PoolStanding(standing) => standings::insert(connection, standing),
        Record::Proposal(proposal) => decisions::insert(connection, proposal),
        Record::Mismatch(mismatch) => mismatches::insert(connection, mismatch),
        Record::Alert(alert) => alerts::insert(connection, alert),
        Record::Webhook(webhook) => webhooks::insert(connection, webhook),
        Record::Delivery(delivery) => webhooks::insert_delivery(connection, delivery),
        Record::Audit(entry) => {
            audit::insert_chained(connection, chain_of(connection, entry.writer, chains)?, entry)
        }
        Record::AuditLink(link) => {
            audit::chain::insert_link(connection, chain_of(connection, link.writer, chains)?, link)
        }
        Record::AuditSeal(seal) => audit::insert_seal(connection, seal),
        Record::Live(live) => telemetry::insert_live(connection, live),
        Record::Presence { node, span } => telemetry::insert_presence(connection, *node, *span),
        Record::Session(session) => telemetry::insert_session(connection, session),
        Record::Samples { node, samples } => telemetry::insert_samples(connection, *node, samples),
        Record::Rollups(record) => telemetry::insert_rollups(connection, record),
    }
}

fn insert_request(connection: &Connection, request: &RequestRecord) -> Result<bool, Fault> {
    let RequestRecord { key, fingerprint, creates, lease_until, expires_at, answer } = request;
    let sql = "INSERT INTO requests (subject, key, fingerprint, creates, lease_until, expires_at, status, headers, body) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
    let values = params![
        key.subject,
        key.key,
        fingerprint.0,
        creates.0.as_bytes(),
        lease_until.0,
        expires_at.0,
        answer.as_ref().map(|answer| answer.status),
        answer.as_ref().map(|answer| json(&answer.headers)).transpose()?,
        answer.as_ref().map(|answer| &answer.body),
    ];
    Ok(execute(connection, sql, values)? == 1)
}

/// Where a node's rows are follows from them.
fn insert_scores(connection: &Connection, chunk: &ScoredChunk) -> Result<bool, Fault> {
    let added = scores::insert_chunk(connection, AT_ONCE, &scores::pack(chunk)?)?;
    if added {
        let between = Between::of(connection, chunk.header.period.start_s)?;
        chunk
            .rows
            .iter()
            .try_for_each(|row| stretches::add(connection, row.node, chunk.header.pool, between))?;
    }
    Ok(added)
}

/// The owner is the node's, as it is at the next close.
fn insert_latest(connection: &Connection, latest: &LatestRecord) -> Result<bool, Fault> {
    let sql = "INSERT INTO latest_scores (node, epoch_start_s, calculated_at, score, pool, owner) \
               VALUES (?1, ?2, ?3, ?4, ?5, (SELECT owner FROM nodes WHERE id = ?1)) ON CONFLICT DO NOTHING";
    let pool = latest.pool.map(|pool| pool.0.into_bytes());
    let values = params![
        latest.node.0.as_bytes(),
        latest.epoch_start_s,
        latest.calculated_at.0,
        latest.score.0,
        pool
    ];
    Ok(execute(connection, sql, values)? == 1)
}
