//! One payout, one event, and what follows from it at once.

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    audit::AuditEntry,
    money::{
        ledger::Draft,
        payout::{
            Capabilities, Closing, Effect, Event, Payout, PayoutState, Reported, Rules, step,
        },
    },
    notifications::event::EventKind,
    time::TimeMs,
};
use lucid_ports::{HeldLease, PayoutUpdate, TRACE};

use super::{HELD, Paying};
use crate::Money;

/// What alerts about payouts that wait for a person are about.
pub const MANUAL: &str = "payout";

/// What became of a change of a payout.
enum Kept {
    Durable,
    /// Somebody else was first.
    Lost,
    /// Its transaction, or its id at the payment service, is another payout's.
    Taken,
}

impl Money {
    /// Applies an event and everything that follows from it at once. `false` if somebody else was
    /// first.
    #[tracing::instrument(target = TRACE, level = "trace", name = "service.drive_payout", skip_all)]
    pub(super) async fn drive(
        &self,
        paying: &Paying<'_>,
        payout: Payout,
        event: Event,
    ) -> Result<bool, ServiceError> {
        let (mut payout, mut next) = (payout, Some(event));
        let mut moved = false;
        while let Some(event) = next.take() {
            let before = payout.clone();
            let decided = self.mono();
            let first =
                payout.state == PayoutState::Reserved && matches!(event, Event::Submit { .. });
            // Given back, unless a request leaves.
            let right = if !paying.frozen && may_lead_to_a_send(&payout, &event) {
                self.right_to_send()
            } else {
                None
            };
            let (after, effects) =
                step(&payout, event, &self.rules(paying, right.is_some()), self.parts.clock.now())?;
            payout = after;
            let asks_first =
                first && effects.contains(&Effect::Send) && self.may_have_been_paid(&payout);
            if asks_first {
                // In doubt from the first write on: whoever is stopped before the next one asks,
                // too, and does not send.
                payout.ambiguous = true;
                self.date_back(&mut payout, paying.rail.capabilities());
            }
            if payout != before {
                payout.version += 1;
                match self
                    .keep_payout(
                        paying.lease,
                        payout.clone(),
                        self.audit_of_payout(&before, &payout),
                    )
                    .await?
                {
                    Kept::Durable => {}
                    Kept::Lost => return Ok(moved),
                    Kept::Taken => {
                        next = Some(Event::Contradicted {
                            reason: self.contradiction(&payout).await?,
                        });
                        payout = before;
                        continue;
                    }
                }
                moved = true;
                if payout.state == PayoutState::Unknown && before.state != PayoutState::Unknown {
                    let mut state = self.payer.lock();
                    state.in_doubt = state.in_doubt.checked_add(payout.amount)?;
                }
                self.publish_payout(&before, &payout);
            }
            let mut right = right;
            for effect in effects {
                match effect {
                    // It is as if it had been sent already.
                    Effect::Send if asks_first => next = Some(Event::Recovered),
                    // Between the write and here the process may have been stopped for longer than
                    // its lease.
                    Effect::Send if !paying.lease.is_good() => {
                        return Err(self.replaced(paying.lease, None));
                    }
                    // It is `Submitting` and stays so: whether it may be sent is decided again when
                    // it is due.
                    Effect::Send if self.parts.vitals.store_holds_payments().await? => {
                        return Ok(moved);
                    }
                    Effect::Send
                        if self.mono().ms_since(decided)
                            > self.config.payer_limits.decided_ms_max =>
                    {
                        return Ok(moved);
                    }
                    Effect::Send => {
                        let Some(right) = right.take() else { return Ok(moved) };
                        next = Some(Event::Answered(self.send(paying.rail, &payout, right).await));
                    }
                    Effect::Look => {
                        let Some(right) = self.right_to_look() else { return Ok(moved) };
                        next = Some(Event::Looked(self.look(paying.rail, &payout, right).await));
                    }
                    Effect::Close(closing) => {
                        self.close_payout(paying.lease, &mut payout, closing).await?
                    }
                    Effect::Alert => self.alert_manual(&payout),
                }
            }
        }
        Ok(moved)
    }

    fn rules(&self, paying: &Paying<'_>, may_send: bool) -> Rules {
        Rules {
            can: paying.rail.capabilities(),
            deadlines: self.config.deadlines,
            pace: self.config.pace,
            may_send,
        }
    }

    /// Says that a payout waits for a person, and what was found of it.
    pub(crate) fn alert_manual(&self, payout: &Payout) {
        let reason = payout.reason.as_deref().unwrap_or("-");
        let found = match payout.found.as_ref().map(|found| &found.outcome) {
            None => String::new(),
            Some(lucid_model::money::payout::Outcome::Paid { txid }) => {
                format!("; the payment service says by now: paid by {txid}")
            }
            Some(lucid_model::money::payout::Outcome::NotPaid) => {
                "; the payment service says by now: not paid".to_owned()
            }
        };
        let message = format!(
            "payout {} of {} USDT is {}: {reason}{found}",
            payout.id,
            payout.amount,
            payout.state.name()
        );
        self.parts.notifications.alert_of(MANUAL, payout.id.to_string(), message);
    }

