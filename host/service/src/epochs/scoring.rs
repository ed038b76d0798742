//! Scoring a pool of an epoch, by one version and no other.
//!
//! A chunk the policy fails for is asked about node by node, and nodes it fails for alone are held with the reason. If
//! they are more than one in a hundred of the pool, all of the pool is scored again by the last good version: no epoch
//! of a pool mixes versions.

use std::sync::Arc;

use lucid_model::{
    facts::Fact,
    frame::FrameChunk,
    id::{NodeId, PoolScope},
    policy::{Batch, CallContext, PolicyRef, Scope},
    receipt::{ChunkHeader, ScoreRow, ScoredChunk},
    score::{Factors, PPM, Ppm, RawCenti, raw_score_round_half_even},
};
use lucid_ports::{CallError, PolicySnapshot, ScoringPolicy};

use crate::{Service, ServiceError, scores::factors_of};

/// Rows one call of `explain` takes.
const EXPLAIN_ROWS_MAX: usize = 100;
/// Part of a pool's nodes that a policy may fail for and still be the pool's.
const HELD_MAX_PPM: u64 = 10_000;

/// Pools of an epoch, scored.
pub(super) struct Scored {
    /// In the order of the frame.
    pub(super) chunks: Vec<ScoredChunk>,
    /// Pools that the active version failed for.
    pub(super) replaced: Vec<Replaced>,
}

/// A version that took the place of the active one.
pub(super) struct Replaced {
    /// In which pool.
    pub(super) pool: PoolScope,
    /// What was active.
    pub(super) failed: PolicyRef,
    /// What was used.
    pub(super) by: PolicyRef,
    /// How the active one failed.
    pub(super) reason: String,
}

/// More nodes than may be held, and how the policy failed for the last of them.
struct Failed(CallError);

/// A multiplier with the policy's reason, or why the policy failed for this node alone.
type Outcome = Result<(Ppm, Option<String>), String>;

impl Service {
    /// Scores the chunks of a frame, which are in the order of pools.
    pub(super) async fn score_frame(&self, snapshot: &dyn PolicySnapshot, frame: &[FrameChunk]) -> Result<Scored, ServiceError> {
        let mut scored = Scored { chunks: Vec::with_capacity(frame.len()), replaced: Vec::new() };
        for pool in frame.chunk_by(|a, b| a.pool == b.pool) {
            self.score_pool(snapshot, pool, &mut scored).await?;
        }
        Ok(scored)
    }

    async fn score_pool(&self, snapshot: &dyn PolicySnapshot, pool: &[FrameChunk], scored: &mut Scored) -> Result<(), ServiceError> {
        let Some(first) = pool.first() else { return Ok(()) };
        let scope = Scope::of(first.pool);
        let active = snapshot.scoring(scope, first.period.start_s).ok_or(ServiceError::NoPolicy { kind: "scoring" })?;
        let Failed(failure) = match attempt(active.as_ref(), pool).await? {
            Ok(chunks) => {
                scored.chunks.extend(chunks);
                return Ok(());
            }
            Err(failed) => failed,
        };
        tracing::warn!(pool = %first.pool, epoch = %first.period, error = %failure, "the policy failed: its pool is scored by the last good version");
        let mut last_good = self.last_good(active.identity(), scope, snapshot.revision()).await?;
        while let Some(policy) = last_good.scoring().await? {
            let by = policy.identity().policy.clone();
            match attempt(policy.as_ref(), pool).await? {
                Ok(chunks) => {
                    metrics::counter!("lucid_policy_replaced_total", "kind" => "scoring").increment(1);
                    let failed = active.identity().policy.clone();
                    scored.replaced.push(Replaced { pool: first.pool, failed, by, reason: failure.to_string() });
                    scored.chunks.extend(chunks);
                    return Ok(());
                }
                Err(Failed(error)) => tracing::warn!(pool = %first.pool, epoch = %first.period, %error, "a version before it fails too"),
            }
        }
        Err(failure.into())
    }
}

/// Scores all chunks of a pool with one version, or says that it is not fit to.
async fn attempt(policy: &dyn ScoringPolicy, pool: &[FrameChunk]) -> Result<Result<Vec<ScoredChunk>, Failed>, CallError> {
    let nodes: u64 = pool.iter().map(|chunk| chunk.nodes.len() as u64).sum();
    let mut may_be_held = nodes.saturating_mul(HELD_MAX_PPM) / u64::from(PPM);
    let mut chunks = Vec::with_capacity(pool.len());
    for frame in pool {
        match score_chunk(policy, frame, &mut may_be_held).await? {
            Ok(chunk) => chunks.push(chunk),
            Err(failed) => return Ok(Err(failed)),
        }
    }
    Ok(Ok(chunks))
}

