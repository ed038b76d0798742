//! Asking another version about frames of epochs that are over. Nothing is changed; what the policy
//! would have seen of its own earlier answers is put in the place of what was recorded.

use std::{collections::HashMap, sync::Arc};

use futures::future::try_join_all;
use lucid_foundation::ServiceError;
use lucid_model::{
    epochs::{
        epoch::Period,
        facts::{Fact, total_saturating},
        frame::{FactColumn, FrameChunk},
    },
    id::{NodeId, PoolScope},
    review::simulation::{Change, Simulation},
};
use lucid_ports::{FramePart, ScoringPolicy};

use super::rows::score_again;
use crate::Epochs;

/// Most rows that one simulation asks about.
const ROWS_MAX: u64 = 5_000_000;

/// Simulated scores of the epoch before, by node, hundredths.
type Scores = HashMap<NodeId, i64>;

/// What a scoring policy answered to frames as they were recorded, or with what it would have said
/// itself in the place of earlier scores.
#[derive(Default)]
struct Answers {
    /// Compared with what was answered then.
    simulation: Simulation<Change>,
    /// Of the epoch before; empty: what was recorded stays.
    previous: Scores,
}

impl Epochs {
    /// What a version answers to the frames of epochs, as they were recorded: of one pool, or of
    /// all.
    ///
    /// # Errors
    /// [`ServiceError`] if it fails for a whole chunk, or the epochs have too many rows.
    pub async fn simulate_scores(
        &self,
        policy: &dyn ScoringPolicy,
        epochs: &[Period],
        pool: Option<PoolScope>,
    ) -> Result<Simulation<Change>, ServiceError> {
        let mut answers = Answers::default();
        for (epoch, parts) in self.asked_about(epochs, pool).await? {
            answers.previous = self.simulate_epoch(policy, epoch, &parts, &mut answers).await?;
        }
        Ok(answers.simulation)
    }

    /// The chunks of each epoch, pool by pool.
    async fn asked_about(
        &self,
        epochs: &[Period],
        pool: Option<PoolScope>,
    ) -> Result<Vec<(Period, Vec<Vec<u32>>)>, ServiceError> {
        let (mut asked, mut rows) = (Vec::new(), 0_u64);
        for epoch in epochs {
            let parts = self.parts.frames.frame_parts(epoch.start_s).await?.unwrap_or_default();
            let parts: Vec<(u32, FramePart)> = (0..)
                .zip(parts)
                .filter(|(_, part)| pool.is_none_or(|pool| part.pool == pool))
                .collect();
            rows += parts.iter().map(|(_, part)| u64::from(part.nodes)).sum::<u64>();
            if rows > ROWS_MAX {
                return Err(ServiceError::invalid(
                    "from",
                    format!("the range has more than {ROWS_MAX} scores, which is the most"),
                ));
            }
            let of_pool =
                |group: &[(u32, FramePart)]| group.iter().map(|(index, _)| *index).collect();
            asked.push((
                *epoch,
                parts.chunk_by(|one, next| one.1.pool == next.1.pool).map(of_pool).collect(),
            ));
        }
        Ok(asked)
    }

    async fn simulate_epoch(
        &self,
        policy: &dyn ScoringPolicy,
        epoch: Period,
        pools: &[Vec<u32>],
        answers: &mut Answers,
    ) -> Result<Scores, ServiceError> {
        let (mut scores, at_once) = (Scores::new(), self.config.chunks_at_once.max(1));
        for chunks in pools {
            let (mut frames, mut stored, mut again) = (Vec::new(), Vec::new(), Vec::new());
            for some in chunks.chunks(at_once) {
                for (frame, scored) in
                    try_join_all(some.iter().map(|index| self.receipt_of(epoch.start_s, *index)))
                        .await?
                {
                    frames.push(frame);
                    stored.push(scored);
                }
            }
            put_in(&mut frames, &answers.previous);
            for some in frames.chunks(at_once) {
                again.extend(
                    try_join_all(some.iter().map(|frame| score_again(policy, frame))).await?,
                );
            }
            for ((frame, before), after) in frames.iter().zip(&stored).zip(&again) {
                answers.simulation.add(frame, before, after);
                scores.extend(
                    after
                        .rows
                        .iter()
                        .filter(|row| !row.held)
                        .map(|row| (row.node, i64::from(row.score.0))),
                );
            }
        }
        answers.simulation.periods += u64::from(!pools.is_empty());
        Ok(scores)
    }
}

/// Puts the simulated scores of the epoch before where those are that were recorded, in all chunks
/// of a pool.
fn put_in(frames: &mut [FrameChunk], previous: &Scores) {
    let name = Fact::PreviousScoreCenti.info().name;
    if previous.is_empty() {
        return;
    }
    let renewed = |frame: &FrameChunk| -> Arc<[i64]> {
        let of = |(row, node): (usize, &NodeId)| {
            previous.get(node).copied().unwrap_or(frame.fact(row, Fact::PreviousScoreCenti))
        };
        frame.nodes.iter().enumerate().map(of).collect()
    };
    let columns: Vec<_> = frames.iter().map(renewed).collect();
    let total =
        columns.iter().fold(0_i64, |sum, values| sum.saturating_add(total_saturating(values)));
    for (frame, values) in frames.iter_mut().zip(columns) {
        if let Some(column) = frame.columns.iter_mut().find(|column| column.name == name) {
            *column = FactColumn { name: name.to_owned(), total, values };
        }
    }
}

#[cfg(test)]
mod tests {
    use lucid_model::{
        epochs::{
            epoch::PeriodLength,
            facts::FactRow,
            frame::{CHUNK_NODES_MAX, FrameHead},
            score::Ppm,
        },
        policies::Revision,
        time::TimeMs,
    };

    use super::*;

    #[test]
    fn simulated_scores_take_the_place_of_recorded_ones_in_rows_and_totals() {
        let period = PeriodLength::new(3_600).unwrap().period_at(TimeMs(0));
        let head = FrameHead { period, revision: Revision(1), score_multiplier: Ppm(1_000_000) };
        let node = |i: usize| NodeId(uuid::Uuid::from_u128(i as u128));
        let row = |i| {
            let mut row = FactRow::default();
            row.set(Fact::PreviousScoreCenti, 100);
            (node(i), row)
        };
        // Two chunks; of the second one only the first node was in the epoch before.
        let count = CHUNK_NODES_MAX + 2;
        let recorded = head.chunks(PoolScope::Unassigned, (0..count).map(row).collect(), 0);
        let (mut frames, mut untouched) = (recorded.clone(), recorded.clone());
        put_in(&mut untouched, &Scores::new());
        assert_eq!(untouched, recorded);
        let previous: Scores = (0..=CHUNK_NODES_MAX).map(|i| (node(i), 7)).collect();
        put_in(&mut frames, &previous);
        assert_eq!(
            [
                frames[0].fact(0, Fact::PreviousScoreCenti),
                frames[1].fact(0, Fact::PreviousScoreCenti),
                frames[1].fact(1, Fact::PreviousScoreCenti)
            ],
            [7, 7, 100]
        );
        let (_, totals) = frames[0].project(&[Fact::PreviousScoreCenti]);
        assert_eq!(totals, [7 * (i64::try_from(CHUNK_NODES_MAX).unwrap() + 1) + 100]);
        assert_eq!(frames[1].project(&[Fact::PreviousScoreCenti]).1, totals);
    }
}
