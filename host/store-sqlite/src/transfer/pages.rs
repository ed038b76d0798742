use lucid_model::{
    audit::request::RequestKey,
    epochs::{receipt::OnDemandReceipt, score::ScoreCenti},
    fleet::pool::Pool,
    id::{NodeId, OnDemandId, PoolId, UserId},
    time::TimeMs,
};
use lucid_ports::ImportRecord;
use lucid_store::transfer::{Key, Kind, LatestRecord, Part, Record, RequestRecord};
use rusqlite::{Connection, params_from_iter, types::Value};

use super::telemetry;
use crate::{
    audit::{self, requests},
    columns::Columns,
    consensus,
    epochs::{self, adjustments, scores},
    fault::Fault,
    fleet::{alerts, enrolments, nodes, pools},
    money::{decisions, ledger, mismatches, payouts, runs, settlements},
    notifications::webhooks,
    policies::{self, gate_reports},
    query::rows,
    review::{shadows, standings},
};

/// A walk through a table, or tables that belong together, in the order of a key.
pub(super) struct Walk<'a> {
    pub(super) columns: &'a str,
    pub(super) from: &'a str,
    pub(super) keys: &'a [&'a str],
}

fn value(part: &Part) -> Value {
    match part {
        Part::Number(number) => Value::Integer(*number),
        Part::Bytes(bytes) => Value::Blob(bytes.clone()),
        Part::Text(text) => Value::Text(text.clone()),
    }
}

impl Walk<'_> {
    pub(super) fn next<T>(
        &self,
        connection: &Connection,
        after: Option<&Key>,
        limit: u32,
        read: impl Fn(&mut Columns<'_>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let Self { columns, from, keys } = self;
        let keys = keys.join(", ");
        let mut values: Vec<Value> = after.iter().flat_map(|key| &key.0).map(value).collect();
        let places = vec!["?"; values.len()].join(", ");
        let beyond =
            if values.is_empty() { String::new() } else { format!("WHERE ({keys}) > ({places})") };
        values.push(Value::Integer(i64::from(limit)));
        let sql = format!("SELECT {columns} FROM {from} {beyond} ORDER BY {keys} LIMIT ?");
        rows(connection, &sql, params_from_iter(values), read)
    }
}

