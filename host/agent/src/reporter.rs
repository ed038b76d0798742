//! Brings samples from the spool to the service, in order, each once: at once while it answers,
//! else when it does again.

use std::time::Duration;

use lucid_api_types::{
    ErrorKind,
    telemetry::report::{ObservationsBody, ReportBody},
};
use lucid_client::{Client, ClientError};
use lucid_model::{id::NodeId, time::TimeMs};
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
    profile::MachineProfile,
    retry::{BackOff, backlog_pause},
    session::Sessions,
    status::{AcceptedReport, Failure},
};

/// Times a report gets another number before it is given up.
const RENUMBER_MAX: usize = 3;

/// Between two tries to report a changed machine.
const MACHINE_REPORT_INTERVAL: Duration = Duration::from_secs(3_600);

/// Why nothing more can be sent for now.
enum Stop {
    /// Try again later.
    Passing { reason: String, asked: Option<Duration> },
    /// Waiting does not help.
    Fatal(AgentError),
}

impl From<AgentError> for Stop {
    fn from(error: AgentError) -> Self {
        match error {
            // A disk may be full, or mounted for reading only, for a while: samples stay in memory
            // meanwhile.
            AgentError::Disk { .. } => Self::Passing { reason: error.to_string(), asked: None },
            error => Self::Fatal(error),
        }
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
    /// Set while samples wait: when the next are sent.
    retry_at: Option<Instant>,
    /// Between two reports of what waited.
    pause: Duration,
    pause_max: Duration,
    disk_trouble: Option<String>,
    /// This machine now, and as the service last took it.
    machine: MachineProfile,
    reported_machine: Option<MachineProfile>,
    /// When a changed machine is reported next.
    report_machine_at: Instant,
    on_event: &'a F,
}

impl<'a, F: Fn(AgentEvent)> Reporter<'a, F> {
    pub(crate) fn new(
        config: &AgentConfig,
        disk: Disk,
        client: Client,
        node: NodeId,
        machine: MachineProfile,
        on_event: &'a F,
    ) -> Self {
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
            pause: config.backlog_pause,
            // Rarer than a sample each interval, and the node would look absent while it is
            // catching up.
            pause_max: config.interval / 2,
            disk_trouble: None,
            machine,
            reported_machine: None,
            report_machine_at: Instant::now(),
            on_event,
        }
    }

    /// Runs until there are no more samples. What an earlier run left is sent from `begin` on, so
    /// that a fleet that starts at once does not send it at once.
    pub(crate) async fn run(
        mut self,
        mut samples: mpsc::Receiver<Measurement>,
        begin: Instant,
    ) -> Result<(), AgentError> {
        self.pending = self.disk.pending().await?;
        if self.pending.is_some() || self.disk.spooled().await? > 0 {
            self.retry_at = Some(begin);
        }
        self.reported_machine = self.disk.reported_machine().await?;
        let node = self.node.to_string();
        self.disk.note(move |status| status.node_id = Some(node)).await?;
        loop {
            let retry_at = self.retry_at;
            tokio::select! {
                measurement = samples.recv() => match measurement {
                    None => return Ok(()),
                    Some(measurement) => self.take(measurement).await?,
                },
                () = sleep_until(retry_at.unwrap_or_else(Instant::now)), if retry_at.is_some() => {
                    let done = self.send_oldest().await;
                    self.after(done).await?;
                }
            }
            self.note().await?;
        }
    }

    /// A sample is on disk before it is sent: whatever happens then, it is sent once.
    async fn take(&mut self, measurement: Measurement) -> Result<(), AgentError> {
        let Measurement { at, mut sample, hardware, out_of_range } = measurement;
        self.machine.hardware = hardware.or(self.machine.hardware);
        out_of_range.into_iter().for_each(|figure| (self.on_event)(figure.into()));
        self.sessions.advance(at, self.status.as_deref() == Some("active"));
        sample.active_sessions = Some(self.sessions.active());
        self.disk.spool(sample).await?;
        self.disk.note(move |status| status.last_sample_at = Some(at.wall.to_string())).await?;
        if self.retry_at.is_some() {
            return Ok(());
        }
        let done = self.send_oldest().await;
        self.after(done).await
    }

