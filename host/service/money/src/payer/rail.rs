//! Talking to the rail through its breakers: who wants to send or look needs the right to, and says
//! what came of it.

use lucid_model::{
    money::payout::{Answer, Breaker, Payout, Permit, Reply, Reported, Tried},
    time::TimeMs,
};
use lucid_ports::PaymentRail;

use super::PayerState;
use crate::Money;

/// What the alert about a rail that does not serve us is about.
const RAIL: &str = "payment-service";

/// Which breaker.
#[derive(Clone, Copy)]
enum Way {
    Sends,
    Looks,
}

impl Way {
    fn of(self, state: &mut PayerState) -> &mut Breaker {
        match self {
            Self::Sends => &mut state.sends,
            Self::Looks => &mut state.looks,
        }
    }
}

/// The right to try once; given back where it is dropped unused.
pub(super) struct Right<'a> {
    service: &'a Money,
    way: Way,
    permit: Option<Permit>,
}

impl Right<'_> {
    fn learn(mut self, tried: Tried) {
        let now = self.service.mono();
        if let Some(permit) = self.permit.take() {
            self.way.of(&mut self.service.payer.lock()).learn(permit, tried, now);
        }
        self.service.alert_about_rail(tried);
    }
}

impl Drop for Right<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.way.of(&mut self.service.payer.lock()).give_back(permit);
        }
    }
}

impl Money {
    fn right(&self, way: Way) -> Option<Right<'_>> {
        let now = self.mono();
        let permit = way.of(&mut self.payer.lock()).take(now)?;
        Some(Right { service: self, way, permit: Some(permit) })
    }

    pub(super) fn right_to_send(&self) -> Option<Right<'_>> {
        self.right(Way::Sends)
    }

    pub(super) fn right_to_look(&self) -> Option<Right<'_>> {
        self.right(Way::Looks)
    }

    /// Sends a payout's request once.
    pub(super) async fn send(
        &self,
        rail: &dyn PaymentRail,
        payout: &Payout,
        right: Right<'_>,
    ) -> Reply<Answer> {
        let request = payout.request.clone().unwrap_or_default();
        let reply = rail.send(payout, &request).await;
        let retry_after_ms = reply.retry_after_ms;
        right.learn(match &reply.said {
            Answer::Accepted { .. } | Answer::Rejected(_) => Tried::Worked,
            Answer::RailRefusesUs(_) => Tried::Refused {
                wait_ms: retry_after_ms.unwrap_or(0).max(self.config.rail_pause_ms),
            },
            Answer::NotSent(_) | Answer::Ambiguous(_) => Tried::Failed { retry_after_ms },
        });
        if let Answer::RailRefusesUs(reason) = &reply.said {
            self.parts.notifications.alert(
                RAIL,
                format!("the payment service refuses our requests: {reason}; sending pauses"),
            );
        }
        reply
    }

    /// Asks the rail about a payout once.
    pub(super) async fn look(
        &self,
        rail: &dyn PaymentRail,
        payout: &Payout,
        right: Right<'_>,
    ) -> Reply<Reported> {
        let reply = rail.look(payout).await;
        right.learn(match &reply.said {
            Reported::Unavailable(_) => Tried::Failed { retry_after_ms: reply.retry_after_ms },
            _ => Tried::Worked,
        });
        reply
    }

    /// Asks the rail about a payout, unless its breaker is open.
    pub(crate) async fn look_if_allowed(
        &self,
        rail: &dyn PaymentRail,
        payout: &Payout,
    ) -> Option<Reply<Reported>> {
        let right = self.right_to_look()?;
        Some(self.look(rail, payout, right).await)
    }

    /// Until when nothing is sent because the rail does not serve us, by the wall clock.
    pub fn rail_paused_until(&self) -> Option<TimeMs> {
        let now = self.mono();
        let until = self.payer.lock().sends.open_until(now)?;
        Some(self.parts.clock.now().plus_ms(until.ms_since(now)))
    }

    fn alert_about_rail(&self, tried: Tried) {
        let (sends, looks) = {
            let state = self.payer.lock();
            (state.sends.is_tripped(), state.looks.is_tripped())
        };
        match (sends, looks) {
            (false, false) => self.parts.notifications.clear_alert(RAIL),
            // What was refused is said where the reason is known.
            _ if matches!(tried, Tried::Refused { .. } | Tried::Worked) => {}
            (true, false) => self.parts.notifications.alert(RAIL, "requests to the payment service fail: it is tried less and less often".into()),
            (false, true) => self.parts.notifications.alert(RAIL, "look-ups at the payment service fail: it is asked less and less often".into()),
            (true, true) => self.parts.notifications.alert(RAIL, "requests to and look-ups at the payment service fail: it is tried less and less often".into()),
        }
    }
}