/// The next records of a kind.
pub(super) fn page(
    connection: &Connection,
    kind: Kind,
    after: Option<&Key>,
    limit: u32,
) -> Result<Vec<Record>, Fault> {
    let walk = |columns: &str,
                from: &str,
                keys: &[&str],
                read: fn(&mut Columns<'_>) -> Result<Record, Fault>| {
        Walk { columns, from, keys }.next(connection, after, limit, read)
    };
    match kind {
        Kind::Pools => walk(pools::COLUMNS, "pools", &["id"], |c| {
            Ok(Record::Pool(Pool { node_count: 0, ..pools::read(c)? }))
        }),
        Kind::PoolStandings => walk(standings::COLUMNS, "pool_standings", &["pool"], |c| {
            standings::read(c).map(Record::PoolStanding)
        }),
        Kind::Enrolments => walk(enrolments::COLUMNS, "enrolments", &["id"], |c| {
            enrolments::read(c).map(Record::Enrolment)
        }),
        Kind::Nodes => {
            walk(nodes::COLUMNS, "nodes", &["id"], |c| Ok(Record::Node(Box::new(nodes::read(c)?))))
        }
        Kind::Policies => {
            let columns =
                format!("{}, b.manifest, b.component, b.golden, b.signatures", policies::VERSION);
            let from = "policy_versions v JOIN policy_bundles b ON b.digest = v.digest";
            walk(&columns, from, &["v.digest"], |c| {
                Ok(Record::Policy(Box::new(policies::read_bundle(c)?)))
            })
        }
        Kind::Activations => walk(policies::ACTIVATION, "activations", &["revision"], |c| {
            policies::read_activation(c).map(Record::Activation)
        }),
        Kind::PolicyReports => walk(gate_reports::REPORT, "policy_reports", &["id"], |c| {
            gate_reports::read(c).map(Record::PolicyReport)
        }),
        Kind::Imports => walk("digest, outcome", "imports", &["digest"], |c| {
            Ok(Record::Import(ImportRecord { digest: c.digest()?, outcome: c.take()? }))
        }),
        Kind::Requests => {
            let columns = "subject, key, fingerprint, creates, lease_until, expires_at, status, headers, body";
            walk(columns, "requests", &["subject", "key"], read_request)
        }
        Kind::Frames => walk("epoch_start_s, length_s", "frames", &["epoch_start_s"], |c| {
            c.period().map(Record::Frame)
        }),
        Kind::FrameChunks => {
            walk("epoch_start_s, idx, zstd", "frame_chunks", &["epoch_start_s", "idx"], |c| {
                Ok(Record::FrameChunk {
                    epoch_start_s: c.take()?,
                    index: c.take()?,
                    zstd: c.take()?,
                })
            })
        }
        Kind::Epochs => walk(epochs::COLUMNS, "epochs", &["start_s"], |c| {
            Ok(Record::Epoch(Box::new(epochs::read(c)?)))
        }),
        Kind::Scores => scored(connection, after, limit),
        Kind::LatestScores => walk(
            "node, epoch_start_s, calculated_at, score, pool",
            "latest_scores",
            &["node"],
            read_latest,
        ),
        Kind::OnDemand => {
            walk("id, node, calculated_at, score, doc", "on_demand", &["id"], read_on_demand)
        }
        Kind::Votes => {
            let columns = format!("owner, {}", consensus::COLUMNS);
            walk(&columns, "votes", &["epoch_start_s", "node"], |c| {
                Ok(Record::Vote { owner: c.id_or_none(UserId)?, vote: consensus::read(c)? })
            })
        }
        Kind::Ledger => {
            let entries = Walk { columns: ledger::ENTRY, from: "ledger", keys: &["id"] }.next(
                connection,
                after,
                limit,
                ledger::read_entry,
            )?;
            entries
                .into_iter()
                .map(|entry| ledger::with_legs(connection, entry).map(Record::Ledger))
                .collect()
        }
        Kind::Adjustments => walk(adjustments::COLUMNS, "adjustments", &["id"], |c| {
            Ok(Record::Adjustment(Box::new(adjustments::read(c)?)))
        }),
        Kind::Shadows => walk(shadows::COLUMNS, "shadows", &["id"], |c| {
            Ok(Record::Shadow(Box::new(shadows::read(c)?)))
        }),
        Kind::ShadowResults => walk(shadows::RESULT, "shadow_results", &["id"], |c| {
            Ok(Record::ShadowResult(Box::new(shadows::read_result(c)?)))
        }),
        Kind::Settlements => walk(settlements::COLUMNS, "settlements", &["period_start_s"], |c| {
            settlements::read(c).map(Record::Settlement)
        }),
        Kind::Runs => walk(runs::COLUMNS, "runs", &["id"], |c| runs::read(c).map(Record::Run)),
        Kind::Payouts => walk(payouts::COLUMNS, "payouts", &["id"], |c| {
            Ok(Record::Payout(Box::new(payouts::read(c)?)))
        }),
        Kind::Mismatches => walk(mismatches::COLUMNS, "mismatches", &["id"], |c| {
            Ok(Record::Mismatch(Box::new(mismatches::read(c)?)))
        }),
        Kind::Proposals => walk(decisions::COLUMNS, "proposals", &["id"], |c| {
            Ok(Record::Proposal(Box::new(decisions::read(c)?)))
        }),
        Kind::Alerts => {
            walk(alerts::COLUMNS, "alerts", &["id"], |c| alerts::read(c).map(Record::Alert))
        }
        Kind::Webhooks => walk(webhooks::COLUMNS, "webhooks", &["id"], |c| {
            Ok(Record::Webhook(Box::new(webhooks::read(c)?)))
        }),
        Kind::Deliveries => walk(webhooks::DELIVERY, "deliveries", &["id"], |c| {
            Ok(Record::Delivery(Box::new(webhooks::read_delivery(c)?)))
        }),
        Kind::Audit => chained(
            connection,
            after,
            limit,
            &format!("SELECT {} FROM audit WHERE number", audit::ENTRY),
            "number",
            |c| Ok(Record::Audit(Box::new(audit::read(c)?))),
        ),
        Kind::AuditLinks => {
            let sql = format!("SELECT {} FROM audit_links WHERE seq", audit::chain::LINK);
            chained(connection, after, limit, &sql, "audit_links.seq", |c| {
                audit::chain::read_link(c).map(Record::AuditLink)
            })
        }
        Kind::AuditSeals => walk(audit::SEAL, "audit_seals", &["seq"], |c| {
            audit::read_seal(c).map(Record::AuditSeal)
        }),
        Kind::Live => telemetry::live(connection, after, limit),
        Kind::Presence => telemetry::presence(connection, after, limit),
        Kind::Sessions => telemetry::sessions(connection, after, limit),
        Kind::Samples => telemetry::samples(connection, after, limit),
        Kind::Rollups => telemetry::rollups(connection, after, limit),
    }
}

