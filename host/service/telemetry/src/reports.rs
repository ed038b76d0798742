//! What nodes send: heartbeats, samples, observation sessions. Presence grows from here.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use lucid_fleet::Approval;
use lucid_foundation::{Actor, Role, ServiceError};
use lucid_model::{
    fleet::{
        node::{Node, NodeEvent, NodeStatus},
        statement,
    },
    id::{Digest, NodeId},
    notifications::event::EventKind,
    telemetry::{
        commands::{NewSample, NewSession},
        credit::{Interval, LastReport},
        metric::Sample,
        observation::{Observation, Observer, Verdict},
    },
    time::TimeMs,
};
use lucid_ports::{Report, ReportOutcome, SessionOutcome, TRACE};

use crate::{DroppedSample, JudgedSession, Telemetry, samples};

/// What a report is signed with; none for older clients, whose reports are history and never
/// presence.
#[derive(Debug, Clone)]
pub struct ReportProof {
    /// `heartbeat`, `metrics` or `observations`.
    pub kind: &'static str,
    /// The report's place in the node's strictly increasing sequence.
    pub sequence: u64,
    /// Digest of the request's body.
    pub body: Digest,
    /// Over [`statement::report`].
    pub signature: Vec<u8>,
    /// Which address it was sent from, if the node sent it itself.
    pub from: Option<IpAddr>,
}

/// What became of a report.
#[derive(Debug, Clone)]
pub struct Reported {
    /// The node as it is now.
    pub status: NodeStatus,
    /// When the report arrived.
    pub at: TimeMs,
    /// Samples or sessions taken in.
    pub accepted: u32,
    /// Samples of them that arrived so long after they were measured that a report of then would
    /// have been missed.
    pub late: u32,
    /// Samples that are not kept; the report counts all the same, since it is signed.
    pub dropped: Vec<DroppedSample>,
    /// It was stored before; nothing changed.
    pub repeated: bool,
    /// What became of its sessions.
    pub sessions: Vec<JudgedSession>,
}

