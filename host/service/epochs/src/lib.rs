//! Epochs: frames, scores and receipts; replaying them, and what adjusts them later.

mod adjustments;
mod close;
mod closing;
mod framing;
mod queries;
mod receipts;
mod replay;
mod rows;
mod scores;
mod scoring;
mod shards;
mod simulation;
mod stall;

use std::sync::Arc;

use lucid_audit::Audit;
use lucid_fleet::Fleet;
use lucid_foundation::{Ids, Rules, ServiceClock};
use lucid_model::{epochs::score::Ppm, time::TimeMs};
use lucid_notifications::Notifications;
use lucid_policies::Policies;
use lucid_ports::{
    AdjustmentStore, Chain, EpochStore, FrameStore, NodeStore, PolicyRuntime, PolicyStore,
    ScoreStore, TelemetryStore, VoteStore,
};
use lucid_telemetry::Telemetry;
use parking_lot::Mutex;

pub use self::{
    closing::{Closing, Stage},
    framing::registered_facts,
    queries::{EPOCHS_MAX, ScoreSeen},
    receipts::EpochParts,
    replay::{DIFFERENCES_NAMED_MAX, Difference, Explained, Replay, ScoreReplay, replay_chunk},
    scores::{OnDemand, Validated},
    stall::EPOCHS_STALLED,
};
pub(crate) use self::{receipts::Known, rows::score_with_factors};

/// Whose sessions count as observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// A node's own, within what the service witnessed.
    Witnessed,
    /// Only those of a principal with role `observer`.
    Attested,
}

/// What it is built on.
pub struct Parts {
    pub adjustments: Arc<dyn AdjustmentStore>,
    pub audit: Arc<Audit>,
    pub chain: Option<Arc<dyn Chain>>,
    pub clock: Arc<ServiceClock>,
    pub epoch_records: Arc<dyn EpochStore>,
    pub fleet: Arc<Fleet>,
    pub frames: Arc<dyn FrameStore>,
    pub ids: Ids,
    pub nodes: Arc<dyn NodeStore>,
    pub notifications: Arc<Notifications>,
    pub policies: Arc<Policies>,
    pub reports: Arc<dyn TelemetryStore>,
    pub rules: Rules,
    pub runtime: Arc<dyn PolicyRuntime>,
    pub scores: Arc<dyn ScoreStore>,
    pub telemetry: Arc<Telemetry>,
    pub versions: Arc<dyn PolicyStore>,
    pub votes: Arc<dyn VoteStore>,
}

/// How it works. Times in milliseconds unless the name says otherwise.
#[derive(Debug, Clone)]
pub struct EpochsConfig {
    /// `POOT_MIN_OBSERVATION_TIME`: credited seconds within the window that make a node eligible.
    pub observation_min_s: u64,
    /// `POOT_ELIGIBILITY_WINDOW_S`.
    pub eligibility_window_s: i64,
    /// `OBSERVATION_TRUST`.
    pub trust: Trust,
    /// How long after its end an epoch is closed: reports on their way still count.
    pub epoch_close_delay_ms: i64,
    /// Share of the expected reports at which an epoch is closed without waiting for more.
    pub epoch_completeness_min: Ppm,
    /// How long after its end an epoch is closed whatever has arrived; never before the delay is
    /// over.
    pub epoch_deadline_ms: i64,
    /// Chunks, and pools, that are scored side by side. What comes out does not depend on it.
    pub chunks_at_once: usize,
    /// Other replicas may work on this store, and help to close an epoch.
    pub replicas: bool,
}

/// Closes epochs: frames, scores and receipts, and what adjusts them later.
pub struct Epochs {
    parts: Parts,
    config: EpochsConfig,
    /// What a stall is told by.
    awaited_epoch: Mutex<Option<stall::Awaited>>,
    /// No epoch is due before this instant: the store knew none when it was last asked, and epochs
    /// are only ever added.
    no_epoch_before: Mutex<TimeMs>,
    /// The epoch that is being closed, and how far it is.
    closing: Mutex<Option<Closing>>,
    no_help_before: Mutex<TimeMs>,
}

impl Epochs {
    /// Puts the parts together; nothing runs yet.
    pub fn new(parts: Parts, config: EpochsConfig) -> Arc<Self> {
        Arc::new(Self {
            parts,
            config,
            awaited_epoch: Mutex::default(),
            no_epoch_before: Mutex::default(),
            closing: Mutex::default(),
            no_help_before: Mutex::default(),
        })
    }

    /// How it is set up.
    pub fn config(&self) -> &EpochsConfig {
        &self.config
    }
}