/// What a process carried out when it ended belongs to nobody: its lease is over.
fn read_request(columns: &mut Columns<'_>) -> Result<Record, Fault> {
    let key = RequestKey { subject: columns.take()?, key: columns.take()? };
    let requests::Record { fingerprint, creates, lease_until, expires_at, answer } =
        requests::read(columns)?;
    let lease_until = if answer.is_some() { lease_until } else { TimeMs(0) };
    Ok(Record::Request(RequestRecord {
        key,
        fingerprint,
        creates,
        lease_until,
        expires_at,
        answer,
    }))
}

fn read_latest(columns: &mut Columns<'_>) -> Result<Record, Fault> {
    Ok(Record::Latest(LatestRecord {
        node: columns.id(NodeId)?,
        epoch_start_s: columns.take()?,
        calculated_at: columns.time()?,
        score: ScoreCenti(columns.take()?),
        pool: columns.id_or_none(PoolId)?,
    }))
}

fn read_on_demand(columns: &mut Columns<'_>) -> Result<Record, Fault> {
    let (id, node) = (columns.id(OnDemandId)?, columns.id(NodeId)?);
    let (calculated_at, score) = (columns.time()?, ScoreCenti(columns.take()?));
    let doc: scores::OnDemandDoc = columns.json()?;
    let receipt: OnDemandReceipt = doc.receipt(id, node, calculated_at, score)?;
    Ok(Record::OnDemand(Box::new(receipt)))
}

/// Chunks with their rows, of closed epochs.
fn scored(connection: &Connection, after: Option<&Key>, limit: u32) -> Result<Vec<Record>, Fault> {
    let columns = format!("e.closed_at, {}, r.packed", scores::HEADER);
    let from = format!(
        "scored c JOIN epochs e ON e.start_s = c.epoch_start_s AND e.attempt = c.attempt{}",
        scores::PACKED
    );
    let walk = Walk { columns: &columns, from: &from, keys: &["c.epoch_start_s", "c.idx"] };
    walk.next(connection, after, limit, |c| {
        Ok(Record::Scores { closed_at: c.time()?, chunk: scores::read_chunk(c)? })
    })
}

/// The next records of the audit chains, by the id of their writer: chain by chain.
fn chained(
    connection: &Connection,
    after: Option<&Key>,
    limit: u32,
    select: &str,
    number: &str,
    read: fn(&mut Columns<'_>) -> Result<Record, Fault>,
) -> Result<Vec<Record>, Fault> {
    let (mut writer, mut place) = match after.map(|key| key.0.as_slice()) {
        Some([Part::Bytes(writer), Part::Number(place)]) => (writer.clone(), *place),
        _ => (Vec::new(), 0),
    };
    let mut records = Vec::new();
    for (id, chain) in audit::chain::writers_from(connection, &writer)? {
        if id != writer {
            (writer, place) = (id, 0);
        }
        let left =
            i64::from(limit).saturating_sub(i64::try_from(records.len()).unwrap_or(i64::MAX));
        let (from, to) = (
            audit::chain::numbered(chain, place.cast_unsigned())?,
            audit::chain::numbered(chain + 1, 0)?,
        );
        let sql = format!("{select} > ? AND {number} < ? ORDER BY {number} LIMIT ?");
        records.extend(rows(connection, &sql, [from, to, left], read)?);
        if records.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
            break;
        }
    }
    Ok(records)
}