/// A report that waits for the store, also if its sender does not wait any more.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn of(waiting: &'a AtomicUsize, waiting_max: usize) -> Result<Self, ServiceError> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let waits = Self(waiting);
        if before < waiting_max {
            return Ok(waits);
        }
        metrics::counter!("lucid_reports_refused_total").increment(1);
        Err(ServiceError::Busy { waiting_max })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Telemetry {
    /// Takes a heartbeat or samples.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not report for the node, the signature is wrong or the
    /// number was used.
    #[tracing::instrument(target = TRACE, level = "trace", name = "service.report", skip_all)]
    pub async fn report(
        &self,
        actor: &Actor,
        id: NodeId,
        proof: Option<ReportProof>,
        samples: Vec<NewSample>,
    ) -> Result<Reported, ServiceError> {
        let node = self.reporting_node(actor, id, proof.as_ref()).await?;
        let (now, count) = (self.parts.clock.now(), samples.len());
        let stored = |s: &NewSample| Sample {
            node: id,
            at: s.at.unwrap_or(now),
            arrived_at: now,
            usage: s.usage,
            active_sessions: s.active_sessions,
            uptime_s: s.uptime_s,
        };
        let (samples, dropped) = samples::sort_out(
            samples.iter().map(stored).collect(),
            &self.sample_quotas,
            self.config.sample_limits,
        );
        if let (None, Some(first)) = (&proof, dropped.first()) {
            return Err(samples::refusal(*first, count));
        }
        let newest = samples.last().copied();
        let accepted = u32::try_from(samples.len()).unwrap_or(u32::MAX);
        let late = u32::try_from(samples.iter().filter(|sample| sample.is_late()).count())
            .unwrap_or(u32::MAX);
        let (outcome, node) = self.ingest(node, proof, samples.clone(), Vec::new()).await?;
        let repeated = outcome == ReportOutcome::Repeated;
        if !repeated {
            self.parts.fleet.watch_usage(&node, &samples).await;
        }
        if let (false, Some(newest)) = (repeated, newest) {
            let (usage, offset_ms) = (newest.usage, newest.clock_offset_ms().unsigned_abs());
            metrics::histogram!("lucid_node_clock_offset_seconds")
                .record(std::time::Duration::from_millis(offset_ms));
            metrics::counter!("lucid_samples_total").increment(u64::from(accepted));
            metrics::counter!("lucid_samples_late_total").increment(u64::from(late));
            let (cpu, memory) = (usage.cpu.0 / 100, usage.memory.0 / 100);
            self.parts.notifications.emit(EventKind::MetricsStored {
                node: id,
                samples: accepted,
                cpu_percent_centi: cpu,
                memory_percent_centi: memory,
            });
        }
        if !repeated && !dropped.is_empty() {
            metrics::counter!("lucid_samples_dropped_total")
                .increment(u64::try_from(dropped.len()).unwrap_or(u64::MAX));
        }
        Ok(Reported {
            status: node.status,
            at: now,
            accepted,
            late,
            dropped,
            repeated,
            sessions: Vec::new(),
        })
    }

    /// Takes observation sessions, judged by the validation policy.
    ///
    /// # Errors
    /// As [`Telemetry::report`]. A session that the policy refuses is stored with its reason, not an
    /// error.
    #[tracing::instrument(target = TRACE, level = "trace", name = "service.observe", skip_all)]
    pub async fn observe(
        &self,
        actor: &Actor,
        id: NodeId,
        proof: Option<ReportProof>,
        sessions: Vec<NewSession>,
    ) -> Result<Reported, ServiceError> {
        let node = self.reporting_node(actor, id, proof.as_ref()).await?;
        let by = if actor.is(Role::Observer) { Observer::Observer } else { Observer::Itself };
        let now = self.parts.clock.now();
        let mut observations = self.judge_sessions(&node, sessions, by, now).await;
        let (outcome, node) = self.ingest(node, proof, Vec::new(), observations.clone()).await?;
        if let ReportOutcome::Stored(outcomes) = &outcome {
            for (observation, outcome) in observations.iter_mut().zip(outcomes) {
                if *outcome == SessionOutcome::OfAnotherNode {
                    observation.verdict =
                        Verdict::Rejected("the session belongs to another node".into());
                }
                self.publish_session(observation);
            }
        }
        let accepted = observations.iter().filter(|o| o.verdict == Verdict::Accepted).count();
        Ok(Reported {
            status: node.status,
            at: now,
            accepted: u32::try_from(accepted).unwrap_or(u32::MAX),
            late: 0,
            dropped: Vec::new(),
            repeated: outcome == ReportOutcome::Repeated,
            sessions: observations
                .into_iter()
                .map(|o| JudgedSession { session: o.session, verdict: o.verdict })
                .collect(),
        })
    }

    fn publish_session(&self, observation: &Observation) {
        let (accepted, reason) = match &observation.verdict {
            Verdict::Accepted => (true, None),
            Verdict::Rejected(reason) | Verdict::Voided(reason) => (false, Some(reason.clone())),
            Verdict::Unverified => (false, Some("not verified yet".into())),
        };
        self.parts.notifications.emit(EventKind::ObservationStored {
            node: observation.node,
            accepted,
            reason,
        });
    }

    async fn reporting_node(
        &self,
        actor: &Actor,
        id: NodeId,
        proof: Option<&ReportProof>,
    ) -> Result<Node, ServiceError> {
        let node = self.parts.fleet.live_node(id).await?;
        let allowed = actor.speaks_for(&node) || (actor.node.is_none() && actor.is(Role::Observer));
        if !allowed {
            return Err(ServiceError::Forbidden {
                why: "reports come from the node, its owner or an observer",
            });
        }
        if let Some(proof) = proof {
            let key = node.public_key.ok_or(ServiceError::Unproven {
                why: "the node has no key to check the report with",
            })?;
            if !statement::verify(
                key,
                &statement::report(proof.kind, id, proof.sequence, proof.body),
                &proof.signature,
            ) {
                return Err(ServiceError::Unproven {
                    why: "the report is not signed by the node's key",
                });
            }
        } else if actor.node.is_some() {
            return Err(ServiceError::Unproven { why: "a node signs its reports" });
        }
        Ok(node)
    }

    /// Stores a report with the presence it witnesses, then lets it count.
    async fn ingest(
        &self,
        node: Node,
        proof: Option<ReportProof>,
        samples: Vec<Sample>,
        sessions: Vec<Observation>,
    ) -> Result<(ReportOutcome, Node), ServiceError> {
        let (now, monotonic_ms) = (self.parts.clock.now(), self.parts.clock.monotonic_ms());
        if node.status != NodeStatus::Active {
            // It may have been another replica that ended its presence.
            self.parts.fleet.presence().forget(node.id);
        }
        // Presence that is dated wrong would count in another epoch.
        let counts = proof.is_some()
            && node.status == NodeStatus::Active
            && self.parts.clock.time_is_known();
        let (next, presence) =
            if counts { self.witness(&node, now, monotonic_ms).await? } else { (None, None) };
        let (signed, from) = (proof.is_some(), proof.as_ref().and_then(|proof| proof.from));
        let report = Report {
            node: node.id,
            arrived_at: now,
            sequence: proof.map(|p| (p.sequence, p.body)),
            samples,
            presence,
            sessions,
        };
        let outcome = {
            let _waits = Waiting::of(&self.reports_waiting, self.config.reports_waiting_max)?;
            self.parts.reports.store_report(report).await?
        };
        match outcome {
            ReportOutcome::SequenceTaken { highest } => {
                self.parts.fleet.note_collision(node.id, from).await;
                return Err(ServiceError::SequenceTaken { highest });
            }
            // A repeated report witnesses nothing: it may be a replay.
            ReportOutcome::Repeated => return Ok((outcome, node)),
            ReportOutcome::Stored(_) => {}
        }
        let node = self.wake(node, signed).await?;
        if node.status == NodeStatus::Active {
            self.parts.fleet.presence().heard(node.id, monotonic_ms, next);
        }
        Ok((outcome, node))
    }

    /// The presence that a report of now witnesses, and what is remembered of it for the next one:
    /// by the last report that this replica took, else by what the last replica stored.
    async fn witness(
        &self,
        node: &Node,
        now: TimeMs,
        monotonic_ms: i64,
    ) -> Result<(Option<LastReport>, Option<Interval>), ServiceError> {
        let last = self.parts.fleet.presence().last_report(node.id);
        let Some(shared) = self.parts.clock.shared() else {
            let (next, presence) = last
                .map_or((LastReport::first(now, monotonic_ms), None), |last| {
                    last.next(now, monotonic_ms)
                });
            return Ok((Some(next), presence));
        };
        let at = shared.read(monotonic_ms);
        // Another replica may have ended its presence, and begun it anew.
        let is_of_this_status = |seen: TimeMs| {
            node.status_since.or(node.activated_at).is_none_or(|since| seen >= since)
        };
        if let Some(last) = last.filter(|last| is_of_this_status(last.wall))
            && let (next, Some(presence)) = last.next(at, monotonic_ms)
        {
            return Ok((Some(next), Some(presence)));
        }
        let stored = self
            .parts
            .reports
            .last_presence(node.id)
            .await?
            .filter(|stored| is_of_this_status(stored.to) && shared.compares_with(stored.to));
        // A first report is a stretch without length: the next one may come to another replica.
        let begun = || (LastReport::first(at, monotonic_ms), Interval { from: at, to: at });
        let (next, presence) = stored
            .and_then(|stored| LastReport::after(stored, at, monotonic_ms))
            .unwrap_or_else(begun);
        Ok((Some(next), Some(presence)))
    }

    /// A signed report brings a silent node back, and a pending one to life where the policy's word
    /// is enough.
    async fn wake(&self, node: Node, signed: bool) -> Result<Node, ServiceError> {
        let changed = match node.status {
            NodeStatus::Error => {
                self.parts
                    .fleet
                    .apply_automatic_transition(
                        &node,
                        NodeEvent::Return,
                        "node.return",
                        "reports again",
                    )
                    .await?
            }
            NodeStatus::Pending
                if signed
                    && (self.parts.fleet.config().approval == Approval::Auto || node.approved) =>
            {
                self.parts
                    .fleet
                    .apply_automatic_transition(
                        &node,
                        NodeEvent::Activate,
                        "node.activate",
                        "first signed report",
                    )
                    .await?
            }
            _ => None,
        };
        Ok(changed.unwrap_or(node))
    }
}
