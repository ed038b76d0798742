//! Scores on demand, and claims about a score.

use std::sync::Arc;

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    canonical::Canonical,
    epochs::{
        commands::{ScoreClaim, ScoreRequest},
        facts::{Fact, FactRow, SCORE_CLAIM_FACTS},
        frame::{FrameChunk, FrameHead},
        receipt::OnDemandReceipt,
        score::{Factors, Ppm, RULES_VERSION, ScoreCenti, raw_score_round_half_even},
    },
    fleet::{
        node::{Node, PublicKey},
        statement,
    },
    id::{Digest, OnDemandId, PoolScope},
    policies::{CallContext, Explanation, PolicyIdentity, Scope},
    telemetry::{
        credit::{self, Interval},
        metric::UsageSum,
    },
    time::DAY_MS,
};
use lucid_policies::LastGood;
use lucid_ports::{CallError, ScoringPolicy, TRACE, ValidationPolicy};

use crate::{Epochs, registered_facts};

/// A score on demand.
#[derive(Debug, Clone)]
pub struct OnDemand {
    /// Its receipt, which names the policy that was used.
    pub receipt: OnDemandReceipt,
    /// How the active policy failed, if another was used.
    pub failed: Option<CallError>,
}

/// What is true of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validated {
    /// A receipt of that moment has this score.
    pub score_match: bool,
    /// Within −24 h … +120 s of our clock.
    pub timestamp_valid: bool,
    /// The node signed it; none if no signature was sent.
    pub signature_valid: Option<bool>,
    /// Why the validation policy of the node's pool refuses it, if it does.
    pub refused: Option<String>,
}

/// How long the receipt of a score on demand is kept: 90 days.
const ON_DEMAND_KEPT_MS: i64 = 90 * DAY_MS;
/// Receipts forgotten in one go.
const FORGOTTEN_MAX: u32 = 500;

