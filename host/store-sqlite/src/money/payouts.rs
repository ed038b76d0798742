use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    epochs::score::ScoreCenti,
    id::{NodeId, PayoutId, RunId, UserId},
    money::{
        MicroUsdt,
        payout::{Found, OpenPart, Outcome, Payout, PayoutState},
        tron::TronAddress,
    },
    telemetry::credit::Interval,
    time::TimeMs,
};
use lucid_ports::{
    Due, Fence, Page, PageRequest, PayoutFilter, PayoutSort, PayoutStore, PayoutUpdate, StoreError,
};
use rusqlite::{Connection, params, params_from_iter, types::Value};

use crate::{
    SqliteStore, audit,
    columns::{Columns, blob, stored},
    fault::Fault,
    query::{Conditions, List, Source, execute, first, rows},
};

pub(crate) const COLUMNS: &str = "id, run, node, owner, cycle, attempt, amount, address, wallet_version, state, sends, ambiguous, request, external_id, txid, \
                       reason, created_at, updated_at, submitted_at, processed_at, next_attempt_at, closed, score, observed_s, period_start_s, \
                       period_end_s, plan, version, next_send_at, blind_ms, found_at, found_txid";

pub(crate) fn read(columns: &mut Columns<'_>) -> Result<Payout, Fault> {
    Ok(Payout {
        id: columns.id(PayoutId)?,
        run: columns.id(RunId)?,
        node: columns.id(NodeId)?,
        owner: columns.id(UserId)?,
        cycle: columns.take()?,
        attempt: columns.take()?,
        amount: columns.money()?,
        address: columns.word(|text| TronAddress::from_record(text).ok())?,
        wallet_version: columns.take()?,
        state: columns.word(PayoutState::from_name)?,
        sends: columns.take()?,
        ambiguous: columns.take()?,
        request: columns.take()?,
        external_id: columns.take()?,
        txid: columns.take()?,
        reason: columns.take()?,
        created_at: columns.time()?,
        updated_at: columns.time()?,
        submitted_at: columns.time_or_none()?,
        processed_at: columns.time_or_none()?,
        next_attempt_at: columns.time()?,
        closed: columns.take()?,
        score: columns.take::<Option<u32>>()?.map(ScoreCenti),
        observed_s: columns.unsigned()?,
        period_start_s: columns.take()?,
        period_end_s: columns.take()?,
        plan: columns.unsigned()?,
        version: columns.unsigned()?,
        next_send_at: columns.time()?,
        blind_ms: columns.take()?,
        found: found(columns.time_or_none()?, columns.take()?),
    })
}

fn found(at: Option<TimeMs>, txid: Option<String>) -> Option<Found> {
    at.map(|at| Found { outcome: txid.map_or(Outcome::NotPaid, |txid| Outcome::Paid { txid }), at })
}

/// The columns of [`found`].
fn found_columns(found: Option<&Found>) -> (Option<i64>, Option<&str>) {
    let txid = found.and_then(|found| {
        if let Outcome::Paid { txid } = &found.outcome { Some(txid.as_str()) } else { None }
    });
    (found.map(|found| found.at.0), txid)
}

/// Adds a payout; `false` if something that is its own alone is there.
pub(crate) fn insert(connection: &Connection, payout: &Payout) -> Result<bool, Fault> {
    let sql = format!(
        "INSERT INTO payouts ({COLUMNS}, status) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT DO NOTHING"
    );
    let (found_at, found_txid) = found_columns(payout.found.as_ref());
    let values = params![
        payout.id.0.as_bytes(),
        payout.run.0.as_bytes(),
        payout.node.0.as_bytes(),
        payout.owner.0.as_bytes(),
        payout.cycle,
        payout.attempt,
        payout.amount.0,
        payout.address.to_string(),
        payout.wallet_version,
        payout.state.name(),
        payout.sends,
        payout.ambiguous,
        payout.request,
        payout.external_id,
        payout.txid,
        payout.reason,
        payout.created_at.0,
        payout.updated_at.0,
        payout.submitted_at.map(|at| at.0),
        payout.processed_at.map(|at| at.0),
        payout.next_attempt_at.0,
        payout.closed,
        payout.score.map(|score| score.0),
        stored(payout.observed_s)?,
        payout.period_start_s,
        payout.period_end_s,
        stored(payout.plan)?,
        stored(payout.version)?,
        payout.next_send_at.0,
        payout.blind_ms,
        found_at,
        found_txid,
        payout.state.status().name(),
    ];
    Ok(execute(connection, &sql, values)? == 1)
}

fn create(connection: &Connection, payout: &Payout, entry: &AuditEntry) -> Result<bool, Fault> {
    let created = insert(connection, payout)?;
    if created {
        audit::add(connection, entry)?;
    }
    Ok(created)
}

