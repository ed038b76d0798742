//! Policies as the service sees them: calls run on the guest threads.

use std::sync::Arc;

use async_trait::async_trait;
use lucid_model::policies::{
    Batch, CallContext, Explanation, PolicyIdentity, PolicyVerdict, RegistrationClaim, Scores,
    Weights,
};
use lucid_ports::{CallError, PayoutPolicy, ScoringPolicy, TRACE, ValidationPolicy};

use crate::{loaded::LoadedPolicy, threads::GuestThreads};

/// A policy in force.
pub struct ActivePolicy {
    pub policy: Arc<LoadedPolicy>,
    /// Where it runs.
    pub threads: Arc<GuestThreads>,
}

impl ActivePolicy {
    #[tracing::instrument(target = TRACE, level = "trace", name = "policy", skip_all, fields(policy = %self.policy.identity().policy))]
    async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce(&LoadedPolicy) -> Result<T, CallError> + Send + 'static,
    ) -> Result<T, CallError> {
        let policy = Arc::clone(&self.policy);
        match self.threads.run(&self.policy.program.share, move || call(&policy)).await {
            Ok(result) => result,
            Err(not_run) => Err(CallError::Host {
                policy: self.policy.identity().policy.clone(),
                detail: not_run.to_string(),
            }),
        }
    }
}

#[async_trait]
impl ScoringPolicy for ActivePolicy {
    fn identity(&self) -> &PolicyIdentity {
        self.policy.identity()
    }

    async fn score(&self, context: CallContext, batch: Batch) -> Result<Scores, CallError> {
        self.run(move |policy| policy.score(&context, &batch)).await
    }

    async fn explain(&self, context: CallContext, batch: Batch) -> Result<Explanation, CallError> {
        self.run(move |policy| policy.explain(&context, &batch)).await
    }
}

#[async_trait]
impl ValidationPolicy for ActivePolicy {
    fn identity(&self) -> &PolicyIdentity {
        self.policy.identity()
    }

    async fn judge_registration(
        &self,
        context: CallContext,
        claim: RegistrationClaim,
    ) -> Result<PolicyVerdict, CallError> {
        self.run(move |policy| policy.judge_registration(&context, &claim)).await
    }

    async fn judge_observations(
        &self,
        context: CallContext,
        rows: Vec<Vec<i64>>,
    ) -> Result<Vec<PolicyVerdict>, CallError> {
        self.run(move |policy| policy.judge_observations(&context, &rows)).await
    }

    async fn judge_score_claims(
        &self,
        context: CallContext,
        rows: Vec<Vec<i64>>,
    ) -> Result<Vec<PolicyVerdict>, CallError> {
        self.run(move |policy| policy.judge_score_claims(&context, &rows)).await
    }
}

#[async_trait]
impl PayoutPolicy for ActivePolicy {
    fn identity(&self) -> &PolicyIdentity {
        self.policy.identity()
    }

    async fn weigh(&self, context: CallContext, batch: Batch) -> Result<Weights, CallError> {
        self.run(move |policy| policy.weigh(&context, &batch)).await
    }
}