impl Epochs {
    /// Forgets receipts of scores on demand that were kept long enough; whether there may be more.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn forget_on_demand(&self) -> Result<bool, ServiceError> {
        let Some(now) = self.parts.clock.sure_now() else { return Ok(false) };
        Ok(self
            .parts
            .scores
            .forget_on_demand(now.plus_ms(-ON_DEMAND_KEPT_MS), FORGOTTEN_MAX)
            .await?
            >= u64::from(FORGOTTEN_MAX))
    }

    /// Scores what was sent. It leaves a receipt, and neither earns, votes nor changes the node.
    ///
    /// # Errors
    /// [`ServiceError`] if the node is another's, the policy refuses an observation, or no version
    /// can answer.
    #[tracing::instrument(target = TRACE, level = "trace", name = "service.score_on_demand", skip_all)]
    pub async fn score_on_demand(
        &self,
        actor: &Actor,
        request: ScoreRequest,
    ) -> Result<OnDemand, ServiceError> {
        let node = self.parts.fleet.live_node(request.node).await?;
        if !actor.sees(node.owner, node.id) {
            return Err(ServiceError::Forbidden { why: "the node is another's" });
        }
        if let Some((place, reason)) =
            self.parts.telemetry.refusal_of(&node, &request.sessions).await?
        {
            return Err(ServiceError::Refused {
                reason: format!("observation_data[{place}]: {reason}"),
            });
        }
        let facts = self.facts_on_demand(&node, &request);
        let snapshot = self.parts.runtime.snapshot();
        let period = self.parts.rules.epoch.period_at(self.parts.clock.now());
        let scope = Scope::of(PoolScope::of(node.pool));
        let active = snapshot
            .scoring(scope, period.start_s)
            .ok_or(ServiceError::NoPolicy { kind: "scoring" })?;
        let head = FrameHead {
            period,
            revision: snapshot.revision(),
            score_multiplier: self.parts.rules.score_multiplier,
        };
        let frame = head
            .chunks(PoolScope::of(node.pool), vec![(node.id, facts.clone())], 0)
            .pop()
            .ok_or(ServiceError::no("node"))?;
        let (found, policy, failed) =
            match score_one(active.as_ref(), &frame, request.period_s).await {
                Ok(found) => (found, active, None),
                Err(error @ CallError::Host { .. }) => return Err(error.into()),
                Err(error @ CallError::Policy { .. }) => {
                    let mut last_good = self
                        .parts
                        .policies
                        .last_good(active.identity(), scope, snapshot.revision())
                        .await?;
                    let (found, policy) =
                        score_by_another(&mut last_good, &frame, request.period_s, error.clone())
                            .await?;
                    metrics::counter!("lucid_policy_replaced_total", "kind" => "on_demand")
                        .increment(1);
                    (found, policy, Some(error))
                }
            };
        let receipt = self.receipt(&node, &request, &facts, found, policy.identity());
        self.parts.scores.add_on_demand(receipt.clone()).await?;
        Ok(OnDemand { receipt, failed })
    }

    fn receipt(
        &self,
        node: &Node,
        request: &ScoreRequest,
        facts: &FactRow,
        (multiplier, factors): (Ppm, Factors),
        policy: &PolicyIdentity,
    ) -> OnDemandReceipt {
        let observed_s = u32::try_from(facts.get(Fact::ObservedS)).unwrap_or(0);
        let raw = raw_score_round_half_even(
            observed_s,
            request.period_s,
            self.parts.rules.score_multiplier,
            multiplier,
        );
        let bytes = Fact::ALL.iter().fold(Canonical::tagged("lucid/v1/facts"), |bytes, fact| {
            bytes.text(fact.info().name).i64(facts.get(*fact))
        });
        OnDemandReceipt {
            id: OnDemandId(self.parts.ids.uuid_v7()),
            node: node.id,
            calculated_at: self.parts.clock.now(),
            period_s: request.period_s,
            observations: u32::try_from(request.sessions.len()).unwrap_or(u32::MAX),
            observed_s,
            score: raw.clamp(),
            raw,
            multiplier,
            factors,
            policy: policy.policy.clone(),
            params: policy.params_digest(),
            rules: RULES_VERSION,
            facts: Digest::of(&bytes.finish()),
        }
    }

    /// What is known of the node, with what was sent in the place of what was witnessed.
    fn facts_on_demand(&self, node: &Node, request: &ScoreRequest) -> FactRow {
        let end = request.sessions.iter().map(|s| s.span.to).max().unwrap_or_default();
        let period = Interval { from: end.plus_ms(-i64::from(request.period_s) * 1000), to: end };
        let spans: Vec<_> = request.sessions.iter().map(|s| s.span).collect();
        let observed_s = credit::credited_ms(spans, vec![period], period) / 1000;
        let (mut quality, mut length, mut usage) = (0_u128, 0_u128, UsageSum::default());
        for session in &request.sessions {
            let part = u128::from(session.span.clip(period).length_ms().unsigned_abs());
            quality += part * u128::from(session.quality.0);
            length += part;
            session.usage.into_iter().for_each(|u| usage.add(u));
        }
        let mut row = FactRow::default();
        row.set(Fact::ObservedS, observed_s);
        row.set(Fact::PresenceS, observed_s);
        row.set(Fact::PeriodS, i64::from(request.period_s));
        row.set(Fact::WindowObservedS, observed_s);
        row.set(
            Fact::UptimePpm,
            i64::from(Ppm::ratio_floor(observed_s.unsigned_abs(), u64::from(request.period_s)).0),
        );
        if let Some(mean) = quality.checked_div(length) {
            row.set(Fact::QualityPpm, i64::try_from(mean).unwrap_or(i64::MAX));
        }
        let usage = usage.finish();
        if usage.samples > 0 {
            row.set(Fact::CpuPpm, i64::from(usage.cpu.0));
            row.set(Fact::MemoryPpm, i64::from(usage.memory.0));
            row.set(Fact::DiskPpm, i64::from(usage.disk.0));
        }
        row.set_u64(Fact::Sessions, request.sessions.len() as u64);
        row.set(
            Fact::Eligible,
            i64::from(observed_s.unsigned_abs() >= self.config.observation_min_s),
        );
        registered_facts(&mut row, node, self.parts.clock.now());
        row
    }

    /// Checks a claim about a score, and asks the validation policy about it.
    ///
    /// # Errors
    /// [`ServiceError`] if there is no such node, it is another's, or no version of the policy can
    /// answer.
    #[tracing::instrument(target = TRACE, level = "trace", name = "service.validate_score", skip_all)]
    pub async fn validate_score(
        &self,
        actor: &Actor,
        claim: ScoreClaim,
    ) -> Result<Validated, ServiceError> {
        let node = self.parts.fleet.live_node(claim.node).await?;
        if !actor.sees(node.owner, node.id) {
            return Err(ServiceError::Forbidden { why: "the node is another's" });
        }
        let receipts = self.parts.scores.scores_computed_at(claim.node, claim.timestamp).await?;
        let score_match = receipts.contains(&claim.score);
        let age_ms = self.parts.clock.now().ms_since(claim.timestamp);
        let timestamp_valid = (-120_000..=86_400_000).contains(&age_ms);
        let signature_valid = claim
            .signature
            .as_ref()
            .map(|signature| claim_signed(node.public_key, &claim, signature));
        let receipt = if score_match { Some(claim.score) } else { receipts.first().copied() };
        let row = claim_row(&claim, receipt, age_ms, signature_valid);
        let (context, row) = (self.parts.fleet.call_context_now(), &row);
        let ask = |policy: Arc<dyn ValidationPolicy>| {
            let (context, row) = (context.clone(), row.clone());
            async move { policy.judge_score_claims(context, vec![row]).await }
        };
        let (verdicts, _) =
            self.parts.policies.ask_validation(Scope::of(PoolScope::of(node.pool)), ask).await?;
        Ok(Validated {
            score_match,
            timestamp_valid,
            signature_valid,
            refused: verdicts.into_iter().find_map(Result::err),
        })
    }
}

