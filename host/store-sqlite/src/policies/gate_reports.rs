//! What the gate found, the newest only.

use lucid_model::{
    id::Digest,
    policies::{PolicyKind, PolicyReport, ReportCause, ReportedCheck},
};
use lucid_ports::REPORTS_KEPT;
use rusqlite::{Connection, params};

use crate::{
    columns::{Columns, json},
    fault::Fault,
    query::{execute, rows},
};

pub(crate) const REPORT: &str =
    "id, at, actor, cause, origin, kind, params, checks, name, version, digest";

/// Keeps a report, and lets go of those that are too many.
pub(crate) fn add(connection: &Connection, report: &PolicyReport) -> Result<(), Fault> {
    insert(connection, report)?;
    let sql = "DELETE FROM policy_reports WHERE id <= (SELECT id FROM policy_reports ORDER BY id DESC LIMIT 1 OFFSET ?)";
    execute(connection, sql, [REPORTS_KEPT]).map(|_| ())
}

/// Adds a report; `false` if it is there.
pub(crate) fn insert(connection: &Connection, report: &PolicyReport) -> Result<bool, Fault> {
    let checks: Vec<_> = report.checks.iter().map(|check| (&check.name, &check.failure)).collect();
    let policy = report.policy.as_ref();
    let sql = format!(
        "INSERT INTO policy_reports ({REPORT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    );
    let values = params![
        report.id.as_bytes(),
        report.at.0,
        report.actor,
        report.cause.name(),
        report.origin,
        report.kind.map(PolicyKind::name),
        json(&report.params)?,
        json(&checks)?,
        policy.map(|policy| &policy.name),
        policy.map(|policy| policy.version.to_string()),
        policy.map(|policy| policy.digest.0),
    ];
    Ok(execute(connection, &sql, values)? == 1)
}

/// Reports, newest first.
pub(crate) fn newest(
    connection: &Connection,
    digest: Option<Digest>,
    limit: u32,
) -> Result<Vec<PolicyReport>, Fault> {
    match digest {
        Some(digest) => {
            let sql = format!(
                "SELECT {REPORT} FROM policy_reports WHERE digest = ? ORDER BY id DESC LIMIT ?"
            );
            rows(connection, &sql, params![digest.0, limit], read)
        }
        None => rows(
            connection,
            &format!("SELECT {REPORT} FROM policy_reports ORDER BY id DESC LIMIT ?"),
            [limit],
            read,
        ),
    }
}

pub(crate) fn read(columns: &mut Columns<'_>) -> Result<PolicyReport, Fault> {
    let mut report = PolicyReport {
        id: columns.id(|id| id)?,
        at: columns.time()?,
        actor: columns.take()?,
        cause: columns.word(ReportCause::from_name)?,
        origin: columns.take()?,
        kind: columns.take::<Option<String>>()?.as_deref().and_then(PolicyKind::from_name),
        params: columns.json()?,
        checks: columns
            .json::<Vec<(String, Option<String>)>>()?
            .into_iter()
            .map(|(name, failure)| ReportedCheck { name, failure })
            .collect(),
        policy: None,
    };
    if report.kind.is_some() {
        report.policy = Some(columns.policy()?);
    }
    Ok(report)
}