    /// Sends the report of unknown fate, else the oldest part of the spool: what was measured first
    /// comes first.
    async fn send_oldest(&mut self) -> Result<(), Stop> {
        let report = match self.pending.take() {
            Some(report) => Some(report),
            None => self.disk.unspool().await?,
        };
        let began = Instant::now();
        if let Some(report) = report {
            self.deliver(report).await?;
        }
        self.retry_at = if self.disk.spooled().await? > 0 {
            began.checked_add(
                began.elapsed() + backlog_pause(self.pause, self.pause_max, began.elapsed()),
            )
        } else {
            self.report_sessions().await?;
            self.report_machine().await?;
            None
        };
        Ok(())
    }

    /// Says in the directory how things are, and what changed about the disk.
    async fn note(&mut self) -> Result<(), AgentError> {
        let trouble = self.disk.trouble().await?;
        if trouble != self.disk_trouble {
            (self.on_event)(
                trouble
                    .clone()
                    .map_or(AgentEvent::DiskRecovered, |reason| AgentEvent::DiskFailing { reason }),
            );
            self.disk_trouble = trouble;
        }
        // A clock that was set back has not reached the moment that it showed then.
        self.offline_since = self.offline_since.map(|since| since.min(now()));
        let (offline_since, node_status, clock_offset_ms) =
            (self.offline_since, self.status.clone(), self.link.clock_offset_ms);
        let change = move |status: &mut crate::AgentStatus| {
            status.offline_since = offline_since.map(|since| since.to_string());
            status.node_status = node_status;
            status.clock_offset_ms = clock_offset_ms;
        };
        self.disk.note(change).await
    }

    async fn failed(&self, reason: String) -> Result<(), AgentError> {
        let failure = Failure { at: now().to_string(), reason };
        self.disk.note(|status| status.last_error = Some(failure)).await
    }

