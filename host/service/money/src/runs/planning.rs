//! Planning: setting aside what can be paid, and making the payouts of it.
//!
//! Most nodes are simple: nothing of theirs is under way. They are planned a thousand at a time, in
//! two writes. Whatever is not simple (something is set aside, somebody else was there, a node that
//! left) is looked at by itself. Doing it again finds what is there.

use std::collections::{BTreeMap, VecDeque};

use futures::{FutureExt, TryStreamExt, stream::FuturesUnordered};
use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    audit::AuditEntry,
    fleet::node::{Node, Wallet},
    id::{NodeId, PayoutId, RunId},
    money::{
        MicroUsdt,
        ledger::{Account, Draft, Entry, Head, Leg, Stream},
        payout::{Payout, PayoutState},
        run::{Run, RunEvent},
        settlement::SettlementRecord,
    },
    notifications::event::EventKind,
};
use lucid_ports::{
    Booked, HeldLease, Order, PageRequest, PayoutFilter, PayoutSort, PayoutUpdate, TRACE,
};

use super::to_pay;
use crate::Money;

/// Nodes that are planned in two writes: many, because ids are random, so that a write touches most
/// pages of their indices anyway.
const PLANNED_AT_ONCE: usize = 10_000;
/// Such writes that are on their way at once: the next nodes are read meanwhile.
const PARTS_AT_ONCE: usize = 2;
/// Payouts of a run read at once.
const PAYOUTS_A_PAGE: u32 = 1_000;

/// What of a run's planning is known beforehand.
pub(super) struct Planning<'a> {
    pub(super) run: &'a Run,
    pub(super) mature: &'a SettlementRecord,
    observed_s: BTreeMap<NodeId, u64>,
    /// Of nodes with an open payout: which run it is of, and where it is.
    pub(super) open: BTreeMap<NodeId, (RunId, PayoutState)>,
    /// What accrued in periods that are not mature yet.
    fresh: Vec<BTreeMap<NodeId, MicroUsdt>>,
}

impl Planning<'_> {
    /// What of a balance may be paid.
    pub(super) fn payable(&self, node: NodeId, head: Head) -> Result<MicroUsdt, ServiceError> {
        let fresh = MicroUsdt::checked_sum(
            self.fresh.iter().filter_map(|accrued| accrued.get(&node)).copied(),
        )?;
        Ok(head.balances.available.checked_sub(fresh)?)
    }

    /// Whether an open payout of another run is in the way.
    pub(super) fn is_busy(&self, node: NodeId) -> bool {
        self.open.get(&node).is_some_and(|(of, _)| *of != self.run.id)
    }
}

/// Live nodes, read along with balances that are in the same order.
#[derive(Default)]
pub(super) struct Fleet {
    read: VecDeque<Node>,
    last: Option<NodeId>,
    ended: bool,
}

/// Nodes that are ready to be planned together, and those that are not.
struct Part {
    ready: Vec<(Entry, Payout)>,
    by_itself: Vec<(NodeId, Head)>,
}

impl Money {
    pub(super) async fn finish_plan(
        &self,
        lease: &HeldLease,
        run: Run,
        period: &SettlementRecord,
    ) -> Result<Option<Run>, ServiceError> {
        self.plan(&run, period).await?;
        let mut parts = self.parts.runs.run_parts(run.id).await?;
        if parts.iter().any(|part| part.plan != run.version && part.state != PayoutState::Cancelled)
        {
            self.adopt(lease, &run).await?;
            parts = self.parts.runs.run_parts(run.id).await?;
        }
        let (count, total) = to_pay(&parts)?;
        let reason = if run.is_scheduled() && total <= self.config.auto_approve_max {
            self.jumps(period).await?
        } else {
            None
        };
        let plan = RunEvent::Plan { count, total, reason };
        let planned = self.change_run(&run, plan, &Actor::system(), "run.plan").await?;
        match planned.is_scheduled() && count > 0 {
            true => self.approve_scheduled(planned).await,
            false => Ok(None),
        }
    }

    /// What an earlier planning made of a run becomes this one's.
    async fn adopt(&self, lease: &HeldLease, run: &Run) -> Result<(), ServiceError> {
        let (filter, mut page) = (PayoutFilter { run: Some(run.id), ..PayoutFilter::default() }, 1);
        loop {
            let request = PageRequest {
                page,
                limit: PAYOUTS_A_PAGE,
                sort: PayoutSort::CreatedAt,
                order: Order::Ascending,
            };
            let payouts = self.parts.payouts.payouts(&filter, request).await?.items;
            let last = payouts.len() < PAYOUTS_A_PAGE as usize;
            let earlier = payouts.into_iter().filter(|payout| {
                payout.state != PayoutState::Cancelled && payout.plan != run.version
            });
            let adopted: Vec<_> = earlier
                .map(|payout| {
                    (Payout { plan: run.version, version: payout.version + 1, ..payout }, None)
                })
                .collect();
            if !adopted.is_empty() {
                for outcome in self.parts.payouts.update_payouts(lease.fence(), adopted).await? {
                    match outcome {
                        PayoutUpdate::Done => {}
                        PayoutUpdate::Conflict | PayoutUpdate::Taken => {
                            return Err(ServiceError::Changed { what: "payout" });
                        }
                        PayoutUpdate::FencedOff { by } => {
                            return Err(self.fenced_off(lease, by).await?);
                        }
                    }
                }
            }
            if last {
                return Ok(());
            }
            page += 1;
        }
    }

