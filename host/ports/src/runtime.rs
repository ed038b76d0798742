use std::sync::Arc;

use async_trait::async_trait;
use lucid_model::{
    fleet::node::PublicKey,
    id::Digest,
    policies::{
        Activation, Batch, Bundle, CallContext, Explanation, ParamValues, PolicyIdentity,
        PolicyKind, PolicyProfile, PolicyRef, PolicyVerdict, RegistrationClaim, Revision, Scope,
        Scores, SignatureError, Signers, Weights,
    },
    time::TimeMs,
};

use crate::StoredBundle;

/// Time.
pub trait Clock: Send + Sync {
    /// The wall clock.
    fn now(&self) -> TimeMs;
    /// Milliseconds since the process started, by a clock that nobody sets.
    fn monotonic_ms(&self) -> i64;
    /// Milliseconds since the machine started, the time that it was suspended included, by a clock
    /// that nobody sets.
    fn since_boot_ms(&self) -> i64 {
        self.monotonic_ms()
    }
}

/// The service's own key.
pub trait Signer: Send + Sync {
    /// Its public half.
    fn public_key(&self) -> PublicKey;
    /// Signs a statement.
    fn sign(&self, statement: &[u8]) -> [u8; 64];
}

/// Randomness.
pub trait Entropy: Send + Sync {
    /// 16 random bytes.
    fn random_16(&self) -> [u8; 16];
    /// 32 random bytes.
    fn random_32(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let (left, right) = (self.random_16(), self.random_16());
        bytes.iter_mut().zip(left.into_iter().chain(right)).for_each(|(to, from)| *to = from);
        bytes
    }
}

/// Why a call of a policy gave no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The policy's fault; the same call fails the same way everywhere, so it is an outcome.
    #[error("policy {policy} failed: {detail}")]
    Policy {
        policy: PolicyRef,
        /// How: trap, fuel, error, wrong length, index or bound.
        detail: String,
    },
    /// The host's fault (deadline, allocation, stack): tried again, never an outcome.
    #[error("the host could not run policy {policy}: {detail}")]
    Host {
        policy: PolicyRef,
        /// How.
        detail: String,
    },
}

/// A loaded scoring policy with its params.
#[async_trait]
pub trait ScoringPolicy: Send + Sync {
    /// Which it is and what it reads.
    fn identity(&self) -> &PolicyIdentity;
    /// One multiplier a row.
    async fn score(&self, context: CallContext, batch: Batch) -> Result<Scores, CallError>;
    /// What the rows' multipliers are made of; at most 100 rows.
    async fn explain(&self, context: CallContext, batch: Batch) -> Result<Explanation, CallError>;
}

/// A loaded validation policy with its params.
#[async_trait]
pub trait ValidationPolicy: Send + Sync {
    /// Which it is.
    fn identity(&self) -> &PolicyIdentity;
    /// One registration.
    async fn judge_registration(
        &self,
        context: CallContext,
        claim: RegistrationClaim,
    ) -> Result<PolicyVerdict, CallError>;
    /// Observation sessions: rows of [`lucid_model::epochs::facts::OBSERVATION_FACTS`] in that order.
    async fn judge_observations(
        &self,
        context: CallContext,
        rows: Vec<Vec<i64>>,
    ) -> Result<Vec<PolicyVerdict>, CallError>;
    /// Score claims: rows of [`lucid_model::epochs::facts::SCORE_CLAIM_FACTS`] in that order.
    async fn judge_score_claims(
        &self,
        context: CallContext,
        rows: Vec<Vec<i64>>,
    ) -> Result<Vec<PolicyVerdict>, CallError>;
}

/// A loaded payout policy with its params.
#[async_trait]
pub trait PayoutPolicy: Send + Sync {
    /// Which it is and what it reads.
    fn identity(&self) -> &PolicyIdentity;
    /// One weight a row.
    async fn weigh(&self, context: CallContext, batch: Batch) -> Result<Weights, CallError>;
}

