//! The payout worker: drives [`lucid_model::payout::step`], and makes every state durable before its effects.

use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt, stream};
use lucid_model::{
    audit::AuditEntry,
    event::EventKind,
    id::RunId,
    ledger::Draft,
    money::MicroUsdt,
    payout::{Capabilities, Closing, Effect, Event, Payout, PayoutState, Run, RunState, step},
    time::TimeMs,
};
use lucid_ports::{Fence, PaymentRail, PayoutUpdate, TRACE, Tenure};

use crate::{Actor, Service, ServiceError};

/// Payouts read in one step.
const PAYOUTS_A_STEP: u32 = 1_000;
/// How long after it was decided a payout is sent at most, if writing the decision took so long: what was true of the rail
/// then may not be any more.
const DECIDED_MS_MAX: i64 = 20_000;
/// What the alert about too much that is in doubt is about.
const DOUBT: &str = "payouts-in-doubt";
/// What the alert about a payer that was replaced is about.
pub const PAYER: &str = "payer";

/// Why a payout is cancelled whose node cannot be paid any more.
const HELD: &str = "the wallet changed since the plan, or the node is suspended";

impl Service {
    /// Shuts out every payer before this one; what was in flight when it ended is in doubt. Run by whoever becomes the
    /// payer, before its first [`Service::pay_step`]; running it again changes nothing.
    ///
    /// # Errors
    /// [`ServiceError::Store`], [`ServiceError::PayerReplaced`].
    #[tracing::instrument(target = TRACE, level = "trace", name = "service.recover_payouts", skip_all)]
    pub async fn recover_payouts(&self, tenure: &Tenure) -> Result<u32, ServiceError> {
        let Some(rail) = self.ports.rail.clone() else { return Ok(0) };
        let greatest = self.store().begin_paying(tenure.fence()).await?;
        if greatest != tenure.fence() {
            return Err(self.replaced(tenure, Some(greatest)));
        }
        self.clear_alert(PAYER);
        let mut recovered = 0;
        for payout in self.store().open_payouts(u32::MAX).await? {
            if payout.state == PayoutState::Submitting {
                self.drive(tenure, rail.as_ref(), payout, Event::Recovered).await?;
                recovered += 1;
            }
        }
        Ok(recovered)
    }

    /// Takes every open payout one step further. Answers how many moved.
    ///
    /// # Errors
    /// [`ServiceError::Store`]; what is half done goes on at the next call. [`ServiceError::PayerReplaced`]: another payer
    /// goes on with it, and this one must not call again with this tenure.
    pub async fn pay_step(&self, tenure: &Tenure) -> Result<u32, ServiceError> {
        let Some(rail) = self.ports.rail.clone() else { return Ok(0) };
        let switch = self.store().payments_switch().await?;
        let frozen = self.tell_of_switch(&switch);
        *self.restored_at.lock() = switch.restored_at;
        let open_runs = self.store().open_runs().await?;
        let paused = frozen || self.now() < *self.rail_paused_until.lock() || self.too_much_is_in_doubt().await?;
        let waiting = open_runs.iter().filter(|run| paused || !run.is_executed()).map(|run| run.id).collect();
        let found = self.store().due_payouts(waiting, paused, PAYOUTS_A_STEP).await?;
        if found.is_empty() {
            return Ok(0);
        }
        let runs = self.runs_of(open_runs, &found).await?;
        let due = found.into_iter().filter(|p| self.is_due(p, paused, runs.get(&p.run)));
        let outcomes: Vec<_> = stream::iter(due)
            .map(|payout| self.take_further(tenure, Arc::clone(&rail), payout, &runs))
            .buffer_unordered(self.config.payouts_in_flight_max.max(1))
            .collect()
            .await;
        let mut moved = 0;
        for outcome in outcomes {
            moved += u32::from(outcome?);
        }
        Ok(moved)
    }

    /// The runs of payouts that were not sent yet.
    async fn runs_of(&self, open_runs: Vec<Run>, due: &[Payout]) -> Result<BTreeMap<RunId, Run>, ServiceError> {
        let mut runs: BTreeMap<_, _> = open_runs.into_iter().map(|run| (run.id, run)).collect();
        for payout in due.iter().filter(|payout| payout.state == PayoutState::Reserved) {
            if !runs.contains_key(&payout.run)
                && let Some(ended) = self.store().run(payout.run).await?
            {
                runs.insert(ended.id, ended);
            }
        }
        Ok(runs)
    }

