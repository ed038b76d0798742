//! Payout runs: who is paid how much in a cycle. Planning sets the money aside, approving says that
//! it is right, executing lets it go.

mod forgotten;
mod jumps;
mod plan_node;
mod planning;
mod receipts;
mod report;
mod unpaid;

use lucid_foundation::{Actor, Role, ServiceError};
use lucid_model::{
    id::{NodeId, PayoutId, RunId},
    money::{
        MicroUsdt, merkle,
        payout::PayoutState,
        run::{Run, RunEvent, RunPart, RunStage, SCHEDULE, step},
        settlement::SettlementRecord,
    },
    notifications::event::EventKind,
};
use lucid_ports::{HeldLease, Order, Page, PageRequest};

pub(crate) use self::receipts::Receipts;
pub use self::{
    receipts::PayoutProof,
    report::{LeftOut, NotPaid, RunLine, RunReport},
    unpaid::{Balance, Unpaid, UnpaidFilter, UnpaidLine, UnpaidReport},
};
use crate::Money;

/// Nodes that a person may choose for one run.
const CHOSEN_MAX: usize = 1_000;
/// What alerts about runs that wait for approval are about.
pub const RUN: &str = "payout-run";
/// Runs read at once.
const RUNS_A_PAGE: u32 = 100;

impl Money {
    /// Plans the run of the last mature settlement period, once, and runs that people asked for;
    /// approves the scheduled one by itself where that is allowed. What was begun for an earlier
    /// period is ended first, since it has set money aside. Planning is the payer's: what another
    /// one that does not know yet that it was replaced adds to a run belongs to an earlier
    /// planning, and is never sent.
    ///
    /// # Errors
    /// [`ServiceError`] if something is missing now; the next call goes on where this one stopped.
    pub async fn plan_due_run(&self, lease: &HeldLease) -> Result<Option<Run>, ServiceError> {
        if self.parts.clock.sure_now().is_none() {
            return Ok(None);
        }
        for run in self.parts.runs.open_runs().await? {
            match run.stage() {
                RunStage::Planning => {
                    if let Some(period) = self.parts.settlements.settlement(run.cycle).await? {
                        let taken_over = self
                            .change_run(
                                &run,
                                RunEvent::TakeOver,
                                &Actor::system(),
                                "run.plan_again",
                            )
                            .await?;
                        return self.finish_plan(lease, taken_over, &period).await;
                    }
                }
                RunStage::Waiting if run.is_scheduled() && self.refusal(&run).await?.is_none() => {
                    return self.approve_scheduled(run).await;
                }
                _ => {}
            }
        }
        let Some(period) = self.last_mature_period().await? else { return Ok(None) };
        let cycle = period.period.start_s;
        let id = RunId::derive(self.parts.family, cycle);
        match self.parts.runs.run(id).await? {
            Some(run) => {
                let waits = run.stage() == RunStage::Waiting;
                let approved =
                    if waits { self.approve_scheduled(run.clone()).await? } else { None };
                if approved.is_none() {
                    self.sweep_money(&run, &period).await?;
                }
                Ok(approved)
            }
            None => {
                let run = self.open_run(&Actor::system(), id, cycle, Vec::new()).await?;
                self.finish_plan(lease, run, &period).await
            }
        }
    }

    /// Opens a run for chosen nodes, or for everybody who can be paid; whoever pays plans it next.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, a node is not there, or no period is mature yet.
    pub async fn plan_run(
        &self,
        actor: &Actor,
        mut nodes: Vec<NodeId>,
    ) -> Result<Run, ServiceError> {
        treasurer(actor)?;
        self.parts.clock.sure_now().ok_or(ServiceError::ClockDoubted)?;
        nodes.sort_unstable();
        nodes.dedup();
        if nodes.len() > CHOSEN_MAX {
            return Err(ServiceError::invalid("node_ids", format!("must be at most {CHOSEN_MAX}")));
        }
        for node in &nodes {
            if self.parts.nodes.node(*node).await?.is_none() {
                return Err(ServiceError::no("node"));
            }
        }
        let Some(mature) = self.last_mature_period().await? else {
            return Err(ServiceError::NothingMature);
        };
        let id = RunId(self.parts.ids.new_id(actor));
        // An earlier try of the same request made it: its answer was lost.
        match self.parts.runs.run(id).await? {
            Some(made) => Ok(made),
            None => self.open_run(actor, id, mature.period.start_s, nodes).await,
        }
    }

