//! Policies: what versions there are, what is in force, what the gate found. The store is the only
//! truth of what is active; the runtime is told after the store was changed.

mod activate;
mod compare;
mod file;
mod last_good;
mod retire;
mod stage;
mod versions;

use std::{collections::VecDeque, sync::Arc};

use lucid_audit::Audit;
use lucid_foundation::{Ids, Rules, ServiceClock};
use lucid_model::{id::Digest, policies::PolicyProfile};
use lucid_notifications::Notifications;
use lucid_ports::{
    EpochStore, PolicyRuntime, PolicyStore, PoolStore, SettlementStore, ShadowStore,
};
use parking_lot::Mutex;

pub use self::{
    activate::{ActivationRequest, Start},
    compare::Comparison,
    file::{ActiveFile, NamedActivation},
    last_good::{LastGood, ReplacedBy},
    stage::Staged,
    versions::{VersionFilter, VersionStanding, needs_author},
};

/// What it is built on.
pub struct Parts {
    pub audit: Arc<Audit>,
    pub clock: Arc<ServiceClock>,
    pub epoch_records: Arc<dyn EpochStore>,
    pub ids: Ids,
    pub notifications: Arc<Notifications>,
    pub pools: Arc<dyn PoolStore>,
    pub rules: Rules,
    pub runtime: Arc<dyn PolicyRuntime>,
    pub settlements: Arc<dyn SettlementStore>,
    pub shadows: Arc<dyn ShadowStore>,
    pub versions: Arc<dyn PolicyStore>,
}

/// How it works. Times in milliseconds unless the name says otherwise.
#[derive(Debug, Clone)]
pub struct PoliciesConfig {
    /// Components that come with the binary, the first of a kind being the one to trust when
    /// everything else fails.
    pub built_in: Vec<Digest>,
}

/// Knows versions and activations, and has the runtime load what is active.
pub struct Policies {
    parts: Parts,
    config: PoliciesConfig,
    /// What policies said of themselves lately.
    profiles: Mutex<VecDeque<Arc<PolicyProfile>>>,
}

impl Policies {
    /// Puts the parts together; nothing runs yet.
    pub fn new(parts: Parts, config: PoliciesConfig) -> Arc<Self> {
        Arc::new(Self { parts, config, profiles: Mutex::default() })
    }

    /// How it is set up.
    pub fn config(&self) -> &PoliciesConfig {
        &self.config
    }
}