async fn score_chunk(policy: &dyn ScoringPolicy, frame: &FrameChunk, may_be_held: &mut u64) -> Result<Result<ScoredChunk, Failed>, CallError> {
    let (batch, totals) = frame.project(&policy.identity().facts);
    let context = CallContext {
        epoch_start_s: frame.period.start_s,
        period_s: frame.period.length.seconds(),
        seed: CallContext::seed_of(frame.period.start_s, frame.pool),
        totals,
    };
    let outcomes = match score_rows(policy, &context, batch.clone(), may_be_held).await? {
        Ok(outcomes) => outcomes,
        Err(failed) => return Ok(Err(failed)),
    };
    let factors = explain_rows(policy, &context, &batch).await;
    let row = |(place, (outcome, factors)): (usize, (Outcome, Factors))| score_row(frame, place, outcome, factors);
    let identity = policy.identity();
    Ok(Ok(ScoredChunk {
        header: ChunkHeader {
            period: frame.period,
            pool: frame.pool,
            index: frame.index,
            rows: batch.count,
            frame: frame.digest(),
            policy: identity.policy.clone(),
            params: identity.params_digest(),
            abi: identity.abi.clone(),
            rules: frame.rules,
        },
        rows: outcomes.into_iter().zip(factors).enumerate().map(row).collect(),
    }))
}

async fn score_rows(
    policy: &dyn ScoringPolicy,
    context: &CallContext,
    batch: Batch,
    may_be_held: &mut u64,
) -> Result<Result<Vec<Outcome>, Failed>, CallError> {
    match policy.score(context.clone(), batch.clone()).await {
        Ok(scores) => {
            let reasons = scores.reasons.into_iter().chain(std::iter::repeat(None));
            return Ok(Ok(scores.multipliers.into_iter().zip(reasons).map(Ok).collect()));
        }
        Err(error @ CallError::Host { .. }) => return Err(error),
        Err(error) => tracing::warn!(%error, nodes = batch.count, "the policy failed for a chunk: asking node by node"),
    }
    let mut outcomes = Vec::new();
    for row in 0..batch.count as usize {
        let one = Batch { count: 1, columns: batch.columns.iter().map(|c| c.get(row).copied().into_iter().collect()).collect() };
        outcomes.push(match policy.score(context.clone(), one).await {
            Ok(scores) => Ok((scores.multipliers.first().copied().unwrap_or_default(), scores.reasons.into_iter().next().flatten())),
            Err(error @ CallError::Host { .. }) => return Err(error),
            Err(error @ CallError::Policy { .. }) if *may_be_held == 0 => return Ok(Err(Failed(error))),
            Err(CallError::Policy { detail, .. }) => {
                *may_be_held -= 1;
                Err(detail)
            }
        });
    }
    Ok(Ok(outcomes))
}

/// Factors of every row; zeros where the policy cannot explain itself, which changes no score.
async fn explain_rows(policy: &dyn ScoringPolicy, context: &CallContext, batch: &Batch) -> Vec<Factors> {
    let count = batch.count as usize;
    let mut factors = Vec::with_capacity(count);
    for start in (0..count).step_by(EXPLAIN_ROWS_MAX) {
        let end = (start + EXPLAIN_ROWS_MAX).min(count);
        let part = |column: &Arc<[i64]>| column.get(start..end).map(Arc::from).unwrap_or_default();
        let rows = Batch { count: u32::try_from(end - start).unwrap_or(0), columns: batch.columns.iter().map(part).collect() };
        let explanation = policy.explain(context.clone(), rows).await.unwrap_or_default();
        factors.extend((0..end - start).map(|row| factors_of(&explanation, row)));
    }
    factors
}

/// The host's own arithmetic: frame, multiplier → row.
fn score_row(frame: &FrameChunk, place: usize, outcome: Outcome, factors: Factors) -> ScoreRow {
    let whole = |fact| u32::try_from(frame.fact(place, fact)).unwrap_or(0);
    let observed_s = whole(Fact::ObservedS);
    let (multiplier, reason, held) = match outcome {
        Ok((multiplier, reason)) => (multiplier, reason, false),
        Err(reason) => (Ppm(0), Some(reason), true),
    };
    let raw =
        if held { RawCenti(0) } else { raw_score_round_half_even(observed_s, frame.period.length.seconds(), frame.score_multiplier, multiplier) };
    ScoreRow {
        node: frame.nodes.get(place).copied().unwrap_or(NodeId(uuid::Uuid::nil())),
        observed_s,
        window_observed_s: whole(Fact::WindowObservedS),
        eligible: frame.fact(place, Fact::Eligible) == 1,
        multiplier,
        raw,
        score: raw.clamp(),
        sessions: whole(Fact::Sessions),
        factors,
        reason,
        held,
    }
}
