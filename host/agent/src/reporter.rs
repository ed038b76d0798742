//! Brings samples to the service, in order, each once: now if it answers, from the spool when it does again.

use std::time::Duration;

use lucid_model::{id::NodeId, time::TimeMs};
use lucid_wire::{
    Client, ClientError, ErrorKind,
    report::{MetricsRequest, ObservationsBody, ReportBody},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use crate::{
    AgentConfig, AgentError, AgentEvent,
    disk::{Disk, Outgoing, ReportKind},
    link::{Answer, Link, LinkError},
    machine::Measurement,
    now,
    retry::BackOff,
    session::Sessions,
};

/// Times a report gets another number before it is given up.
const RENUMBER_MAX: usize = 3;

/// Why nothing more can be sent for now.
enum Stop {
    /// Try again later.
    Passing { reason: String, asked: Option<Duration> },
    /// Waiting does not help.
    Fatal(AgentError),
}

impl From<AgentError> for Stop {
    fn from(error: AgentError) -> Self {
        Self::Fatal(error)
    }
}

/// An error in one line, with what caused it.
pub(crate) fn reason_of(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Sends what is measured.
pub(crate) struct Reporter<'a, F> {
    disk: Disk,
    link: Link,
    node: NodeId,
    sessions: Sessions,
    /// The node's status as the service last said.
    status: Option<String>,
    /// The report whose fate is unknown: nothing overtakes it.
    pending: Option<Outgoing>,
    /// Set while the service does not answer.
    offline_since: Option<TimeMs>,
    back_off: BackOff,
    retry_at: Option<Instant>,
    on_event: &'a F,
}

impl<'a, F: Fn(AgentEvent)> Reporter<'a, F> {
    pub(crate) fn new(config: &AgentConfig, disk: Disk, client: Client, node: NodeId, on_event: &'a F) -> Self {
        Self {
            link: Link::new(client, disk.key.clone(), node),
            disk,
            node,
            sessions: Sessions::new(config.session_length),
            status: None,
            pending: None,
            offline_since: None,
            back_off: BackOff::new(config.retry_min, config.retry_max),
            retry_at: None,
            on_event,
        }
    }

    /// Runs until there are no more samples.
    pub(crate) async fn run(mut self, mut samples: mpsc::Receiver<Measurement>) -> Result<(), AgentError> {
        self.pending = self.disk.pending().await?;
        if self.pending.is_some() || self.disk.spooled().await? > 0 {
            self.retry_at = Some(Instant::now());
        }
        loop {
            let retry_at = self.retry_at;
            tokio::select! {
                measurement = samples.recv() => match measurement {
                    None => return Ok(()),
                    Some(measurement) => self.take(measurement).await?,
                },
                () = sleep_until(retry_at.unwrap_or_else(Instant::now)), if retry_at.is_some() => {
                    let done = self.catch_up().await;
                    self.after(done).await?;
                }
            }
        }
    }

    async fn take(&mut self, measurement: Measurement) -> Result<(), AgentError> {
        let Measurement { at, mut sample } = measurement;
        self.sessions.advance(at, self.status.as_deref() == Some("active"));
        sample.active_sessions = Some(self.sessions.active());
        if self.retry_at.is_some() {
            return self.disk.spool(sample).await;
        }
        let body = text(&MetricsRequest { samples: vec![sample] })?;
        let report = self.disk.number(ReportKind::Metrics, body, 1).await?;
        let mut done = self.deliver(report).await;
        if done.is_ok() {
            done = self.report_sessions().await;
        }
        self.after(done).await
    }

    /// One step on the way back: the report of unknown fate, else the next part of the spool.
    async fn catch_up(&mut self) -> Result<(), Stop> {
        let report = match self.pending.take() {
            Some(report) => Some(report),
            None => self.disk.unspool().await?,
        };
        if let Some(report) = report {
            self.deliver(report).await?;
        }
        if self.pending.is_none() && self.disk.spooled().await? == 0 {
            self.report_sessions().await?;
            self.retry_at = None;
        }
        Ok(())
    }

    async fn after(&mut self, done: Result<(), Stop>) -> Result<(), AgentError> {
        match done {
            Ok(()) => Ok(()),
            Err(Stop::Fatal(error)) => Err(error),
            Err(Stop::Passing { reason, asked }) => {
                if self.offline_since.is_none() {
                    let since = now();
                    self.offline_since = Some(since);
                    (self.on_event)(AgentEvent::Offline { since, reason });
                }
                self.retry_at = Instant::now().checked_add(self.back_off.next(asked));
                Ok(())
            }
        }
    }

    async fn report_sessions(&mut self) -> Result<(), Stop> {
        let Some((request, closed)) = self.sessions.report() else { return Ok(()) };
        let report = self.disk.number(ReportKind::Observations, text(&request)?, 0).await?;
        // One whose answer is lost is kept and sent again as it is; that a session is reported twice harms nothing.
        self.deliver(report).await?;
        self.sessions.reported(closed);
        Ok(())
    }

    /// Sends a report until its fate is known; if it cannot be known now, keeps it as it is.
    async fn deliver(&mut self, mut report: Outgoing) -> Result<(), Stop> {
        for _ in 0..=RENUMBER_MAX {
            let error = match self.link.send(&report).await {
                Ok(answer) => {
                    self.disk.settle(&report).await?;
                    self.online(&report).await?;
                    self.tell(answer);
                    return Ok(());
                }
                Err(error) => error,
            };
            let (LinkError::LogIn(cause) | LinkError::Report(cause)) = &error;
            if cause.code() == ErrorKind::NodeNotFound.code() {
                return Err(Stop::Fatal(AgentError::UnknownNode { node_id: self.node, path: self.disk.state_path().await? }));
            }
            match error {
                LinkError::LogIn(error) => return self.wait(report, &error).await,
                LinkError::Report(error) => match error.highest_sequence() {
                    Some(highest) => report = self.disk.renumber(report, highest).await?,
                    // 401 and 403 are about who asks, and a 404 that is not ours about the way: not about what was sent.
                    None if error.is_passing() || matches!(error.status(), Some(401 | 403 | 404)) => return self.wait(report, &error).await,
                    None => return self.give_up(&report, &error).await,
                },
            }
        }
        let refusal = ClientError::Api {
            status: 409,
            code: String::new(),
            message: format!("no free sequence number after {RENUMBER_MAX} tries"),
            details: serde_json::Map::new(),
            retry_after_s: None,
        };
        self.give_up(&report, &refusal).await
    }

    async fn wait(&mut self, report: Outgoing, error: &ClientError) -> Result<(), Stop> {
        let asked = match error {
            ClientError::Api { retry_after_s, .. } => retry_after_s.map(Duration::from_secs),
            _ => None,
        };
        self.pending = Some(self.disk.keep(report).await?);
        Err(Stop::Passing { reason: reason_of(error), asked })
    }

    async fn give_up(&mut self, report: &Outgoing, error: &ClientError) -> Result<(), Stop> {
        self.disk.settle(report).await?;
        self.online(report).await?;
        if error.code() == ErrorKind::InvalidNodeStatus.code() {
            // Which one it is now, the next report that is taken will say.
            self.status = None;
        }
        (self.on_event)(AgentEvent::Refused { reason: reason_of(error) });
        Ok(())
    }

    /// The service answered.
    async fn online(&mut self, report: &Outgoing) -> Result<(), Stop> {
        self.back_off.reset();
        if self.offline_since.take().is_some() {
            let waiting = self.disk.spooled().await?.saturating_add(u64::from(report.samples));
            (self.on_event)(AgentEvent::BackOnline { spooled: waiting });
        }
        if self.retry_at.is_some() {
            self.retry_at = Some(Instant::now());
        }
        Ok(())
    }

    fn tell(&mut self, answer: Answer) {
        match answer {
            Answer::Metrics(ReportBody { accepted, status, .. }) => {
                (self.on_event)(AgentEvent::Reported { samples: accepted });
                if self.status.as_ref() != Some(&status) {
                    self.status = Some(status.clone());
                    (self.on_event)(AgentEvent::StatusChanged { status });
                }
            }
            Answer::Observations(ObservationsBody { observations }) => {
                let (rejected, others): (Vec<_>, Vec<_>) = observations.into_iter().partition(|verdict| verdict.verdict == "rejected");
                (self.on_event)(AgentEvent::Observed {
                    accepted: u32::try_from(others.len()).unwrap_or(u32::MAX),
                    rejected: rejected.into_iter().filter_map(|verdict| verdict.reason).collect(),
                });
            }
        }
    }
}

fn text(body: &impl serde::Serialize) -> Result<String, AgentError> {
    serde_json::to_string(body).map_err(|error| AgentError::Client(ClientError::Decode(error)))
}
