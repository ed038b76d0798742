//! What nodes report: taken in, judged, kept and read again.

mod history;
mod observations;
mod relayed;
mod reports;
mod samples;
mod usage;

use std::sync::{Arc, atomic::AtomicUsize};

use lucid_fleet::Fleet;
use lucid_foundation::ServiceClock;
use lucid_notifications::Notifications;
use lucid_policies::Policies;
use lucid_ports::{NodeStore, PolicyRuntime, SeriesStore, TelemetryStore};
use parking_lot::Mutex;

pub use self::{
    history::{Grain, History, HistoryPoint, POINTS_MAX, SeriesAges},
    observations::JudgedSession,
    relayed::RelayedReport,
    reports::{ReportProof, Reported},
    samples::{DropReason, DroppedSample, SampleLimits},
    usage::{FleetUsage, NodeUsage},
};

/// What it is built on.
pub struct Parts {
    pub clock: Arc<ServiceClock>,
    pub fleet: Arc<Fleet>,
    pub nodes: Arc<dyn NodeStore>,
    pub notifications: Arc<Notifications>,
    pub policies: Arc<Policies>,
    pub reports: Arc<dyn TelemetryStore>,
    pub runtime: Arc<dyn PolicyRuntime>,
    pub series: Arc<dyn SeriesStore>,
}

/// How it works. Times in milliseconds unless the name says otherwise.
#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    /// Reports that may wait for the store at once; who comes beyond is asked to come again.
    pub reports_waiting_max: usize,
    /// Samples that a node may send in a day.
    pub sample_limits: SampleLimits,
    /// How long what nodes measured is kept.
    pub series: SeriesAges,
}

/// Ingests reports, judges observation sessions, and keeps what nodes measured.
pub struct Telemetry {
    parts: Parts,
    config: TelemetryConfig,
    /// What nodes have left of their quotas of samples.
    sample_quotas: samples::SampleQuotas,
    /// Reports that wait for the store.
    reports_waiting: AtomicUsize,
    /// How far rolling up and forgetting have come with the nodes.
    walks: Mutex<history::Walks>,
}

impl Telemetry {
    /// Puts the parts together; nothing runs yet.
    pub fn new(parts: Parts, config: TelemetryConfig) -> Arc<Self> {
        Arc::new(Self {
            parts,
            config,
            sample_quotas: samples::SampleQuotas::default(),
            reports_waiting: AtomicUsize::default(),
            walks: Mutex::default(),
        })
    }

    /// How it is set up.
    pub fn config(&self) -> &TelemetryConfig {
        &self.config
    }
}