    /// Balances of who is planned, by node; chosen nodes that have nothing are left out.
    pub(super) async fn heads_of(&self, run: &Run) -> Result<Vec<(NodeId, Head)>, ServiceError> {
        if run.nodes.is_empty() {
            return Ok(self.parts.ledger.heads_available(MicroUsdt::ZERO).await?);
        }
        let mut heads = Vec::new();
        for node in &run.nodes {
            let head = self.parts.ledger.head(Stream::Node(*node)).await?;
            if head.seq > 0 {
                heads.push((*node, head));
            }
        }
        Ok(heads)
    }

    /// Read after the balances: what is there of fresh accruals by then is at least what is in
    /// them.
    pub(super) async fn planning<'a>(
        &self,
        run: &'a Run,
        mature: &'a SettlementRecord,
    ) -> Result<Planning<'a>, ServiceError> {
        let totals = self.parts.epochs.earned_in(mature.period).await?.into_values().flatten();
        let open = self.parts.payouts.open_payouts(u32::MAX).await?;
        Ok(Planning {
            run,
            mature,
            observed_s: totals.map(|t| (t.node, t.observed_s)).collect(),
            open: open
                .into_iter()
                .map(|payout| (payout.node, (payout.run, payout.state)))
                .collect(),
            fresh: self.fresh_since(mature).await?,
        })
    }

    /// What accrued after a period.
    pub(super) async fn fresh_since(
        &self,
        mature: &SettlementRecord,
    ) -> Result<Vec<BTreeMap<NodeId, MicroUsdt>>, ServiceError> {
        let (mut fresh, mut period) = (Vec::new(), mature.period.next());
        while period.start() <= self.parts.clock.now() {
            fresh.push(self.parts.ledger.accrued(period.start_s).await?);
            period = period.next();
        }
        Ok(fresh)
    }

    /// Sets the money of everybody who can be paid aside.
    #[tracing::instrument(target = TRACE, level = "trace", name = "service.plan_run", skip_all)]
    async fn plan(&self, run: &Run, mature: &SettlementRecord) -> Result<(), ServiceError> {
        let heads = self.heads_of(run).await?;
        let planning = &self.planning(run, mature).await?;
        if !run.nodes.is_empty() {
            for (node, head) in heads {
                self.plan_one(planning, node, head).await?;
            }
            return Ok(());
        }
        let mut fleet = Fleet::default();
        let mut on_their_way = FuturesUnordered::new();
        for chunk in heads.chunks(PLANNED_AT_ONCE) {
            let part = self.prepared(planning, chunk, &mut fleet).await?;
            on_their_way.push(self.plan_part(planning, part).boxed());
            // Asking begins it; waited is only where too many are on their way.
            loop {
                let full = on_their_way.len() >= PARTS_AT_ONCE;
                let next = on_their_way.try_next();
                let ended =
                    if full { next.await? } else { next.now_or_never().transpose()?.flatten() };
                if ended.is_none() {
                    break;
                }
            }
        }
        on_their_way.try_collect().await
    }

    async fn prepared(
        &self,
        planning: &Planning<'_>,
        heads: &[(NodeId, Head)],
        fleet: &mut Fleet,
    ) -> Result<Part, ServiceError> {
        let mut part = Part { ready: Vec::new(), by_itself: Vec::new() };
        let least = self.config.payout_min.min(self.config.payout_final_min);
        for (node, head) in heads {
            match planning.open.get(node) {
                Some((of, state)) if *of == planning.run.id && *state != PayoutState::Cancelled => {
                    continue;
                }
                Some(_) => part.by_itself.push((*node, *head)),
                None if head.balances.reserved > MicroUsdt::ZERO => {
                    part.by_itself.push((*node, *head))
                }
                None => {
                    let amount = planning.payable(*node, *head)?;
                    if amount < least || amount <= MicroUsdt::ZERO {
                        continue;
                    }
                    let Some(record) = self.find(fleet, *node).await? else {
                        part.by_itself.push((*node, *head));
                        continue;
                    };
                    let Some(wallet) = self
                        .payable_wallet(&record)
                        .filter(|_| amount >= self.least_of(planning.run, &record))
                    else {
                        continue;
                    };
                    let id = PayoutId::derive(self.parts.family, planning.run.cycle, *node, 0);
                    let entry =
                        Draft::reserve(id, *node, amount)?.book(*head, self.parts.clock.now())?;
                    part.ready.push((
                        entry,
                        self.reserved_payout((id, 0), planning, &record, wallet, amount),
                    ));
                }
            }
        }
        Ok(part)
    }

    /// A live node; those before it are not asked for any more.
    pub(super) async fn find(
        &self,
        fleet: &mut Fleet,
        node: NodeId,
    ) -> Result<Option<Node>, ServiceError> {
        loop {
            while fleet.read.front().is_some_and(|first| first.id < node) {
                fleet.read.pop_front();
            }
            if fleet.read.is_empty() && !fleet.ended {
                let page = self.parts.nodes.live_nodes_after(fleet.last, PAYOUTS_A_PAGE).await?;
                fleet.last = page.last().map(|last| last.id);
                fleet.ended = page.is_empty();
                fleet.read.extend(page);
                continue;
            }
            return Ok(fleet.read.pop_front_if(|first| first.id == node));
        }
    }

    /// Two writes: what is set aside, and the payouts of it. Whoever does not get its place is
    /// looked at by itself.
    async fn plan_part(&self, planning: &Planning<'_>, part: Part) -> Result<(), ServiceError> {
        let Part { ready, mut by_itself } = part;
        let (entries, payouts): (Vec<_>, Vec<_>) = ready.into_iter().unzip();
        let booked =
            if entries.is_empty() { Vec::new() } else { self.parts.ledger.book(entries).await? };
        let mut created = Vec::new();
        for (payout, booked) in payouts.into_iter().zip(booked) {
            if booked == Booked::Done {
                created.push(payout);
            } else {
                by_itself
                    .push((payout.node, self.parts.ledger.head(Stream::Node(payout.node)).await?));
            }
        }
        // By id, so that they go into the store's indices one beside the other: 8 of its 11 end
        // with it.
        created.sort_unstable_by_key(|payout| payout.id);
        if !created.is_empty() {
            let audited =
                created.iter().map(|payout| (payout.clone(), self.audit_of_plan(payout))).collect();
            for (payout, made) in
                created.into_iter().zip(self.parts.payouts.create_payouts(audited).await?)
            {
                if made {
                    self.publish_planned_payout(&payout)
                } else {
                    self.take_back(payout).await?
                }
            }
        }
        for (node, head) in by_itself {
            self.plan_one(planning, node, head).await?;
        }
        Ok(())
    }

    pub(crate) fn audit_of_plan(&self, payout: &Payout) -> AuditEntry {
        let told = format!("{} USDT to node {}, run {}", payout.amount, payout.node, payout.run);
        self.parts.audit.entry(&Actor::system(), "payout.create", payout.id, told).creating(payout)
    }

    pub(crate) fn publish_planned_payout(&self, payout: &Payout) {
        let Payout { id, node, state, amount, .. } = *payout;
        self.parts.notifications.emit(EventKind::PayoutChanged {
            payout: id,
            node,
            state,
            amount,
            txid: None,
            reason: None,
        });
    }

    pub(super) fn reserved_payout(
        &self,
        (id, attempt): (PayoutId, u32),
        planning: &Planning<'_>,
        node: &Node,
        wallet: Wallet,
        amount: MicroUsdt,
    ) -> Payout {
        let (now, period) = (self.parts.clock.now(), planning.mature.period);
        Payout {
            id,
            run: planning.run.id,
            node: node.id,
            owner: node.owner,
            cycle: planning.run.cycle,
            attempt,
            amount,
            address: wallet.address,
            wallet_version: wallet.version,
            state: PayoutState::Reserved,
            sends: 0,
            ambiguous: false,
            request: None,
            external_id: None,
            txid: None,
            reason: None,
            created_at: now,
            updated_at: now,
            submitted_at: None,
            processed_at: None,
            next_attempt_at: now,
            next_send_at: now,
            blind_ms: 0,
            found: None,
            closed: false,
            score: node.score,
            observed_s: planning.observed_s.get(&node.id).copied().unwrap_or(0),
            period_start_s: period.start_s,
            period_end_s: period.end_s(),
            plan: planning.run.version,
            version: 1,
        }
    }
}

/// What a reservation set aside.
pub(super) fn set_aside_by(reservation: &Entry) -> MicroUsdt {
    let reserved = |leg: &&Leg| matches!(leg.account, Account::Reserved(_));
    reservation.draft.legs.iter().find(reserved).map(|leg| leg.amount).unwrap_or_default()
}
