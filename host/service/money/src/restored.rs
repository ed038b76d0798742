//! A store that was restored or copied: nothing is paid before it was compared with the payment service.

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    money::{
        payout::{PaymentsSwitch, Reconciliation},
        run::SCHEDULE,
    },
    time::TimeMs,
};
use lucid_ports::Origin;

use crate::{Money, runs::treasurer};

impl Money {
    /// Begins with what is in the store. If it was put here from elsewhere or from an earlier time,
    /// payments are frozen first: what was paid meanwhile is not in it.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn enter_store(&self) -> Result<(), ServiceError> {
        if self.parts.stamp.origin().await? == Origin::Elsewhere {
            let reason = "this store was restored from a backup, or copied: what was paid since is not in it; compare it with the payment service first";
            let (before, at) =
                (self.parts.decisions.payments_switch().await?, self.parts.clock.now());
            let frozen = match before.frozen.clone() {
                Some(frozen) => frozen,
                None => self.freeze_of(SCHEDULE.into(), reason.into()).await?,
            };
            let switch = PaymentsSwitch {
                frozen: Some(frozen),
                restored_at: Some(at),
                backup_at: self.parts.epochs.newest_record().await?,
                reconciliation: None,
                version: before.version + 1,
            };
            match self.switch(&Actor::system(), switch, "payouts.restored", reason).await {
                // Another replica noticed, too.
                Err(ServiceError::Changed { .. })
                    if self.parts.decisions.payments_switch().await?.waits_for_reconciliation() => {
                }
                switched => {
                    switched?;
                }
            }
        }
        Ok(self.parts.stamp.take_possession().await?)
    }

    /// Has all payouts that ended since then compared with the payment service, and nothing sent
    /// meanwhile; payments of a restored store are let go only after that.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, there is nothing to compare with, or somebody else
    /// switched at the same time.
    pub async fn reconcile_since(
        &self,
        actor: &Actor,
        since: TimeMs,
    ) -> Result<PaymentsSwitch, ServiceError> {
        treasurer(actor)?;
        if self.parts.rail.is_none() {
            return Err(ServiceError::NoRail);
        }
        let before = self.parts.decisions.payments_switch().await?;
        // What a restored store came with is compared from its newest record on at the latest:
        // nothing later ended in it.
        let since = before
            .backup_at
            .filter(|_| before.restored_at.is_some())
            .map_or(since, |backup_at| since.min(backup_at));
        let reconciliation = Some(Reconciliation { since, done_at: None });
        let frozen = match before.frozen.clone() {
            Some(frozen) => Some(frozen),
            None => {
                let reason = format!("payouts since {since} are compared with the payment service");
                Some(self.freeze_of(actor.subject.clone(), reason).await?)
            }
        };
        let switch =
            PaymentsSwitch { frozen, reconciliation, version: before.version + 1, ..before };
        let switch =
            self.switch(actor, switch, "payouts.reconcile", &format!("since {since}")).await?;
        self.raise_freeze(&switch).await?;
        Ok(switch)
    }

    pub(crate) async fn is_reconciled(&self, before: &PaymentsSwitch) -> Result<(), ServiceError> {
        let reconciliation = before
            .reconciliation
            .map(|asked| Reconciliation { done_at: Some(self.parts.clock.now()), ..asked });
        let switch =
            PaymentsSwitch { reconciliation, version: before.version + 1, ..before.clone() };
        self.switch(
            &Actor::system(),
            switch,
            "payouts.reconciled",
            "the payment service says the same",
        )
        .await
        .map(|_| ())
    }
}
