//! Use cases over ports: thin drivers of the model's machines.
//!
//! Nothing here sleeps, spawns or reads a clock by itself: every driver is a step that the
//! composition root calls, so that a simulation can call it too.

mod actor;
mod audit;
mod clock;
mod config;
mod consensus;
mod epochs;
mod error;
mod fleet;
mod money;
mod notifications;
mod policies;
mod review;
mod telemetry;
mod vitals;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, atomic::AtomicUsize},
};

use lucid_model::{
    audit::AuditEntry,
    clock::ClockWatch,
    fleet::{
        alert::{AlertThresholds, UsageWatch},
        challenge::ChallengeKey,
    },
    id::{AuditId, FamilyId, NodeId, PayoutId, PoolId, WebhookId},
    policies::PolicyProfile,
    shared_clock::SharedClock,
    telemetry::credit::LastReport,
    time::TimeMs,
};
use lucid_ports::{
    Chain, Clock, Entropy, PaymentRail, PolicyRuntime, Sealer, Signer, Store, UsedOnce,
    WebhookSender,
};
use parking_lot::Mutex;

pub use actor::{Actor, Expected, Role};
pub use audit::{AuditProgress, AuditVerified, verify_audit};
pub use clock::{CLOCK_DOUBTED, ClockStatus, EPOCHS_STALLED};
pub use config::{Approval, PayerLimits, ServiceConfig, Trust};
pub use consensus::participation::Participation;
pub use epochs::adjustments::{ScoreSeen, Voided};
pub use epochs::scores::{OnDemand, ScoreClaim, ScoreRequest, Validated};
pub use epochs::{
    Closing, DIFFERENCES_NAMED_MAX, Difference, EpochParts, Explained, Replay, ScoreReplay,
    Simulated, Stage, replay_chunk,
};
pub use error::ServiceError;
pub use fleet::enrolments::{GivenEnrolment, NewEnrolment};
pub use fleet::identity::{Challenge, KeyProof, KeyRotation, RegistrationProof};
pub use fleet::machines::Machine;
pub use fleet::node_alerts::{NodeAlert, NodeAlerts};
pub use fleet::nodes::{ConfigChange, NewSuspension, NodePatch, NodeView};
pub use fleet::pool_health::PoolHealth;
pub use fleet::pools::{NewPool, PoolConfigChange, PoolPatch};
pub use fleet::registration::NewNode;
pub use money::books::{BooksProgress, BooksVerified, verify_books};
pub use money::decisions::Resolved;
pub use money::mismatches::Untold;
pub use money::payer::{InFlight, PAYER};
pub use money::reconciliation::LastVerified;
pub use money::resolutions::Unresolvable;
pub use money::runs::{
    Balance, LeftOut, NotPaid, PayoutProof, RunLine, RunReport, Unpaid, UnpaidFilter, UnpaidLine,
    UnpaidReport,
};
pub use money::statements::{Statement, StatementLine};
pub use notifications::bus::EventBus;
pub use notifications::webhooks::{GivenWebhook, NewWebhook, Told, WebhookPatch, WebhookSettings};
pub use policies::{
    ActivationRequest, ActiveFile, Comparison, NamedActivation, Staged, Start, VersionFilter,
    VersionStanding,
};
pub use review::performance::{PoolGrain, PoolHistory, PoolPoint};
pub use review::queries::{Earnings, FleetUsage, NodeUsage};
pub use review::shadows::NewShadow;
pub use review::standing::{Safety, Standing};
pub use telemetry::carried::Carried;
pub use telemetry::history::{Grain, History, HistoryPoint, POINTS_MAX, SeriesAges};
pub use telemetry::observations::{JudgedSession, NewSession};
pub use telemetry::reports::{NewSample, ReportProof, Reported};
pub use telemetry::samples::{DropReason, DroppedSample, SampleLimits};
pub use vitals::{Pulse, STORE, STORE_DAMAGED, TASKS, TaskState, Trouble};

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

