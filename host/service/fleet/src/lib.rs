//! Nodes and pools: registration, keys, wallets, enrolment, liveness, alerts.

mod alerts;
mod clones;
mod enrolments;
mod identity;
mod liveness;
mod machines;
mod node_alerts;
mod nodes;
mod pool_health;
mod pools;
mod presence;
mod queries;
mod registration;
mod siblings;
mod wallets;

use std::{collections::BTreeMap, sync::Arc};

use lucid_audit::Audit;
use lucid_foundation::{Ids, Rules, ServiceClock};
use lucid_model::{
    fleet::{
        alert::{AlertThresholds, UsageWatch},
        challenge::ChallengeKey,
        node::NodeCaps,
    },
    id::{NodeId, PoolId},
    time::TimeMs,
};
use lucid_notifications::Notifications;
use lucid_ports::{
    AlertStore, EnrolmentStore, Entropy, NodeStore, PolicyRuntime, PoolStore, TelemetryStore,
    UsedOnce,
};
use parking_lot::Mutex;

pub use self::{
    enrolments::GivenEnrolment,
    identity::{Challenge, KeyProof, KeyRotation, RegistrationProof},
    liveness::WALK_BATCH,
    node_alerts::{NodeAlert, NodeAlerts},
    pool_health::PoolHealth,
    presence::Presence,
    queries::NodeView,
    siblings::{SharedTraits, Siblings},
};

/// Who lets a pending node become active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approval {
    /// The validation policy alone: the node's first signed report, or its owner, activates it.
    Auto,
    /// An operator.
    Manual,
}

/// What it is built on.
pub struct Parts {
    pub audit: Arc<Audit>,
    pub challenge_key: ChallengeKey,
    pub clock: Arc<ServiceClock>,
    pub enrolments: Arc<dyn EnrolmentStore>,
    pub entropy: Arc<dyn Entropy>,
    pub ids: Ids,
    pub node_alerts: Arc<dyn AlertStore>,
    pub nodes: Arc<dyn NodeStore>,
    pub notifications: Arc<Notifications>,
    pub pools: Arc<dyn PoolStore>,
    pub reports: Arc<dyn TelemetryStore>,
    pub rules: Rules,
    pub runtime: Arc<dyn PolicyRuntime>,
    pub used_once: Arc<dyn UsedOnce>,
}

/// How it works. Times in milliseconds unless the name says otherwise.
#[derive(Debug, Clone)]
pub struct FleetConfig {
    /// How long a changed wallet is not paid; a first one is paid at once.
    pub wallet_cooldown_ms: i64,
    /// `REGISTRATION_APPROVAL`.
    pub approval: Approval,
    /// Silence after which an active node is in error.
    pub silence_ms: i64,
    /// Percent of the fleet beyond which silence at once is no node's fault; 0 = every node is
    /// judged by itself.
    pub mass_outage_percent: u32,
    /// Caps on registrations.
    pub caps: NodeCaps,
    /// How long a challenge is good for.
    pub challenge_ms: i64,
    /// How far a signed registration's time may be from ours.
    pub registration_skew_ms: i64,
    /// Enrolment tokens that are kept for one owner; 0 = no cap.
    pub enrolments_per_owner_max: u64,
    /// How long an alert about a node is kept once it is over.
    pub alerts_kept_ms: i64,
}

/// Registers and manages nodes and pools, and watches that nodes report.
pub struct Fleet {
    parts: Parts,
    config: FleetConfig,
    presence: Presence,
    /// Until then nobody is judged silent: most of the fleet was.
    no_sweep_before_ms: Mutex<i64>,
    /// What challenges are sealed with, and what opens those of a secret that is being replaced.
    challenge_keys: Mutex<Vec<ChallengeKey>>,
    /// No pool is due for a check before this instant, nor were pools looked for.
    no_pool_check_before: Mutex<TimeMs>,
    /// What nodes measured lately, held against their limits.
    usage_watches: Mutex<BTreeMap<NodeId, UsageWatch>>,
    /// Nodes as which two agents may report.
    collisions: Mutex<clones::Collisions>,
    /// What pools say of their members' alerts, as far as they say anything.
    thresholds: Mutex<BTreeMap<PoolId, AlertThresholds>>,
    /// After how long members of pools that say so are silent.
    silences_ms: Mutex<BTreeMap<NodeId, i64>>,
}

impl Fleet {
    /// Puts the parts together; nothing runs yet.
    pub fn new(parts: Parts, config: FleetConfig) -> Arc<Self> {
        Arc::new(Self {
            presence: Presence::default(),
            no_sweep_before_ms: Mutex::default(),
            challenge_keys: Mutex::new(vec![parts.challenge_key.clone()]),
            no_pool_check_before: Mutex::default(),
            usage_watches: Mutex::default(),
            collisions: Mutex::default(),
            thresholds: Mutex::default(),
            silences_ms: Mutex::default(),
            parts,
            config,
        })
    }

    /// When nodes were heard of, and what their presence grows from.
    pub fn presence(&self) -> &Presence {
        &self.presence
    }

    /// How it is set up.
    pub fn config(&self) -> &FleetConfig {
        &self.config
    }
}
