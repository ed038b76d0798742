//! What the gate found, the newest only. A report's id grows with time, so its order is that of
//! ids.

use lucid_model::{
    id::Digest,
    policies::{PolicyKind, PolicyReport, ReportCause, ReportedCheck},
};
use lucid_ports::REPORTS_KEPT;
use mongodb::bson::{Document, doc};

use crate::{
    MongoStore,
    fault::Fault,
    fields::{self, Fields},
    index::Index,
    once,
    page::collect,
    policies::{params, policy, read_params},
};

pub(crate) const REPORTS: &str = "policy_reports";

pub(crate) const INDICES: &[Index] = &[Index {
    collection: REPORTS,
    name: "digest",
    keys: &[("policy.digest", 1), ("_id", 1)],
    unique: false,
    partial: None,
    why: "what the gate found of a component",
}];

pub(crate) fn document(report: &PolicyReport) -> Document {
    let checks: Vec<_> = report
        .checks
        .iter()
        .map(|check| doc! { "name": &check.name, "failure": &check.failure })
        .collect();
    doc! {
        "_id": fields::id(report.id), "v": 1, "at": report.at.0, "actor": &report.actor, "cause": report.cause.name(), "origin": &report.origin,
        "policy": report.policy.as_ref().map(policy), "kind": report.kind.map(PolicyKind::name), "params": params(&report.params), "checks": checks,
    }
}

pub(crate) fn read(fields: Fields<'_>) -> Result<PolicyReport, Fault> {
    let checks = fields.documents("checks")?.into_iter();
    let checks = checks.map(|check| {
        Ok(ReportedCheck { name: check.text("name")?, failure: check.text_or_none("failure")? })
    });
    Ok(PolicyReport {
        id: fields.id("_id", |id| id)?,
        at: fields.time("at")?,
        actor: fields.text("actor")?,
        cause: fields.word("cause", ReportCause::from_name)?,
        origin: fields.text("origin")?,
        policy: fields.get("policy").map(|_| fields.policy("policy")).transpose()?,
        kind: fields.word_or_none("kind", PolicyKind::from_name)?,
        params: read_params(fields)?,
        checks: checks.collect::<Result<_, Fault>>()?,
    })
}

impl MongoStore {
    pub(crate) async fn keep_gate_report(&self, report: &PolicyReport) -> Result<(), Fault> {
        let reports = self.collection(REPORTS);
        once::insert(&reports, document(report)).await?;
        let newest = reports
            .find(doc! {})
            .sort(doc! { "_id": -1 })
            .skip(u64::from(REPORTS_KEPT))
            .limit(1)
            .projection(doc! { "_id": 1 })
            .await?;
        if let Some(last) = collect(newest, |fields| fields.id("_id", |id| id)).await?.pop() {
            reports.delete_many(doc! { "_id": { "$lte": fields::id(last) } }).await?;
        }
        Ok(())
    }

    pub(crate) async fn newest_gate_reports(
        &self,
        digest: Option<Digest>,
        limit: u32,
    ) -> Result<Vec<PolicyReport>, Fault> {
        let filter = digest
            .map(|digest| doc! { "policy.digest": fields::digest(digest) })
            .unwrap_or_default();
        let found = self
            .collection(REPORTS)
            .find(filter)
            .sort(doc! { "_id": -1 })
            .limit(i64::from(limit))
            .await?;
        collect(found, read).await
    }
}
