//! What a pool did: sums over the rows of its frames and scores, from which means follow.

use crate::{
    epochs::{
        facts::Fact,
        frame::FrameChunk,
        receipt::ScoredChunk,
        score::{Ppm, ScoreCenti},
    },
    telemetry::metric::REPORT_INTERVAL_MS,
};

/// What the members of a pool did in the epochs that were added up. A sum of sums is the sum of
/// all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Performance {
    /// Epochs, each counted with its first chunk.
    pub epochs: u64,
    /// Members, each once an epoch.
    nodes: u64,
    /// Of them those that were there at some moment of the epoch.
    present: u64,
    /// Members with a score, and the sum of their scores in hundredths.
    scored: u64,
    score_centi: u64,
    /// Credited, witnessed and active seconds.
    observed_s: u64,
    presence_s: u64,
    active_s: u64,
    /// Samples that arrived of those expected, and all of them.
    arrived: u64,
    expected: u64,
    samples: u64,
    /// Usage in millionths, times samples.
    usage: [u64; 3],
}

/// Mean usage of CPU, memory and disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Utilisation {
    pub cpu: Ppm,
    pub memory: Ppm,
    pub disk: Ppm,
}

impl Performance {
    /// What one chunk of a frame tells, with its scores. `begins`: it is the pool's first of the
    /// epoch.
    pub fn of(frame: &FrameChunk, scores: Option<&ScoredChunk>, begins: bool) -> Self {
        let mut sum =
            Self { epochs: u64::from(begins), nodes: frame.nodes.len() as u64, ..Self::default() };
        let fact = |row, fact| u64::try_from(frame.fact(row, fact)).unwrap_or(0);
        for row in 0..frame.nodes.len() {
            let presence_s = fact(row, Fact::PresenceS);
            let (active_s, samples) = (fact(row, Fact::ActiveS), fact(row, Fact::Samples));
            sum.present += u64::from(presence_s > 0);
            sum.observed_s += fact(row, Fact::ObservedS);
            sum.presence_s += presence_s;
            sum.active_s += active_s;
            let expected = active_s.saturating_mul(1_000) / REPORT_INTERVAL_MS.unsigned_abs();
            sum.expected += expected;
            sum.arrived += samples.min(expected);
            sum.samples += samples;
            for (total, column) in
                sum.usage.iter_mut().zip([Fact::CpuPpm, Fact::MemoryPpm, Fact::DiskPpm])
            {
                *total += fact(row, column).saturating_mul(samples);
            }
        }
        for row in scores.iter().flat_map(|chunk| &chunk.rows).filter(|row| !row.held) {
            sum.scored += 1;
            sum.score_centi += u64::from(row.score.0);
        }
        sum
    }

    /// Both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let mut usage = self.usage;
        usage.iter_mut().zip(other.usage).for_each(|(sum, more)| *sum = sum.saturating_add(more));
        Self {
            epochs: self.epochs + other.epochs,
            nodes: self.nodes + other.nodes,
            present: self.present + other.present,
            scored: self.scored + other.scored,
            score_centi: self.score_centi.saturating_add(other.score_centi),
            observed_s: self.observed_s + other.observed_s,
            presence_s: self.presence_s + other.presence_s,
            active_s: self.active_s + other.active_s,
            arrived: self.arrived + other.arrived,
            expected: self.expected + other.expected,
            samples: self.samples + other.samples,
            usage,
        }
    }

    /// Members, mean of the epochs, to the nearest whole.
    pub fn nodes_total(&self) -> u64 {
        mean(self.nodes, self.epochs)
    }
    /// Members that were there at some moment of an epoch, mean of the epochs, to the nearest
    /// whole.
    pub fn nodes_active(&self) -> u64 {
        mean(self.present, self.epochs)
    }
    /// Witnessed time of the time in which members were active; none if nothing is known of that.
    pub fn uptime(&self) -> Option<Ppm> {
        (self.active_s > 0)
            .then(|| Ppm::ratio_floor(self.presence_s.min(self.active_s), self.active_s))
    }
    /// Mean score of members with one; none if there is none.
    pub fn mean_score(&self) -> Option<ScoreCenti> {
        (self.scored > 0).then(|| {
            ScoreCenti(u32::try_from(mean(self.score_centi, self.scored)).unwrap_or(u32::MAX))
        })
    }
    /// Credited seconds of all members.
    pub fn observed_s(&self) -> u64 {
        self.observed_s
    }
    /// Samples that arrived of those that were expected; none if none was.
    pub fn completeness(&self) -> Option<Ppm> {
        (self.expected > 0).then(|| Ppm::ratio_floor(self.arrived, self.expected))
    }
    /// Mean usage over all samples; none without one.
    pub fn utilisation(&self) -> Option<Utilisation> {
        let [cpu, memory, disk] = self.usage.map(|sum| {
            Ppm(u32::try_from(sum.checked_div(self.samples).unwrap_or(0)).unwrap_or(u32::MAX))
        });
        (self.samples > 0).then_some(Utilisation { cpu, memory, disk })
    }
}

