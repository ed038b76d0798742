//! What reads several features and decides nothing.

mod performance;
mod shadows;
mod simulation;
mod standing;

use std::sync::Arc;

use lucid_audit::Audit;
use lucid_epochs::Epochs;
use lucid_foundation::{Ids, Rules, ServiceClock, Vitals};
use lucid_model::id::FamilyId;
use lucid_money::Money;
use lucid_notifications::Notifications;
use lucid_policies::Policies;
use lucid_ports::{
    DecisionStore, EpochStore, FrameStore, LedgerStore, MismatchStore, PaymentRail, PayoutStore,
    PolicyRuntime, PolicyStore, PoolStore, SettlementStore, ShadowStore,
};

pub use self::{
    performance::{PoolGrain, PoolHistory, PoolPoint},
    shadows::NewShadow,
    simulation::Simulated,
    standing::{Safety, Standing},
};

/// What it is built on.
pub struct Parts {
    pub audit: Arc<Audit>,
    pub clock: Arc<ServiceClock>,
    pub decisions: Arc<dyn DecisionStore>,
    pub epoch_records: Arc<dyn EpochStore>,
    pub epochs: Arc<Epochs>,
    pub family: FamilyId,
    pub frames: Arc<dyn FrameStore>,
    pub ids: Ids,
    pub ledger: Arc<dyn LedgerStore>,
    pub mismatches: Arc<dyn MismatchStore>,
    pub money: Arc<Money>,
    pub notifications: Arc<Notifications>,
    pub payouts: Arc<dyn PayoutStore>,
    pub policies: Arc<Policies>,
    pub pools: Arc<dyn PoolStore>,
    pub rail: Option<Arc<dyn PaymentRail>>,
    pub rules: Rules,
    pub runtime: Arc<dyn PolicyRuntime>,
    pub settlements: Arc<dyn SettlementStore>,
    pub shadows: Arc<dyn ShadowStore>,
    pub versions: Arc<dyn PolicyStore>,
    pub vitals: Arc<Vitals>,
}

/// Reads several features and decides nothing.
pub struct Review {
    parts: Parts,
}

impl Review {
    /// Puts the parts together; nothing runs yet.
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self { parts })
    }
}
