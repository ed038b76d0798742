//! Freezing payments, and letting them go on.

use lucid_foundation::{Actor, Role, ServiceError};
use lucid_model::{
    money::payout::{Freeze, PaymentsSwitch},
    notifications::event::EventKind,
};

use crate::{Money, runs::treasurer};

/// What the alert about frozen payments is about.
const FROZEN: &str = "payouts-frozen";

impl Money {
    /// Whether payments may be sent.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn payments_switch(&self) -> Result<PaymentsSwitch, ServiceError> {
        Ok(self.parts.decisions.payments_switch().await?)
    }

    /// Stops every payment that is not on its way yet; what is, is looked after. Scores and
    /// accruals go on.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, or somebody else switched at the same time.
    pub async fn freeze_payments(
        &self,
        actor: &Actor,
        reason: String,
    ) -> Result<PaymentsSwitch, ServiceError> {
        treasurer_or_operator(actor)?;
        self.freeze_as(actor, reason).await
    }

    pub(crate) async fn freeze_as(
        &self,
        actor: &Actor,
        reason: String,
    ) -> Result<PaymentsSwitch, ServiceError> {
        let before = self.parts.decisions.payments_switch().await?;
        if before.frozen.is_some() {
            return Ok(before);
        }
        let frozen = self.freeze_of(actor.subject.clone(), reason).await?;
        let after =
            PaymentsSwitch { frozen: Some(frozen.clone()), version: before.version + 1, ..before };
        let switch = self.switch(actor, after, "payouts.freeze", &frozen.reason).await?;
        self.raise_freeze(&switch).await?;
        Ok(switch)
    }

    pub(crate) async fn freeze_of(
        &self,
        by: String,
        reason: String,
    ) -> Result<Freeze, ServiceError> {
        Ok(Freeze {
            at: self.parts.clock.now(),
            by,
            reason,
            fence: self.next_fence().await?,
            still_at: None,
        })
    }

    /// Lets payments be sent again.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, or somebody else switched at the same time.
    pub async fn resume_payments(
        &self,
        actor: &Actor,
        reason: String,
    ) -> Result<PaymentsSwitch, ServiceError> {
        treasurer(actor)?;
        let before = self.parts.decisions.payments_switch().await?;
        if before.frozen.is_none() {
            return Ok(before);
        }
        if before.waits_for_reconciliation() {
            return Err(ServiceError::NotReconciled);
        }
        self.switch(
            actor,
            PaymentsSwitch { frozen: None, version: before.version + 1, ..before },
            "payouts.resume",
            &reason,
        )
        .await
    }

    pub(crate) async fn switch(
        &self,
        actor: &Actor,
        switch: PaymentsSwitch,
        action: &str,
        reason: &str,
    ) -> Result<PaymentsSwitch, ServiceError> {
        let audit = self.parts.audit.entry(actor, action, "payments", reason.to_owned());
        if !self.parts.decisions.set_payments_switch(switch.clone(), audit).await? {
            return Err(ServiceError::Changed { what: "payments switch" });
        }
        self.parts.notifications.emit(EventKind::PaymentsSwitched {
            frozen: switch.frozen.is_some(),
            by: actor.subject.clone(),
            reason: reason.to_owned(),
        });
        self.alert_if_frozen(&switch);
        Ok(switch)
    }

    /// Raises the alert while payments are frozen. Whether they are.
    pub(crate) fn alert_if_frozen(&self, switch: &PaymentsSwitch) -> bool {
        match &switch.frozen {
            Some(freeze) => self.parts.notifications.alert(
                FROZEN,
                format!(
                    "no payment is sent since {}, by {}: {}",
                    freeze.at, freeze.by, freeze.reason
                ),
            ),
            None => self.parts.notifications.clear_alert(FROZEN),
        }
        switch.frozen.is_some()
    }
}

/// Whoever sees the fire may stop it.
fn treasurer_or_operator(actor: &Actor) -> Result<(), ServiceError> {
    if actor.is(Role::Treasurer) || actor.is(Role::Operator) {
        Ok(())
    } else {
        Err(ServiceError::Forbidden { why: "this needs role treasurer or operator" })
    }
}
