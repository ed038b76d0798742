//! Payout runs: who is paid how much in a cycle. Planning sets the money aside; approving lets it go.

mod forgotten;

use std::collections::{BTreeMap, BTreeSet};

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use lucid_model::{
    event::EventKind,
    id::{NodeId, PayoutId, RunId},
    ledger::{Account, Draft, Entry, Head, LedgerError, Leg},
    money::MicroUsdt,
    node::{Node, NodeStatus, Wallet},
    payout::{Payout, PayoutState, Run, RunState},
    settlement::SettlementRecord,
};
use lucid_ports::{Booked, Order, PageRequest, PayoutFilter, PayoutSort, PayoutUpdate, Tenure};

use crate::{Actor, Role, Service, ServiceError};

/// Nodes that are planned at the same time.
const PLANNED_AT_ONCE: usize = 512;
/// Payouts of a run read at once.
const PAYOUTS_A_PAGE: u32 = 1_000;

impl Service {
    /// Plans the run of the last mature settlement period, once; approves it by itself where that is allowed. What was
    /// begun for an earlier period is ended first, since it has set money aside. Planning is the payer's: what another one
    /// that does not know yet that it was replaced adds to the run belongs to an earlier planning, and is never sent.
    ///
    /// # Errors
    /// [`ServiceError`] if something is missing now; the next call goes on where this one stopped.
    pub async fn plan_due_run(&self, tenure: &Tenure) -> Result<Option<Run>, ServiceError> {
        for run in self.store().open_runs().await?.into_iter().filter(|run| run.state == RunState::Planned) {
            if !run.is_being_planned() && self.refusal(&run).is_none() {
                return self.approve_scheduled(run).await;
            }
            if run.is_being_planned()
                && let Some(period) = self.store().settlement(run.cycle).await?
            {
                let taken_over = self.replace_run(&run, run.clone(), &Actor::system(), "run.plan_again").await?;
                return self.finish_plan(tenure, taken_over, &period).await;
            }
        }
        let Some(period) = self.last_mature_period().await? else { return Ok(None) };
        let cycle = period.period.start_s;
        let id = RunId::derive(self.family, cycle);
        match self.store().run(id).await? {
            Some(run) if run.state == RunState::Planned && !run.is_being_planned() => self.approve_scheduled(run).await,
            Some(_) => self.sweep_reservations(&period).await.map(|()| None),
            None => {
                let run = self.open_run(id, cycle).await?;
                self.finish_plan(tenure, run, &period).await
            }
        }
    }

    async fn finish_plan(&self, tenure: &Tenure, run: Run, period: &SettlementRecord) -> Result<Option<Run>, ServiceError> {
        self.plan(&run, period).await?;
        let payouts = self.planned(tenure, &run).await?;
        let total = MicroUsdt::checked_sum(payouts.iter().map(|p| p.amount))?;
        let count = u32::try_from(payouts.len()).unwrap_or(u32::MAX);
        let state = if count == 0 { RunState::Done } else { RunState::Planned };
        let planned = Run { count, total, state, plan: run.version, ..run.clone() };
        let planned = self.replace_run(&run, planned, &Actor::system(), "run.plan").await?;
        if count == 0 { Ok(None) } else { self.approve_scheduled(planned).await }
    }

    /// What is in a run now; what an earlier planning made of it becomes this one's.
    async fn planned(&self, tenure: &Tenure, run: &Run) -> Result<Vec<Payout>, ServiceError> {
        let (filter, mut payouts, mut page) = (PayoutFilter { run: Some(run.id), ..PayoutFilter::default() }, Vec::new(), 1);
        loop {
            let request = PageRequest { page, limit: PAYOUTS_A_PAGE, sort: PayoutSort::CreatedAt, order: Order::Ascending };
            let items = self.store().payouts(&filter, request).await?.items;
            let last = items.len() < PAYOUTS_A_PAGE as usize;
            payouts.extend(items.into_iter().filter(|payout| payout.state != PayoutState::Cancelled));
            if last {
                break;
            }
            page += 1;
        }
        let earlier = payouts.iter_mut().filter(|payout| payout.plan != run.version);
        let adopted: Vec<_> = earlier
            .map(|payout| {
                (payout.plan, payout.version) = (run.version, payout.version + 1);
                (payout.clone(), None)
            })
            .collect();
        if !adopted.is_empty() {
            for outcome in self.store().update_payouts(tenure.fence(), adopted).await? {
                match outcome {
                    PayoutUpdate::Done => {}
                    PayoutUpdate::Conflict => return Err(ServiceError::Changed { what: "payout" }),
                    PayoutUpdate::FencedOff { by } => return Err(self.replaced(tenure, Some(by))),
                }
            }
        }
        Ok(payouts)
    }

