//! Payouts: one document each, with everything that may exist once under a unique index. The outbox
//! is a query over them, so that a payout and what has to be done about it are one write.

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use lucid_model::{
    audit::AuditEntry,
    epochs::score::ScoreCenti,
    id::{NodeId, PayoutId, RunId, UserId},
    money::{
        MicroUsdt,
        payout::{Found, OpenPart, Outcome, Payout, PayoutState, PayoutStatus},
        tron::TronAddress,
    },
    telemetry::credit::Interval,
    time::TimeMs,
};
use lucid_ports::{
    Due, Fence, Page, PageRequest, PayoutFilter, PayoutSort, PayoutStore, PayoutUpdate, StoreError,
};
use mongodb::{
    Collection,
    bson::{Document, doc},
};
use tokio::task::JoinSet;

use crate::{
    MongoStore,
    fault::Fault,
    fields::{Fields, bytes, id, stored},
    index::{Index, Partial},
    once,
    page::{collect, page},
};

pub(crate) const PAYOUTS: &str = "payouts";
/// Payouts of one call that are written at the same time.
const WRITES_AT_ONCE_MAX: usize = 32;

const fn plain(
    name: &'static str,
    keys: &'static [(&'static str, i32)],
    why: &'static str,
) -> Index {
    Index { collection: PAYOUTS, name, keys, unique: false, partial: None, why }
}
const fn unique(
    name: &'static str,
    keys: &'static [(&'static str, i32)],
    partial: Option<Partial>,
    why: &'static str,
) -> Index {
    Index { collection: PAYOUTS, name, keys, unique: true, partial, why }
}

pub(crate) const INDICES: &[Index] = &[
    unique(
        "payouts_attempt",
        &[("node", 1), ("cycle", 1), ("attempt", 1)],
        None,
        "one payout an attempt at a node's cycle",
    ),
    unique(
        "payouts_one_open",
        &[("node", 1)],
        Some(Partial::Where(|| doc! { "closed": false })),
        "one open payout a node",
    ),
    unique(
        "payouts_external",
        &[("external_id", 1)],
        Some(Partial::Where(|| doc! { "external_id": { "$type": "string" } })),
        "one payout an id of the payment service",
    ),
    unique(
        "payouts_txid",
        &[("txid", 1)],
        Some(Partial::Where(|| doc! { "txid": { "$type": "string" } })),
        "one payout a transaction",
    ),
    plain(
        "payouts_outbox",
        &[("closed", 1), ("next_attempt_at", 1), ("created_at", 1), ("_id", 1)],
        "payouts that may be touched by now",
    ),
    plain("payouts_created", &[("created_at", 1), ("_id", 1)], "payouts by plan"),
    plain("payouts_updated", &[("updated_at", 1), ("_id", 1)], "payouts by last change"),
    plain("payouts_amount", &[("amount", 1), ("_id", 1)], "payouts by amount"),
    plain("payouts_status", &[("status", 1), ("_id", 1)], "payouts by status"),
    plain("payouts_node", &[("node", 1), ("created_at", 1), ("_id", 1)], "a node's payouts"),
    plain(
        "payouts_owner_created",
        &[("owner", 1), ("created_at", 1), ("_id", 1)],
        "an owner's payouts by plan",
    ),
    plain("payouts_run", &[("run", 1), ("created_at", 1), ("_id", 1)], "payouts of a run"),
    plain(
        "payouts_status_created",
        &[("status", 1), ("created_at", 1), ("_id", 1)],
        "payouts of a status by plan",
    ),
];

/// What becomes of a payout: all that an update changes.
fn course(payout: &Payout) -> Result<Document, Fault> {
    Ok(doc! {
        "state": payout.state.name(),
        // The contract's coarser word, derived from the state; kept because lists sort and filter
        // by it.
        "status": payout.state.status().name(),
        "sends": payout.sends,
        "ambiguous": payout.ambiguous,
        "request": payout.request.as_deref().map(bytes),
        "external_id": payout.external_id.as_deref(),
        "txid": payout.txid.as_deref(),
        "reason": payout.reason.as_deref(),
        "updated_at": payout.updated_at.0,
        "submitted_at": payout.submitted_at.map(|at| at.0),
        "processed_at": payout.processed_at.map(|at| at.0),
        "next_attempt_at": payout.next_attempt_at.0,
        "next_send_at": payout.next_send_at.0,
        "blind_ms": payout.blind_ms,
        "found": payout.found.as_ref().map(found_document),
        "closed": payout.closed,
        "plan": stored(payout.plan)?,
    })
}

