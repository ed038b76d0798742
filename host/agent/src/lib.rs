//! The worker: measures this machine and reports it, signed.
//!
//! It owns one directory, which holds its key, its identity, its place in the sequence of reports
//! and the samples that could not be sent yet. It never prints: what happens is told through a
//! callback.

mod clock;
mod disk;
mod key;
mod link;
mod machine;
mod profile;
mod registration;
mod reporter;
mod retry;
mod schedule;
mod session;
mod spool;
mod status;
#[cfg(test)]
mod tests;

use std::{net::IpAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use lucid_client::{Client, ClientError, Credential};
use lucid_model::{id::NodeId, time::TimeMs};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::now, disk::Disk, machine::Machine, profile::MachineProfile, registration::Registrar,
    reporter::Reporter, schedule::Schedule, spool::SpoolLimits,
};

pub use status::{AcceptedReport, AgentStatus, Failure, Health, SpoolStatus, status};

/// Samples that may wait between measuring and reporting.
const SAMPLES_WAITING_MAX: usize = 16;

/// Intervals that suit a service with its defaults. It takes 86,400 samples a day of a node, and a
/// node from which nothing came for 90 s is absent: the longest interval leaves time for a report
/// that is sent twice.
pub const INTERVALS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60);

/// How an agent works.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// The service: `http://127.0.0.1:8095`.
    pub server: String,
    /// Certificates, PEM, that vouch for the service over `https`; none = what the machine trusts.
    pub ca_pem: Option<Vec<u8>>,
    /// The node's name.
    pub name: String,
    /// Where others reach this node.
    pub ip_address: IpAddr,
    /// On which port, 1024–65535.
    pub port: u16,
    /// The agent's own directory.
    pub data_dir: PathBuf,
    /// Time between samples.
    pub interval: Duration,
    /// How long an observation session grows before the next one starts.
    pub session_length: Duration,
    /// The owner's token, or an enrolment token; needed until the node is registered.
    pub credential: Option<Credential>,
    /// Where it is read in place of `credential`: once, when the node is registered.
    pub credential_file: Option<CredentialFile>,
    /// Where the node's earnings go: a TRON address.
    pub wallet: Option<String>,
    /// Bytes of samples kept on disk while the service cannot be reached; the oldest give way.
    pub spool_bytes_max: u64,
    /// Samples that are older give way, too.
    pub spool_age_max: Duration,
    /// Between two reports of what was kept, about; longer while the service is slow to answer.
    pub backlog_pause: Duration,
    /// First pause after a failure; doubles with every further one.
    pub retry_min: Duration,
    /// Longest pause.
    pub retry_max: Duration,
}

impl AgentConfig {
    /// An agent with the defaults, named after its host.
    pub fn new(
        server: impl Into<String>,
        ip_address: IpAddr,
        port: u16,
        data_dir: impl Into<PathBuf>,
    ) -> Self {
        Self {
            server: server.into(),
            ca_pem: None,
            name: machine::host_name(),
            ip_address,
            port,
            data_dir: data_dir.into(),
            interval: Duration::from_secs(30),
            session_length: Duration::from_secs(15 * 60),
            credential: None,
            credential_file: None,
            wallet: None,
            spool_bytes_max: 16 << 20,
            spool_age_max: Duration::from_secs(7 * 24 * 3600),
            backlog_pause: Duration::from_secs(5),
            retry_min: Duration::from_secs(1),
            retry_max: Duration::from_secs(60),
        }
    }
}

/// A file with a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialFile {
    /// The owner's.
    Owner(PathBuf),
    /// An enrolment token.
    Enrolment(PathBuf),
}

/// Holds an interval against [`INTERVALS`].
///
/// # Errors
/// [`AgentError::Interval`] if it is outside.
pub fn check_interval(interval: Duration) -> Result<Duration, AgentError> {
    if INTERVALS.contains(&interval) {
        Ok(interval)
    } else {
        Err(AgentError::Interval { interval })
    }
}

/// What happens to an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentEvent {
    /// The service knows this node now.
    Registered {
        /// As which.
        node_id: NodeId,
    },
    /// The node's status is another one than before (or is known for the first time).
    StatusChanged {
        /// `pending`, `active`, …
        status: String,
    },
    /// Samples were taken by the service.
    Reported { samples: u32 },
    /// Observation sessions were judged.
    Observed {
        /// Not rejected.
        accepted: u32,
        /// The reasons of those that were.
        rejected: Vec<String>,
    },
    /// The service refused a report for what it says; it is not sent again.
    Refused {
        /// The service's words.
        reason: String,
    },
    /// The service does not answer, or not usefully; samples are kept on disk.
    Offline { since: TimeMs, reason: String },
    /// The disk does not keep what it should; samples are kept in memory, and the oldest give way.
    DiskFailing { reason: String },
    /// It does again.
    DiskRecovered,
    /// It answers again.
    BackOnline {
        /// Samples that were kept and are sent now.
        spooled: u64,
    },
    /// The service took this machine's current address and hardware.
    MachineReported,
    /// A figure of this machine is more than the service takes; the limit is reported in its place.
    OutOfRange {
        /// `storage_bytes`, `uptime`, …
        figure: &'static str,
        /// As measured.
        value: u64,
        /// As reported.
        limit: u64,
    },
}