    /// Plans a payout again that was given back: a run of its node alone.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, or it is not over, or was paid.
    pub async fn retry_payout(&self, actor: &Actor, id: PayoutId) -> Result<Run, ServiceError> {
        treasurer(actor)?;
        let payout = self.payout(actor, id).await?;
        if !(payout.closed && matches!(payout.state, PayoutState::Failed | PayoutState::Cancelled))
        {
            return Err(ServiceError::NotGivenBack { state: payout.state.name() });
        }
        self.plan_run(actor, vec![payout.node]).await
    }

    async fn last_mature_period(&self) -> Result<Option<SettlementRecord>, ServiceError> {
        let Some(mut last) = self.parts.settlements.last_settlement().await? else {
            return Ok(None);
        };
        let mature = |record: &SettlementRecord| {
            record.period.end().plus_ms(self.config.maturity_ms) <= self.parts.clock.now()
        };
        while !mature(&last) {
            let before = self.parts.rules.settlement.period_at(last.period.start().plus_ms(-1));
            match self.parts.settlements.settlement(before.start_s).await? {
                Some(record) => last = record,
                None => return Ok(None),
            }
        }
        Ok(Some(last))
    }

    async fn open_run(
        &self,
        planner: &Actor,
        id: RunId,
        cycle: i64,
        nodes: Vec<NodeId>,
    ) -> Result<Run, ServiceError> {
        let now = self.parts.clock.now();
        let run = Run::open(id, cycle, planner.subject.clone(), nodes, now);
        let audit = self
            .parts
            .audit
            .entry(planner, "run.open", id, format!("cycle {cycle}"))
            .creating(&run);
        // Who opened it before us may still be planning it: with the same number, what it adds
        // would count as ours.
        if self.parts.runs.create_run(run.clone(), audit).await? {
            Ok(run)
        } else {
            Err(ServiceError::Changed { what: "run" })
        }
    }

    /// Lets something happen to a run, unless somebody else was there first.
    pub(super) async fn change_run(
        &self,
        before: &Run,
        event: RunEvent,
        actor: &Actor,
        action: &str,
    ) -> Result<Run, ServiceError> {
        let run = step(before, event, self.parts.clock.now())?;
        let audit = self
            .parts
            .audit
            .entry(actor, action, run.id, format!("{} payouts, {} USDT", run.count, run.total))
            .changing(before, &run);
        if !self.parts.runs.update_run(run.clone(), audit).await? {
            return Err(ServiceError::Changed { what: "run" });
        }
        self.parts.notifications.emit(EventKind::RunChanged {
            run: run.id,
            state: run.state.name(),
            payouts: run.count,
            total: run.total,
        });
        Ok(run)
    }

    /// A scheduled run approves itself only up to the configured sum, inside the cycle's cap and
    /// where nobody gets far more than before; else it waits.
    async fn approve_scheduled(&self, run: Run) -> Result<Option<Run>, ServiceError> {
        if let Some(reason) = self.refusal(&run).await? {
            self.parts.notifications.alert_of(
                RUN,
                run.id.to_string(),
                format!("run {} waits for approval: {reason}", run.id),
            );
            return Ok(None);
        }
        self.parts.notifications.clear_alert_of(RUN, &run.id.to_string());
        let approve = RunEvent::Approve { by: SCHEDULE.to_owned() };
        self.change_run(&run, approve, &Actor::system(), "run.approve").await.map(Some)
    }

    /// Why a planned run waits for a person.
    async fn refusal(&self, run: &Run) -> Result<Option<String>, ServiceError> {
        if let Some(reason) = &run.reason {
            return Ok(Some(reason.clone()));
        }
        if run.total > self.config.auto_approve_max {
            return Ok(Some(format!(
                "{} USDT are above what a schedule may approve ({} USDT)",
                run.total, self.config.auto_approve_max
            )));
        }
        self.above_the_cap(run).await
    }

    /// Why a run may not be approved by anybody: what all approved runs of a cycle pay is capped.
    async fn above_the_cap(&self, run: &Run) -> Result<Option<String>, ServiceError> {
        let Some(cap) = self.config.cycle_cap else {
            return Ok(Some("no cap per cycle is set, so that nothing is paid".to_owned()));
        };
        let (mut approved, mut page) = (MicroUsdt::ZERO, 1);
        loop {
            let request =
                PageRequest { page, limit: RUNS_A_PAGE, sort: (), order: Order::Ascending };
            let runs = self.parts.runs.runs(Some(run.cycle), request).await?.items;
            for other in runs.iter().filter(|other| other.id != run.id && other.may_have_paid()) {
                approved = approved.checked_add(other.total)?;
            }
            if runs.len() < RUNS_A_PAGE as usize {
                break;
            }
            page += 1;
        }
        let all = approved.checked_add(run.total)?;
        Ok((all > cap).then(|| format!("{all} USDT in this cycle, of which {approved} in other runs, are above its cap of {cap} USDT")))
    }