    /// Whether so much is in doubt that nothing more is sent.
    async fn too_much_is_in_doubt(&self) -> Result<bool, ServiceError> {
        let Some(most) = self.config.unknown_max else { return Ok(false) };
        let open = self.store().open_parts().await?;
        let in_doubt = open.iter().filter(|part| matches!(part.state, PayoutState::Unknown | PayoutState::Manual)).map(|part| part.total);
        let in_doubt = MicroUsdt::checked_sum(in_doubt)?;
        *self.in_doubt.lock() = in_doubt;
        if in_doubt > most {
            self.alert(
                DOUBT,
                format!("{in_doubt} USDT are in doubt, which is more than {most} USDT: nothing more is sent until it is known what became of them"),
            );
        } else {
            self.clear_alert(DOUBT);
        }
        Ok(in_doubt > most)
    }

    fn is_due(&self, payout: &Payout, paused: bool, run: Option<&Run>) -> bool {
        match payout.state {
            PayoutState::Reserved => run.is_some_and(|run| (run.is_executed() && !paused) || is_never_sent(payout, run).is_some()),
            PayoutState::Submitting => !paused && payout.next_attempt_at <= self.now(),
            PayoutState::Manual => false,
            state => state.is_final() || payout.next_attempt_at <= self.now(),
        }
    }

    async fn take_further(
        &self,
        tenure: &Tenure,
        rail: Arc<dyn PaymentRail>,
        payout: Payout,
        runs: &BTreeMap<RunId, Run>,
    ) -> Result<bool, ServiceError> {
        let never = runs.get(&payout.run).map_or(Some("its run is not there"), |run| is_never_sent(&payout, run));
        let event = match (payout.state, never) {
            (PayoutState::Reserved, Some(why)) => Event::Cancel { reason: why.into() },
            // Others that went out with it may be in doubt by now.
            (PayoutState::Reserved, None) if self.config.unknown_max.is_some_and(|most| *self.in_doubt.lock() > most) => return Ok(false),
            (PayoutState::Reserved, None) => self.submission(rail.as_ref(), &payout).await?,
            _ => Event::Tick,
        };
        self.drive(tenure, rail.as_ref(), payout, event).await
    }

    /// Before the first send the wallet must still be the planned one, and past its cool-down.
    async fn submission(&self, rail: &dyn PaymentRail, payout: &Payout) -> Result<Event, ServiceError> {
        let node = self.store().node(payout.node).await?;
        let wallet = node.as_ref().and_then(|n| self.payable_wallet(n));
        Ok(match wallet {
            Some(wallet) if wallet.version == payout.wallet_version && wallet.address == payout.address => {
                Event::Submit { request: rail.request(payout) }
            }
            _ => Event::Cancel { reason: HELD.into() },
        })
    }

    /// Applies an event and everything that follows from it at once. `false` if somebody else was first.
    #[tracing::instrument(target = TRACE, level = "trace", name = "service.drive_payout", skip_all)]
    async fn drive(&self, tenure: &Tenure, rail: &dyn PaymentRail, payout: Payout, event: Event) -> Result<bool, ServiceError> {
        let (mut payout, mut next) = (payout, Some(event));
        let mut moved = false;
        while let Some(event) = next.take() {
            let before = payout.clone();
            let first = payout.state == PayoutState::Reserved && matches!(event, Event::Submit { .. });
            let (after, effects) = step(&payout, event, rail.capabilities(), self.config.deadlines, self.now())?;
            payout = after;
            let asks_first = first && self.may_have_been_paid(&payout);
            if asks_first {
                // In doubt from the first write on: whoever is stopped before the next one asks, too, and does not send.
                payout.ambiguous = true;
                self.date_back(&mut payout, rail.capabilities());
            }
            if payout != before {
                payout.version += 1;
                let audit = self.audit_of_payout(&before, &payout);
                if !self.keep_payout(tenure, payout.clone(), audit).await? {
                    return Ok(moved);
                }
                moved = true;
                if payout.state == PayoutState::Unknown && before.state != PayoutState::Unknown {
                    let mut in_doubt = self.in_doubt.lock();
                    *in_doubt = in_doubt.checked_add(payout.amount)?;
                }
                self.tell_of_payout(&before, &payout);
            }
            for effect in effects {
                match effect {
                    // It is as if it had been sent already.
                    Effect::Send if asks_first => next = Some(Event::Recovered),
                    // Between the write and here the process may have been stopped for longer than its lease.
                    Effect::Send if !tenure.is_good() => return Err(self.replaced(tenure, None)),
                    // It is `Submitting` and stays so: whether it may be sent is decided again when it is due.
                    Effect::Send if self.now().ms_since(payout.updated_at) > DECIDED_MS_MAX => return Ok(moved),
                    Effect::Send => {
                        let request = payout.request.clone().unwrap_or_default();
                        next = Some(Event::Answered(rail.send(&payout, &request).await));
                    }
                    Effect::Look => next = Some(Event::Looked(rail.look(&payout).await)),
                    Effect::Close(closing) => self.close_payout(tenure, &mut payout, closing).await?,
                    Effect::PauseRail => *self.rail_paused_until.lock() = self.now().plus_ms(self.config.rail_pause_ms),
                    Effect::Alert => {
                        self.alert("payout", format!("payout {} is {}: {}", payout.id, payout.state.name(), payout.reason.as_deref().unwrap_or("-")))
                    }
                }
            }
        }
        Ok(moved)
    }