fn found_document(found: &Found) -> Document {
    let txid = if let Outcome::Paid { txid } = &found.outcome { Some(txid.as_str()) } else { None };
    doc! { "at": found.at.0, "txid": txid }
}

fn read_found(fields: Fields<'_>) -> Result<Found, Fault> {
    let outcome =
        fields.text_or_none("txid")?.map_or(Outcome::NotPaid, |txid| Outcome::Paid { txid });
    Ok(Found { outcome, at: fields.time("at")? })
}

/// What a payout is about (payee, amount, address, cycle, …): fixed at its plan.
pub(crate) fn document(payout: &Payout) -> Result<Document, Fault> {
    let mut document = doc! {
        "_id": id(payout.id.0),
        "v": 1,
        "run": id(payout.run.0),
        "node": id(payout.node.0),
        "owner": id(payout.owner.0),
        "cycle": payout.cycle,
        "attempt": payout.attempt,
        "amount": payout.amount.0,
        "address": payout.address.to_string(),
        "wallet_version": payout.wallet_version,
        "created_at": payout.created_at.0,
        "score": payout.score.map(|score| score.0),
        "observed_s": stored(payout.observed_s)?,
        "period_start_s": payout.period_start_s,
        "period_end_s": payout.period_end_s,
        "version": stored(payout.version)?,
    };
    document.extend(course(payout)?);
    Ok(document)
}

pub(crate) fn read(fields: Fields<'_>) -> Result<Payout, Fault> {
    Ok(Payout {
        id: fields.id("_id", PayoutId)?,
        run: fields.id("run", RunId)?,
        node: fields.id("node", NodeId)?,
        owner: fields.id("owner", UserId)?,
        cycle: fields.number("cycle")?,
        attempt: fields.number("attempt")?,
        amount: fields.money("amount")?,
        address: fields.word("address", |text| TronAddress::from_record(text).ok())?,
        wallet_version: fields.number("wallet_version")?,
        state: fields.word("state", PayoutState::from_name)?,
        sends: fields.number("sends")?,
        ambiguous: fields.truth("ambiguous")?,
        request: fields.bytes_or_none("request")?,
        external_id: fields.text_or_none("external_id")?,
        txid: fields.text_or_none("txid")?,
        reason: fields.text_or_none("reason")?,
        created_at: fields.time("created_at")?,
        updated_at: fields.time("updated_at")?,
        submitted_at: fields.time_or_none("submitted_at")?,
        processed_at: fields.time_or_none("processed_at")?,
        next_attempt_at: fields.time("next_attempt_at")?,
        next_send_at: fields.time_or_none("next_send_at")?.unwrap_or(TimeMs(0)),
        blind_ms: fields.number_or_none("blind_ms")?.unwrap_or(0),
        found: fields.document_or_none("found")?.map(read_found).transpose()?,
        closed: fields.truth("closed")?,
        score: fields.number_or_none("score")?.map(ScoreCenti),
        observed_s: fields.number("observed_s")?,
        period_start_s: fields.number("period_start_s")?,
        period_end_s: fields.number("period_end_s")?,
        plan: fields.number_or_none("plan")?.unwrap_or(1),
        version: fields.number("version")?,
    })
}

/// One write, with the payer's fence in its filter: see [`crate::money::payer`].
async fn update(
    payouts: &Collection<Document>,
    fence: Fence,
    payout: &Payout,
    entry: Option<&AuditEntry>,
) -> Result<PayoutUpdate, Fault> {
    let number = stored(fence.0)?;
    let not_later = doc! { "fence": { "$not": { "$gt": number } } };
    let mut fields = course(payout)?;
    fields.insert("fence", number);
    let entries = entry.map_or(&[] as &[_], std::slice::from_ref);
    match once::change(
        payouts,
        id(payout.id.0),
        stored(payout.version)?,
        not_later,
        fields,
        entries,
    )
    .await
    {
        // Another payout has this transaction or external id. This one's neighbours in the batch
        // were sent too: they must not lose their answers for it.
        Err(fault) if fault.is_duplicate() => {
            tracing::debug!(payout = %payout.id, %fault, "a payout claims what belongs to another payout");
            Ok(PayoutUpdate::Taken)
        }
        Err(fault) => Err(fault),
        Ok(true) => Ok(PayoutUpdate::Done),
        Ok(false) => {
            let found = payouts
                .find_one(doc! { "_id": id(payout.id.0) })
                .projection(doc! { "fence": 1 })
                .await?;
            let by = found
                .map(|found| Fields::of(&found).number_or_none("fence"))
                .transpose()?
                .flatten()
                .map(Fence);
            Ok(by
                .filter(|by| *by > fence)
                .map_or(PayoutUpdate::Conflict, |by| PayoutUpdate::FencedOff { by }))
        }
    }
}

