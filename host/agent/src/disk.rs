//! The agent's directory: identity, place in the sequence, the report that is under way, the spool,
//! the status.
//!
//! Invariant: a sequence number is in a block that is on disk before the number is used, and a new
//! run starts after the last block, so that no number ever stands for two bodies. Everything else
//! may fail to be written without stopping the agent: a full disk is told of, and what it was to
//! keep is kept in memory.

use std::{
    fmt::Display,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ed25519_dalek::SigningKey;
use lucid_api_types::telemetry::report::{MetricsRequest, SampleRequest};
use lucid_model::{id::NodeId, time::TimeMs};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    AgentError,
    clock::ClockReading,
    key, now,
    profile::MachineProfile,
    spool::{Spool, SpoolLimits},
    status::{AgentStatus, SpoolStatus},
};

/// Numbers reserved at once: one write of the state file a block.
const SEQUENCE_BLOCK: u64 = 1000;
/// An agent that was just stopped may still be finishing a write.
const LOCK_TRIES: usize = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// Holds identity and sequence.
const STATE_FILE: &str = "agent.json";
/// Holds the report that may have been taken already.
const PENDING_FILE: &str = "pending.json";
/// Held by the agent that runs.
const LOCK_FILE: &str = "agent.lock";

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
    /// The spool's segment it was made from, which is there until this is on disk or was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    segment: Option<u64>,
    /// Whether it is on disk.
    #[serde(skip)]
    kept: bool,
}

