use lucid_model::{
    audit::AuditEntry,
    id::RunId,
    payout::{Run, RunState},
};
use mongodb::{
    Collection,
    bson::{Document, doc},
};

use super::{
    MongoStore,
    fault::Fault,
    fields::{Fields, id, stored},
    index::Index,
    page::collect,
};

pub(crate) const RUNS: &str = "runs";

pub(crate) const INDICES: &[Index] = &[Index {
    collection: RUNS,
    name: "runs_state",
    keys: &[("state", 1), ("created_at", 1), ("_id", 1)],
    unique: false,
    partial: None,
    why: "runs that are planned or approved",
}];

fn fields_of(run: &Run) -> Result<Document, Fault> {
    Ok(doc! {
        "cycle": run.cycle,
        "state": run.state.name(),
        "planner": &run.planner,
        "approver": run.approver.as_deref(),
        "payouts": run.count,
        "total": run.total.0,
        "reason": run.reason.as_deref(),
        "created_at": run.created_at.0,
        "updated_at": run.updated_at.0,
        "plan": stored(run.plan)?,
    })
}

pub(crate) fn read(fields: Fields<'_>) -> Result<Run, Fault> {
    let (state, version) = (fields.word("state", RunState::from_name)?, fields.number("version")?);
    // What was written before runs said so: only a run that nobody changed since it was begun was still being planned.
    let before = u64::from(state != RunState::Planned || version > 1);
    Ok(Run {
        id: fields.id("_id", RunId)?,
        cycle: fields.number("cycle")?,
        state,
        planner: fields.text("planner")?,
        approver: fields.text_or_none("approver")?,
        count: fields.number("payouts")?,
        total: fields.money("total")?,
        reason: fields.text_or_none("reason")?,
        created_at: fields.time("created_at")?,
        updated_at: fields.time("updated_at")?,
        plan: fields.number_or_none("plan")?.unwrap_or(before),
        version,
    })
}

pub(crate) fn document(run: &Run) -> Result<Document, Fault> {
    let mut document = doc! { "_id": id(run.id.0), "v": 1, "version": stored(run.version)? };
    document.extend(fields_of(run)?);
    Ok(document)
}

pub(crate) async fn create(store: &MongoStore, run: &Run, entry: AuditEntry) -> Result<bool, Fault> {
    store.insert_audited(RUNS, document(run)?, &[entry]).await
}

pub(crate) async fn one(runs: &Collection<Document>, run: RunId) -> Result<Option<Run>, Fault> {
    let found = runs.find_one(doc! { "_id": id(run.0) }).await?;
    found.map(|found| read(Fields::of(&found))).transpose()
}

pub(crate) async fn open(runs: &Collection<Document>) -> Result<Vec<Run>, Fault> {
    let filter = doc! { "state": { "$in": [RunState::Planned.name(), RunState::Approved.name()] } };
    collect(runs.find(filter).sort(doc! { "created_at": 1, "_id": 1 }).await?, read).await
}

pub(crate) async fn update(store: &MongoStore, run: &Run, entry: AuditEntry) -> Result<bool, Fault> {
    let before = doc! { "_id": id(run.id.0), "version": stored(run.version.saturating_sub(1))? };
    let mut set = fields_of(run)?;
    set.insert("version", stored(run.version)?);
    store.update_audited(RUNS, before, doc! { "$set": set }, &[entry]).await
}
