//! Freezing: from the word that stops payments to the moment from which no request can be on its
//! way.
//!
//! A freeze is written first; then the store's fence is raised, so that no payer that read the
//! switch before makes another send durable. What was durable by then may still be on its way:
//! payments are *freezing*. They are *frozen* when the payer says that it has nothing on its way
//! and no other process can have, or when a payer's lease and the HTTP time-out are over. Looking
//! goes on all the time.

use lucid_foundation::{Actor, ServiceError};
use lucid_model::money::{
    MicroUsdt,
    payout::{Freeze, PaymentsSwitch, PayoutState},
};
use lucid_ports::{Fence, HeldLease};

use crate::Money;

/// Requests that may be on their way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InFlight {
    pub count: u64,
    pub total: MicroUsdt,
}

impl Money {
    /// Requests that may be on their way: what is `submitting`.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn in_flight(&self) -> Result<InFlight, ServiceError> {
        let open = self.parts.payouts.open_parts().await?;
        let part = open.iter().find(|part| part.state == PayoutState::Submitting);
        Ok(part.map_or_else(InFlight::default, |part| InFlight {
            count: part.count,
            total: part.total,
        }))
    }

    /// The fence that a freeze raises.
    pub(crate) async fn next_fence(&self) -> Result<u64, ServiceError> {
        Ok(self.parts.payouts.begin_paying(Fence(0)).await?.0.saturating_add(1))
    }

    /// Shuts out every payer that began before the freeze. Again is the same.
    pub(crate) async fn raise_freeze(&self, switch: &PaymentsSwitch) -> Result<(), ServiceError> {
        if let Some(freeze) = &switch.frozen {
            self.parts.payouts.begin_paying(Fence(freeze.fence)).await?;
        }
        Ok(())
    }

    /// Makes this lease the one that pays, and notes since when no other process can have begun to
    /// send.
    pub(super) async fn begin_paying(&self, lease: &HeldLease) -> Result<(), ServiceError> {
        let switch = self.parts.decisions.payments_switch().await?;
        let before = self.parts.payouts.begin_paying(Fence(0)).await?;
        let greatest = self.parts.payouts.begin_paying(lease.fence()).await?;
        if greatest != lease.fence() {
            return Err(self.fenced_off(lease, greatest).await?);
        }
        let raised = switch.frozen.map(|freeze| Fence(freeze.fence));
        let now = self.mono().0;
        let mut state = self.payer.lock();
        // Nobody else has begun since this process paid last: the store's fence is its own, or the
        // one that a freeze raised on it.
        let since = state.held.filter(|(own, _)| {
            before == *own || (raised == Some(before) && before.0 == own.0.saturating_add(1))
        });
        state.held = Some((lease.fence(), since.map_or(now, |(_, since)| since)));
        Ok(())
    }

    /// The payer does its part of a freeze: a lease from before it ends here, and one from after
    /// it says when nothing is on its way.
    pub(super) async fn follow_freeze(
        &self,
        lease: &HeldLease,
        switch: &PaymentsSwitch,
    ) -> Result<(), ServiceError> {
        let Some(freeze) = &switch.frozen else { return Ok(()) };
        if lease.fence() < Fence(freeze.fence) {
            self.raise_freeze(switch).await?;
            return Err(ServiceError::PayerReplaced { by: Some(Fence(freeze.fence)) });
        }
        // A step of this process begins when its last one has ended, with all its requests.
        let alone_ms = self
            .payer
            .lock()
            .held
            .filter(|(own, _)| *own == lease.fence())
            .map_or(0, |(_, since)| self.mono().0 - since);
        if alone_ms > self.config.payer_limits.timeout_ms && lease.is_good() {
            self.say_still(switch).await?;
        }
        Ok(())
    }

    /// Ends a freeze that no payer ends, because none runs or because it does not answer: by then
    /// its lease and the HTTP time-out are over.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn watch_freeze(&self) -> Result<(), ServiceError> {
        let switch = self.parts.decisions.payments_switch().await?;
        if switch.frozen.as_ref().is_none_or(|freeze| freeze.still_at.is_some()) {
            return Ok(());
        }
        self.raise_freeze(&switch).await?;
        let seen = {
            let (mut state, now) = (self.payer.lock(), self.mono().0);
            let seen = state
                .freeze_seen
                .filter(|(version, _)| *version == switch.version)
                .map_or(now, |(_, seen)| seen);
            state.freeze_seen = Some((switch.version, seen));
            seen
        };
        let limits = self.config.payer_limits;
        if self.mono().0 - seen > limits.decided_ms_max.saturating_add(limits.timeout_ms) {
            self.say_still(&switch).await?;
        }
        Ok(())
    }

    async fn say_still(&self, switch: &PaymentsSwitch) -> Result<(), ServiceError> {
        let Some(freeze) = switch.frozen.clone().filter(|freeze| freeze.still_at.is_none()) else {
            return Ok(());
        };
        let still = Freeze { still_at: Some(self.parts.clock.now()), ..freeze };
        let after =
            PaymentsSwitch { frozen: Some(still), version: switch.version + 1, ..switch.clone() };
        match self
            .switch(&Actor::system(), after, "payouts.frozen", "no request is on its way any more")
            .await
        {
            // Somebody else said so, or let payments go again.
            Err(ServiceError::Changed { .. }) => Ok(()),
            said => said.map(|_| ()),
        }
    }

    /// Why a payer's write was refused: it was replaced, which is worth an alert, or payments were
    /// frozen, which is not.
    pub(crate) async fn fenced_off(
        &self,
        lease: &HeldLease,
        by: Fence,
    ) -> Result<ServiceError, ServiceError> {
        let frozen = self.parts.decisions.payments_switch().await?.frozen;
        if frozen.is_some_and(|freeze| Fence(freeze.fence) == by) {
            return Ok(ServiceError::PayerReplaced { by: Some(by) });
        }
        Ok(self.replaced(lease, Some(by)))
    }
}