    /// Whether a payout that this store never sent may have been sent all the same: by what was there before the store was restored.
    fn may_have_been_paid(&self, payout: &Payout) -> bool {
        self.restored_at.lock().is_some_and(|at| TimeMs::from_unix_s(payout.cycle) <= at)
    }

    /// A payment service may have forgotten the key of what was sent long ago: it was sent when its cycle was first payable, then, and a person
    /// looks at it unless it is found.
    fn date_back(&self, payout: &mut Payout, can: Capabilities) {
        let earliest = TimeMs::from_unix_s(payout.period_end_s).plus_ms(self.config.maturity_ms);
        if self.now().ms_since(earliest) >= can.key_retention_ms {
            payout.submitted_at = Some(earliest);
        }
    }

    /// Makes a change durable under the payer's fence. `false` if somebody else was first.
    async fn keep_payout(&self, tenure: &Tenure, payout: Payout, audit: Option<AuditEntry>) -> Result<bool, ServiceError> {
        match self.store().update_payouts(tenure.fence(), vec![(payout, audit)]).await?.first() {
            Some(PayoutUpdate::Done) => Ok(true),
            Some(PayoutUpdate::FencedOff { by }) => Err(self.replaced(tenure, Some(*by))),
            Some(PayoutUpdate::Conflict) | None => Ok(false),
        }
    }

    pub(crate) fn replaced(&self, tenure: &Tenure, by: Option<Fence>) -> ServiceError {
        let error = ServiceError::PayerReplaced { by };
        self.alert(PAYER, format!("{error}; its own fence was {}", tenure.fence()));
        error
    }

    /// Books the closing entry; an entry that is there already is the same one (I4).
    async fn close_payout(&self, tenure: &Tenure, payout: &mut Payout, closing: Closing) -> Result<(), ServiceError> {
        let cause = payout.txid.clone().or_else(|| payout.reason.clone()).unwrap_or_default();
        self.book_draft(Draft::close(payout.id, payout.node, payout.amount, closing == Closing::Settle, cause)?).await?;
        let before = payout.clone();
        payout.closed = true;
        payout.version += 1;
        let audit = self.audit_of_payout(&before, payout);
        self.keep_payout(tenure, payout.clone(), audit).await?;
        Ok(())
    }

    /// None if nothing changed but when it is looked at again.
    pub(crate) fn audit_of_payout(&self, before: &Payout, after: &Payout) -> Option<AuditEntry> {
        let state = if after.closed { "closed" } else { after.state.name() };
        let detail = after.reason.as_ref().map_or_else(|| state.to_owned(), |reason| format!("{state}: {reason}"));
        let entry = self.audit_entry(&Actor::system(), "payout.change", after.id, detail).changing(before, after);
        (entry.before != entry.after).then_some(entry)
    }

    pub(crate) fn tell_of_payout(&self, before: &Payout, after: &Payout) {
        if before.state != after.state {
            metrics::counter!("lucid_payout_transitions_total", "state" => after.state.name()).increment(1);
            let (payout, node, state, amount) = (after.id, after.node, after.state, after.amount);
            if state == PayoutState::Cancelled && after.reason.as_deref() == Some(HELD) {
                self.emit(EventKind::PayoutHeld { payout, node, amount, reason: HELD.into() });
            }
            self.emit(EventKind::PayoutChanged { payout, node, state, amount, txid: after.txid.clone(), reason: after.reason.clone() });
        }
    }
}

/// Why a payout is never sent, if it is not: its run was taken back, or a planner that was replaced added it when its run's planning
/// had ended already, so that nobody approved it.
fn is_never_sent(payout: &Payout, run: &Run) -> Option<&'static str> {
    if run.state == RunState::Cancelled {
        return Some("its run was cancelled");
    }
    (!run.is_being_planned() && payout.plan != run.plan).then_some("it was not in the plan that its run ended with")
}
