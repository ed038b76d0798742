//! What an agent says of itself in its directory, for whoever asks there: also after its end.

use std::{fs, path::Path};

use lucid_model::time::TimeMs;
use serde::{Deserialize, Serialize};

use crate::{
    AgentError,
    clock::SLEW_MS_MAX,
    disk::{failed, is_in_use},
};

/// Holds the status.
const FILE: &str = "status.json";
/// What newer agents change about the file is a higher version.
const VERSION: u32 = 1;
/// Nothing taken for this many intervals is late.
const INTERVALS_LATE: i64 = 3;
/// A clock that is off by more makes its samples late, or of the future.
const CLOCK_OFFSET_MS_MAX: u64 = 30_000;

/// What an agent says of itself. Times are RFC 3339, by its own clock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentStatus {
    /// The file's version.
    pub v: u32,
    /// The node; none before it is registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// The service it reports to.
    pub server: String,
    /// Time between samples, in milliseconds.
    pub interval_ms: u64,
    /// When it started.
    pub started_at: String,
    /// When it last said anything here.
    pub updated_at: String,
    /// The node's status, as the service last said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_status: Option<String>,
    /// The last sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sample_at: Option<String>,
    /// The last report that the service took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_accepted: Option<AcceptedReport>,
    /// What waits.
    pub spool: SpoolStatus,
    /// Samples that were dropped because there were too many or they were too old, ever.
    pub dropped_samples: u64,
    /// Since when the service does not answer, if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offline_since: Option<String>,
    /// The last thing that went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<Failure>,
    /// Why the disk does not keep what it should, if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_trouble: Option<String>,
    /// How far the service's clock is ahead of this machine's, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<i64>,
}

/// A report that the service took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedReport {
    pub at: String,
    /// Its place in the node's sequence.
    pub sequence: u64,
    /// Samples in it.
    pub samples: u32,
    /// How many of them were late.
    pub late: u32,
}

/// What waits to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolStatus {
    /// Samples, with those of a report whose answer did not come.
    pub samples: u64,
    /// Bytes on disk, without that report.
    pub bytes: u64,
    /// When the oldest was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_at: Option<String>,
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub at: String,
    pub reason: String,
}

/// How an agent is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "health", content = "reasons")]
pub enum Health {
    /// It runs, and its reports are taken.
    Fine,
    /// It runs, and something is wrong.
    Failing(Vec<String>),
    /// It does not run.
    NotRunning,
}

impl AgentStatus {
    pub(crate) fn starting(server: &str, interval: std::time::Duration, now: TimeMs) -> Self {
        let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        Self {
            v: VERSION,
            server: server.to_owned(),
            interval_ms,
            started_at: now.to_string(),
            ..Self::default()
        }
    }

    /// Keeps of an earlier run what a start does not change.
    pub(crate) fn after(self, earlier: Self) -> Self {
        let Self { last_sample_at, last_accepted, dropped_samples, last_error, .. } = earlier;
        Self { last_sample_at, last_accepted, dropped_samples, last_error, ..self }
    }

    pub(crate) fn read(dir: &Path) -> Result<Self, AgentError> {
        let path = dir.join(FILE);
        let status: Self =
            fs::read(&path).map_err(|error| failed(&path, error)).and_then(|bytes| {
                serde_json::from_slice(&bytes).map_err(|error| failed(&path, error))
            })?;
        if status.v == VERSION {
            Ok(status)
        } else {
            Err(failed(&path, format!("written by another agent (format {})", status.v)))
        }
    }

    /// Replaces the file at once, for whoever reads it meanwhile; a crash may bring back the one
    /// before.
    pub(crate) fn write(&self, dir: &Path) {
        let beside = dir.join("status.json.new");
        if let Ok(bytes) = serde_json::to_vec(self)
            && fs::write(&beside, bytes).is_ok()
        {
            let _ = fs::rename(&beside, dir.join(FILE));
        }
    }

    /// Says when something was last said here. A clock that was set back has not reached what it
    /// showed before: a time to come would hide for as long that nothing is taken any more.
    pub(crate) fn set_now(&mut self, now: TimeMs) {
        let Self { started_at, last_sample_at, last_accepted, offline_since, last_error, .. } =
            self;
        let accepted_at = last_accepted.as_mut().map(|report| &mut report.at);
        let failed_at = last_error.as_mut().map(|failure| &mut failure.at);
        let times = [
            Some(started_at),
            last_sample_at.as_mut(),
            accepted_at,
            offline_since.as_mut(),
            failed_at,
        ];
        for at in
            times.into_iter().flatten().filter(|at| at.parse::<TimeMs>().is_ok_and(|at| at > now))
        {
            *at = now.to_string();
        }
        self.updated_at = now.to_string();
    }

