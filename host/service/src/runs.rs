//! Payout runs: who is paid how much in a cycle. Planning sets the money aside; approving lets it go.

use std::collections::{BTreeMap, BTreeSet};

use lucid_model::{
    event::EventKind,
    id::{NodeId, PayoutId, RunId},
    ledger::{Account, Draft, Head},
    money::MicroUsdt,
    node::{Node, NodeStatus, Wallet},
    payout::{Payout, PayoutState, Run, RunState},
    settlement::SettlementRecord,
};

use crate::{Actor, Role, Service, ServiceError};

impl Service {
    /// Plans the run of the last mature settlement period, once; approves it by itself where that is allowed.
    ///
    /// # Errors
    /// [`ServiceError`] if something is missing now; the next call goes on where this one stopped.
    pub async fn plan_due_run(&self) -> Result<Option<Run>, ServiceError> {
        let Some(period) = self.last_mature_period().await? else { return Ok(None) };
        let cycle = period.period.start_s;
        let id = RunId::derive(self.family, cycle);
        let run = match self.store().run(id).await? {
            Some(run) if run.state == RunState::Planned && run.version == 1 => run,
            Some(run) if run.state == RunState::Planned => return self.approve_scheduled(run).await,
            Some(_) => return Ok(None),
            None => self.open_run(id, cycle).await?,
        };
        let payouts = self.plan(&run, &period).await?;
        let total = MicroUsdt::checked_sum(payouts.iter().map(|p| p.amount))?;
        let count = u32::try_from(payouts.len()).unwrap_or(u32::MAX);
        let planned = Run { count, total, state: if count == 0 { RunState::Done } else { RunState::Planned }, ..run.clone() };
        let planned = self.replace_run(&run, planned, &Actor::system(), "run.plan").await?;
        if count == 0 { Ok(None) } else { self.approve_scheduled(planned).await }
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
            version: 1,
        };
        let audit = self.audit_entry(&Actor::system(), "run.open", id, format!("cycle {cycle}")).creating(&run);
        self.store().create_run(run.clone(), audit).await?;
        Ok(run)
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
    async fn plan(&self, run: &Run, mature: &SettlementRecord) -> Result<Vec<Payout>, ServiceError> {
        let totals = self.store().totals(mature.period.start_s, mature.period.end_s()).await?;
        let observed: BTreeMap<NodeId, u64> = totals.into_iter().map(|t| (t.node, t.observed_s)).collect();
        let open = self.store().open_payouts(u32::MAX).await?;
        let busy: BTreeSet<NodeId> = open.into_iter().filter(|p| p.run != run.id).map(|p| p.node).collect();
        let mut payouts = Vec::new();
        for (node, head) in self.store().heads_available(MicroUsdt::ZERO).await? {
            let seconds = observed.get(&node).copied().unwrap_or(0);
            payouts.extend(self.plan_node(run, mature, node, head, busy.contains(&node), seconds).await?);
        }
        Ok(payouts)
    }

    /// One node's payout: none if it cannot be paid, or has one that is still open from another run (`busy`).
    async fn plan_node(
        &self,
        run: &Run,
        mature: &SettlementRecord,
        node: NodeId,
        head: Head,
        busy: bool,
        observed_s: u64,
    ) -> Result<Option<Payout>, ServiceError> {
        let id = PayoutId::derive(self.family, run.cycle, node, 0);
        if let Some(existing) = self.store().payout(id).await? {
            return Ok(Some(existing));
        }
        // A reservation without its payout is a crash between the two: its amount stands, unless it was given back.
        let reserved = match self.store().entry(&format!("rsv:{id}")).await? {
            Some(_) if self.store().entry(&format!("cls:{id}")).await?.is_some() => return Ok(None),
            Some(entry) => Some(entry.draft.legs.iter().find(|l| l.account == Account::Reserved(node)).map(|l| l.amount).unwrap_or_default()),
            None => None,
        };
        let record = self.store().node(node).await?.filter(|_| !busy);
        let Some((record, wallet)) = record.and_then(|r| self.payable_wallet(&r).map(|w| (r, w))) else {
            if let Some(amount) = reserved {
                self.give_back(id, node, amount).await?;
            }
            return Ok(None);
        };
        let amount = match reserved {
            Some(amount) => amount,
            None => {
                let amount = self.payable(node, head, mature).await?;
                if amount < self.config.payout_min || amount <= MicroUsdt::ZERO {
                    return Ok(None);
                }
                self.book_draft(Draft::reserve(id, node, amount)?).await?;
                amount
            }
        };
        let payout = Payout { observed_s, ..self.reserved_payout(id, run, &record, wallet, amount, mature) };
        let audit =
            self.audit_entry(&Actor::system(), "payout.create", id, format!("{amount} USDT to node {node}, run {}", run.id)).creating(&payout);
        if !self.store().create_payout(payout.clone(), audit).await? {
            self.give_back(id, node, amount).await?;
            return Ok(None);
        }
        self.emit(EventKind::PayoutChanged { payout: id, node, state: payout.state, amount, txid: None, reason: None });
        Ok(Some(payout))
    }

    /// Frees a reservation that no payout was made for: nothing was ever sent.
    async fn give_back(&self, id: PayoutId, node: NodeId, amount: MicroUsdt) -> Result<(), ServiceError> {
        self.book_draft(Draft::close(id, node, amount, false, "no payout was made of it".into())?).await?;
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
            version: 1,
        }
    }

    /// A scheduled run approves itself only up to the configured sum and inside the cycle's cap; else it waits.
    async fn approve_scheduled(&self, run: Run) -> Result<Option<Run>, ServiceError> {
        let refusal = match self.config.cycle_cap {
            None => Some("no cap per cycle is set, so that nothing is paid".to_owned()),
            Some(cap) if run.total > cap => Some(format!("{} USDT are above the cap per cycle of {cap} USDT", run.total)),
            Some(_) if run.total > self.config.auto_approve_max => {
                Some(format!("{} USDT are above what a schedule may approve ({} USDT)", run.total, self.config.auto_approve_max))
            }
            Some(_) => None,
        };
        if let Some(reason) = refusal {
            self.alert("payout-run", format!("run {} waits for approval: {reason}", run.id));
            return Ok(None);
        }
        self.clear_alert("payout-run");
        let approved = Run { state: RunState::Approved, approver: Some("system".into()), ..run.clone() };
        self.replace_run(&run, approved, &Actor::system(), "run.approve").await.map(Some)
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
        // Version 1 is still being planned.
        if run.state != RunState::Planned || run.version == 1 {
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

fn treasurer(actor: &Actor) -> Result<(), ServiceError> {
    if actor.is(Role::Treasurer) { Ok(()) } else { Err(ServiceError::Forbidden { why: "this needs role treasurer" }) }
}