/// What a policy reads of a claim.
fn claim_row(
    claim: &ScoreClaim,
    receipt: Option<ScoreCenti>,
    age_ms: i64,
    signature_valid: Option<bool>,
) -> Vec<i64> {
    SCORE_CLAIM_FACTS
        .iter()
        .map(|fact| match fact.name {
            "claimed-centi" => i64::from(claim.score.0),
            "receipt-centi" => receipt.map_or(fact.default, |score| i64::from(score.0)),
            "age-ms" => age_ms,
            "signature-ok" => signature_valid.map_or(fact.default, i64::from),
            _ => fact.default,
        })
        .collect()
}

fn claim_signed(key: Option<PublicKey>, claim: &ScoreClaim, signature: &[u8]) -> bool {
    key.is_some_and(|key| {
        statement::verify(
            key,
            &statement::score_claim(claim.node, claim.score, &claim.timestamp_text),
            signature,
        )
    })
}

/// A multiplier and what it is made of.
async fn score_one(
    policy: &dyn ScoringPolicy,
    frame: &FrameChunk,
    period_s: u32,
) -> Result<(Ppm, Factors), CallError> {
    let (batch, totals) = frame.project(&policy.identity().facts);
    let seed = CallContext::seed_of(frame.period.start_s, frame.pool);
    let context = CallContext { epoch_start_s: frame.period.start_s, period_s, seed, totals };
    let scores = policy.score(context.clone(), batch.clone()).await?;
    let factors =
        policy.explain(context, batch).await.map(|e| factors_of(&e, 0)).unwrap_or_default();
    Ok((scores.multipliers.first().copied().unwrap_or_default(), factors))
}

async fn score_by_another(
    last_good: &mut LastGood<'_>,
    frame: &FrameChunk,
    period_s: u32,
    error: CallError,
) -> Result<((Ppm, Factors), Arc<dyn ScoringPolicy>), ServiceError> {
    while let Some(policy) = last_good.scoring().await? {
        match score_one(policy.as_ref(), frame, period_s).await {
            Ok(found) => return Ok((found, policy)),
            Err(error @ CallError::Host { .. }) => return Err(error.into()),
            Err(CallError::Policy { .. }) => {}
        }
    }
    Err(error.into())
}

/// What the API shows a multiplier to be made of.
pub(crate) fn factors_of(explanation: &Explanation, row: usize) -> Factors {
    let of = |name: &str| {
        let column = explanation.contributions.iter().find(|(n, _)| n == name);
        column.and_then(|(_, values)| values.get(row)).copied().unwrap_or_default()
    };
    Factors {
        observation_time: of("observation-time-weight"),
        session_quality: of("session-quality-weight"),
        uptime: of("uptime-weight"),
        resource_efficiency: of("resource-efficiency-weight"),
        network_performance: of("network-performance-weight"),
    }
}