    async fn last_mature_period(&self) -> Result<Option<SettlementRecord>, ServiceError> {
        let Some(mut last) = self.store().last_settlement().await? else { return Ok(None) };
        let mature = |record: &SettlementRecord| record.period.end().plus_ms(self.config.maturity_ms) <= self.now();
        while !mature(&last) {
            let before = self.config.settlement.period_at(last.period.start().plus_ms(-1));
            match self.store().settlement(before.start_s).await? {
                Some(record) => last = record,
                None => return Ok(None),
            }
        }
        Ok(Some(last))
    }

    async fn open_run(&self, id: RunId, cycle: i64) -> Result<Run, ServiceError> {
        let now = self.now();
        let run = Run {
            id,
            cycle,
            state: RunState::Planned,
            planner: "system".into(),
            approver: None,
            count: 0,
            total: MicroUsdt::ZERO,
            reason: None,
            created_at: now,
            updated_at: now,
            plan: 0,
            version: 1,
        };
        let audit = self.audit_entry(&Actor::system(), "run.open", id, format!("cycle {cycle}")).creating(&run);
        // Who opened it before us may still be planning it: with the same number, what it adds would count as ours.
        if self.store().create_run(run.clone(), audit).await? { Ok(run) } else { Err(ServiceError::Changed { what: "run" }) }
    }

    async fn replace_run(&self, before: &Run, mut run: Run, actor: &Actor, action: &str) -> Result<Run, ServiceError> {
        run.version += 1;
        run.updated_at = self.now();
        let audit = self.audit_entry(actor, action, run.id, format!("{} payouts, {} USDT", run.count, run.total)).changing(before, &run);
        if !self.store().update_run(run.clone(), audit).await? {
            return Err(ServiceError::Changed { what: "run" });
        }
        self.emit(EventKind::RunChanged { run: run.id, state: run.state.name(), payouts: run.count, total: run.total });
        Ok(run)
    }

    /// Sets the money of everybody who can be paid aside. Doing it again finds what is there.
    async fn plan(&self, run: &Run, mature: &SettlementRecord) -> Result<(), ServiceError> {
        let totals = self.earned_in(mature.period).await?.into_values().flatten();
        let observed: BTreeMap<NodeId, u64> = totals.map(|t| (t.node, t.observed_s)).collect();
        // Of a node with an open payout: which run it is of.
        let open: BTreeMap<NodeId, RunId> = self.store().open_payouts(u32::MAX).await?.into_iter().map(|p| (p.node, p.run)).collect();
        // Each node by itself, many at once, so that what they set aside is made durable together. Boxed: see `score_frame`; in parts, so that
        // a large fleet's futures are not all there.
        let nodes = self.store().heads_available(MicroUsdt::ZERO).await?;
        for part in nodes.chunks(PLANNED_AT_ONCE * 4) {
            let of = |node: &NodeId| (open.get(node).copied(), observed.get(node).copied().unwrap_or(0));
            let planned: Vec<_> = part.iter().map(|(node, head)| self.plan_one(run, mature, (*node, *head), of(node)).boxed()).collect();
            let mut planned = stream::iter(planned).buffer_unordered(PLANNED_AT_ONCE);
            while planned.try_next().await?.is_some() {}
        }
        Ok(())
    }

    /// Plans a node, and gives back what was set aside for it and forgotten. `of_run`: which run its open payout is of.
    async fn plan_one(
        &self,
        run: &Run,
        mature: &SettlementRecord,
        (node, head): (NodeId, Head),
        (of_run, observed_s): (Option<RunId>, u64),
    ) -> Result<(), ServiceError> {
        self.plan_node(run, mature, node, head, of_run.is_some_and(|of| of != run.id), observed_s).await?;
        if head.balances.reserved > MicroUsdt::ZERO && of_run.is_none() {
            // One of this run has been looked at already.
            for forgotten in self.forgotten(node).await?.into_iter().filter(|forgotten| forgotten.cycle != run.cycle) {
                self.take_back_forgotten(run, mature, node, &forgotten).await?;
            }
        }
        Ok(())
    }