impl From<machine::OutOfRange> for AgentEvent {
    fn from(figure: machine::OutOfRange) -> Self {
        let machine::OutOfRange { figure, value, limit } = figure;
        Self::OutOfRange { figure, value, limit }
    }
}

/// Why an agent ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A file of the agent's directory cannot be used.
    #[error("cannot use {path}: {problem}")]
    Disk { path: PathBuf, problem: String },
    /// Reports would be too frequent, or so rare that the node looks absent.
    #[error(
        "interval {interval:?} is outside {} to {} seconds: the service drops more than one sample a second, and sees a node as absent after 90 s",
        INTERVALS.start().as_secs(),
        INTERVALS.end().as_secs()
    )]
    Interval {
        /// As it was set.
        interval: Duration,
    },
    /// The token that the registration needs cannot be read.
    #[error(
        "cannot read the token in {path}, which is needed until the node is registered: {problem}"
    )]
    CredentialFile { path: PathBuf, problem: String },
    /// Another agent runs in this directory.
    #[error("another agent uses {path}")]
    InUse { path: PathBuf },
    /// This machine cannot be measured.
    #[error("cannot measure this machine: {detail}")]
    Machine { detail: String },
    /// There is no randomness for a key.
    #[error("the system gives no random bytes")]
    Entropy,
    /// The address of the service cannot be used.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Another node has this key or this address and port.
    #[error(
        "this node is registered already, by other means than this directory: {message}; deregister that node, or use another address or port"
    )]
    AlreadyRegistered {
        /// The service's words.
        message: String,
    },
    /// The service does not take the registration.
    #[error("the service refused the registration: {message}")]
    RegistrationRefused {
        /// The service's words.
        message: String,
    },
    /// The service does not know the node of this directory.
    #[error(
        "the service does not know node {node_id}, which {path} says this is; remove that file to register anew"
    )]
    UnknownNode {
        node_id: NodeId,
        /// The file that says so.
        path: PathBuf,
    },
}

/// Runs an agent until `shutdown` is cancelled, or something is wrong that waiting does not mend.
///
/// # Errors
/// [`AgentError`] if the directory, the machine, the address or the registration is not usable.
pub async fn run(
    config: AgentConfig,
    shutdown: CancellationToken,
    on_event: impl Fn(AgentEvent) + Send + Sync,
) -> Result<(), AgentError> {
    let limits = SpoolLimits { bytes_max: config.spool_bytes_max, age_max: config.spool_age_max };
    let disk = Disk::open(
        config.data_dir.clone(),
        limits,
        AgentStatus::starting(&config.server, config.interval, now()),
    )
    .await?;
    let client = Client::new(&config.server, config.ca_pem.as_deref())?;
    let machine = Machine::open(config.data_dir.clone()).await?;
    let (mut machine, hardware) = machine.hardware().await?;
    machine.take_out_of_range().into_iter().for_each(|figure| on_event(figure.into()));
    let registrar = Registrar { config: &config, disk: &disk, client: &client, hardware };
    let Some(node) = registrar.node(&shutdown, &on_event).await? else { return Ok(()) };
    let (sender, samples) = mpsc::channel(SAMPLES_WAITING_MAX);
    let (start, schedule) = (Instant::now(), Schedule::new(node, config.interval));
    let begin = start + schedule.first();
    let profile = MachineProfile { ip_address: config.ip_address, port: config.port, hardware };
    let reporter = Reporter::new(&config, disk, client, node, profile, &on_event);
    tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        ended = measure(machine, start, schedule, sender) => ended,
        ended = reporter.run(samples, begin) => ended,
    }
}

async fn measure(
    mut machine: Machine,
    start: Instant,
    mut schedule: Schedule,
    sender: mpsc::Sender<machine::Measurement>,
) -> Result<(), AgentError> {
    loop {
        sleep_until(start + schedule.due(start.elapsed())).await;
        let measurement;
        (machine, measurement) = machine.measure().await?;
        if sender.send(measurement).await.is_err() {
            return Ok(());
        }
    }
}
