//! What pools did over time, told from the frames and scores of closed epochs: nothing is kept for
//! it, so it says of any past epoch what was so then.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    epochs::epoch::Period,
    fleet::pool::{Pool, performance::Performance},
    id::{NodeId, PoolId, PoolScope},
    money::MicroUsdt,
    telemetry::credit::Interval,
    time::TimeMs,
};

use crate::Review;

/// Points that an answer has at most where the caller leaves the resolution to us.
const POINTS_AUTO_MAX: i64 = 200;
/// Epochs read at once.
const READ_AT_ONCE: usize = 4;

/// How finely a pool's performance is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolGrain {
    /// Each epoch.
    Epoch,
    /// The epochs that begin in an hour.
    Hour,
    /// The epochs that begin on a day.
    Day,
}

impl PoolGrain {
    /// All, the finest first.
    pub const ALL: [Self; 3] = [Self::Epoch, Self::Hour, Self::Day];

    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Epoch => "epoch",
            Self::Hour => "1h",
            Self::Day => "1d",
        }
    }

    fn interval(self, epoch: Period) -> Interval {
        let length_ms = match self {
            Self::Epoch => return epoch.interval(),
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        };
        let from = TimeMs(epoch.start().0.div_euclid(length_ms) * length_ms);
        Interval { from, to: from.plus_ms(length_ms).max(epoch.end()) }
    }
}

/// What a pool did in an interval.
#[derive(Debug, Clone, Copy)]
pub struct PoolPoint {
    /// From the first epoch that is told of to the end of the interval.
    pub interval: Interval,
    /// What it did.
    pub performance: Performance,
    /// What its members were paid in it; only for those who see everybody's payouts.
    pub paid: Option<MicroUsdt>,
}

/// What a pool did over time.
#[derive(Debug, Clone)]
pub struct PoolHistory {
    /// The pool, as it is now.
    pub pool: Pool,
    /// How finely.
    pub grain: PoolGrain,
    /// Oldest first; intervals without a closed epoch in which the pool had members are left out.
    pub points: Vec<PoolPoint>,
    /// All of them together.
    pub total: Performance,
    /// What was paid in all of them; only for those who see everybody's payouts.
    pub paid: Option<MicroUsdt>,
}

struct Bucket {
    performance: Performance,
    /// Members in any of its epochs, in order.
    members: Vec<NodeId>,
}

impl Review {
    /// What a pool did in the closed epochs that begin in a range.
    ///
    /// # Errors
    /// [`ServiceError`] if there is no such pool, or the range has more than [`EPOCHS_MAX`] epochs.
    pub async fn pool_performance(
        &self,
        actor: &Actor,
        id: PoolId,
        range: Interval,
        grain: Option<PoolGrain>,
    ) -> Result<PoolHistory, ServiceError> {
        let pool = self.parts.pools.pool(id).await?.ok_or(ServiceError::no("pool"))?;
        let epochs = self.parts.epochs.epochs_in(range).await?;
        let grain = grain.unwrap_or_else(|| finest(&epochs));
        let told = stream::iter(
            epochs
                .into_iter()
                .map(|epoch| async move { self.pool_in(id, epoch).await.map(|did| (epoch, did)) }),
        );
        let told: Vec<_> = told.buffered(READ_AT_ONCE).try_collect().await?;
        let mut buckets: BTreeMap<(TimeMs, TimeMs), Bucket> = BTreeMap::new();
        for (epoch, (performance, members)) in
            told.into_iter().filter(|(_, (did, _))| did.epochs > 0)
        {
            let Interval { from, to } = grain.interval(epoch);
            let bucket = buckets.entry((from, to)).or_insert_with(|| Bucket {
                performance: Performance::default(),
                members: Vec::new(),
            });
            bucket.performance = bucket.performance.plus(performance);
            if actor.sees_all() {
                bucket.members.extend(members);
            }
        }
        for bucket in buckets.values_mut() {
            bucket.members.sort_unstable();
            bucket.members.dedup();
        }
        let paid = if actor.sees_all() { Some(self.paid_to(&buckets).await?) } else { None };
        let point = |((from, to), bucket): (&(TimeMs, TimeMs), &Bucket)| PoolPoint {
            interval: Interval { from: *from, to: *to },
            performance: bucket.performance,
            paid: paid.as_ref().map(|paid| paid.get(from).copied().unwrap_or_default()),
        };
        let points: Vec<_> = buckets.iter().map(point).collect();
        let total =
            points.iter().fold(Performance::default(), |sum, point| sum.plus(point.performance));
        let all_paid = paid.map(|paid| MicroUsdt::checked_sum(paid.into_values())).transpose()?;
        Ok(PoolHistory { pool, grain, points, total, paid: all_paid })
    }

    /// What a pool did in one epoch, and who was in it.
    async fn pool_in(
        &self,
        pool: PoolId,
        epoch: Period,
    ) -> Result<(Performance, Vec<NodeId>), ServiceError> {
        let parts = self.parts.frames.frame_parts(epoch.start_s).await?.unwrap_or_default();
        let (mut sum, mut members) = (Performance::default(), Vec::new());
        for (index, _) in (0..).zip(&parts).filter(|(_, part)| part.pool == PoolScope::Pool(pool)) {
            let Some(frame) = self.parts.frames.frame_chunk(epoch.start_s, index).await? else {
                continue;
            };
            let scores = self.parts.epoch_records.scored_chunk(epoch.start_s, index).await?;
            sum = sum.plus(Performance::of(&frame, scores.as_ref(), sum.epochs == 0));
            members.extend(frame.nodes);
        }
        Ok((sum, members))
    }

    /// What was paid in each interval, by its beginning, to who was a member in it.
    async fn paid_to(
        &self,
        buckets: &BTreeMap<(TimeMs, TimeMs), Bucket>,
    ) -> Result<BTreeMap<TimeMs, MicroUsdt>, ServiceError> {
        let mut paid: BTreeMap<TimeMs, MicroUsdt> = BTreeMap::new();
        let (Some(((from, _), _)), Some(((_, to), _))) =
            (buckets.first_key_value(), buckets.last_key_value())
        else {
            return Ok(paid);
        };
        let mut everybody: Vec<_> =
            buckets.values().flat_map(|bucket| bucket.members.iter().copied()).collect();
        everybody.sort_unstable();
        everybody.dedup();
        for (node, at, amount) in
            self.parts.payouts.payments(&everybody, Interval { from: *from, to: *to }).await?
        {
            let in_it = buckets.range(..=(at, TimeMs(i64::MAX))).next_back();
            if let Some(((from, _), _)) = in_it
                .filter(|((_, to), bucket)| at < *to && bucket.members.binary_search(&node).is_ok())
            {
                let sum = paid.entry(*from).or_default();
                *sum = sum.checked_add(amount)?;
            }
        }
        Ok(paid)
    }
}

fn finest(epochs: &[Period]) -> PoolGrain {
    let points = |grain: &PoolGrain| {
        epochs.iter().map(|epoch| grain.interval(*epoch).from).collect::<BTreeSet<_>>().len()
    };
    let fits = |grain: &PoolGrain| {
        i64::try_from(points(grain)).is_ok_and(|points| points <= POINTS_AUTO_MAX)
    };
    PoolGrain::ALL.into_iter().find(fits).unwrap_or(PoolGrain::Day)
}