    /// Makes one node's payout; none if it cannot be paid, or has one that is still open from another run (`busy`).
    async fn plan_node(
        &self,
        run: &Run,
        mature: &SettlementRecord,
        node: NodeId,
        head: Head,
        busy: bool,
        observed_s: u64,
    ) -> Result<(), ServiceError> {
        let id = PayoutId::derive(self.family, run.cycle, node, 0);
        if let Some(existing) = self.store().payout(id).await? {
            return self.planned_before(existing).await;
        }
        // A reservation without its payout is a crash between the two: its amount stands, unless it was given back.
        let reserved = match self.store().entry(&format!("rsv:{id}")).await? {
            Some(_) if self.store().entry(&format!("cls:{id}")).await?.is_some() => return Ok(()),
            Some(entry) => Some(set_aside_by(&entry)),
            None => None,
        };
        let Some((record, wallet)) = self.store().node(node).await?.and_then(|node| node.wallet.map(|wallet| (node, wallet))) else { return Ok(()) };
        let payable = !busy && self.payable_wallet(&record).is_some();
        let amount = match reserved {
            Some(amount) => amount,
            None if !payable => return Ok(()),
            None => {
                let amount = self.payable(node, head, mature).await?;
                if amount < self.config.payout_min || amount <= MicroUsdt::ZERO {
                    return Ok(());
                }
                self.set_aside(Draft::reserve(id, node, amount)?, amount).await?
            }
        };
        let payout = Payout { observed_s, ..self.reserved_payout(id, run, &record, wallet, amount, mature) };
        if !payable {
            return self.take_back(payout).await;
        }
        let audit =
            self.audit_entry(&Actor::system(), "payout.create", id, format!("{amount} USDT to node {node}, run {}", run.id)).creating(&payout);
        if !self.store().create_payout(payout.clone(), audit).await? {
            return self.take_back(payout).await;
        }
        self.emit(EventKind::PayoutChanged { payout: id, node, state: payout.state, amount, txid: None, reason: None });
        Ok(())
    }

    /// Books a reservation; how much is set aside. Another planner may have booked it since the balance was read, with what
    /// was there then, or have set aside what is not there any more.
    async fn set_aside(&self, reservation: Draft, amount: MicroUsdt) -> Result<MicroUsdt, ServiceError> {
        let id = reservation.id.clone();
        match self.book_draft(reservation).await {
            Ok(Booked::Already) => {
                let booked = self.store().entry(&id).await?.ok_or(ServiceError::Changed { what: "reservation" })?;
                Ok(set_aside_by(&booked))
            }
            Ok(_) => Ok(amount),
            Err(ServiceError::Ledger(LedgerError::Overdrawn { .. })) => Err(ServiceError::Changed { what: "balance" }),
            Err(error) => Err(error),
        }
    }

    /// A reservation of which nothing is to be paid. A payout that is never sent takes the place of the one that would have
    /// been: only who fills that place may free the money, so that no other planner makes a payout of it.
    async fn take_back(&self, payout: Payout) -> Result<(), ServiceError> {
        let (id, reason) = (payout.id, Some("nothing was to be paid any more when it was planned".to_owned()));
        let never_sent = Payout { state: PayoutState::Cancelled, reason, processed_at: Some(self.now()), closed: true, ..payout };
        let audit = self.audit_entry(&Actor::system(), "payout.create", id, format!("cancelled, {} USDT", never_sent.amount)).creating(&never_sent);
        self.store().create_payout(never_sent, audit).await?;
        match self.store().payout(id).await? {
            Some(there) => self.planned_before(there).await,
            None => Err(ServiceError::Changed { what: "payout" }),
        }
    }

