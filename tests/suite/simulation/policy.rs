//! A payout policy that never says the same twice, so that of two who settle a period each would share it otherwise.

use std::sync::Arc;

use async_trait::async_trait;
use lucid_model::{
    id::Digest,
    policy::{
        Activation, Batch, Bundle, CallContext, ParamValues, PolicyIdentity, PolicyKind, PolicyProfile, PolicyRef, Revision, Scope, SignatureError,
        Signers, Weights,
    },
    score::Ppm,
};
use lucid_ports::{CallError, GateReport, PayoutPolicy, PolicyRuntime, PolicySnapshot, PublishError, ScoringPolicy, StoredBundle, ValidationPolicy};

use super::world::SharedWorld;

/// The engine, with this policy in force for payouts.
pub struct Fickle {
    pub world: SharedWorld,
    pub engine: Arc<dyn PolicyRuntime>,
}

struct Whim {
    world: SharedWorld,
    identity: PolicyIdentity,
}

#[async_trait]
impl PayoutPolicy for Whim {
    fn identity(&self) -> &PolicyIdentity {
        &self.identity
    }

    /// Each node about one share more than the one before it, and now and then a part held back.
    async fn weigh(&self, context: CallContext, batch: Batch) -> Result<Weights, CallError> {
        let mut world = self.world.lock().unwrap();
        if !world.shared.insert(context.epoch_start_s) {
            world.see("shared again");
        }
        let rows = u64::from(batch.count);
        let weights = (1..=rows).map(|place| place * 100 + world.chance.below(40)).collect();
        let held = (0..rows).map(|_| Ppm(if world.chance.below(5) == 0 { 100_000 } else { 0 })).collect();
        Ok(Weights { weights, held, ..Weights::default() })
    }
}

impl PolicySnapshot for Fickle {
    fn revision(&self) -> Revision {
        Revision(1)
    }
    fn scoring(&self, _: Scope, _: i64) -> Option<Arc<dyn ScoringPolicy>> {
        None
    }
    fn validation(&self, _: Scope, _: i64) -> Option<Arc<dyn ValidationPolicy>> {
        None
    }
    fn payout(&self, _: Scope, _: i64) -> Option<Arc<dyn PayoutPolicy>> {
        let policy = PolicyRef { name: "fickle".into(), version: "1.0.0".parse().unwrap(), digest: Digest::of(b"fickle") };
        let identity = PolicyIdentity { kind: PolicyKind::Payout, policy, abi: String::new(), params: Vec::new(), facts: Vec::new() };
        Some(Arc::new(Whim { world: Arc::clone(&self.world), identity }))
    }
}

#[async_trait]
impl PolicyRuntime for Fickle {
    fn snapshot(&self) -> Arc<dyn PolicySnapshot> {
        Arc::new(Self { world: Arc::clone(&self.world), engine: Arc::clone(&self.engine) })
    }
    async fn check(&self, bundle: Arc<Bundle>, params: ParamValues) -> GateReport {
        self.engine.check(bundle, params).await
    }
    fn unpack(&self, archive: &[u8]) -> Result<Bundle, String> {
        self.engine.unpack(archive)
    }
    fn signers(&self, bundle: &Bundle) -> Result<Signers, SignatureError> {
        self.engine.signers(bundle)
    }
    async fn profile(&self, stored: Arc<StoredBundle>) -> Result<PolicyProfile, PublishError> {
        self.engine.profile(stored).await
    }
    async fn publish(&self, revision: Revision, activations: Vec<Activation>, bundles: Vec<(Digest, Arc<StoredBundle>)>) -> Result<(), PublishError> {
        self.engine.publish(revision, activations, bundles).await
    }
    async fn load_scoring(&self, stored: Arc<StoredBundle>, params: ParamValues) -> Result<Arc<dyn ScoringPolicy>, PublishError> {
        self.engine.load_scoring(stored, params).await
    }
    async fn load_payout(&self, stored: Arc<StoredBundle>, params: ParamValues) -> Result<Arc<dyn PayoutPolicy>, PublishError> {
        self.engine.load_payout(stored, params).await
    }
    async fn load_validation(&self, stored: Arc<StoredBundle>, params: ParamValues) -> Result<Arc<dyn ValidationPolicy>, PublishError> {
        self.engine.load_validation(stored, params).await
    }
}
