//! The agent's directory: identity, place in the sequence, the report that is under way, the spool.
//!
//! Invariant: a sequence number is in a block that is on disk before the number is used, and a new run starts
//! after the last block, so that no number ever stands for two bodies.

use std::{
    fmt::Display,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ed25519_dalek::SigningKey;
use lucid_model::id::NodeId;
use lucid_wire::report::{MetricsRequest, SampleRequest};
use serde::{Deserialize, Serialize};

use crate::{AgentError, key, spool::Spool};

/// Numbers reserved at once: one write of the state file a block.
const SEQUENCE_BLOCK: u64 = 1000;
/// An agent that was just stopped may still be finishing a write.
const LOCK_TRIES: usize = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// Holds identity and sequence.
const STATE_FILE: &str = "agent.json";
/// Holds the report that may have been taken already.
const PENDING_FILE: &str = "pending.json";

/// What a report is about; also the last part of its path and the kind in what is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReportKind {
    Metrics,
    Observations,
}

impl ReportKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Observations => "observations",
        }
    }
}

/// A report with its number: sent again, it is the same in every byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outgoing {
    pub(crate) kind: ReportKind,
    pub(crate) sequence: u64,
    pub(crate) body: String,
    /// Samples in it.
    pub(crate) samples: u32,
    /// The spool's segment it was made from, which is in the way of nothing once this is on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    segment: Option<u64>,
    /// Whether it is on disk.
    #[serde(skip)]
    kept: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    v: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node_id: Option<String>,
    /// Every number up to this one may have been used.
    reserved_to: u64,
}

struct Inner {
    dir: PathBuf,
    state: State,
    next_sequence: u64,
    spool: Spool,
    /// Held as long as the agent runs.
    _lock: fs::File,
}

/// The directory; every use of it leaves the async threads alone.
#[derive(Clone)]
pub(crate) struct Disk {
    inner: Arc<Mutex<Inner>>,
    pub(crate) key: SigningKey,
}

impl Disk {
    pub(crate) async fn open(dir: PathBuf, spool_samples_max: usize) -> Result<Self, AgentError> {
        blocking(move || {
            fs::create_dir_all(&dir).map_err(|error| failed(&dir, error))?;
            let lock = lock(&dir)?;
            let key = key::load_or_create(&dir)?;
            let path = dir.join(STATE_FILE);
            let state: State = read_json(&path)?.unwrap_or(State { v: 1, ..State::default() });
            if state.v != 1 {
                return Err(failed(&path, format!("written by a newer agent (format {})", state.v)));
            }
            let mut spool = Spool::open(dir.join("spool"), spool_samples_max)?;
            // Killed between the two steps of making a report from a segment.
            if let Some(segment) = read_json::<Outgoing>(&dir.join(PENDING_FILE))?.and_then(|pending| pending.segment) {
                spool.remove(segment)?;
            }
            let next_sequence = state.reserved_to.saturating_add(1);
            Ok(Self { inner: Arc::new(Mutex::new(Inner { dir, state, next_sequence, spool, _lock: lock })), key })
        })
        .await
    }