    /// How an agent with this status is.
    pub fn health(&self, is_running: bool, now: TimeMs) -> Health {
        if !is_running {
            return Health::NotRunning;
        }
        let mut reasons = Vec::new();
        if let Some(since) = &self.offline_since {
            let why =
                self.last_error.as_ref().map(|error| error.reason.as_str()).unwrap_or_default();
            reasons.push(format!("the service does not take reports since {since}: {why}"));
        } else {
            let last = self.last_accepted.as_ref().map(|report| report.at.as_str());
            // A start counts like a report: there was no time for one yet.
            let since = [last, Some(self.started_at.as_str())]
                .into_iter()
                .flatten()
                .filter_map(|at| at.parse::<TimeMs>().ok())
                .max();
            let late_ms =
                i64::try_from(self.interval_ms).unwrap_or(i64::MAX).saturating_mul(INTERVALS_LATE);
            if since.is_none_or(|since| now.ms_since(since) > late_ms) {
                reasons.push(format!(
                    "no report was taken since {}",
                    last.unwrap_or(&self.started_at)
                ));
            }
        }
        // At its next sample it says so itself; one that hangs never does.
        if self.updated_at.parse::<TimeMs>().is_ok_and(|at| at.ms_since(now) > SLEW_MS_MAX) {
            reasons.push(format!(
                "the clock was set back since its last word, which is dated {}",
                self.updated_at
            ));
        }
        if let Some(trouble) = &self.disk_trouble {
            reasons.push(trouble.clone());
        }
        if let Some(offset) =
            self.clock_offset_ms.filter(|offset| offset.unsigned_abs() > CLOCK_OFFSET_MS_MAX)
        {
            reasons.push(format!("the clock is off by {offset} ms"));
        }
        if reasons.is_empty() { Health::Fine } else { Health::Failing(reasons) }
    }
}

/// What the agent of a directory says of itself, and whether it runs.
///
/// # Errors
/// [`AgentError::Disk`] if no agent was ever there, or what it said cannot be read.
pub fn status(dir: &Path) -> Result<(AgentStatus, bool), AgentError> {
    Ok((AgentStatus::read(dir)?, is_in_use(dir)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> TimeMs {
        TimeMs::from_unix_s(second)
    }

    fn running() -> AgentStatus {
        AgentStatus::starting(
            "http://127.0.0.1:8095",
            std::time::Duration::from_secs(30),
            at(1_000),
        )
    }

    #[test]
    fn an_agent_is_late_after_three_intervals_without_a_report() {
        let status = running();
        assert_eq!(status.health(true, at(1_090)), Health::Fine);
        assert!(
            matches!(status.health(true, at(1_091)), Health::Failing(reasons) if reasons.len() == 1)
        );
        let accepted =
            AcceptedReport { at: at(1_100).to_string(), sequence: 1, samples: 1, late: 0 };
        let status = AgentStatus { last_accepted: Some(accepted), ..status };
        assert_eq!(status.health(true, at(1_190)), Health::Fine);
        assert!(matches!(status.health(true, at(1_191)), Health::Failing(_)));
        assert_eq!(status.health(false, at(1_101)), Health::NotRunning);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_hide_that_nothing_is_taken() {
        let ahead = 3_600;
        let accepted =
            AcceptedReport { at: at(1_060 + ahead).to_string(), sequence: 1, samples: 1, late: 0 };
        let mut status = AgentStatus {
            started_at: at(1_000 + ahead).to_string(),
            last_accepted: Some(accepted),
            ..running()
        };
        status.set_now(at(1_060 + ahead));
        assert_eq!(status.health(true, at(1_061 + ahead)), Health::Fine);
        assert!(
            matches!(status.health(true, at(1_062)), Health::Failing(reasons) if reasons[0].contains("set back")),
            "until its next word"
        );
        status.set_now(at(1_090));
        assert_eq!(status.health(true, at(1_091)), Health::Fine);
        status.set_now(at(1_200));
        assert!(
            matches!(status.health(true, at(1_200)), Health::Failing(reasons) if reasons[0].contains("no report was taken"))
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let last_error = Some(Failure { at: at(1_001).to_string(), reason: "no answer".into() });
        let offline =
            AgentStatus { offline_since: Some(at(1_001).to_string()), last_error, ..running() };
        assert!(
            matches!(offline.health(true, at(1_002)), Health::Failing(reasons) if reasons[0].ends_with("no answer"))
        );
        let full = AgentStatus {
            disk_trouble: Some("no room".into()),
            clock_offset_ms: Some(-40_000),
            ..running()
        };
        assert_eq!(
            full.health(true, at(1_002)),
            Health::Failing(vec!["no room".into(), "the clock is off by -40000 ms".into()])
        );
    }

    #[test]
    fn a_status_outlives_its_agent_and_one_of_another_version_is_not_guessed_at() {
        let dir = tempfile::tempdir().unwrap();
        assert!(status(dir.path()).is_err());
        let written =
            AgentStatus { dropped_samples: 3, node_status: Some("active".into()), ..running() };
        written.write(dir.path());
        assert_eq!(status(dir.path()).unwrap(), (written.clone(), false));
        let next = running().after(written);
        assert_eq!((next.dropped_samples, next.node_status), (3, None));
        fs::write(dir.path().join(FILE), r#"{"v":2}"#).unwrap();
        assert!(status(dir.path()).is_err_and(|error| error.to_string().contains("format 2")));
    }
}
