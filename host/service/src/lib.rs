//! The service: its features, put together over ports. Each `*_step` and each step that a task calls
//! is one bounded piece of work.
//!
//! Nothing here sleeps, spawns or reads a clock by itself: every driver is a step that the
//! composition root calls, so that a simulation can call it too.

mod assembly;
mod clock;
mod config;
mod vitals;

use std::sync::Arc;

use assembly::Assembly;
use lucid_model::{
    fleet::{challenge::ChallengeKey, node::PublicKey},
    id::FamilyId,
};
use lucid_ports::{
    Chain, Clock, Entropy, PaymentRail, PolicyRuntime, Sealer, Signer, Store, UsedOnce,
    WebhookSender,
};

pub use clock::CLOCK_DOUBTED;
pub use config::ServiceConfig;
pub use lucid_audit::{Audit, AuditConfig, AuditProgress, AuditVerified, verify_audit};
pub use lucid_consensus::{Consensus, ConsensusConfig, Participation};
pub use lucid_epochs::{
    Closing, DIFFERENCES_NAMED_MAX, Difference, EPOCHS_MAX, EPOCHS_STALLED, EpochParts, Epochs,
    EpochsConfig, Explained, OnDemand, Replay, ScoreReplay, ScoreSeen, Stage, Trust, Validated,
    replay_chunk,
};
pub use lucid_fleet::{
    Approval, Challenge, Fleet, FleetConfig, GivenEnrolment, KeyProof, KeyRotation, NodeAlert,
    NodeAlerts, NodeView, PoolHealth, RegistrationProof,
};
pub use lucid_foundation::{
    Actor, ClockStatus, Expected, Pulse, Role, Rules, STORE, STORE_DAMAGED, ServiceClock,
    ServiceError, TASKS, TaskState, Trouble, Unresolvable, Vitals,
};
pub use lucid_money::{
    Balance, BooksProgress, BooksVerified, Earnings, InFlight, LastVerified, LeftOut, Money,
    MoneyConfig, NotPaid, PAYER, PayerLimits, PayoutProof, Resolved, RunLine, RunReport, Statement,
    StatementLine, Suspected, Unpaid, UnpaidFilter, UnpaidLine, UnpaidReport, Voided, verify_books,
};
pub use lucid_notifications::{
    EventBus, GivenWebhook, Notification, Notifications, NotificationsConfig, WebhookSettings,
};
pub use lucid_policies::{
    ActivationRequest, ActiveFile, Comparison, NamedActivation, Policies, PoliciesConfig, Staged,
    Start, VersionFilter, VersionStanding,
};
pub use lucid_review::{
    NewShadow, PoolGrain, PoolHistory, PoolPoint, Review, Safety, Simulated, Standing,
};
pub use lucid_telemetry::{
    DropReason, DroppedSample, FleetUsage, Grain, History, HistoryPoint, JudgedSession, NodeUsage,
    POINTS_MAX, RelayedReport, ReportProof, Reported, SampleLimits, SeriesAges, Telemetry,
    TelemetryConfig,
};

/// What the alert about a clock that is off is about: a replica that raised it is not ready.
pub const CLOCK: &str = "clock";

/// What the service is built on.
pub struct Ports {
    /// Keeps state.
    pub store: Arc<dyn Store>,
    /// Runs policies.
    pub policies: Arc<dyn PolicyRuntime>,
    /// Takes votes; none = votes wait.
    pub chain: Option<Arc<dyn Chain>>,
    /// Pays; none = everything but execution works.
    pub rail: Option<Arc<dyn PaymentRail>>,
    /// Sends to webhooks.
    pub webhooks: Arc<dyn WebhookSender>,
    /// Signs votes and seals of the audit log.
    pub signer: Arc<dyn Signer>,
    /// Seals secrets that the store keeps.
    pub sealer: Arc<dyn Sealer>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// What login challenges are sealed with.
    pub challenge_key: ChallengeKey,
    /// Remembers answered challenges and nonces.
    pub used_once: Arc<dyn UsedOnce>,
}

/// The service: a type for each feature, which owns the feature's state.
pub struct Service {
    pub clock: Arc<ServiceClock>,
    pub vitals: Arc<Vitals>,
    pub audit: Arc<Audit>,
    pub notifications: Arc<Notifications>,
    pub policies: Arc<Policies>,
    pub fleet: Arc<Fleet>,
    pub telemetry: Arc<Telemetry>,
    pub epochs: Arc<Epochs>,
    pub consensus: Arc<Consensus>,
    pub money: Arc<Money>,
    pub review: Arc<Review>,
    signer: Arc<dyn Signer>,
    family: FamilyId,
}

impl Service {
    /// Puts the parts together; nothing runs yet.
    pub fn new(ports: Ports, config: ServiceConfig, family: FamilyId) -> Arc<Self> {
        let parts = Assembly::new(&ports, config.rules, family);
        let audit = parts.audit(config.audit);
        let notifications = parts.notifications(&audit, config.notifications);
        let policies = parts.policies(&audit, &notifications, config.policies);
        let fleet = parts.fleet(&audit, &notifications, config.fleet);
        let telemetry = parts.telemetry(&notifications, &policies, &fleet, config.telemetry);
        let epochs =
            parts.epochs(&audit, &notifications, &policies, &fleet, &telemetry, config.epochs);
        let consensus = parts.consensus(&notifications, &fleet, config.consensus);
        let money = parts.money(&audit, &notifications, &fleet, &epochs, config.money);
        let review = parts.review(&audit, &notifications, &policies, &epochs, &money);
        Arc::new(Self {
            clock: parts.clock,
            vitals: parts.vitals,
            audit,
            notifications,
            policies,
            fleet,
            telemetry,
            epochs,
            consensus,
            money,
            review,
            signer: ports.signer.clone(),
            family,
        })
    }

    /// The service's own public key: what votes and node tokens are checked with.
    pub fn public_key(&self) -> PublicKey {
        self.signer.public_key()
    }

    /// The store and all its copies.
    pub fn family(&self) -> FamilyId {
        self.family
    }
}