    /// Approves a planned run. A scheduled one goes at once, others when somebody executes them.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, planned it, the cycle's cap is reached, or it is not
    /// waiting.
    pub async fn approve_run(&self, actor: &Actor, id: RunId) -> Result<Run, ServiceError> {
        treasurer(actor)?;
        let run = self.run(id).await?;
        if self.parts.rules.four_eyes && run.planner == actor.subject {
            return Err(ServiceError::Forbidden { why: "who plans a run cannot approve it" });
        }
        if run.stage() != RunStage::Waiting {
            return Err(ServiceError::Changed { what: "run" });
        }
        if let Some(reason) = self.above_the_cap(&run).await? {
            return Err(ServiceError::invalid(
                "total",
                format!("{reason} (PAYOUT_CYCLE_CAP_USDT)"),
            ));
        }
        if run.is_scheduled() {
            self.parts.notifications.clear_alert_of(RUN, &run.id.to_string());
        }
        let approve = RunEvent::Approve { by: actor.subject.clone() };
        self.change_run(&run, approve, actor, "run.approve").await
    }

    /// Lets an approved run's payouts go; one that goes already is answered as it is.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, nobody approved it, or nothing is there to pay with.
    pub async fn execute_run(&self, actor: &Actor, id: RunId) -> Result<Run, ServiceError> {
        treasurer(actor)?;
        let run = self.run(id).await?;
        if self.parts.rail.is_none() {
            return Err(ServiceError::NoRail);
        }
        if matches!(run.stage(), RunStage::Sending | RunStage::Done) {
            return Ok(run);
        }
        let execute = RunEvent::Execute { by: actor.subject.clone() };
        self.change_run(&run, execute, actor, "run.execute").await
    }

    /// Takes a run back: what was not sent is cancelled by whoever pays, and its money is the
    /// nodes' again.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, or it is over.
    pub async fn cancel_run(
        &self,
        actor: &Actor,
        id: RunId,
        reason: String,
    ) -> Result<Run, ServiceError> {
        treasurer(actor)?;
        let run = self.run(id).await?;
        if run.stage() == RunStage::Cancelled {
            return Ok(run);
        }
        let was_scheduled = run.is_scheduled();
        let cancelled =
            self.change_run(&run, RunEvent::Cancel { reason }, actor, "run.cancel").await?;
        if was_scheduled {
            self.parts.notifications.clear_alert_of(RUN, &run.id.to_string());
        }
        Ok(cancelled)
    }

    /// Runs, by when they were planned.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn runs(&self, page: PageRequest<()>) -> Result<Page<Run>, ServiceError> {
        Ok(self.parts.runs.runs(None, page).await?)
    }

    /// Records that money came into the treasury; the same reference twice is one deposit.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, or the amount is not above zero.
    pub async fn deposit(
        &self,
        actor: &Actor,
        reference: &str,
        amount: MicroUsdt,
    ) -> Result<bool, ServiceError> {
        treasurer(actor)?;
        self.fund_treasury(
            actor,
            reference,
            amount,
            &format!("deposit recorded by {}", actor.subject),
        )
        .await
    }

    /// Ends runs whose payouts are all final.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn finish_runs(&self) -> Result<(), ServiceError> {
        for run in self.parts.runs.open_runs().await? {
            if run.stage() == RunStage::Sending
                && self.parts.runs.run_parts(run.id).await?.iter().all(|part| part.closed)
            {
                let root = merkle::root(&self.receipts_of(run.id).await?.leaves);
                let finish = RunEvent::Finish { root };
                self.change_run(&run, finish, &Actor::system(), "run.done").await?;
            }
        }
        Ok(())
    }
}

/// Payouts that are to be paid, counted, and their sum.
fn to_pay(parts: &[RunPart]) -> Result<(u32, MicroUsdt), ServiceError> {
    let mut all = (0_u32, MicroUsdt::ZERO);
    for part in parts.iter().filter(|part| part.state != PayoutState::Cancelled) {
        all = (all.0.saturating_add(part.count), all.1.checked_add(part.total)?);
    }
    Ok(all)
}

pub(crate) fn treasurer(actor: &Actor) -> Result<(), ServiceError> {
    if actor.is(Role::Treasurer) {
        Ok(())
    } else {
        Err(ServiceError::Forbidden { why: "this needs role treasurer" })
    }
}
