//! Alerts about payouts, runs and proposals, cleared wherever their cause was decided.

use std::collections::BTreeSet;

use lucid_foundation::ServiceError;
use lucid_model::money::{payout::PayoutState, run::RunState};

use super::{decisions::PROPOSAL, payer::MANUAL, runs::RUN};
use crate::Money;

impl Money {
    /// Clears alerts about payouts, runs and proposals whose cause is gone, wherever that was
    /// decided.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn follow_payout_alerts(&self) -> Result<(), ServiceError> {
        for subject in self.parts.notifications.alerts_about(MANUAL) {
            let payout = match subject.parse() {
                Ok(id) => self.parts.payouts.payout(id).await?,
                Err(_) => None,
            };
            if payout.is_none_or(|payout| payout.state != PayoutState::Manual) {
                self.parts.notifications.clear_alert_of(MANUAL, &subject);
            }
        }
        let waiting = self.parts.notifications.alerts_about(RUN);
        if !waiting.is_empty() {
            let planned = self
                .parts
                .runs
                .open_runs()
                .await?
                .into_iter()
                .filter(|run| run.state == RunState::Planned);
            let planned: BTreeSet<_> = planned.map(|run| run.id.to_string()).collect();
            waiting
                .iter()
                .filter(|subject| !planned.contains(*subject))
                .for_each(|subject| self.parts.notifications.clear_alert_of(RUN, subject));
        }
        for subject in self.parts.notifications.alerts_about(PROPOSAL) {
            let proposal = match subject.parse() {
                Ok(id) => self.parts.decisions.proposal(id).await?,
                Err(_) => None,
            };
            if proposal.is_none_or(|proposal| proposal.decided.is_some()) {
                self.parts.notifications.clear_alert_of(PROPOSAL, &subject);
            }
        }
        Ok(())
    }
}
