//! Is money safe? What an operator is told first.

use lucid_foundation::{STORE_DAMAGED, ServiceError, TaskState};
use lucid_model::{
    epochs::epoch::EpochRecord,
    id::FamilyId,
    money::{
        MicroUsdt,
        ledger::Account,
        payout::{OpenPart, PaymentsSwitch, PayoutState},
        settlement::SettlementRecord,
    },
    time::TimeMs,
};
use lucid_money::{InFlight, LastVerified, Suspected, usdt};
use lucid_ports::{Order, PageRequest};

use crate::Review;

/// Payouts that are compared again and named at most.
const SUSPECTED_NAMED_MAX: usize = 10;

/// What is to be known of money at a glance.
#[derive(Debug, Clone)]
pub struct Standing {
    /// When this was.
    pub at: TimeMs,
    /// Whether payments are frozen.
    pub switch: PaymentsSwitch,
    /// The payment service's name; none: nothing is paid.
    pub rail: Option<String>,
    /// It refuses us until then, at least.
    pub paused_until: Option<TimeMs>,
    /// Payouts that are not over, by state.
    pub open: Vec<OpenPart>,
    /// What is not promised to anybody.
    pub treasury: MicroUsdt,
    /// What nodes left behind and did not claim in time: kept apart.
    pub unclaimed: MicroUsdt,
    /// The store and all its copies.
    pub family: FamilyId,
    /// What is damaged in the store.
    pub damage: Option<String>,
    /// Whether payments wait until the store's pages have been read once.
    pub is_unchecked: bool,
    /// What the service does by itself, and for how long it has not succeeded.
    pub tasks: Vec<TaskState>,
    /// The last verification of the books.
    pub verified: Option<LastVerified>,
    /// The last epoch that was closed.
    pub epoch: Option<EpochRecord>,
    /// Since when the next epoch should be closed, if it should.
    pub epoch_due: Option<TimeMs>,
    /// The last period that was settled.
    pub period: Option<SettlementRecord>,
    /// What treasurers have to confirm.
    pub proposals_open: u64,
    /// What treasurers have to end.
    pub mismatches_open: u64,
    /// What has to be looked up again, as far as this process compares payouts.
    pub suspected: Vec<Suspected>,
    /// Requests that may be on their way.
    pub in_flight: InFlight,
    /// Alerts of the service itself that are raised: about what, and why.
    pub alerts: Vec<(&'static str, String)>,
}

/// How it stands with money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safety {
    /// Nothing to do.
    Safe,
    /// Nothing is lost, and a person should look.
    Attention,
    /// Nothing is paid, or something is wrong with the books.
    Stopped,
}

impl Safety {
    /// `safe`, `attention`, `stopped`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Attention => "attention",
            Self::Stopped => "stopped",
        }
    }
}

impl Standing {
    /// How it stands, and why it is no better.
    pub fn safety(&self) -> (Safety, Vec<String>) {
        let (mut stopped, mut attention) = (Vec::new(), Vec::new());
        if let Some(freeze) = &self.switch.frozen {
            let state = self.switch.state();
            stopped.push(format!(
                "payments are {state} since {} by {}: {}",
                freeze.at, freeze.by, freeze.reason
            ));
            if freeze.still_at.is_none() && self.in_flight.count > 0 {
                stopped.push(format!(
                    "{} requests of {} USDT may still be on their way",
                    self.in_flight.count, self.in_flight.total
                ));
            }
        }
        if let Some(damage) = &self.damage {
            stopped.push(format!("the store is damaged, and nothing is paid: {damage}"));
        }
        if let Some(flaw) = self.verified.as_ref().and_then(|verified| verified.found.flaw.as_ref())
        {
            stopped.push(format!("the books are not in order: {flaw}"));
        }
        if self.is_unchecked {
            attention
                .push("the store is being checked for damage: payments wait for that".to_owned());
        }
        for open in &self.open {
            let words =
                format!("{} payouts of {} USDT are {}", open.count, open.total, open.state.name());
            match open.state {
                PayoutState::Manual => {
                    attention.push(format!("{words}: a treasurer has to say what became of them"))
                }
                PayoutState::Unknown => {
                    attention.push(format!("{words}, the oldest planned at {}", open.oldest))
                }
                _ => {}
            }
        }
        if self.switch.reconciliation.is_some_and(|asked| asked.done_at.is_none()) {
            for Suspected { payout, said, looks } in self.suspected.iter().take(SUSPECTED_NAMED_MAX)
            {
                attention.push(format!("payout {payout} is compared with the payment service again, which said after {looks} look-ups: {said}"));
            }
        }
        if self.proposals_open > 0 {
            attention.push(format!("{} proposals wait for another treasurer", self.proposals_open));
        }
        if let Some(until) = self.paused_until {
            attention.push(format!("the payment service refuses us, until {until} at least"));
        }
        if let Some(due) = self.epoch_due {
            attention.push(format!("an epoch waits to be closed since {due}"));
        }
        attention
            .extend(self.alerts.iter().map(|(about, message)| format!("alert {about}: {message}")));
        let safety = match (stopped.is_empty(), attention.is_empty()) {
            (false, _) => Safety::Stopped,
            (true, false) => Safety::Attention,
            (true, true) => Safety::Safe,
        };
        stopped.extend(attention);
        (safety, stopped)
    }
}

