use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    id::{NodeId, RunId},
    money::{
        payout::PayoutState,
        run::{Run, RunPart, RunState, SCHEDULE},
    },
};
use lucid_ports::{Page, PageRequest, RunStore, StoreError};
use mongodb::{
    Collection,
    bson::{Bson, Document, doc},
};

use crate::{
    MongoStore,
    fault::Fault,
    fields::{Fields, digest, id, stored},
    index::Index,
    money::payouts::PAYOUTS,
    page::{collect, page},
};

pub(crate) const RUNS: &str = "runs";

pub(crate) const INDICES: &[Index] = &[
    Index {
        collection: RUNS,
        name: "runs_state",
        keys: &[("state", 1), ("created_at", 1), ("_id", 1)],
        unique: false,
        partial: None,
        why: "runs that are planned or approved",
    },
    Index {
        collection: RUNS,
        name: "runs_created",
        keys: &[("created_at", 1), ("_id", 1)],
        unique: false,
        partial: None,
        why: "runs by plan",
    },
    Index {
        collection: RUNS,
        name: "runs_cycle",
        keys: &[("cycle", 1), ("created_at", 1), ("_id", 1)],
        unique: false,
        partial: None,
        why: "runs of a cycle",
    },
];

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
        "root": run.root.map_or(Bson::Null, digest),
        "executor": run.executor.as_deref(),
        "nodes": run.nodes.iter().map(|node| id(node.0)).collect::<Vec<_>>(),
    })
}

pub(crate) fn read(fields: Fields<'_>) -> Result<Run, Fault> {
    let (state, version) = (fields.word("state", RunState::from_name)?, fields.number("version")?);
    // What was written before runs said so: only a run that nobody changed since it was begun was
    // still being planned.
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
        // Runs that were approved before runs said who let them go were let go with it. A run that
        // says null was let go by nobody: it waits, or was taken back.
        executor: if fields.has("executor") {
            fields.text_or_none("executor")?
        } else {
            (state != RunState::Planned).then(|| SCHEDULE.to_owned())
        },
        root: fields.digest_or_none("root")?,
        nodes: fields.ids("nodes", NodeId)?,
        version,
    })
}

pub(crate) fn document(run: &Run) -> Result<Document, Fault> {
    let mut document = doc! { "_id": id(run.id.0), "v": 1, "version": stored(run.version)? };
    document.extend(fields_of(run)?);
    Ok(document)
}

pub(crate) async fn create(
    store: &MongoStore,
    run: &Run,
    entry: AuditEntry,
) -> Result<bool, Fault> {
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

pub(crate) async fn list(
    runs: &Collection<Document>,
    cycle: Option<i64>,
    request: &PageRequest<()>,
) -> Result<Page<Run>, Fault> {
    let mut filter = doc! { "$nor": [{ "state": RunState::Done.name(), "payouts": 0 }] };
    filter.extend(cycle.map(|cycle| ("cycle".to_owned(), cycle.into())));
    page(runs, filter, &["created_at", "_id"], request, read).await
}

pub(crate) async fn parts(
    payouts: &Collection<Document>,
    run: RunId,
) -> Result<Vec<RunPart>, Fault> {
    let pipeline = [
        doc! { "$match": { "run": id(run.0) } },
        doc! { "$group": {
            "_id": { "plan": { "$ifNull": ["$plan", 1_i64] }, "state": "$state", "closed": "$closed" },
            "count": { "$sum": 1_i64 },
            "total": { "$sum": "$amount" },
        } },
        doc! { "$sort": { "_id.plan": 1, "_id.state": 1, "_id.closed": 1 } },
    ];
    collect(payouts.aggregate(pipeline).await?, |fields| {
        let of = fields
            .document_or_none("_id")?
            .ok_or_else(|| Fault::Bad("a group without its key".to_owned()))?;
        Ok(RunPart {
            plan: of.number("plan")?,
            state: of.word("state", PayoutState::from_name)?,
            closed: of.truth("closed")?,
            count: fields.number("count")?,
            total: fields.money("total")?,
        })
    })
    .await
}

pub(crate) async fn update(
    store: &MongoStore,
    run: &Run,
    entry: AuditEntry,
) -> Result<bool, Fault> {
    let before = doc! { "_id": id(run.id.0), "version": stored(run.version.saturating_sub(1))? };
    let mut set = fields_of(run)?;
    set.insert("version", stored(run.version)?);
    store.update_audited(RUNS, before, doc! { "$set": set }, &[entry]).await
}

#[async_trait]
impl RunStore for MongoStore {
    async fn create_run(&self, run: Run, audit: AuditEntry) -> Result<bool, StoreError> {
        Ok(create(self, &run, audit).await?)
    }
    async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        Ok(one(&self.collection(RUNS), id).await?)
    }
    async fn update_run(&self, run: Run, audit: AuditEntry) -> Result<bool, StoreError> {
        Ok(update(self, &run, audit).await?)
    }
    async fn open_runs(&self) -> Result<Vec<Run>, StoreError> {
        Ok(open(&self.collection(RUNS)).await?)
    }
    async fn runs(
        &self,
        cycle: Option<i64>,
        page: PageRequest<()>,
    ) -> Result<Page<Run>, StoreError> {
        Ok(list(&self.collection(RUNS), cycle, &page).await?)
    }
    async fn run_parts(&self, run: RunId) -> Result<Vec<RunPart>, StoreError> {
        Ok(parts(&self.collection(PAYOUTS), run).await?)
    }
}
