//! How another version would have scored epochs that are over, or shared settled periods.

use std::sync::Arc;

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    id::PoolScope,
    policies::{ParamValues, PolicyIdentity, PolicyKind, PolicyVersion},
    review::simulation::{Change, Earned, Simulation},
    telemetry::credit::Interval,
};
use lucid_policies::needs_author;
use lucid_ports::PublishError;

use crate::Review;

/// What a version would have decided.
#[derive(Debug, Clone)]
pub enum Simulated {
    /// Of a scoring policy.
    Scores(Simulation<Change>),
    /// Of a payout policy.
    Money(Simulation<Earned>),
}

impl Review {
    /// How a version would have scored the closed epochs that begin in a range, or shared the
    /// budgets of its settled periods: of one pool, or of all.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, the version is one for validation or cannot be
    /// loaded with these params, it fails for a whole chunk, or the range has too many epochs or
    /// rows.
    pub async fn simulate(
        &self,
        actor: &Actor,
        version: &PolicyVersion,
        params: &ParamValues,
        (range, pool): (Interval, Option<PoolScope>),
    ) -> Result<(PolicyIdentity, Simulated), ServiceError> {
        needs_author(actor)?;
        let stored = Arc::new(
            self.parts
                .versions
                .bundle(version.policy.digest)
                .await?
                .ok_or(ServiceError::no("policy version"))?,
        );
        // It passed the gate with its defaults: what is wrong now are the params.
        let unloadable = |error: PublishError| match params.is_empty() {
            true => ServiceError::NotLoadable(error),
            false => ServiceError::invalid("params", error.detail),
        };
        match version.kind {
            PolicyKind::Validation => Err(ServiceError::invalid(
                "kind",
                "only scoring and payout policies are asked about what is over",
            )),
            PolicyKind::Payout => {
                let policy = self
                    .parts
                    .runtime
                    .load_payout(stored, params.clone())
                    .await
                    .map_err(unloadable)?;
                let simulation =
                    self.parts.money.simulate_payouts(policy.as_ref(), range, pool).await?;
                Ok((policy.identity().clone(), Simulated::Money(simulation)))
            }
            PolicyKind::Scoring => {
                let policy = self
                    .parts
                    .runtime
                    .load_scoring(stored, params.clone())
                    .await
                    .map_err(unloadable)?;
                let epochs = self.parts.epochs.epochs_in(range).await?;
                let simulation =
                    self.parts.epochs.simulate_scores(policy.as_ref(), &epochs, pool).await?;
                Ok((policy.identity().clone(), Simulated::Scores(simulation)))
            }
        }
    }
}
