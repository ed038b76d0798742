//! What nodes measured, over time: rolled up as it grows old, and forgotten.

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    epochs::{
        epoch::Period,
        score::{PPM, Ppm},
    },
    id::NodeId,
    telemetry::{
        credit::Interval,
        metric::{NetworkCounters, REPORT_INTERVAL_MS, Resolution, Rollup, samples_expected},
    },
    time::TimeMs,
};
use lucid_ports::{SeriesKept, Walked};

use crate::Telemetry;

/// Nodes that one step looks at.
const NODES_A_STEP: u32 = 200;
/// How long after its end an hour is rolled up: most of what is late has come by then.
const ROLL_UP_DELAY_MS: i64 = 5 * 60_000;
/// Points of one answer.
pub const POINTS_MAX: u32 = 5_000;
/// Points that an answer has at most where the caller leaves the resolution to us, as long as a
/// coarser one is there.
const POINTS_AUTO_MAX: i64 = 1_000;

/// How long what was measured is kept.
#[derive(Debug, Clone, Copy)]
pub struct SeriesAges {
    /// Samples.
    pub samples_ms: i64,
    /// Rollups of five minutes.
    pub five_minutes_ms: i64,
    /// Rollups of an hour.
    pub hours_ms: i64,
}

/// How far the tasks have come with the nodes, and whether there was something to do since the
/// first one.
#[derive(Debug, Default)]
pub(crate) struct Walks {
    rolling: Walk,
    forgetting: Walk,
}

#[derive(Debug, Default)]
struct Walk {
    after: Option<NodeId>,
    done: u64,
}

impl Walk {
    /// Whether to go on at once: there are more nodes, or a whole round still found something.
    fn goes_on(&mut self, walked: Walked) -> bool {
        self.after = walked.next;
        self.done = self.done.saturating_add(walked.done);
        if self.after.is_some() {
            return true;
        }
        std::mem::take(&mut self.done) > 0
    }
}

/// How finely a history is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    /// Every sample.
    Raw,
    /// An interval each.
    Of(Resolution),
}

impl Grain {
    /// All, the finest first.
    pub const ALL: [Self; 4] = [
        Self::Raw,
        Self::Of(Resolution::Minute),
        Self::Of(Resolution::FiveMinutes),
        Self::Of(Resolution::Hour),
    ];

    fn ms(self) -> i64 {
        match self {
            Self::Raw => REPORT_INTERVAL_MS,
            Self::Of(resolution) => resolution.ms(),
        }
    }
    /// The next coarser one.
    fn coarser(self) -> Option<Self> {
        Self::ALL.into_iter().find(|grain| grain.ms() > self.ms())
    }
}

/// One point of a history.
#[derive(Debug, Clone, Copy)]
pub struct HistoryPoint {
    /// The interval's start; of a sample its time.
    pub at: TimeMs,
    /// What was measured.
    pub rollup: Rollup,
    /// Traffic up to the interval's last sample, since that of the point before.
    pub network: NetworkCounters,
    /// Samples of those that were expected.
    pub completeness: Ppm,
}

/// What a node measured over time.
#[derive(Debug, Clone)]
pub struct History {
    /// From where to where: whole intervals.
    pub range: Interval,
    /// How finely.
    pub grain: Grain,
    /// Oldest first; intervals without a sample are left out.
    pub points: Vec<HistoryPoint>,
    /// Samples of those that were expected, over the whole range.
    pub completeness: Ppm,
}

impl Telemetry {
    /// Rolls up what is due of some nodes; whether there is more to do.
    ///
    /// # Errors
    /// [`ServiceError::Store`]; the next call goes on.
    pub async fn roll_up_due(&self) -> Result<bool, ServiceError> {
        let Some(now) = self.parts.clock.sure_now() else { return Ok(false) };
        let after = self.walks.lock().rolling.after;
        let walked =
            self.parts.series.roll_up(after, now.plus_ms(-ROLL_UP_DELAY_MS), NODES_A_STEP).await?;
        metrics::counter!("lucid_hours_rolled_up_total").increment(walked.done);
        Ok(self.walks.lock().rolling.goes_on(walked))
    }

    /// Forgets what is too old of some nodes; whether there is more to do. Samples of the oldest
    /// open epoch and of later ones are kept, however old; without one nothing is forgotten.
    ///
    /// # Errors
    /// [`ServiceError::Store`]; the next call goes on.
    pub async fn forget_due_series(&self, open: Option<Period>) -> Result<bool, ServiceError> {
        let Some(now) = self.parts.clock.sure_now() else { return Ok(false) };
        self.sample_quotas.forget(now, self.config.sample_limits);
        let Some(open) = open else { return Ok(false) };
        let ages = self.config.series;
        let kept = SeriesKept {
            samples_from: now.plus_ms(-ages.samples_ms).min(open.start()),
            five_minutes_from: now.plus_ms(-ages.five_minutes_ms),
            hours_from: now.plus_ms(-ages.hours_ms),
        };
        let after = self.walks.lock().forgetting.after;
        let walked = self.parts.series.forget_series(after, kept, NODES_A_STEP).await?;
        metrics::counter!("lucid_series_forgotten_total").increment(walked.done);
        Ok(self.walks.lock().forgetting.goes_on(walked))
    }

