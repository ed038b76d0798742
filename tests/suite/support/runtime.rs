//! The engine, with other policies in force than the ones that are active.

use std::sync::Arc;

use async_trait::async_trait;
use lucid_model::{
    id::Digest,
    policies::{Activation, Bundle, ParamValues, PolicyProfile, Revision, SignatureError, Signers},
};
use lucid_ports::{
    GateReport, PayoutPolicy, PolicyRuntime, PolicySnapshot, PublishError, ScoringPolicy,
    StoredBundle, ValidationPolicy,
};

/// What is in force is made of what is active.
pub struct Instead<F> {
    pub engine: Arc<dyn PolicyRuntime>,
    pub in_force: F,
}

#[async_trait]
impl<F> PolicyRuntime for Instead<F>
where
    F: Fn(Arc<dyn PolicySnapshot>) -> Arc<dyn PolicySnapshot> + Send + Sync,
{
    fn snapshot(&self) -> Arc<dyn PolicySnapshot> {
        (self.in_force)(self.engine.snapshot())
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
    async fn publish(
        &self,
        revision: Revision,
        activations: Vec<Activation>,
        bundles: Vec<(Digest, Arc<StoredBundle>)>,
    ) -> Result<(), PublishError> {
        self.engine.publish(revision, activations, bundles).await
    }
    async fn load_scoring(
        &self,
        stored: Arc<StoredBundle>,
        params: ParamValues,
    ) -> Result<Arc<dyn ScoringPolicy>, PublishError> {
        self.engine.load_scoring(stored, params).await
    }
    async fn load_payout(
        &self,
        stored: Arc<StoredBundle>,
        params: ParamValues,
    ) -> Result<Arc<dyn PayoutPolicy>, PublishError> {
        self.engine.load_payout(stored, params).await
    }
    async fn load_validation(
        &self,
        stored: Arc<StoredBundle>,
        params: ParamValues,
    ) -> Result<Arc<dyn ValidationPolicy>, PublishError> {
        self.engine.load_validation(stored, params).await
    }
}