impl Review {
    /// What is to be known of money.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn standing(&self) -> Result<Standing, ServiceError> {
        let now = self.parts.clock.now();
        let epoch = self.parts.epoch_records.last_epoch().await?;
        let late = self
            .parts
            .epochs
            .config()
            .epoch_close_delay_ms
            .max(self.parts.epochs.config().epoch_deadline_ms)
            + 60_000;
        let due = self
            .parts
            .epochs
            .next_epoch(epoch.as_ref())
            .await?
            .map(|next| next.end().plus_ms(late))
            .filter(|due| *due < now);
        let newest = PageRequest { page: 1, limit: 100, sort: (), order: Order::Descending };
        let proposals = self.parts.decisions.proposals(newest).await?.items;
        // What is said by fields of its own is no alert here.
        let told = ["payouts-frozen", "ledger", "payout-proposal", STORE_DAMAGED];
        let alerts = self
            .parts
            .notifications
            .raised_alerts()
            .into_iter()
            .filter(|(about, _)| !told.contains(about))
            .collect();
        Ok(Standing {
            at: now,
            switch: self.parts.decisions.payments_switch().await?,
            rail: self.parts.rail.as_ref().map(|rail| rail.name().to_owned()),
            paused_until: self.parts.money.rail_paused_until(),
            open: self.parts.payouts.open_parts().await?,
            treasury: self.parts.money.treasury().await?,
            unclaimed: self.parts.ledger.account_total(Account::Unclaimed).await?,
            family: self.parts.family,
            damage: self.parts.vitals.store_damage(),
            is_unchecked: self.parts.vitals.store_is_unchecked(),
            tasks: self.parts.vitals.tasks(),
            verified: self.parts.money.last_verified(),
            epoch,
            epoch_due: due,
            period: self.parts.settlements.last_settlement().await?,
            mismatches_open: self
                .parts
                .mismatches
                .mismatches(true, PageRequest { limit: 1, ..newest })
                .await?
                .total,
            suspected: self.parts.money.suspected(),
            in_flight: self.parts.money.in_flight().await?,
            proposals_open: proposals.iter().filter(|proposal| proposal.decided.is_none()).count()
                as u64,
            alerts,
        })
    }
}

impl Review {
    /// Sets the measurements of how it stands with money. They are for graphs and alerts: amounts
    /// are floats there, and nowhere else.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn measure_standing(&self) -> Result<(), ServiceError> {
        let standing = self.standing().await?;
        metrics::gauge!("lucid_payments_frozen")
            .set(f64::from(u8::from(standing.switch.frozen.is_some())));
        metrics::gauge!("lucid_treasury_usdt").set(usdt(standing.treasury));
        metrics::gauge!("lucid_unclaimed_usdt").set(usdt(standing.unclaimed));
        metrics::gauge!("lucid_payout_mismatches_open").set(whole(standing.mismatches_open));
        metrics::gauge!("lucid_proposals_open").set(whole(standing.proposals_open));
        for state in PayoutState::ALL.iter().filter(|state| !state.is_final()) {
            let part = standing.open.iter().find(|part| part.state == *state);
            let age_ms = part.map_or(0, |part| (standing.at.0 - part.oldest.0).max(0));
            metrics::gauge!("lucid_payouts_open", "state" => state.name())
                .set(part.map_or(0.0, |part| whole(part.count)));
            metrics::gauge!("lucid_payouts_open_usdt", "state" => state.name())
                .set(part.map_or(0.0, |part| usdt(part.total)));
            metrics::gauge!("lucid_payouts_oldest_seconds", "state" => state.name())
                .set(seconds(age_ms));
        }
        metrics::gauge!("lucid_epoch_overdue_seconds")
            .set(standing.epoch_due.map_or(0.0, |due| seconds(standing.at.0 - due.0)));
        if let Some(LastVerified { at, found }) = &standing.verified {
            metrics::gauge!("lucid_books_verified_timestamp_seconds").set(seconds(at.0));
            metrics::gauge!("lucid_books_flawed").set(f64::from(u8::from(found.flaw.is_some())));
        }
        Ok(())
    }
}

fn whole(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

fn seconds(ms: i64) -> f64 {
    std::time::Duration::from_millis(ms.unsigned_abs()).as_secs_f64()
}