/// The service.
pub struct Service {
    ports: Ports,
    config: ServiceConfig,
    family: FamilyId,
    bus: EventBus,
    /// Last signed report of each active node; what presence grows from.
    last_reports: Mutex<BTreeMap<NodeId, LastReport>>,
    /// What nodes have left of their quotas of samples.
    sample_quotas: telemetry::samples::SampleQuotas,
    /// Reports that wait for the store.
    reports_waiting: AtomicUsize,
    /// When each active node was last heard of, on the monotonic clock; what liveness is judged by.
    last_heard_ms: Mutex<BTreeMap<NodeId, i64>>,
    /// Until then nobody is judged silent: most of the fleet was.
    no_sweep_before_ms: Mutex<i64>,
    /// The clock that replicas share; none while there is one replica.
    shared_clock: Mutex<Option<SharedClock>>,
    /// What challenges are sealed with, and what opens those of a secret that is being replaced.
    challenge_keys: Mutex<Vec<ChallengeKey>>,
    /// The wall clock, held against the steady one.
    clock_watch: Mutex<ClockWatch>,
    /// What a stall is told by.
    awaited_epoch: Mutex<Option<clock::Awaited>>,
    /// What the audit log's seals name, as far as they were read.
    sealed: Mutex<audit::Sealed>,
    /// What policies said of themselves lately.
    profiles: Mutex<VecDeque<Arc<PolicyProfile>>>,
    /// No epoch is due before this instant: the store knew none when it was last asked, and epochs
    /// are only ever added.
    no_epoch_before: Mutex<TimeMs>,
    /// No pool is due for a check before this instant, nor were pools looked for.
    no_pool_check_before: Mutex<TimeMs>,
    /// The epoch that is being closed, and how far it is.
    closing: Mutex<Option<epochs::Closing>>,
    chain_pace: Mutex<consensus::votes::ChainPace>,
    /// How far payouts were compared with the payment service.
    compared: Mutex<money::reconciliation::Progress>,
    /// What look-ups said of payouts that ended, and have to say again.
    suspicions: Mutex<BTreeMap<PayoutId, money::mismatches::Suspicion>>,
    /// What the last verification of the books found.
    last_verified: Mutex<Option<LastVerified>>,
    /// Held while scores are adjusted, and while a period is settled: neither happens in the middle
    /// of the other.
    adjusting: futures::lock::Mutex<()>,
    /// Reservations that nobody made a payout of are not looked for before this instant.
    no_money_sweep_before: Mutex<TimeMs>,
    no_help_before: Mutex<TimeMs>,
    /// What nodes have earned that did not accrue yet, as somebody asked last.
    estimates: Mutex<Arc<money::settle::Estimates>>,
    /// Of the run that was asked about last.
    receipts: Mutex<Arc<money::runs::Receipts>>,
    /// What this process's payer knows besides the store.
    payer: Mutex<money::payer::PayerState>,
    /// How far rolling up and forgetting have come with the nodes.
    walks: Mutex<telemetry::history::Walks>,
    /// What nodes measured lately, held against their limits.
    usage_watches: Mutex<BTreeMap<NodeId, UsageWatch>>,
    /// Nodes as which two agents may report.
    collisions: Mutex<fleet::clones::Collisions>,
    /// What pools say of their members' alerts, as far as they say anything.
    thresholds: Mutex<BTreeMap<PoolId, AlertThresholds>>,
    /// After how long members of pools that say so are silent.
    silences_ms: Mutex<BTreeMap<NodeId, i64>>,
    /// Endpoints that took nothing lately: how often in a row, and until when they are left alone.
    webhooks_paused: Mutex<BTreeMap<WebhookId, (u32, TimeMs)>>,
    /// How tasks and store do.
    vitals: vitals::Vitals,
    /// Alerts of the service itself that are raised, so that each is said once.
    alerts: Mutex<BTreeMap<(&'static str, String), String>>,
}

impl Service {
    /// Puts the parts together; nothing runs yet.
    pub fn new(ports: Ports, config: ServiceConfig, family: FamilyId) -> Arc<Self> {
        Arc::new(Self {
            challenge_keys: Mutex::new(vec![ports.challenge_key.clone()]),
            ports,
            bus: EventBus::new(config.events_buffered_max),
            config,
            family,
            last_reports: Mutex::default(),
            sample_quotas: telemetry::samples::SampleQuotas::default(),
            reports_waiting: AtomicUsize::default(),
            last_heard_ms: Mutex::default(),
            no_sweep_before_ms: Mutex::default(),
            shared_clock: Mutex::default(),
            clock_watch: Mutex::default(),
            awaited_epoch: Mutex::default(),
            sealed: Mutex::default(),
            profiles: Mutex::default(),
            no_epoch_before: Mutex::default(),
            no_pool_check_before: Mutex::default(),
            closing: Mutex::default(),
            chain_pace: Mutex::default(),
            compared: Mutex::default(),
            suspicions: Mutex::default(),
            last_verified: Mutex::default(),
            adjusting: futures::lock::Mutex::default(),
            no_money_sweep_before: Mutex::default(),
            no_help_before: Mutex::default(),
            estimates: Mutex::default(),
            receipts: Mutex::default(),
            payer: Mutex::default(),
            walks: Mutex::default(),
            usage_watches: Mutex::default(),
            collisions: Mutex::default(),
            thresholds: Mutex::default(),
            silences_ms: Mutex::default(),
            webhooks_paused: Mutex::default(),
            vitals: vitals::Vitals::default(),
            alerts: Mutex::default(),
        })
    }

    /// What happens, as it happens.
    pub fn bus(&self) -> &EventBus {
        &self.bus
    }

    /// How the service is set up.
    pub fn config(&self) -> &ServiceConfig {
        &self.config
    }

    /// The service's own public key: what votes and node tokens are checked with.
    pub fn public_key(&self) -> lucid_model::fleet::node::PublicKey {
        self.ports.signer.public_key()
    }

    /// The store and all its copies.
    pub fn family(&self) -> FamilyId {
        self.family
    }

    fn store(&self) -> &dyn Store {
        self.ports.store.as_ref()
    }

    fn uuid_v7(&self) -> uuid::Uuid {
        let ms = u64::try_from(self.now().0).unwrap_or_default();
        let random = self.ports.entropy.random_16();
        let (head, _) = random.split_at(10);
        let mut ten = [0; 10];
        ten.copy_from_slice(head);
        uuid::Builder::from_unix_timestamp_millis(ms, &ten).into_uuid()
    }

    /// The id of what a request creates: the one that was kept for it, if it carries an idempotency
    /// key.
    fn new_id(&self, actor: &Actor) -> uuid::Uuid {
        actor.creates.map_or_else(|| self.uuid_v7(), |id| id.0)
    }

    fn emit(&self, kind: lucid_model::notifications::event::EventKind) {
        self.bus.publish(self.now(), kind);
    }

    fn audit_entry(
        &self,
        actor: &Actor,
        action: &str,
        subject: impl ToString,
        detail: impl Into<String>,
    ) -> AuditEntry {
        AuditEntry {
            id: AuditId(self.uuid_v7()),
            at: self.now(),
            actor: actor.subject.clone(),
            action: action.to_owned(),
            subject: subject.to_string(),
            detail: detail.into(),
            request_id: actor.request_id.clone(),
            before: None,
            after: None,
        }
    }
}