/// What is active at one moment; immutable, held to the end of a calculation.
pub trait PolicySnapshot: Send + Sync {
    /// Of which revision.
    fn revision(&self) -> Revision;
    /// The scoring policy of a scope, else the default one, for a period that starts at `at_s`
    /// (Unix seconds).
    fn scoring(&self, scope: Scope, at_s: i64) -> Option<Arc<dyn ScoringPolicy>>;
    /// The validation policy of a scope, else the default one, for what is claimed at `at_s`.
    fn validation(&self, scope: Scope, at_s: i64) -> Option<Arc<dyn ValidationPolicy>>;
    /// The payout policy of a scope, else the default one, for a period that starts at `at_s`.
    fn payout(&self, scope: Scope, at_s: i64) -> Option<Arc<dyn PayoutPolicy>>;
}

/// What the gate found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GateReport {
    /// Name, version and digest, if the manifest could be read.
    pub policy: Option<PolicyRef>,
    /// What it decides, likewise.
    pub kind: Option<PolicyKind>,
    /// The interface it exports.
    pub abi: String,
    /// Each check with its finding; the first failure ends the list.
    pub checks: Vec<(String, Result<(), String>)>,
    /// What each check took, in their order.
    pub costs: Vec<CheckCost>,
    /// Names of the trusted keys that signed it.
    pub signed_by: Vec<String>,
    /// What is no failure, and worth knowing.
    pub notes: Vec<String>,
}

/// What a check took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckCost {
    /// Time on this machine.
    pub micros: u64,
    /// Fuel of its calls; the same everywhere.
    pub fuel: u64,
}

impl GateReport {
    /// The first failure: `check: reason`.
    pub fn rejection(&self) -> Option<String> {
        self.checks.iter().find_map(|(check, finding)| {
            finding.as_ref().err().map(|reason| format!("{check}: {reason}"))
        })
    }
}

/// Why a set of activations could not be loaded.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot load policy {policy}: {detail}")]
pub struct PublishError {
    pub policy: Box<PolicyRef>,
    pub detail: String,
}

/// Runs policies.
#[async_trait]
pub trait PolicyRuntime: Send + Sync {
    /// The snapshot in force.
    fn snapshot(&self) -> Arc<dyn PolicySnapshot>;
    /// Checks a bundle as it would be activated with these params; never fails, never blocks the
    /// caller's thread.
    async fn check(&self, bundle: Arc<Bundle>, params: ParamValues) -> GateReport;
    /// The bundle of an archive; the reason if it is none.
    fn unpack(&self, archive: &[u8]) -> Result<Bundle, String>;
    /// Who of those that are trusted here signed a bundle; the reason if its signatures are not
    /// enough.
    fn signers(&self, bundle: &Bundle) -> Result<Signers, SignatureError>;
    /// What a version says of itself; loaded for that if it is not in memory.
    async fn profile(&self, stored: Arc<StoredBundle>) -> Result<PolicyProfile, PublishError>;
    /// Makes these activations the snapshot in force; on an error the old one stays. Of two of one
    /// kind and scope that apply to a period, the later one decides. `bundles` holds each
    /// activation's bundle, by digest.
    async fn publish(
        &self,
        revision: Revision,
        activations: Vec<Activation>,
        bundles: Vec<(Digest, Arc<StoredBundle>)>,
    ) -> Result<(), PublishError>;
    /// Loads a scoring policy beside what is in force.
    async fn load_scoring(
        &self,
        stored: Arc<StoredBundle>,
        params: ParamValues,
    ) -> Result<Arc<dyn ScoringPolicy>, PublishError>;
    /// Loads a payout policy beside what is in force.
    async fn load_payout(
        &self,
        stored: Arc<StoredBundle>,
        params: ParamValues,
    ) -> Result<Arc<dyn PayoutPolicy>, PublishError>;
    /// Loads a validation policy beside what is in force.
    async fn load_validation(
        &self,
        stored: Arc<StoredBundle>,
        params: ParamValues,
    ) -> Result<Arc<dyn ValidationPolicy>, PublishError>;
}