/// Each payout is a document and a write of its own; what is refused stops no other. All are tried
/// before an error is answered: which of them were written is read back by whoever comes again.
async fn update_all(
    store: &MongoStore,
    fence: Fence,
    changes: Vec<(Payout, Option<AuditEntry>)>,
) -> Result<Vec<PayoutUpdate>, Fault> {
    let greatest = store.fence_in_force(fence).await?;
    if greatest > fence {
        return Ok(vec![PayoutUpdate::FencedOff { by: greatest }; changes.len()]);
    }
    let payouts = store.collection(PAYOUTS);
    let mut outcomes = Vec::with_capacity(changes.len());
    let mut waiting = changes.into_iter().enumerate();
    let mut running = JoinSet::new();
    loop {
        while running.len() < WRITES_AT_ONCE_MAX
            && let Some((place, (payout, entry))) = waiting.next()
        {
            let payouts = payouts.clone();
            running.spawn(async move {
                (place, update(&payouts, fence, &payout, entry.as_ref()).await, payout.id, entry)
            });
        }
        let Some(ended) = running.join_next().await else { break };
        let (place, outcome, payout, entry) = ended
            .map_err(|error| Fault::Bad(format!("a write of payouts ended early: {error}")))?;
        if let (Ok(PayoutUpdate::Done), Some(entry)) = (&outcome, entry) {
            store.drain.left(PAYOUTS, &id(payout.0), &[entry]);
        }
        outcomes.push((place, outcome));
    }
    outcomes.sort_unstable_by_key(|(place, _)| *place);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Each payout is a document and a write of its own.
async fn create_all(
    store: &MongoStore,
    payouts: Vec<(Payout, AuditEntry)>,
) -> Result<Vec<bool>, Fault> {
    let created: Vec<_> =
        payouts.iter().map(|(payout, audit)| create(store, payout, audit).boxed()).collect();
    stream::iter(created).buffered(WRITES_AT_ONCE_MAX).try_collect().await
}

async fn create(store: &MongoStore, payout: &Payout, audit: &AuditEntry) -> Result<bool, Fault> {
    store.insert_audited(PAYOUTS, document(payout)?, std::slice::from_ref(audit)).await
}

/// What is due longest comes first, so that payouts that wait for their next try never keep others
/// out.
async fn open(payouts: &Collection<Document>, limit: u32) -> Result<Vec<Payout>, Fault> {
    let order = doc! { "next_attempt_at": 1, "created_at": 1, "_id": 1 };
    collect(payouts.find(doc! { "closed": false }).sort(order).limit(i64::from(limit)).await?, read)
        .await
}

/// As [`open`], without those that nothing may be done about now: however many wait, they keep no
/// other out.
async fn due(payouts: &Collection<Document>, due: &Due) -> Result<Vec<Payout>, Fault> {
    use PayoutState::{Accepted, Manual, Reserved, Submitting, Unknown};
    let waiting: Vec<_> = due.waiting.iter().map(|run| id(run.0)).collect();
    let not_sent = doc! { "state": Reserved.name(), "run": { "$in": waiting } };
    let sent_again = [Submitting].into_iter().filter(|_| !due.sends);
    let looked_up = [Unknown, Accepted, Manual].into_iter().filter(|_| !due.looks);
    let not_now: Vec<_> = sent_again.chain(looked_up).map(PayoutState::name).collect();
    let filter = doc! { "closed": false, "next_attempt_at": { "$lte": due.now.0 }, "state": { "$nin": not_now }, "$nor": [not_sent] };
    let order = doc! { "next_attempt_at": 1, "created_at": 1, "_id": 1 };
    collect(payouts.find(filter).sort(order).limit(i64::from(due.limit)).await?, read).await
}

async fn open_parts(payouts: &Collection<Document>) -> Result<Vec<OpenPart>, Fault> {
    let pipeline = [
        doc! { "$match": { "closed": false } },
        doc! { "$group": {
            "_id": "$state",
            "count": { "$sum": 1_i64 },
            "total": { "$sum": "$amount" },
            "oldest": { "$min": "$created_at" },
        } },
        doc! { "$sort": { "_id": 1 } },
    ];
    collect(payouts.aggregate(pipeline).await?, |fields| {
        Ok(OpenPart {
            state: fields.word("_id", PayoutState::from_name)?,
            count: fields.number("count")?,
            total: fields.money("total")?,
            oldest: fields.time("oldest")?,
        })
    })
    .await
}

async fn list(
    payouts: &Collection<Document>,
    filter: &PayoutFilter,
    request: &PageRequest<PayoutSort>,
) -> Result<Page<Payout>, Fault> {
    let ids = [
        ("node", filter.node.map(|node| node.0)),
        ("run", filter.run.map(|run| run.0)),
        ("owner", filter.owner.map(|owner| owner.0)),
    ];
    let mut conditions: Document =
        ids.into_iter().filter_map(|(name, value)| Some((name.to_owned(), id(value?)))).collect();
    if let Some(from) = filter.changed_from {
        conditions.insert("updated_at", doc! { "$gte": from.0 });
    }
    // A state has one status: by that they are found without reading the others.
    let statuses: Vec<_> = [filter.state.map(PayoutState::status), filter.status]
        .into_iter()
        .flatten()
        .map(PayoutStatus::name)
        .collect();
    match statuses.as_slice() {
        [] => {}
        [status] => drop(conditions.insert("status", *status)),
        several => drop(conditions.insert(
            "$and",
            several.iter().map(|status| doc! { "status": *status }).collect::<Vec<_>>(),
        )),
    }
    if let Some(state) = filter.state {
        conditions.insert("state", state.name());
    }
    let key = match request.sort {
        PayoutSort::CreatedAt => "created_at",
        PayoutSort::UpdatedAt => "updated_at",
        PayoutSort::Amount => "amount",
        PayoutSort::Status => "status",
    };
    page(payouts, conditions, &[key, "_id"], request, read).await
}

async fn payments(
    payouts: &Collection<Document>,
    nodes: &[NodeId],
    range: Interval,
) -> Result<Vec<(NodeId, TimeMs, MicroUsdt)>, Fault> {
    let nodes: Vec<_> = nodes.iter().map(|node| id(node.0)).collect();
    let in_range = doc! { "$gte": range.from.0, "$lt": range.to.0 };
    let completed = doc! { "node": { "$in": nodes }, "state": PayoutState::Confirmed.name(), "processed_at": in_range };
    collect(payouts.find(completed).sort(doc! { "node": 1, "processed_at": 1 }).await?, |f| {
        Ok((f.id("node", NodeId)?, f.time("processed_at")?, f.money("amount")?))
    })
    .await
}

async fn one(payouts: &Collection<Document>, payout: PayoutId) -> Result<Option<Payout>, Fault> {
    let found = payouts.find_one(doc! { "_id": id(payout.0) }).await?;
    found.map(|found| read(Fields::of(&found))).transpose()
}

#[async_trait]
impl PayoutStore for MongoStore {
    async fn create_payouts(
        &self,
        payouts: Vec<(Payout, AuditEntry)>,
    ) -> Result<Vec<bool>, StoreError> {
        Ok(create_all(self, payouts).await?)
    }
    async fn payout(&self, id: PayoutId) -> Result<Option<Payout>, StoreError> {
        Ok(one(&self.collection(PAYOUTS), id).await?)
    }
    async fn begin_paying(&self, fence: Fence) -> Result<Fence, StoreError> {
        Ok(self.raise_fence(fence).await?)
    }
    async fn update_payouts(
        &self,
        fence: Fence,
        payouts: Vec<(Payout, Option<AuditEntry>)>,
    ) -> Result<Vec<PayoutUpdate>, StoreError> {
        Ok(update_all(self, fence, payouts).await?)
    }
    async fn open_payouts(&self, limit: u32) -> Result<Vec<Payout>, StoreError> {
        Ok(open(&self.collection(PAYOUTS), limit).await?)
    }
    async fn due_payouts(&self, asked: Due) -> Result<Vec<Payout>, StoreError> {
        Ok(due(&self.collection(PAYOUTS), &asked).await?)
    }
    async fn payout_of_transaction(&self, txid: &str) -> Result<Option<Payout>, StoreError> {
        let found =
            self.collection(PAYOUTS).find_one(doc! { "txid": txid }).await.map_err(Fault::from)?;
        Ok(found.map(|found| read(Fields::of(&found))).transpose()?)
    }
    async fn open_parts(&self) -> Result<Vec<OpenPart>, StoreError> {
        Ok(open_parts(&self.collection(PAYOUTS)).await?)
    }
    async fn payouts(
        &self,
        filter: &PayoutFilter,
        page: PageRequest<PayoutSort>,
    ) -> Result<Page<Payout>, StoreError> {
        Ok(list(&self.collection(PAYOUTS), filter, &page).await?)
    }
    async fn payments(
        &self,
        nodes: &[NodeId],
        range: Interval,
    ) -> Result<Vec<(NodeId, TimeMs, MicroUsdt)>, StoreError> {
        Ok(payments(&self.collection(PAYOUTS), nodes, range).await?)
    }
}
