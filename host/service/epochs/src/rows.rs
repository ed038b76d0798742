//! Asking a policy about the rows of a frame.

use std::sync::Arc;

use lucid_model::{
    epochs::{
        facts::Fact,
        frame::FrameChunk,
        receipt::{ChunkHeader, ScoreRow, ScoredChunk},
        score::{Factors, Ppm, RawCenti, raw_score_round_half_even},
    },
    id::NodeId,
    policies::{Batch, CallContext},
};
use lucid_ports::{CallError, ScoringPolicy};

use crate::scores::factors_of;

/// Rows one call of `explain` takes.
const EXPLAIN_ROWS_MAX: usize = 100;

/// A multiplier with the policy's reason, or why the policy failed for this node alone.
type Outcome = Result<(Ppm, Option<String>), String>;

/// A chunk's rows, and how the policy failed for the last of those that are held.
pub(super) type ScoredBy = (ScoredChunk, Option<CallError>);

/// What a policy is told beside the rows of a chunk.
fn context_of(frame: &FrameChunk, totals: Vec<i64>) -> CallContext {
    CallContext {
        epoch_start_s: frame.period.start_s,
        period_s: frame.period.length.seconds(),
        seed: CallContext::seed_of(frame.period.start_s, frame.pool),
        totals,
    }
}

pub(crate) async fn score_chunk(
    policy: &dyn ScoringPolicy,
    frame: &FrameChunk,
    held_max: u64,
) -> Result<ScoredBy, CallError> {
    let (batch, totals) = frame.project(&policy.identity().facts);
    let context = context_of(frame, totals);
    let (outcomes, last) = score_rows(policy, &context, batch.clone(), held_max).await?;
    let factors = explain_rows(policy, &context, &batch).await;
    Ok((scored_chunk(policy, frame, outcomes, factors), last))
}

fn scored_chunk(
    policy: &dyn ScoringPolicy,
    frame: &FrameChunk,
    outcomes: Vec<Outcome>,
    factors: Vec<Factors>,
) -> ScoredChunk {
    let row = |(place, (outcome, factors)): (usize, (Outcome, Factors))| {
        score_row(frame, place, outcome, factors)
    };
    let identity = policy.identity();
    ScoredChunk {
        header: ChunkHeader {
            period: frame.period,
            pool: frame.pool,
            index: frame.index,
            rows: u32::try_from(frame.nodes.len()).unwrap_or(u32::MAX),
            frame: frame.digest(),
            policy: identity.policy.clone(),
            params: identity.params_digest(),
            abi: identity.abi.clone(),
            rules: frame.rules,
        },
        rows: outcomes.into_iter().zip(factors).enumerate().map(row).collect(),
    }
}

/// Scores a chunk as it was scored when its epoch closed, but for what only shows.
pub(super) async fn score_again(
    policy: &dyn ScoringPolicy,
    frame: &FrameChunk,
) -> Result<ScoredChunk, CallError> {
    let (batch, totals) = frame.project(&policy.identity().facts);
    let rows = frame.nodes.len();
    let context = context_of(frame, totals);
    let (outcomes, _) = score_rows(policy, &context, batch, rows as u64).await?;
    Ok(scored_chunk(policy, frame, outcomes, vec![Factors::default(); rows]))
}

/// The same, with what only shows.
pub(crate) async fn score_with_factors(
    policy: &dyn ScoringPolicy,
    frame: &FrameChunk,
) -> Result<ScoredChunk, CallError> {
    let mut scored = score_again(policy, frame).await?;
    let (batch, totals) = frame.project(&policy.identity().facts);
    let factors = explain_rows(policy, &context_of(frame, totals), &batch).await;
    scored.rows.iter_mut().zip(factors).for_each(|(row, factors)| row.factors = factors);
    Ok(scored)
}

/// What the multiplier of a row is made of, as the policy names it.
pub(super) async fn explain_one(
    policy: &dyn ScoringPolicy,
    frame: &FrameChunk,
    place: usize,
) -> Result<Vec<(String, u32)>, CallError> {
    let (batch, totals) = frame.project(&policy.identity().facts);
    let one = Batch {
        count: 1,
        columns: batch
            .columns
            .iter()
            .map(|c| c.get(place).copied().into_iter().collect())
            .collect(),
    };
    let explanation = policy.explain(context_of(frame, totals), one).await?;
    Ok(explanation
        .contributions
        .into_iter()
        .map(|(name, values)| (name, values.first().map_or(0, |value| value.0)))
        .collect())
}

/// What the policy says of each row, and how it failed for the last of those that are held. A
/// [`CallError::Policy`] means that more rows would have to be held than may be.
async fn score_rows(
    policy: &dyn ScoringPolicy,
    context: &CallContext,
    batch: Batch,
    held_max: u64,
) -> Result<(Vec<Outcome>, Option<CallError>), CallError> {
    match policy.score(context.clone(), batch.clone()).await {
        Ok(scores) => {
            let reasons = scores.reasons.into_iter().chain(std::iter::repeat(None));
            return Ok((scores.multipliers.into_iter().zip(reasons).map(Ok).collect(), None));
        }
        Err(error @ CallError::Host { .. }) => return Err(error),
        Err(error) => {
            tracing::warn!(%error, nodes = batch.count, "the policy failed for a chunk: asking node by node")
        }
    }
    let (mut outcomes, mut held, mut last) = (Vec::new(), 0, None);
    for row in 0..batch.count as usize {
        let one = Batch {
            count: 1,
            columns: batch
                .columns
                .iter()
                .map(|c| c.get(row).copied().into_iter().collect())
                .collect(),
        };
        outcomes.push(match policy.score(context.clone(), one).await {
            Ok(scores) => Ok((
                scores.multipliers.first().copied().unwrap_or_default(),
                scores.reasons.into_iter().next().flatten(),
            )),
            Err(error @ CallError::Host { .. }) => return Err(error),
            Err(error @ CallError::Policy { .. }) if held == held_max => return Err(error),
            Err(error @ CallError::Policy { .. }) => {
                held += 1;
                let detail = if let CallError::Policy { detail, .. } = &error {
                    detail.clone()
                } else {
                    String::new()
                };
                last = Some(error);
                Err(detail)
            }
        });
    }
    Ok((outcomes, last))
}

/// Factors of every row; zeros where the policy cannot explain itself, which changes no score.
async fn explain_rows(
    policy: &dyn ScoringPolicy,
    context: &CallContext,
    batch: &Batch,
) -> Vec<Factors> {
    let count = batch.count as usize;
    let mut factors = Vec::with_capacity(count);
    for start in (0..count).step_by(EXPLAIN_ROWS_MAX) {
        let end = (start + EXPLAIN_ROWS_MAX).min(count);
        let part = |column: &Arc<[i64]>| column.get(start..end).map(Arc::from).unwrap_or_default();
        let rows = Batch {
            count: u32::try_from(end - start).unwrap_or(0),
            columns: batch.columns.iter().map(part).collect(),
        };
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
    let raw = if held {
        RawCenti(0)
    } else {
        raw_score_round_half_even(
            observed_s,
            frame.period.length.seconds(),
            frame.score_multiplier,
            multiplier,
        )
    };
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