/// Keeps the greatest fence, and answers it.
fn raise(connection: &Connection, fence: Fence) -> Result<Fence, Fault> {
    let sql = "INSERT INTO payer (one, fence) VALUES (1, ?) ON CONFLICT DO UPDATE SET fence = excluded.fence WHERE excluded.fence > fence";
    execute(connection, sql, [stored(fence.0)?])?;
    let greatest = first(connection, "SELECT fence FROM payer", [], |columns| columns.unsigned())?;
    greatest.map(Fence).ok_or_else(|| Fault::Bad("the payer's fence is missing".to_owned()))
}

/// The fence is compared in the transaction that changes payouts: nobody raises it in between.
fn update_all(
    connection: &Connection,
    fence: Fence,
    payouts: &[(Payout, Option<AuditEntry>)],
) -> Result<Vec<PayoutUpdate>, Fault> {
    let greatest = raise(connection, fence)?;
    if greatest > fence {
        return Ok(vec![PayoutUpdate::FencedOff { by: greatest }; payouts.len()]);
    }
    payouts.iter().map(|(payout, entry)| update(connection, payout, entry.as_ref())).collect()
}

/// What a payout is about (payee, amount, address, cycle, …) is fixed at its plan; only what
/// becomes of it changes.
fn update(
    connection: &Connection,
    payout: &Payout,
    entry: Option<&AuditEntry>,
) -> Result<PayoutUpdate, Fault> {
    let sql = "UPDATE payouts SET state = ?, sends = ?, ambiguous = ?, request = ?, external_id = ?, txid = ?, reason = ?, updated_at = ?, \
               submitted_at = ?, processed_at = ?, next_attempt_at = ?, closed = ?, plan = ?, version = ?, next_send_at = ?, blind_ms = ?, \
               found_at = ?, found_txid = ?, status = ? WHERE id = ? AND version = ?";
    let (found_at, found_txid) = found_columns(payout.found.as_ref());
    let values = params![
        payout.state.name(),
        payout.sends,
        payout.ambiguous,
        payout.request,
        payout.external_id,
        payout.txid,
        payout.reason,
        payout.updated_at.0,
        payout.submitted_at.map(|at| at.0),
        payout.processed_at.map(|at| at.0),
        payout.next_attempt_at.0,
        payout.closed,
        stored(payout.plan)?,
        stored(payout.version)?,
        payout.next_send_at.0,
        payout.blind_ms,
        found_at,
        found_txid,
        payout.state.status().name(),
        payout.id.0.as_bytes(),
        stored(payout.version.saturating_sub(1))?,
    ];
    match execute(connection, sql, values) {
        // Another payout has this transaction or external id. This one's neighbours in the batch
        // were sent too: they must not lose their answers for it.
        Err(fault) if fault.is_taken() => {
            tracing::debug!(payout = %payout.id, %fault, "a payout claims what belongs to another payout");
            Ok(PayoutUpdate::Taken)
        }
        changed => {
            let changed = changed? == 1;
            if changed {
                entry.into_iter().try_for_each(|entry| audit::add(connection, entry))?;
            }
            Ok(if changed { PayoutUpdate::Done } else { PayoutUpdate::Conflict })
        }
    }
}

/// What is due longest comes first, so that payouts that wait for their next try never keep others
/// out.
fn open(connection: &Connection, limit: u32) -> Result<Vec<Payout>, Fault> {
    let sql = format!(
        "SELECT {COLUMNS} FROM payouts WHERE closed = 0 ORDER BY next_attempt_at, created_at, id LIMIT ?"
    );
    rows(connection, &sql, [limit], read)
}

/// As [`open`], without those that nothing may be done about now: however many wait, they keep no
/// other out.
fn due(connection: &Connection, due: &Due) -> Result<Vec<Payout>, Fault> {
    let places = vec!["?"; due.waiting.len()].join(", ");
    let sql = format!(
        "SELECT {COLUMNS} FROM payouts WHERE closed = 0 AND next_attempt_at <= ? AND (? OR state <> 'submitting') \
         AND (? OR state NOT IN ('unknown', 'accepted', 'manual')) AND NOT (state = 'reserved' AND run IN ({places})) \
         ORDER BY next_attempt_at, created_at, id LIMIT ?"
    );
    let first = [due.now.0, i64::from(due.sends), i64::from(due.looks)].map(Value::Integer);
    let runs = due.waiting.iter().map(|run| blob(run.0));
    let values: Vec<_> =
        first.into_iter().chain(runs).chain([Value::Integer(i64::from(due.limit))]).collect();
    rows(connection, &sql, params_from_iter(values), read)
}