    /// What a node measured in a range, at a grain or at the finest that gives a thousand points
    /// and is still kept.
    ///
    /// # Errors
    /// [`ServiceError`] if the node is unknown or another's, or the answer would have more than
    /// [`POINTS_MAX`] points.
    pub async fn node_history(
        &self,
        actor: &Actor,
        id: NodeId,
        range: Interval,
        grain: Option<Grain>,
    ) -> Result<History, ServiceError> {
        if !self.parts.fleet.seen_node(actor, id).await?.is_live() {
            return Err(ServiceError::no("node"));
        }
        if let Some(grain) = grain {
            return self.history_of(id, range, grain).await?.ok_or_else(|| too_many(grain));
        }
        let mut grain = self.finest(range);
        loop {
            // A node that reports more often than it should has more samples than a range lets
            // expect.
            let points_max = usize::try_from(POINTS_AUTO_MAX).unwrap_or(usize::MAX);
            let found = self.history_of(id, range, grain).await?;
            match (found, grain.coarser()) {
                (Some(history), coarser)
                    if history.points.len() <= points_max || coarser.is_none() =>
                {
                    return Ok(history);
                }
                (_, Some(coarser)) => grain = coarser,
                (_, None) => return Err(too_many(grain)),
            }
        }
    }

    /// The finest grain that lets expect few enough points and is still kept at the beginning of a
    /// range.
    fn finest(&self, range: Interval) -> Grain {
        let (age_ms, kept) = (self.parts.clock.now().ms_since(range.from), self.config.series);
        let fits = |grain: &Grain| {
            let kept_ms = match grain {
                Grain::Raw | Grain::Of(Resolution::Minute) => kept.samples_ms,
                Grain::Of(Resolution::FiveMinutes) => kept.five_minutes_ms,
                Grain::Of(Resolution::Hour) => i64::MAX,
            };
            range.length_ms() / grain.ms() <= POINTS_AUTO_MAX && age_ms <= kept_ms
        };
        Grain::ALL.into_iter().find(fits).unwrap_or(Grain::Of(Resolution::Hour))
    }

    /// None if it has too many points.
    async fn history_of(
        &self,
        id: NodeId,
        range: Interval,
        grain: Grain,
    ) -> Result<Option<History>, ServiceError> {
        let (range, rollups) = match grain {
            Grain::Raw => {
                let samples =
                    self.parts.series.samples(id, range, POINTS_MAX.saturating_add(1)).await?;
                (range, samples.iter().map(Rollup::of).collect::<Vec<_>>())
            }
            Grain::Of(resolution) => {
                let whole =
                    Interval { from: resolution.floor(range.from), to: resolution.ceil(range.to) };
                if whole.length_ms() / resolution.ms() > i64::from(POINTS_MAX) {
                    return Ok(None);
                }
                (whole, self.parts.series.series(id, whole, resolution).await?)
            }
        };
        if rollups.len() > usize::try_from(POINTS_MAX).unwrap_or(usize::MAX) {
            return Ok(None);
        }
        Ok(Some(told(range, grain, &rollups, self.parts.clock.now())))
    }
}

fn too_many(grain: Grain) -> ServiceError {
    let finer = match grain {
        Grain::Raw => "every sample".to_owned(),
        Grain::Of(resolution) => resolution.name().to_owned(),
    };
    ServiceError::invalid(
        "resolution",
        format!("{finer} gives more than {POINTS_MAX} points in this range, which is the most"),
    )
}

fn told(range: Interval, grain: Grain, rollups: &[Rollup], now: TimeMs) -> History {
    let (mut before, mut counted) = (None::<&Rollup>, 0_u64);
    let mut points = Vec::with_capacity(rollups.len());
    for rollup in rollups {
        let (at, expected) = match grain {
            Grain::Raw => (rollup.first.at, 1),
            Grain::Of(resolution) => {
                let start = resolution.floor(rollup.first.at);
                // Nothing is expected of what is still to come.
                let past =
                    Interval { to: now.min(resolution.from(start).to), ..resolution.from(start) };
                (start, samples_expected(past).max(1))
            }
        };
        let since = before.map_or_else(NetworkCounters::default, |before| {
            rollup.first.network_since(&before.last)
        });
        let completeness = Ppm::ratio_floor(rollup.samples, expected);
        counted = counted.saturating_add(rollup.samples.min(expected));
        points.push(HistoryPoint {
            at,
            rollup: *rollup,
            network: since.plus(rollup.network),
            completeness,
        });
        before = Some(rollup);
    }
    let past = Interval { to: now.min(range.to), ..range };
    let completeness = if points.is_empty() {
        Ppm(0)
    } else {
        Ppm::ratio_floor(counted, samples_expected(past).max(1))
    };
    History { range, grain, points, completeness: Ppm(completeness.0.min(PPM)) }
}
