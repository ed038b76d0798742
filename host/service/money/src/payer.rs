//! The payout worker: drives [`lucid_model::money::payout::step`], and makes every state durable before
//! its effects.

mod drive;
mod freeze;
mod rail;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

use futures::{StreamExt, stream};
use lucid_foundation::ServiceError;
use lucid_model::{
    id::RunId,
    money::{
        MicroUsdt,
        payout::{Breaker, Event, Payout, PayoutState},
        run::{Run, RunStage},
    },
    time::TimeMs,
};
use lucid_ports::{Due, Fence, HeldLease, PaymentRail, TRACE};

pub(crate) use self::drive::MANUAL;
pub use self::freeze::InFlight;
use crate::Money;

/// Payouts read in one step.
const PAYOUTS_A_STEP: u32 = 1_000;
/// What the alert about too much that is in doubt is about.
const DOUBT: &str = "payouts-in-doubt";
/// What the alert about a payer that was replaced is about.
pub const PAYER: &str = "payer";
/// Why a payout is cancelled whose node cannot be paid any more.
const HELD: &str = "the wallet changed since the plan, or the node is suspended";

/// What the payer of this process knows besides the store.
#[derive(Debug, Default)]
pub(crate) struct PayerState {
    /// When it was noticed that the store was restored, if it was.
    restored_at: Option<TimeMs>,
    /// How much is in doubt.
    in_doubt: MicroUsdt,
    /// Whether the rail takes requests.
    sends: Breaker,
    /// Whether the rail answers look-ups.
    looks: Breaker,
    /// The last lease of this process, and since when on the monotonic clock no payer of another
    /// process has begun to send.
    held: Option<(Fence, i64)>,
    /// The freeze that this process saw last, by the switch's version, and when on the monotonic
    /// clock.
    freeze_seen: Option<(u64, i64)>,
}

/// One step of the payer.
struct Paying<'a> {
    lease: &'a HeldLease,
    rail: &'a dyn PaymentRail,
    /// Nothing is sent, whatever a payout's state says.
    frozen: bool,
    /// Somebody else pays by now: nothing more is begun.
    over: AtomicBool,
}

impl Money {
    /// Shuts out every payer before this one; what was in flight when it ended is in doubt. Run by
    /// whoever becomes the payer, before its first [`Money::pay_step`]; running it again changes
    /// nothing.
    ///
    /// # Errors
    /// [`ServiceError::Store`], [`ServiceError::PayerReplaced`].
    #[tracing::instrument(target = TRACE, level = "trace", name = "service.recover_payouts", skip_all)]
    pub async fn recover_payouts(&self, lease: &HeldLease) -> Result<u32, ServiceError> {
        let Some(rail) = self.parts.rail.clone() else { return Ok(0) };
        self.begin_paying(lease).await?;
        self.parts.notifications.clear_alert(PAYER);
        let paying =
            Paying { lease, rail: rail.as_ref(), frozen: true, over: AtomicBool::new(false) };
        let mut recovered = 0;
        for payout in self.parts.payouts.open_payouts(u32::MAX).await? {
            if payout.state == PayoutState::Manual {
                self.alert_manual(&payout);
            }
            if payout.state == PayoutState::Submitting {
                self.drive(&paying, payout, Event::Recovered).await?;
                recovered += 1;
            }
        }
        Ok(recovered)
    }