fn open_parts(connection: &Connection) -> Result<Vec<OpenPart>, Fault> {
    let sql = "SELECT state, count(*), sum(amount), min(created_at) FROM payouts WHERE closed = 0 GROUP BY state ORDER BY state";
    rows(connection, sql, [], |columns| {
        Ok(OpenPart {
            state: columns.word(PayoutState::from_name)?,
            count: columns.unsigned()?,
            total: columns.money()?,
            oldest: columns.time()?,
        })
    })
}

pub(crate) fn list(filter: &PayoutFilter, page: PageRequest<PayoutSort>) -> List {
    let conditions = Conditions::default()
        .and("node = ?", filter.node.map(|node| blob(node.0)))
        .and("run = ?", filter.run.map(|run| blob(run.0)))
        .and("updated_at >= ?", filter.changed_from.map(|at| Value::Integer(at.0)))
        .and("owner = ?", filter.owner.map(|owner| blob(owner.0)))
        .and("state = ?", filter.state.map(|state| Value::Text(state.name().to_owned())))
        // A state has one status: by that they are found without reading the others.
        .and(
            "status = ?",
            filter
                .state
                .map(PayoutState::status)
                .map(|status| Value::Text(status.name().to_owned())),
        )
        .and("status = ?", filter.status.map(|status| Value::Text(status.name().to_owned())));
    let key = match page.sort {
        PayoutSort::CreatedAt => "created_at",
        PayoutSort::UpdatedAt => "updated_at",
        PayoutSort::Amount => "amount",
        PayoutSort::Status => "status",
    };
    List::new(
        &Source { columns: COLUMNS, table: "payouts", joins: "" },
        conditions,
        &[key, "id"],
        &page,
    )
}

fn payments(
    connection: &Connection,
    nodes: &[NodeId],
    range: Interval,
) -> Result<Vec<(NodeId, TimeMs, MicroUsdt)>, Fault> {
    let sql = "SELECT processed_at, amount FROM payouts WHERE node = ? AND status = 'completed' AND processed_at >= ? AND processed_at < ? \
               ORDER BY processed_at";
    let mut paid = Vec::new();
    for node in nodes {
        paid.extend(rows(
            connection,
            sql,
            params![node.0.as_bytes(), range.from.0, range.to.0],
            |c| Ok((*node, c.time()?, c.money()?)),
        )?);
    }
    Ok(paid)
}

#[async_trait]
impl PayoutStore for SqliteStore {
    async fn create_payouts(
        &self,
        payouts: Vec<(Payout, AuditEntry)>,
    ) -> Result<Vec<bool>, StoreError> {
        self.core
            .write(move |connection| {
                payouts.iter().map(|(payout, entry)| create(connection, payout, entry)).collect()
            })
            .await
    }
    async fn payout(&self, id: PayoutId) -> Result<Option<Payout>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM payouts WHERE id = ?");
        self.core.lookup(|connection| first(connection, &sql, [id.0.as_bytes()], read)).await
    }
    async fn begin_paying(&self, fence: Fence) -> Result<Fence, StoreError> {
        self.core.write(move |connection| raise(connection, fence)).await
    }
    async fn update_payouts(
        &self,
        fence: Fence,
        payouts: Vec<(Payout, Option<AuditEntry>)>,
    ) -> Result<Vec<PayoutUpdate>, StoreError> {
        self.core.write(move |connection| update_all(connection, fence, &payouts)).await
    }
    async fn open_payouts(&self, limit: u32) -> Result<Vec<Payout>, StoreError> {
        self.core.read(move |connection| open(connection, limit)).await
    }
    async fn due_payouts(&self, asked: Due) -> Result<Vec<Payout>, StoreError> {
        self.core.read(move |connection| due(connection, &asked)).await
    }
    async fn payout_of_transaction(&self, txid: &str) -> Result<Option<Payout>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM payouts WHERE txid = ?");
        self.core.lookup(|connection| first(connection, &sql, [txid], read)).await
    }
    async fn open_parts(&self) -> Result<Vec<OpenPart>, StoreError> {
        self.core.read(open_parts).await
    }
    async fn payouts(
        &self,
        filter: &PayoutFilter,
        page: PageRequest<PayoutSort>,
    ) -> Result<Page<Payout>, StoreError> {
        let list = list(filter, page);
        self.core.read(move |connection| list.run(connection, read)).await
    }
    async fn payments(
        &self,
        nodes: &[NodeId],
        range: Interval,
    ) -> Result<Vec<(NodeId, TimeMs, MicroUsdt)>, StoreError> {
        let nodes = nodes.to_vec();
        self.core.read(move |connection| payments(connection, &nodes, range)).await
    }
}
