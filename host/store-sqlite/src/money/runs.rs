use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    id::{Digest, NodeId, RunId},
    money::{
        payout::PayoutState,
        run::{Run, RunPart, RunState},
    },
};
use lucid_ports::{Page, PageRequest, RunStore, StoreError};
use rusqlite::{Connection, params, types::Value};
use uuid::Uuid;

use crate::{
    SqliteStore, audit,
    columns::{Columns, stored},
    fault::Fault,
    query::{Conditions, List, Source, execute, first, rows},
};

pub(crate) const COLUMNS: &str = "id, cycle, state, planner, approver, payouts, total, reason, created_at, updated_at, plan, executor, nodes, root, version";

pub(crate) fn read(columns: &mut Columns<'_>) -> Result<Run, Fault> {
    Ok(Run {
        id: columns.id(RunId)?,
        cycle: columns.take()?,
        state: columns.word(RunState::from_name)?,
        planner: columns.take()?,
        approver: columns.take()?,
        count: columns.take()?,
        total: columns.money()?,
        reason: columns.take()?,
        created_at: columns.time()?,
        updated_at: columns.time()?,
        plan: columns.unsigned()?,
        executor: columns.take()?,
        nodes: columns
            .take::<Option<Vec<u8>>>()?
            .map(|packed| unpacked(&packed))
            .unwrap_or_default(),
        root: columns.take::<Option<[u8; 32]>>()?.map(Digest),
        version: columns.unsigned()?,
    })
}

/// Sixteen bytes a node.
fn packed(nodes: &[NodeId]) -> Option<Vec<u8>> {
    (!nodes.is_empty()).then(|| nodes.iter().flat_map(|node| *node.0.as_bytes()).collect())
}

fn unpacked(packed: &[u8]) -> Vec<NodeId> {
    packed.as_chunks::<16>().0.iter().map(|id| NodeId(Uuid::from_bytes(*id))).collect()
}

pub(crate) fn list(cycle: Option<i64>, page: &PageRequest<()>) -> List {
    let conditions = Conditions::of("NOT (state = 'done' AND payouts = 0)")
        .and("cycle = ?", cycle.map(Value::Integer));
    List::new(
        &Source { columns: COLUMNS, table: "runs", joins: "" },
        conditions,
        &["created_at", "id"],
        page,
    )
}

pub(crate) fn parts(connection: &Connection, run: RunId) -> Result<Vec<RunPart>, Fault> {
    let sql = "SELECT plan, state, closed, count(*), sum(amount) FROM payouts WHERE run = ? GROUP BY plan, state, closed ORDER BY plan, state, closed";
    rows(connection, sql, [run.0.as_bytes()], |columns| {
        Ok(RunPart {
            plan: columns.unsigned()?,
            state: columns.word(PayoutState::from_name)?,
            closed: columns.take()?,
            count: columns.take()?,
            total: columns.money()?,
        })
    })
}

/// Adds a run; `false` if it is there.
pub(crate) fn insert(connection: &Connection, run: &Run) -> Result<bool, Fault> {
    let sql = format!(
        "INSERT INTO runs ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    );
    let values = params![
        run.id.0.as_bytes(),
        run.cycle,
        run.state.name(),
        run.planner,
        run.approver,
        run.count,
        run.total.0,
        run.reason,
        run.created_at.0,
        run.updated_at.0,
        stored(run.plan)?,
        run.executor,
        packed(&run.nodes),
        run.root.map(|root| root.0),
        stored(run.version)?,
    ];
    Ok(execute(connection, &sql, values)? == 1)
}

pub(crate) fn create(
    connection: &Connection,
    run: &Run,
    entry: &AuditEntry,
) -> Result<bool, Fault> {
    let added = insert(connection, run)?;
    if added {
        audit::add(connection, entry)?;
    }
    Ok(added)
}

pub(crate) fn one(connection: &Connection, id: RunId) -> Result<Option<Run>, Fault> {
    first(connection, &format!("SELECT {COLUMNS} FROM runs WHERE id = ?"), [id.0.as_bytes()], read)
}

pub(crate) fn open(connection: &Connection) -> Result<Vec<Run>, Fault> {
    let sql = format!(
        "SELECT {COLUMNS} FROM runs WHERE state IN ('planned', 'approved') ORDER BY created_at, id"
    );
    rows(connection, &sql, [], read)
}

pub(crate) fn update(
    connection: &Connection,
    run: &Run,
    entry: &AuditEntry,
) -> Result<bool, Fault> {
    let sql = "UPDATE runs SET cycle = ?, state = ?, planner = ?, approver = ?, payouts = ?, total = ?, reason = ?, created_at = ?, \
               updated_at = ?, plan = ?, executor = ?, root = ?, version = ? WHERE id = ? AND version = ?";
    let values = params![
        run.cycle,
        run.state.name(),
        run.planner,
        run.approver,
        run.count,
        run.total.0,
        run.reason,
        run.created_at.0,
        run.updated_at.0,
        stored(run.plan)?,
        run.executor,
        run.root.map(|root| root.0),
        stored(run.version)?,
        run.id.0.as_bytes(),
        stored(run.version.saturating_sub(1))?,
    ];
    let changed = execute(connection, sql, values)? == 1;
    if changed {
        audit::add(connection, entry)?;
    }
    Ok(changed)
}

#[async_trait]
impl RunStore for SqliteStore {
    async fn create_run(&self, run: Run, audit: AuditEntry) -> Result<bool, StoreError> {
        self.core.write(move |connection| create(connection, &run, &audit)).await
    }
    async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        self.core.lookup(|connection| one(connection, id)).await
    }
    async fn update_run(&self, run: Run, audit: AuditEntry) -> Result<bool, StoreError> {
        self.core.write(move |connection| update(connection, &run, &audit)).await
    }
    async fn open_runs(&self) -> Result<Vec<Run>, StoreError> {
        self.core.read(open).await
    }
    async fn runs(
        &self,
        cycle: Option<i64>,
        page: PageRequest<()>,
    ) -> Result<Page<Run>, StoreError> {
        self.core.read(move |connection| list(cycle, &page).run(connection, read)).await
    }
    async fn run_parts(&self, run: RunId) -> Result<Vec<RunPart>, StoreError> {
        self.core.read(move |connection| parts(connection, run)).await
    }
}