    async fn with<T: Send + 'static>(&self, work: impl FnOnce(&mut Inner) -> Result<T, AgentError> + Send + 'static) -> Result<T, AgentError> {
        let inner = self.inner.clone();
        blocking(move || work(&mut inner.lock().unwrap_or_else(PoisonError::into_inner))).await
    }

    /// The node of this directory, if it is registered.
    pub(crate) async fn node(&self) -> Result<Option<NodeId>, AgentError> {
        self.with(|inner| {
            let parsed = inner.state.node_id.as_deref().map(str::parse).transpose();
            parsed.map_err(|_| failed(&inner.dir.join(STATE_FILE), "node_id is not a uuid"))
        })
        .await
    }

    /// Remembers the node.
    pub(crate) async fn set_node(&self, node: NodeId) -> Result<(), AgentError> {
        self.with(move |inner| {
            inner.state.node_id = Some(node.to_string());
            inner.write_state()
        })
        .await
    }

    /// The file that says which node this is.
    pub(crate) async fn state_path(&self) -> Result<PathBuf, AgentError> {
        self.with(|inner| Ok(inner.dir.join(STATE_FILE))).await
    }

    /// A report with the next number.
    pub(crate) async fn number(&self, kind: ReportKind, body: String, samples: u32) -> Result<Outgoing, AgentError> {
        self.with(move |inner| Ok(Outgoing { kind, sequence: inner.take_sequence()?, body, samples, segment: None, kept: false })).await
    }

    /// The same report with a number above `highest`, which the service has already.
    pub(crate) async fn renumber(&self, report: Outgoing, highest: u64) -> Result<Outgoing, AgentError> {
        self.with(move |inner| {
            inner.next_sequence = inner.next_sequence.max(highest.saturating_add(1));
            let report = Outgoing { sequence: inner.take_sequence()?, ..report };
            if report.kept { inner.keep(report) } else { Ok(report) }
        })
        .await
    }

    /// Puts a report on disk whose fate is unknown, to be sent again as it is, also by a later run.
    pub(crate) async fn keep(&self, report: Outgoing) -> Result<Outgoing, AgentError> {
        if report.kept {
            return Ok(report);
        }
        self.with(move |inner| inner.keep(report)).await
    }

    /// The fate of a report is known.
    pub(crate) async fn settle(&self, report: &Outgoing) -> Result<(), AgentError> {
        if !report.kept {
            return Ok(());
        }
        self.with(|inner| remove(&inner.dir.join(PENDING_FILE))).await
    }

    /// The report whose fate is unknown, if there is one.
    pub(crate) async fn pending(&self) -> Result<Option<Outgoing>, AgentError> {
        self.with(|inner| Ok(read_json::<Outgoing>(&inner.dir.join(PENDING_FILE))?.map(|report| Outgoing { kept: true, ..report }))).await
    }

    /// Keeps a sample for later.
    pub(crate) async fn spool(&self, sample: SampleRequest) -> Result<(), AgentError> {
        self.with(move |inner| inner.spool.append(&sample)).await
    }

    /// Samples kept for later.
    pub(crate) async fn spooled(&self) -> Result<u64, AgentError> {
        self.with(|inner| Ok(inner.spool.len())).await
    }

    /// Makes the oldest part of the spool a report, which is on disk in its place.
    pub(crate) async fn unspool(&self) -> Result<Option<Outgoing>, AgentError> {
        self.with(|inner| {
            let Some((segment, samples)) = inner.spool.oldest()? else { return Ok(None) };
            let count = u32::try_from(samples.len()).unwrap_or(u32::MAX);
            if count == 0 {
                // Nothing of it was readable.
                inner.spool.remove(segment)?;
                return Ok(None);
            }
            let body = serde_json::to_string(&MetricsRequest { samples }).map_err(|error| failed(&inner.dir, error))?;
            let sequence = inner.take_sequence()?;
            let report = Outgoing { kind: ReportKind::Metrics, sequence, body, samples: count, segment: Some(segment), kept: false };
            let report = inner.keep(report)?;
            inner.spool.remove(segment)?;
            Ok(Some(report))
        })
        .await
    }
}

impl Inner {
    fn take_sequence(&mut self) -> Result<u64, AgentError> {
        let sequence = self.next_sequence;
        if sequence > self.state.reserved_to {
            self.state.reserved_to = sequence.saturating_add(SEQUENCE_BLOCK - 1);
            self.write_state()?;
        }
        self.next_sequence = sequence.saturating_add(1);
        Ok(sequence)
    }
    fn write_state(&self) -> Result<(), AgentError> {
        write_json(&self.dir.join(STATE_FILE), &self.state)
    }
    fn keep(&self, report: Outgoing) -> Result<Outgoing, AgentError> {
        write_json(&self.dir.join(PENDING_FILE), &report)?;
        Ok(Outgoing { kept: true, ..report })
    }
}