impl Outgoing {
    /// When its first sample was taken.
    fn oldest_at(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_str(&self.body).ok()?;
        body.get("samples")?.get(0)?.get("timestamp")?.as_str().map(str::to_owned)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    v: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node_id: Option<String>,
    /// Every number up to this one may have been used.
    reserved_to: u64,
    /// Address and hardware as the service last took them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reported_machine: Option<MachineProfile>,
}

struct Inner {
    dir: PathBuf,
    state: State,
    next_sequence: u64,
    spool: Spool,
    status: AgentStatus,
    /// Samples of the report that is under way and not in the spool any more, and when the first
    /// was taken.
    under_way: Option<(u64, Option<String>)>,
    /// Why the report under way could not be written, if that is so.
    trouble: Option<String>,
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
    pub(crate) async fn open(
        dir: PathBuf,
        limits: SpoolLimits,
        status: AgentStatus,
    ) -> Result<Self, AgentError> {
        blocking(move || {
            fs::create_dir_all(&dir).map_err(|error| failed(&dir, error))?;
            let lock = lock(&dir)?;
            let key = key::load_or_create(&dir)?;
            let path = dir.join(STATE_FILE);
            let state: State = read_json(&path)?.unwrap_or(State { v: 1, ..State::default() });
            if state.v != 1 {
                return Err(failed(
                    &path,
                    format!("written by a newer agent (format {})", state.v),
                ));
            }
            let status = status.after(AgentStatus::read(&dir).unwrap_or_default());
            let mut spool = Spool::open(
                dir.join("spool"),
                limits,
                status.dropped_samples,
                ClockReading::now(),
            )?;
            let pending = read_json::<Outgoing>(&dir.join(PENDING_FILE))?;
            // Killed between the two steps of making a report from a segment.
            if let Some(segment) = pending.as_ref().and_then(|pending| pending.segment) {
                spool.remove(segment);
            }
            let under_way = pending.map(|report| (u64::from(report.samples), report.oldest_at()));
            let next_sequence = state.reserved_to.saturating_add(1);
            let mut inner = Inner {
                dir,
                state,
                next_sequence,
                spool,
                status,
                under_way,
                trouble: None,
                _lock: lock,
            };
            inner.write_status();
            Ok(Self { inner: Arc::new(Mutex::new(inner)), key })
        })
        .await
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Inner) -> Result<T, AgentError> + Send + 'static,
    ) -> Result<T, AgentError> {
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

    /// Address and hardware as the service last took them.
    pub(crate) async fn reported_machine(&self) -> Result<Option<MachineProfile>, AgentError> {
        self.with(|inner| Ok(inner.state.reported_machine.clone())).await
    }

    /// Remembers them.
    pub(crate) async fn set_reported_machine(
        &self,
        profile: MachineProfile,
    ) -> Result<(), AgentError> {
        self.with(move |inner| {
            inner.state.reported_machine = Some(profile);
            inner.write_state()
        })
        .await
    }

    /// The file that says which node this is.
    pub(crate) async fn state_path(&self) -> Result<PathBuf, AgentError> {
        self.with(|inner| Ok(inner.dir.join(STATE_FILE))).await
    }

    /// A report with the next number.
    pub(crate) async fn number(
        &self,
        kind: ReportKind,
        body: String,
        samples: u32,
    ) -> Result<Outgoing, AgentError> {
        self.with(move |inner| {
            Ok(Outgoing {
                kind,
                sequence: inner.take_sequence()?,
                body,
                samples,
                segment: None,
                kept: false,
            })
        })
        .await
    }

    /// The same report with a number above `highest`, which the service has already.
    pub(crate) async fn renumber(
        &self,
        report: Outgoing,
        highest: u64,
    ) -> Result<Outgoing, AgentError> {
        self.with(move |inner| {
            inner.next_sequence = inner.next_sequence.max(highest.saturating_add(1));
            let report = Outgoing { sequence: inner.take_sequence()?, ..report };
            Ok(if report.kept { inner.keep(report) } else { report })
        })
        .await
    }

    /// Puts a report on disk whose fate is unknown, to be sent again as it is, also by a later run.
    pub(crate) async fn keep(&self, report: Outgoing) -> Result<Outgoing, AgentError> {
        if report.kept {
            return Ok(report);
        }
        self.with(move |inner| Ok(inner.keep(report))).await
    }

    /// The fate of a report is known.
    pub(crate) async fn settle(&self, report: &Outgoing) -> Result<(), AgentError> {
        let (kept, segment) = (report.kept, report.segment);
        self.with(move |inner| {
            inner.under_way = None;
            if kept {
                inner.trouble =
                    remove(&inner.dir.join(PENDING_FILE)).err().map(|error| error.to_string());
            } else if let Some(segment) = segment {
                inner.spool.remove(segment);
            }
            Ok(())
        })
        .await
    }

    /// The report whose fate is unknown, if there is one.
    pub(crate) async fn pending(&self) -> Result<Option<Outgoing>, AgentError> {
        self.with(|inner| {
            Ok(read_json::<Outgoing>(&inner.dir.join(PENDING_FILE))?
                .map(|report| Outgoing { kept: true, ..report }))
        })
        .await
    }

    /// Takes a sample in.
    pub(crate) async fn spool(&self, sample: SampleRequest) -> Result<(), AgentError> {
        self.with(move |inner| {
            inner.spool.append(sample, Instant::now());
            Ok(())
        })
        .await
    }

    /// Samples that were not sent yet.
    pub(crate) async fn spooled(&self) -> Result<u64, AgentError> {
        self.with(|inner| Ok(inner.spool.len())).await
    }

    /// Why the disk does not keep what it should, if that is so.
    pub(crate) async fn trouble(&self) -> Result<Option<String>, AgentError> {
        self.with(|inner| Ok(inner.trouble())).await
    }

    /// Makes the oldest part of the spool a report, which is on disk in its place if it can be.
    pub(crate) async fn unspool(&self) -> Result<Option<Outgoing>, AgentError> {
        self.with(|inner| {
            if inner.spool.len() == 0 {
                return Ok(None);
            }
            // First what may fail: samples may be in memory alone.
            let sequence = inner.take_sequence()?;
            let Some((segment, samples)) = inner.spool.take_oldest() else { return Ok(None) };
            let count = u32::try_from(samples.len()).unwrap_or(u32::MAX);
            let body = serde_json::to_string(&MetricsRequest { samples })
                .map_err(|error| failed(&inner.dir, error))?;
            let report = inner.keep(Outgoing {
                kind: ReportKind::Metrics,
                sequence,
                body,
                samples: count,
                segment,
                kept: false,
            });
            if let (true, Some(segment)) = (report.kept, segment) {
                inner.spool.remove(segment);
            }
            Ok(Some(report))
        })
        .await
    }

    /// Changes what `lucid agent status` says. It is for people: one that cannot be written is
    /// written next time.
    pub(crate) async fn note(
        &self,
        change: impl FnOnce(&mut AgentStatus) + Send + 'static,
    ) -> Result<(), AgentError> {
        self.with(move |inner| {
            change(&mut inner.status);
            inner.write_status();
            Ok(())
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
    /// One that cannot be written is sent all the same: only a crash before its fate is known would
    /// send its samples again under another number.
    fn keep(&mut self, report: Outgoing) -> Outgoing {
        let written = write_json(&self.dir.join(PENDING_FILE), &report);
        let kept = written.is_ok();
        let is_in_spool = !kept && report.segment.is_some();
        self.under_way = (!is_in_spool).then(|| (u64::from(report.samples), report.oldest_at()));
        self.trouble = written.err().map(|error| error.to_string());
        Outgoing { kept, ..report }
    }
    fn trouble(&self) -> Option<String> {
        self.trouble.clone().or_else(|| self.spool.trouble().map(str::to_owned))
    }
    fn write_status(&mut self) {
        let spool = &self.spool;
        let (under_way, sent_first) = self.under_way.clone().unwrap_or_default();
        let oldest_at = sent_first.or_else(|| spool.oldest_at().map(|at: TimeMs| at.to_string()));
        self.status.spool = SpoolStatus {
            samples: spool.len().saturating_add(under_way),
            bytes: spool.bytes(),
            oldest_at,
        };
        self.status.dropped_samples = spool.dropped();
        self.status.disk_trouble = self.trouble();
        self.status.set_now(now());
        self.status.write(&self.dir);
    }
}

/// A problem with a file.
pub(crate) fn failed(path: &Path, problem: impl Display) -> AgentError {
    AgentError::Disk { path: path.to_owned(), problem: problem.to_string() }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AgentError> + Send + 'static,
) -> Result<T, AgentError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(failed(Path::new(""), error)),
    }
}

/// Whether an agent runs in a directory.
pub(crate) fn is_in_use(dir: &Path) -> bool {
    // Who asks holds the lock for a moment, which an agent that starts waits for.
    fs::File::open(dir.join(LOCK_FILE))
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
}

fn lock(dir: &Path) -> Result<fs::File, AgentError> {
    let path = dir.join(LOCK_FILE);
    let file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| failed(&path, error))?;
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

/// Removes a file that may be gone already. What power that fails brings back is known to whoever
/// reads it.
pub(crate) fn remove(path: &Path) -> Result<(), AgentError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
