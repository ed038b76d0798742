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
    fleet::node::{Node, NodeStatus, Wallet},
    id::{NodeId, PayoutId, RunId},
    money::{
        MicroUsdt,
        ledger::{Account, Draft, Entry, Head, LedgerError, Leg, Stream},
        payout::{Payout, PayoutState},
        run::{Run, RunEvent},
        settlement::SettlementRecord,
    },
    notifications::event::EventKind,
};
use lucid_ports::{
    Booked, Order, PageRequest, PayoutFilter, PayoutSort, PayoutUpdate, TRACE, Tenure,
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
/// Tries to pay a node in one cycle.
pub(super) const ATTEMPTS_MAX: u32 = 16;

/// What of a run's planning is known beforehand.
pub(super) struct Planning<'a> {
    pub(super) run: &'a Run,
    pub(super) mature: &'a SettlementRecord,
    observed_s: BTreeMap<NodeId, u64>,
    /// Of nodes with an open payout: which run it is of, and where it is.
    open: BTreeMap<NodeId, (RunId, PayoutState)>,
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

/// Where a node's payout in a run belongs.
enum Place {
    Free(PayoutId, u32),
    /// What is there already: of this run, or to be freed.
    There(Box<Payout>),
    /// It was paid in this cycle, or is about to be.
    Taken,
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
        tenure: &Tenure,
        run: Run,
        period: &SettlementRecord,
    ) -> Result<Option<Run>, ServiceError> {
        self.plan(&run, period).await?;
        let mut parts = self.parts.runs.run_parts(run.id).await?;
        if parts.iter().any(|part| part.plan != run.version && part.state != PayoutState::Cancelled)
        {
            self.adopt(tenure, &run).await?;
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
    async fn adopt(&self, tenure: &Tenure, run: &Run) -> Result<(), ServiceError> {
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
                for outcome in self.parts.payouts.update_payouts(tenure.fence(), adopted).await? {
                    match outcome {
                        PayoutUpdate::Done => {}
                        PayoutUpdate::Conflict | PayoutUpdate::Taken => {
                            return Err(ServiceError::Changed { what: "payout" });
                        }
                        PayoutUpdate::FencedOff { by } => {
                            return Err(self.fenced_off(tenure, by).await?);
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
                if made { self.tell_of_plan(&payout) } else { self.take_back(payout).await? }
            }
        }
        for (node, head) in by_itself {
            self.plan_one(planning, node, head).await?;
        }
        Ok(())
    }

    fn audit_of_plan(&self, payout: &Payout) -> AuditEntry {
        let told = format!("{} USDT to node {}, run {}", payout.amount, payout.node, payout.run);
        self.parts.audit.entry(&Actor::system(), "payout.create", payout.id, told).creating(payout)
    }

    fn tell_of_plan(&self, payout: &Payout) {
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

    /// Plans a node by itself, and gives back what was set aside for it and forgotten.
    async fn plan_one(
        &self,
        planning: &Planning<'_>,
        node: NodeId,
        head: Head,
    ) -> Result<(), ServiceError> {
        self.plan_node(planning, node, head).await?;
        if head.balances.reserved > MicroUsdt::ZERO && !planning.open.contains_key(&node) {
            // One of this run's cycle has been looked at already, or is looked for once an hour.
            for forgotten in self
                .forgotten(node)
                .await?
                .into_iter()
                .filter(|forgotten| forgotten.cycle != planning.run.cycle)
            {
                self.take_back_forgotten(planning, node, &forgotten).await?;
            }
        }
        Ok(())
    }

    /// Makes one node's payout; none if it cannot be paid, or has one that is still open from
    /// another run.
    async fn plan_node(
        &self,
        planning: &Planning<'_>,
        node: NodeId,
        head: Head,
    ) -> Result<(), ServiceError> {
        let (id, attempt) = match self.next_place(planning.run, node).await? {
            Place::Free(id, attempt) => (id, attempt),
            Place::There(payout) => return self.planned_before(*payout).await,
            Place::Taken => return Ok(()),
        };
        // A reservation without its payout is a crash between the two: its amount stands, unless it
        // was given back.
        let reserved = match self.parts.ledger.entry(&format!("rsv:{id}")).await? {
            Some(_) if self.parts.ledger.entry(&format!("cls:{id}")).await?.is_some() => {
                return Ok(());
            }
            Some(entry) => Some(set_aside_by(&entry)),
            None => None,
        };
        let Some((record, wallet)) = self
            .parts
            .nodes
            .node(node)
            .await?
            .and_then(|node| node.wallet.map(|wallet| (node, wallet)))
        else {
            return Ok(());
        };
        let payable = !planning.is_busy(node) && self.payable_wallet(&record).is_some();
        let amount = match reserved {
            Some(amount) => amount,
            None if !payable => return Ok(()),
            None => {
                let amount = planning.payable(node, head)?;
                if amount < self.least_of(planning.run, &record) || amount <= MicroUsdt::ZERO {
                    return Ok(());
                }
                self.set_aside(Draft::reserve(id, node, amount)?, amount).await?
            }
        };
        let payout = self.reserved_payout((id, attempt), planning, &record, wallet, amount);
        if !payable {
            return self.take_back(payout).await;
        }
        let audit = self.audit_of_plan(&payout);
        if !self.parts.payouts.create_payout(payout.clone(), audit).await? {
            return self.take_back(payout).await;
        }
        self.tell_of_plan(&payout);
        Ok(())
    }

    /// The first attempt that nothing came of yet. A schedule tries once; a person tries again what
    /// was given back.
    async fn next_place(&self, run: &Run, node: NodeId) -> Result<Place, ServiceError> {
        for attempt in 0..ATTEMPTS_MAX {
            let id = PayoutId::derive(self.parts.family, run.cycle, node, attempt);
            match self.parts.payouts.payout(id).await? {
                None => return Ok(Place::Free(id, attempt)),
                Some(there)
                    if there.run == run.id
                        || (there.state == PayoutState::Cancelled && !there.closed) =>
                {
                    return Ok(Place::There(Box::new(there)));
                }
                Some(there)
                    if there.closed
                        && there.state != PayoutState::Confirmed
                        && !run.is_scheduled() => {}
                Some(_) => return Ok(Place::Taken),
            }
        }
        Ok(Place::Taken)
    }

    /// Books a reservation; how much is set aside. Another planner may have booked it since the
    /// balance was read, with what was there then, or have set aside what is not there any more.
    async fn set_aside(
        &self,
        reservation: Draft,
        amount: MicroUsdt,
    ) -> Result<MicroUsdt, ServiceError> {
        let id = reservation.id.clone();
        match self.book_draft(reservation).await {
            Ok(Booked::Already) => {
                let booked = self
                    .parts
                    .ledger
                    .entry(&id)
                    .await?
                    .ok_or(ServiceError::Changed { what: "reservation" })?;
                Ok(set_aside_by(&booked))
            }
            Ok(_) => Ok(amount),
            Err(ServiceError::Ledger(LedgerError::Overdrawn { .. })) => {
                Err(ServiceError::Changed { what: "balance" })
            }
            Err(error) => Err(error),
        }
    }

    /// A reservation of which nothing is to be paid. A payout that is never sent takes the place of
    /// the one that would have been: only who fills that place may free the money, so that no other
    /// planner makes a payout of it.
    pub(super) async fn take_back(&self, payout: Payout) -> Result<(), ServiceError> {
        let (id, reason) =
            (payout.id, Some("nothing was to be paid any more when it was planned".to_owned()));
        let never_sent = Payout {
            state: PayoutState::Cancelled,
            reason,
            processed_at: Some(self.parts.clock.now()),
            closed: true,
            ..payout
        };
        let audit = self
            .parts
            .audit
            .entry(
                &Actor::system(),
                "payout.create",
                id,
                format!("cancelled, {} USDT", never_sent.amount),
            )
            .creating(&never_sent);
        self.parts.payouts.create_payout(never_sent, audit).await?;
        match self.parts.payouts.payout(id).await? {
            Some(there) => self.planned_before(there).await,
            None => Err(ServiceError::Changed { what: "payout" }),
        }
    }

    /// What an earlier planner made of a reservation, or another one just now. The money of what is
    /// never sent is freed, if that planner did not come so far.
    async fn planned_before(&self, payout: Payout) -> Result<(), ServiceError> {
        if payout.state != PayoutState::Cancelled {
            return Ok(());
        }
        let cause = payout.reason.unwrap_or_default();
        self.book_draft(Draft::close(payout.id, payout.node, payout.amount, false, cause)?).await?;
        Ok(())
    }

    /// Where a node can be paid now, if it can.
    pub(crate) fn payable_wallet(&self, node: &Node) -> Option<Wallet> {
        if self.parts.fleet.payout_hold(node).is_some() { None } else { node.wallet }
    }

    /// The least that a node is paid. Who left gets a last payout of little; and anything, if a
    /// person has it paid: that is how it is claimed.
    pub(super) fn least_of(&self, run: &Run, node: &Node) -> MicroUsdt {
        match node.status {
            NodeStatus::Deregistered if run.nodes.contains(&node.id) => MicroUsdt::ZERO,
            _ => self.least(node),
        }
    }

    /// The least that a schedule pays a node.
    pub(super) fn least(&self, node: &Node) -> MicroUsdt {
        if node.status == NodeStatus::Deregistered {
            self.config.payout_final_min
        } else {
            self.config.payout_min
        }
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