    /// Whether a payout that this store never sent may have been sent all the same: by what was
    /// there before the store was restored.
    fn may_have_been_paid(&self, payout: &Payout) -> bool {
        self.payer.lock().restored_at.is_some_and(|at| TimeMs::from_unix_s(payout.cycle) <= at)
    }

    /// A payment service may have forgotten the key of what was sent long ago: it was sent when its
    /// cycle was first payable, then, and a person looks at it unless it is found.
    fn date_back(&self, payout: &mut Payout, can: Capabilities) {
        let earliest = TimeMs::from_unix_s(payout.period_end_s).plus_ms(self.config.maturity_ms);
        if self.parts.clock.now().ms_since(earliest) >= can.key_retention_ms {
            payout.submitted_at = Some(earliest);
        }
    }

    /// Makes a change durable under the payer's fence.
    async fn keep_payout(
        &self,
        lease: &HeldLease,
        payout: Payout,
        audit: Option<AuditEntry>,
    ) -> Result<Kept, ServiceError> {
        match self.parts.payouts.update_payouts(lease.fence(), vec![(payout, audit)]).await?.first()
        {
            Some(PayoutUpdate::Done) => Ok(Kept::Durable),
            Some(PayoutUpdate::FencedOff { by }) => Err(self.fenced_off(lease, *by).await?),
            Some(PayoutUpdate::Taken) => Ok(Kept::Taken),
            Some(PayoutUpdate::Conflict) | None => Ok(Kept::Lost),
        }
    }

    /// Which of what the rail names for a payout belongs to another one.
    async fn contradiction(&self, payout: &Payout) -> Result<String, ServiceError> {
        if let Some(txid) = &payout.txid
            && let Some(other) = self.parts.payouts.payout_of_transaction(txid).await?
            && other.id != payout.id
        {
            return Ok(format!(
                "the payment service names transaction {txid}, which is that of payout {}",
                other.id
            ));
        }
        let id = payout.external_id.as_deref().unwrap_or("-");
        Ok(format!("the payment service names its id {id}, which is that of another payout"))
    }

    /// Books the closing entry; an entry that is there already is the same one (I4).
    async fn close_payout(
        &self,
        lease: &HeldLease,
        payout: &mut Payout,
        closing: Closing,
    ) -> Result<(), ServiceError> {
        let cause = payout.txid.clone().or_else(|| payout.reason.clone()).unwrap_or_default();
        self.book_draft(Draft::close(
            payout.id,
            payout.node,
            payout.amount,
            closing == Closing::Settle,
            cause,
        )?)
        .await?;
        let before = payout.clone();
        payout.closed = true;
        payout.version += 1;
        let audit = self.audit_of_payout(&before, payout);
        self.keep_payout(lease, payout.clone(), audit).await?;
        Ok(())
    }

    /// None if nothing changed but when it is looked at again.
    pub(crate) fn audit_of_payout(&self, before: &Payout, after: &Payout) -> Option<AuditEntry> {
        let state = if after.closed { "closed" } else { after.state.name() };
        let detail = after
            .reason
            .as_ref()
            .map_or_else(|| state.to_owned(), |reason| format!("{state}: {reason}"));
        let entry = self
            .parts
            .audit
            .entry(&Actor::system(), "payout.change", after.id, detail)
            .changing(before, after);
        (entry.before != entry.after).then_some(entry)
    }

    pub(crate) fn publish_payout(&self, before: &Payout, after: &Payout) {
        if before.state == after.state {
            return;
        }
        if before.state == PayoutState::Manual {
            self.parts.notifications.clear_alert_of(MANUAL, &after.id.to_string());
        }
        metrics::counter!("lucid_payout_transitions_total", "state" => after.state.name())
            .increment(1);
        let (payout, node, state, amount) = (after.id, after.node, after.state, after.amount);
        if state == PayoutState::Cancelled && after.reason.as_deref() == Some(HELD) {
            self.parts.notifications.emit(EventKind::PayoutHeld {
                payout,
                node,
                amount,
                reason: HELD.into(),
            });
        }
        self.parts.notifications.emit(EventKind::PayoutChanged {
            payout,
            node,
            state,
            amount,
            txid: after.txid.clone(),
            reason: after.reason.clone(),
        });
    }
}

/// Whether a request may leave because of this event, if one is due.
fn may_lead_to_a_send(payout: &Payout, event: &Event) -> bool {
    match (payout.state, event) {
        (PayoutState::Reserved | PayoutState::Submitting, Event::Submit { .. })
        | (PayoutState::Submitting | PayoutState::Unknown, Event::Tick) => true,
        (PayoutState::Unknown, Event::Looked(reply)) => reply.said == Reported::NotFound,
        _ => false,
    }
}