    async fn after(&mut self, done: Result<(), Stop>) -> Result<(), AgentError> {
        match done {
            Ok(()) => Ok(()),
            Err(Stop::Fatal(error)) => Err(error),
            Err(Stop::Passing { reason, asked }) => {
                self.failed(reason.clone()).await?;
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
        // One whose answer is lost is kept and sent again as it is; that a session is reported
        // twice harms nothing.
        self.deliver(report).await?;
        self.sessions.reported(closed);
        Ok(())
    }

    /// Reports a changed address or changed hardware; what the service rejects is not sent again.
    async fn report_machine(&mut self) -> Result<(), AgentError> {
        if Instant::now() < self.report_machine_at
            || !self.machine.differs_from(self.reported_machine.as_ref())
        {
            return Ok(());
        }
        self.report_machine_at = Instant::now() + MACHINE_REPORT_INTERVAL;
        match self.link.change_machine(&self.machine.request()).await {
            Ok(()) => (self.on_event)(AgentEvent::MachineReported),
            Err(error)
                if !error.is_the_services()
                    || error.is_passing()
                    || matches!(error.status(), Some(401 | 403)) =>
            {
                return Ok(());
            }
            Err(error) => {
                let reason = format!("this machine's address or hardware: {}", reason_of(&error));
                (self.on_event)(AgentEvent::Refused { reason: reason.clone() });
                self.failed(reason).await?;
            }
        }
        self.reported_machine = Some(self.machine.clone());
        self.disk.set_reported_machine(self.machine.clone()).await
    }

    /// Sends a report until its fate is known; if it cannot be known now, keeps it as it is.
    async fn deliver(&mut self, mut report: Outgoing) -> Result<(), Stop> {
        for _ in 0..=RENUMBER_MAX {
            let error = match self.link.send(&report).await {
                Ok(answer) => {
                    self.disk.settle(&report).await?;
                    self.online(&report).await?;
                    self.tell(&report, answer).await?;
                    return Ok(());
                }
                Err(error) => error,
            };
            let (LinkError::LogIn(cause) | LinkError::Report(cause)) = &error;
            if cause.code() == ErrorKind::NodeNotFound.code() {
                return Err(Stop::Fatal(AgentError::UnknownNode {
                    node_id: self.node,
                    path: self.disk.state_path().await?,
                }));
            }
            match error {
                LinkError::LogIn(error) => return self.wait(report, &error).await,
                LinkError::Report(error) => match error.highest_sequence() {
                    Some(highest) => match self.disk.renumber(report.clone(), highest).await {
                        Ok(renumbered) => report = renumbered,
                        Err(error) => {
                            self.pending = Some(report);
                            return Err(error.into());
                        }
                    },
                    // Only the service decides a report's fate, never a proxy on the way. 401 and
                    // 403 concern the sender, not the report.
                    None if !error.is_the_services()
                        || error.is_passing()
                        || matches!(error.status(), Some(401 | 403)) =>
                    {
                        return self.wait(report, &error).await;
                    }
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
        self.pending = Some(self.disk.keep(report).await?);
        Err(Stop::Passing { reason: reason_of(error), asked: error.retry_after() })
    }

    async fn give_up(&mut self, report: &Outgoing, error: &ClientError) -> Result<(), Stop> {
        self.disk.settle(report).await?;
        self.online(report).await?;
        if error.code() == ErrorKind::InvalidNodeStatus.code() {
            // Which one it is now, the next report that is taken will say.
            self.status = None;
        }
        let reason = reason_of(error);
        (self.on_event)(AgentEvent::Refused { reason: reason.clone() });
        self.failed(reason).await?;
        Ok(())
    }

    /// The service answered.
    async fn online(&mut self, report: &Outgoing) -> Result<(), Stop> {
        self.back_off.reset();
        if self.offline_since.take().is_some() {
            let waiting = self.disk.spooled().await?.saturating_add(u64::from(report.samples));
            (self.on_event)(AgentEvent::BackOnline { spooled: waiting });
        }
        Ok(())
    }

    async fn tell(&mut self, report: &Outgoing, answer: Answer) -> Result<(), AgentError> {
        match answer {
            Answer::Metrics(ReportBody { accepted, late, dropped, status, .. }) => {
                if let Some(first) = dropped.first() {
                    let reason = format!(
                        "{} of the samples are not kept: timestamp {}",
                        dropped.len(),
                        first.reason
                    );
                    (self.on_event)(AgentEvent::Refused { reason });
                }
                let taken = AcceptedReport {
                    at: now().to_string(),
                    sequence: report.sequence,
                    samples: accepted,
                    late,
                };
                // Together: whoever reads that a report was accepted also reads of the clocks.
                let clock_offset_ms = self.link.clock_offset_ms;
                let change = move |status: &mut crate::AgentStatus| {
                    status.last_accepted = Some(taken);
                    status.clock_offset_ms = clock_offset_ms;
                };
                self.disk.note(change).await?;
                (self.on_event)(AgentEvent::Reported { samples: accepted });
                if self.status.as_ref() != Some(&status) {
                    self.status = Some(status.clone());
                    (self.on_event)(AgentEvent::StatusChanged { status });
                }
            }
            Answer::Observations(ObservationsBody { observations }) => {
                let (rejected, others): (Vec<_>, Vec<_>) =
                    observations.into_iter().partition(|verdict| verdict.verdict == "rejected");
                (self.on_event)(AgentEvent::Observed {
                    accepted: u32::try_from(others.len()).unwrap_or(u32::MAX),
                    rejected: rejected.into_iter().filter_map(|verdict| verdict.reason).collect(),
                });
            }
        }
        Ok(())
    }
}

fn text(body: &impl serde::Serialize) -> Result<String, AgentError> {
    serde_json::to_string(body).map_err(|error| AgentError::Client(ClientError::Decode(error)))
}