fn mean(sum: u64, count: u64) -> u64 {
    sum.saturating_add(count / 2).checked_div(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        epochs::{epoch::PeriodLength, facts::FactRow, frame::FrameHead},
        id::{NodeId, PoolScope},
        policies::Revision,
        time::TimeMs,
    };

    fn chunk(rows: &[(i64, i64, i64, i64)]) -> FrameChunk {
        let period = PeriodLength::new(3_600).unwrap().period_at(TimeMs(0));
        let row =
            |(place, (active_s, presence_s, samples, cpu)): (usize, &(i64, i64, i64, i64))| {
                let mut facts = FactRow::default();
                for (fact, value) in [
                    (Fact::ActiveS, active_s),
                    (Fact::PresenceS, presence_s),
                    (Fact::ObservedS, presence_s),
                    (Fact::Samples, samples),
                    (Fact::CpuPpm, cpu),
                ] {
                    facts.set(fact, *value);
                }
                (NodeId(uuid::Uuid::from_u128(place as u128)), facts)
            };
        let rows = rows.iter().enumerate().map(row).collect();
        let head = FrameHead { period, revision: Revision(1), score_multiplier: Ppm(1_000_000) };
        head.chunks(PoolScope::Unassigned, rows, 0).remove(0)
    }

    #[test]
    fn a_pool_is_the_sum_of_its_members() {
        // One there all the time, one half of it, one silent, one that was paused.
        let all = chunk(&[
            (3_600, 3_600, 120, 200_000),
            (3_600, 1_800, 60, 800_000),
            (3_600, 0, 0, 500_000),
            (0, 0, 0, 500_000),
        ]);
        let pool = Performance::of(&all, None, true);
        assert_eq!((pool.nodes_total(), pool.nodes_active(), pool.observed_s()), (4, 2, 5_400));
        assert_eq!((pool.uptime(), pool.completeness()), (Some(Ppm(500_000)), Some(Ppm(500_000))));
        assert_eq!(pool.utilisation().unwrap().cpu, Ppm(400_000), "weighted by samples");
        assert_eq!(pool.mean_score(), None);
    }

    #[test]
    fn what_more_than_the_expected_samples_bring_fills_no_gap_of_others() {
        let pool = Performance::of(&chunk(&[(3_600, 3_600, 500, 0), (3_600, 0, 0, 0)]), None, true);
        assert_eq!(pool.completeness(), Some(Ppm(500_000)));
    }

    #[test]
    fn means_are_of_epochs_and_chunks_of_one_epoch_count_once() {
        let (first, second) = (chunk(&[(3_600, 3_600, 120, 0); 3]), chunk(&[(3_600, 0, 0, 0)]));
        let one_epoch =
            Performance::of(&first, None, true).plus(Performance::of(&second, None, false));
        assert_eq!((one_epoch.nodes_total(), one_epoch.nodes_active()), (4, 3));
        let two = one_epoch.plus(Performance::of(&second, None, true));
        assert_eq!(
            (two.epochs, two.nodes_total(), two.nodes_active()),
            (2, 3, 2),
            "5 and 3 of two epochs, to the nearest"
        );
        assert_eq!(Performance::default().uptime(), None);
    }
}