    /// Takes every due payout one step further: at most one look-up and one send each. Answers how
    /// many moved.
    ///
    /// # Errors
    /// [`ServiceError::Store`]; what is half done goes on at the next call.
    /// [`ServiceError::PayerReplaced`]: another payer goes on with it, and this one must not call
    /// again with this lease.
    pub async fn pay_step(&self, lease: &HeldLease) -> Result<u32, ServiceError> {
        let Some(rail) = self.parts.rail.clone() else { return Ok(0) };
        let switch = self.parts.decisions.payments_switch().await?;
        let frozen =
            self.alert_if_frozen(&switch) || self.parts.vitals.store_holds_payments().await?;
        self.follow_freeze(lease, &switch).await?;
        let (sends, looks) = {
            let (mut state, now) = (self.payer.lock(), self.mono());
            state.restored_at = switch.restored_at;
            (
                !frozen && state.sends.open_until(now).is_none(),
                state.looks.open_until(now).is_none(),
            )
        };
        let open_runs = self.parts.runs.open_runs().await?;
        let sends = sends && !self.too_much_is_in_doubt().await?;
        let waiting = open_runs
            .iter()
            .filter(|run| !sends || run.stage() != RunStage::Sending)
            .map(|run| run.id)
            .collect();
        let found = self
            .parts
            .payouts
            .due_payouts(Due {
                now: self.parts.clock.now(),
                waiting,
                sends,
                looks,
                limit: PAYOUTS_A_STEP,
            })
            .await?;
        if found.is_empty() {
            return Ok(0);
        }
        let runs = self.runs_of(open_runs, &found).await?;
        let due = found.into_iter().filter(|payout| may_move(payout, sends, runs.get(&payout.run)));
        let paying = Paying { lease, rail: rail.as_ref(), frozen, over: AtomicBool::new(false) };
        let outcomes: Vec<_> = stream::iter(due)
            .map(|payout| self.take_further(&paying, payout, &runs))
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
    async fn runs_of(
        &self,
        open_runs: Vec<Run>,
        due: &[Payout],
    ) -> Result<BTreeMap<RunId, Run>, ServiceError> {
        let mut runs: BTreeMap<_, _> = open_runs.into_iter().map(|run| (run.id, run)).collect();
        for payout in due.iter().filter(|payout| payout.state == PayoutState::Reserved) {
            if !runs.contains_key(&payout.run)
                && let Some(ended) = self.parts.runs.run(payout.run).await?
            {
                runs.insert(ended.id, ended);
            }
        }
        Ok(runs)
    }

    /// Whether so much is in doubt that nothing more is sent.
    async fn too_much_is_in_doubt(&self) -> Result<bool, ServiceError> {
        let Some(most) = self.config.unknown_max else { return Ok(false) };
        let open = self.parts.payouts.open_parts().await?;
        let in_doubt = open
            .iter()
            .filter(|part| matches!(part.state, PayoutState::Unknown | PayoutState::Manual))
            .map(|part| part.total);
        let in_doubt = MicroUsdt::checked_sum(in_doubt)?;
        self.payer.lock().in_doubt = in_doubt;
        if in_doubt > most {
            self.parts.notifications.alert(
                DOUBT,
                format!("{in_doubt} USDT are in doubt, which is more than {most} USDT: nothing more is sent until it is known what became of them"),
            );
        } else {
            self.parts.notifications.clear_alert(DOUBT);
        }
        Ok(in_doubt > most)
    }

    /// One payout's part of a step. Once somebody else pays, the others are left to them.
    async fn take_further(
        &self,
        paying: &Paying<'_>,
        payout: Payout,
        runs: &BTreeMap<RunId, Run>,
    ) -> Result<bool, ServiceError> {
        if paying.over.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let never = runs
            .get(&payout.run)
            .map_or(Some("its run is not there"), |run| is_never_sent(&payout, run));
        let event = match (payout.state, never) {
            (PayoutState::Reserved, Some(why)) => Event::Cancel { reason: why.into() },
            // Others that went out with it may be in doubt by now.
            (PayoutState::Reserved, None)
                if self
                    .config
                    .unknown_max
                    .is_some_and(|most| self.payer.lock().in_doubt > most) =>
            {
                return Ok(false);
            }
            (PayoutState::Reserved, None) => self.submission(paying.rail, &payout).await?,
            _ => Event::Tick,
        };
        let moved = self.drive(paying, payout, event).await;
        if let Err(ServiceError::PayerReplaced { .. }) = &moved {
            paying.over.store(true, Ordering::Relaxed);
        }
        moved
    }

    /// Before the first send the wallet must still be the planned one, and past its cool-down.
    async fn submission(
        &self,
        rail: &dyn PaymentRail,
        payout: &Payout,
    ) -> Result<Event, ServiceError> {
        let node = self.parts.nodes.node(payout.node).await?;
        let wallet = node.as_ref().and_then(|n| self.payable_wallet(n));
        Ok(match wallet {
            Some(wallet)
                if wallet.version == payout.wallet_version && wallet.address == payout.address =>
            {
                Event::Submit { request: rail.request(payout) }
            }
            _ => Event::Cancel { reason: HELD.into() },
        })
    }

    pub(crate) fn replaced(&self, lease: &HeldLease, by: Option<Fence>) -> ServiceError {
        let error = ServiceError::PayerReplaced { by };
        self.parts
            .notifications
            .alert(PAYER, format!("{error}; its own fence was {}", lease.fence()));
        error
    }

    /// The monotonic clock, for what only this process goes by.
    pub(crate) fn mono(&self) -> TimeMs {
        TimeMs(self.parts.clock.monotonic_ms())
    }
}

/// Whether a payout that is not on its way yet may be touched; all others are due if the store says
/// so.
fn may_move(payout: &Payout, sends: bool, run: Option<&Run>) -> bool {
    payout.state != PayoutState::Reserved
        || run.is_some_and(|run| {
            (run.stage() == RunStage::Sending && sends) || is_never_sent(payout, run).is_some()
        })
}

/// Why a payout is never sent, if it is not: its run was taken back, or a planner that was replaced
/// added it when its run's planning had ended already, so that nobody approved it.
fn is_never_sent(payout: &Payout, run: &Run) -> Option<&'static str> {
    if run.stage() == RunStage::Cancelled {
        return Some("its run was cancelled");
    }
    (run.stage() != RunStage::Planning && payout.plan != run.plan)
        .then_some("it was not in the plan that its run ended with")
}