/// A problem with a file.
pub(crate) fn failed(path: &Path, problem: impl Display) -> AgentError {
    AgentError::Disk { path: path.to_owned(), problem: problem.to_string() }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, AgentError> + Send + 'static) -> Result<T, AgentError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(failed(Path::new(""), error)),
    }
}

fn lock(dir: &Path) -> Result<fs::File, AgentError> {
    let path = dir.join("agent.lock");
    let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(|error| failed(&path, error))?;
    for pause in [LOCK_PAUSE; LOCK_TRIES] {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(pause),
            Err(fs::TryLockError::Error(error)) => return Err(failed(&path, error)),
        }
    }
    Err(AgentError::InUse { path: dir.to_owned() })
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, AgentError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| failed(path, error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path, error)),
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), AgentError> {
    let bytes = serde_json::to_vec(value).map_err(|error| failed(path, error))?;
    let beside = path.with_extension("json.new");
    let written = fs::File::create(&beside).and_then(|mut file| {
        io::Write::write_all(&mut file, &bytes)?;
        file.sync_all()
    });
    written.map_err(|error| failed(&beside, error))?;
    durable_rename(&beside, path).map_err(|error| failed(path, error))
}

/// Renames so that a crash leaves the old file or the new one.
pub(crate) fn durable_rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_directory(to)
}

/// Makes a file's coming or going durable.
fn sync_directory(file: &Path) -> io::Result<()> {
    match file.parent() {
        #[cfg(unix)]
        Some(dir) => fs::File::open(dir)?.sync_all(),
        _ => Ok(()),
    }
}

/// Removes a file that may be gone already, durably.
pub(crate) fn remove(path: &Path) -> Result<(), AgentError> {
    match fs::remove_file(path).and_then(|()| sync_directory(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(uptime: u64) -> SampleRequest {
        SampleRequest { uptime: Some(uptime), ..SampleRequest::default() }
    }

    async fn open(dir: &tempfile::TempDir) -> Disk {
        Disk::open(dir.path().to_owned(), 100).await.unwrap()
    }

    #[tokio::test]
    async fn a_sequence_number_is_never_used_by_two_runs() {
        let dir = tempfile::tempdir().unwrap();
        let mut used = Vec::new();
        for _ in 0..3 {
            let disk = open(&dir).await;
            for _ in 0..3 {
                used.push(disk.number(ReportKind::Metrics, "{}".into(), 1).await.unwrap().sequence);
            }
        }
        assert_eq!(used, [1, 2, 3, 1001, 1002, 1003, 2001, 2002, 2003]);
    }

    #[tokio::test]
    async fn a_number_the_service_has_is_skipped_for_good() {
        let dir = tempfile::tempdir().unwrap();
        let disk = open(&dir).await;
        let report = disk.number(ReportKind::Metrics, "{}".into(), 1).await.unwrap();
        assert_eq!(disk.renumber(report, 5000).await.unwrap().sequence, 5001);
        drop(disk);
        assert_eq!(open(&dir).await.number(ReportKind::Metrics, "{}".into(), 1).await.unwrap().sequence, 6001);
    }

    #[tokio::test]
    async fn a_kept_report_is_the_same_after_a_restart_and_its_samples_are_not_spooled_twice() {
        let dir = tempfile::tempdir().unwrap();
        let disk = open(&dir).await;
        disk.spool(sample(1)).await.unwrap();
        disk.spool(sample(2)).await.unwrap();
        let report = disk.unspool().await.unwrap().unwrap();
        assert_eq!((report.samples, disk.spooled().await.unwrap()), (2, 0));
        drop(disk);
        let disk = open(&dir).await;
        assert_eq!(disk.pending().await.unwrap(), Some(report.clone()));
        disk.settle(&report).await.unwrap();
        assert_eq!(disk.pending().await.unwrap(), None);
    }

    #[tokio::test]
    async fn one_directory_serves_one_agent() {
        let dir = tempfile::tempdir().unwrap();
        let disk = open(&dir).await;
        assert!(matches!(Disk::open(dir.path().to_owned(), 1).await, Err(AgentError::InUse { .. })));
        drop(disk);
        open(&dir).await;
    }
}
