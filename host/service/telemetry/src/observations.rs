//! Observation sessions and their judgement.

use std::{collections::BTreeMap, sync::Arc};

use lucid_foundation::ServiceError;
use lucid_model::{
    epochs::facts::OBSERVATION_FACTS,
    fleet::node::Node,
    id::{NodeId, PoolScope, SessionId},
    policies::{PolicyVerdict, Scope},
    telemetry::{
        commands::NewSession,
        credit::Interval,
        observation::{Observation, Observer, Verdict},
    },
    time::TimeMs,
};
use lucid_ports::{CallError, ValidationPolicy};

use crate::Telemetry;

/// A session and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedSession {
    pub session: SessionId,
    /// What became of it.
    pub verdict: Verdict,
}

/// Unverified sessions asked about in one call.
const VERIFY_BATCH: u32 = 1_000;

impl Telemetry {
    pub(crate) async fn judge_sessions(
        &self,
        node: &Node,
        sessions: Vec<NewSession>,
        by: Observer,
        now: TimeMs,
    ) -> Vec<Observation> {
        let claimed = |s: NewSession| Observation {
            session: s.session,
            node: node.id,
            span: s.span,
            quality: s.quality,
            usage: s.usage,
            by,
            received_at: now,
            verdict: Verdict::Unverified,
        };
        let mut observations: Vec<_> = sessions.into_iter().map(claimed).collect();
        if let Err(error) =
            self.judge(&mut observations, node.activated_at, PoolScope::of(node.pool)).await
        {
            tracing::warn!(node = %node.id, %error, "observations stay unverified");
        }
        observations
    }

    /// Asks the policy; on an error every verdict stays as it was.
    async fn judge(
        &self,
        observations: &mut [Observation],
        activated_at: Option<TimeMs>,
        pool: PoolScope,
    ) -> Result<(), ServiceError> {
        if observations.is_empty() {
            return Ok(());
        }
        let snapshot = self.parts.runtime.snapshot();
        let policy = snapshot
            .validation(Scope::of(pool), self.parts.clock.now().unix_s_floor())
            .ok_or(ServiceError::NoPolicy { kind: "validation" })?;
        let rows = observations.iter().map(|o| observation_row(o, activated_at)).collect();
        let verdicts = policy.judge_observations(self.parts.fleet.call_context_now(), rows).await?;
        observations
            .iter_mut()
            .zip(verdicts)
            .for_each(|(observation, verdict)| observation.verdict = verdict_of(verdict));
        Ok(())
    }

    /// Asks again about sessions that could not be judged when they came; before an epoch closes.
    pub async fn verify_sessions(&self, range: Interval) -> Result<(), ServiceError> {
        loop {
            let mut waiting = self.parts.reports.unverified(range, VERIFY_BATCH).await?;
            if waiting.is_empty() {
                return Ok(());
            }
            let mut of_nodes: BTreeMap<NodeId, Vec<Observation>> = BTreeMap::new();
            waiting.drain(..).for_each(|observation| {
                of_nodes.entry(observation.node).or_default().push(observation)
            });
            for (node, mut sessions) in of_nodes {
                // Sessions of a node that is gone are judged all the same: none may stay
                // unverified.
                let node = self.parts.nodes.node(node).await?;
                let (activated_at, pool) = node.map_or((None, PoolScope::Unassigned), |node| {
                    (node.activated_at, PoolScope::of(node.pool))
                });
                match self.judge(&mut sessions, activated_at, pool).await {
                    Err(ServiceError::Call(error))
                        if matches!(*error, CallError::Policy { .. }) =>
                    {
                        for session in &mut sessions {
                            self.judge_alone(session, activated_at, pool).await?;
                        }
                    }
                    judged => judged?,
                }
                self.parts.reports.set_verdicts(sessions).await?;
            }
        }
    }

    /// Asks about one session, by the last good version if the active one fails for it: a session
    /// that some policy cannot bear must not hold up the epoch of everybody, and is not guessed
    /// either.
    async fn judge_alone(
        &self,
        session: &mut Observation,
        activated_at: Option<TimeMs>,
        pool: PoolScope,
    ) -> Result<(), ServiceError> {
        let (context, row) =
            (self.parts.fleet.call_context_now(), observation_row(session, activated_at));
        let ask = |policy: Arc<dyn ValidationPolicy>| {
            let (context, row) = (context.clone(), row.clone());
            async move { policy.judge_observations(context, vec![row]).await }
        };
        let (verdicts, replaced) = self.parts.policies.ask_validation(Scope::of(pool), ask).await?;
        verdicts.into_iter().for_each(|verdict| session.verdict = verdict_of(verdict));
        if let Some((by, failure)) = replaced {
            tracing::warn!(session = %session.session, node = %session.node, error = %failure, %by, "judged by the last good version");
        }
        Ok(())
    }

    /// What the policy says of sessions that are scored on demand: the first refusal, if any.
    pub async fn refusal_of(
        &self,
        node: &Node,
        sessions: &[NewSession],
    ) -> Result<Option<(usize, String)>, ServiceError> {
        let observations = self
            .judge_sessions(node, sessions.to_vec(), Observer::Itself, self.parts.clock.now())
            .await;
        for (place, observation) in observations.into_iter().enumerate() {
            match observation.verdict {
                Verdict::Accepted => {}
                Verdict::Rejected(reason) | Verdict::Voided(reason) => {
                    return Ok(Some((place, reason)));
                }
                Verdict::Unverified => return Err(ServiceError::NoPolicy { kind: "validation" }),
            }
        }
        Ok(None)
    }
}

fn verdict_of(verdict: PolicyVerdict) -> Verdict {
    verdict.map_or_else(Verdict::Rejected, |()| Verdict::Accepted)
}

fn observation_row(observation: &Observation, activated_at: Option<TimeMs>) -> Vec<i64> {
    let usage = observation.usage.unwrap_or_default();
    OBSERVATION_FACTS
        .iter()
        .map(|fact| match fact.name {
            "start-ms" => observation.span.from.0,
            "end-ms" => observation.span.to.0,
            "now-ms" => observation.received_at.0,
            "activated-ms" => activated_at.map_or(fact.default, |at| at.0),
            "quality-ppm" => i64::from(observation.quality.0),
            "cpu-ppm" => i64::from(usage.cpu.0),
            "memory-ppm" => i64::from(usage.memory.0),
            "disk-ppm" => i64::from(usage.disk.0),
            "by-observer" => i64::from(observation.by == Observer::Observer),
            _ => fact.default,
        })
        .collect()
}