    /// What an earlier planner made of a reservation, or another one just now. The money of what is never sent is freed, if
    /// that planner did not come so far.
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
        let wallet = node.wallet?;
        let settled = wallet.version == 1 || wallet.since.plus_ms(self.config.wallet_cooldown_ms) <= self.now();
        (settled && node.status != NodeStatus::Suspended).then_some(wallet)
    }

    /// What of a balance may be paid: not what accrued in a period that is not mature yet.
    async fn payable(&self, node: NodeId, head: Head, mature: &SettlementRecord) -> Result<MicroUsdt, ServiceError> {
        let (mut amount, mut period) = (head.balances.available, mature.period.next());
        while period.start() <= self.now() {
            if let Some(entry) = self.store().entry(&format!("acc:{}:{node}", period.start_s)).await? {
                let fresh = entry.draft.legs.iter().find(|l| l.account == Account::Available(node)).map(|l| l.amount).unwrap_or_default();
                amount = amount.checked_sub(fresh)?;
            }
            period = period.next();
        }
        Ok(amount)
    }

    fn reserved_payout(&self, id: PayoutId, run: &Run, node: &Node, wallet: Wallet, amount: MicroUsdt, mature: &SettlementRecord) -> Payout {
        let now = self.now();
        Payout {
            id,
            run: run.id,
            node: node.id,
            owner: node.owner,
            cycle: run.cycle,
            attempt: 0,
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
            closed: false,
            score: node.score,
            observed_s: 0,
            period_start_s: mature.period.start_s,
            period_end_s: mature.period.end_s(),
            plan: run.version,
            version: 1,
        }
    }

    /// A scheduled run approves itself only up to the configured sum and inside the cycle's cap; else it waits.
    async fn approve_scheduled(&self, run: Run) -> Result<Option<Run>, ServiceError> {
        if let Some(reason) = self.refusal(&run) {
            self.alert("payout-run", format!("run {} waits for approval: {reason}", run.id));
            return Ok(None);
        }
        self.clear_alert("payout-run");
        let approved = Run { state: RunState::Approved, approver: Some("system".into()), ..run.clone() };
        self.replace_run(&run, approved, &Actor::system(), "run.approve").await.map(Some)
    }

    /// Why a planned run waits for a person.
    fn refusal(&self, run: &Run) -> Option<String> {
        match self.config.cycle_cap {
            None => Some("no cap per cycle is set, so that nothing is paid".to_owned()),
            Some(cap) if run.total > cap => Some(format!("{} USDT are above the cap per cycle of {cap} USDT", run.total)),
            Some(_) if run.total > self.config.auto_approve_max => {
                Some(format!("{} USDT are above what a schedule may approve ({} USDT)", run.total, self.config.auto_approve_max))
            }
            Some(_) => None,
        }
    }

    /// Lets a planned run go.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, planned it, the run is above the cap, or is not waiting.
    pub async fn approve_run(&self, actor: &Actor, id: RunId) -> Result<Run, ServiceError> {
        treasurer(actor)?;
        let run = self.run(id).await?;
        if self.config.four_eyes && run.planner == actor.subject {
            return Err(ServiceError::Forbidden { why: "who plans a run cannot approve it" });
        }
        if self.config.cycle_cap.is_none_or(|cap| run.total > cap) {
            return Err(ServiceError::invalid("total", "the run is above the cap per cycle, or none is set (PAYOUT_CYCLE_CAP_USDT)"));
        }
        if run.state != RunState::Planned || run.is_being_planned() {
            return Err(ServiceError::Changed { what: "run" });
        }
        self.clear_alert("payout-run");
        let approved = Run { state: RunState::Approved, approver: Some(actor.subject.clone()), ..run.clone() };
        self.replace_run(&run, approved, actor, "run.approve").await
    }

    /// Records that money came into the treasury; the same reference twice is one deposit.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, or the amount is not above zero.
    pub async fn deposit(&self, actor: &Actor, reference: &str, amount: MicroUsdt) -> Result<bool, ServiceError> {
        treasurer(actor)?;
        self.fund_treasury(actor, reference, amount, &format!("deposit recorded by {}", actor.subject)).await
    }

    /// Closes runs whose payouts are all final.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn finish_runs(&self) -> Result<(), ServiceError> {
        let open: BTreeSet<RunId> = self.store().open_payouts(u32::MAX).await?.into_iter().map(|p| p.run).collect();
        for run in self.store().open_runs().await? {
            if run.state == RunState::Approved && !open.contains(&run.id) {
                self.replace_run(&run, Run { state: RunState::Done, ..run.clone() }, &Actor::system(), "run.done").await?;
            }
        }
        Ok(())
    }
}

/// What a reservation set aside.
fn set_aside_by(reservation: &Entry) -> MicroUsdt {
    let reserved = |leg: &&Leg| matches!(leg.account, Account::Reserved(_));
    reservation.draft.legs.iter().find(reserved).map(|leg| leg.amount).unwrap_or_default()
}

pub(crate) fn treasurer(actor: &Actor) -> Result<(), ServiceError> {
    if actor.is(Role::Treasurer) { Ok(()) } else { Err(ServiceError::Forbidden { why: "this needs role treasurer" }) }
}
