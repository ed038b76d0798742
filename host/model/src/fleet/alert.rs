//! Alerts about nodes: what is measured against which limits, when one is raised, and when it is
//! over.
//!
//! One sample is no alert: it takes [`SAMPLES_IN_A_ROW`] over the limit to raise one, and as many
//! clearly under it ([`HYSTERESIS`]) to clear it, so that a value near its limit does not raise one
//! after the other.

use crate::{
    epochs::score::{Ppm, ScoreCenti},
    fleet::node::NodeConfig,
    id::{AlertId, NodeId},
    named_enum::named_enum,
    telemetry::metric::Usage,
    time::TimeMs,
};

/// Samples in a row that raise an alert, or clear it.
pub const SAMPLES_IN_A_ROW: u8 = 3;
/// How far under its limit a value has to be for its alert to be cleared: five points of a hundred,
/// a tenth of a limit that is lower than fifty.
pub const HYSTERESIS: Ppm = Ppm(50_000);
/// What [`AlertThresholds::missed_heartbeat_s`] may be.
pub const MISSED_HEARTBEAT_S: std::ops::RangeInclusive<u32> = 30..=86_400;

named_enum! {
    /// What an alert is about; a node has at most one active alert of each.
    AlertKind {
        /// CPU usage is over its limit.
        Cpu = "cpu",
        /// Memory usage is over its limit.
        Memory = "memory",
        /// Disk usage is over its limit.
        Disk = "disk",
        /// No report for too long.
        Silent = "silent",
        /// An operator suspended the node.
        Suspended = "suspended",
        /// Two agents report as the node.
        Cloned = "cloned",
    }
}

impl AlertKind {
    /// Those about usage, in the order of their places in a [`UsageWatch`].
    pub const USAGE: [Self; 3] = [Self::Cpu, Self::Memory, Self::Disk];

    fn place(self) -> Option<usize> {
        Self::USAGE.iter().position(|kind| *kind == self)
    }

    /// A number of an alert as it is shown: percent with two digits after the point for usage, else
    /// whole seconds.
    pub fn shown(self, number: u32) -> String {
        if self.place().is_some() { ScoreCenti(number).to_string() } else { number.to_string() }
    }
}

/// What was measured when an alert was raised, and what it may be: hundredths of a percent of
/// usage, seconds of silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// What it was.
    pub value: u32,
    /// What it may be.
    pub limit: u32,
}

/// An alert about a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    pub id: AlertId,
    /// Whom it is about.
    pub node: NodeId,
    /// What it is about.
    pub kind: AlertKind,
    /// When it was raised.
    pub raised_at: TimeMs,
    /// When it was over; none while it is active.
    pub cleared_at: Option<TimeMs>,
    /// For people.
    pub message: String,
    /// What was measured; none where nothing is.
    pub measured: Option<Measured>,
}

/// A pool's limits for its members; what is none is not the pool's to say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AlertThresholds {
    /// CPU usage.
    pub cpu: Option<Ppm>,
    /// Memory usage.
    pub memory: Option<Ppm>,
    /// Disk usage.
    pub disk: Option<Ppm>,
    /// Seconds without a report after which a member is silent: [`MISSED_HEARTBEAT_S`].
    pub missed_heartbeat_s: Option<u32>,
}

impl AlertThresholds {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The limits that a node's usage is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageLimits([Ppm; 3]);

impl UsageLimits {
    /// The node's own limits win, then its pool's, then the defaults of the contract. A node that
    /// never said anything has those defaults in its record, so a limit that is one counts as not
    /// said.
    pub fn of(node: &NodeConfig, pool: Option<&AlertThresholds>) -> Self {
        let default = NodeConfig::default();
        let of = |own: Ppm, default: Ppm, pool: Option<Ppm>| {
            if own == default { pool.unwrap_or(default) } else { own }
        };
        Self([
            of(node.max_cpu, default.max_cpu, pool.and_then(|p| p.cpu)),
            of(node.max_memory, default.max_memory, pool.and_then(|p| p.memory)),
            of(node.max_disk, default.max_disk, pool.and_then(|p| p.disk)),
        ])
    }
}

/// What a sample says that was not said before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crossing {
    /// Over its limit for long enough: an alert is to be raised.
    Over(AlertKind, Measured),
    /// Under it for long enough: the alert is to be cleared.
    Under(AlertKind),
}

#[derive(Debug, Clone, Copy, Default)]
struct Run {
    over: u8,
    under: u8,
    raised: bool,
}

/// What is remembered of a node's samples. A crossing is said again with every sample until it is
/// noted as done.
#[derive(Debug, Clone, Default)]
pub struct UsageWatch {
    newest: Option<TimeMs>,
    runs: [Run; 3],
}

impl UsageWatch {
    /// Notes that the alert of a kind is active, or is not.
    pub fn note(&mut self, kind: AlertKind, raised: bool) {
        if let Some(run) = kind.place().and_then(|place| self.runs.get_mut(place)) {
            *run = Run { raised, ..Run::default() };
        }
    }

    /// Kinds whose alerts are active.
    pub fn raised(&self) -> impl Iterator<Item = AlertKind> {
        AlertKind::USAGE
            .into_iter()
            .zip(self.runs)
            .filter(|(_, run)| run.raised)
            .map(|(kind, _)| kind)
    }

    /// Takes a sample, and ignores one that is not newer than the newest. A newest sample dated
    /// after this one's arrival came from a clock that was ahead: it does not hide this one.
    pub fn take(
        &mut self,
        at: TimeMs,
        arrived_at: TimeMs,
        usage: &Usage,
        limits: &UsageLimits,
    ) -> Vec<Crossing> {
        if self.newest.is_some_and(|newest| at <= newest && newest <= arrived_at) {
            return Vec::new();
        }
        self.newest = Some(at);
        let mut crossings = Vec::new();
        let used = [usage.cpu, usage.memory, usage.disk];
        for (((kind, run), used), limit) in
            AlertKind::USAGE.into_iter().zip(&mut self.runs).zip(used).zip(limits.0)
        {
            crossings.extend(run.take(kind, used, limit));
        }
        crossings
    }
}

impl Run {
    fn take(&mut self, kind: AlertKind, used: Ppm, limit: Ppm) -> Option<Crossing> {
        let clear = limit.0 - HYSTERESIS.0.min(limit.0 / 10);
        self.over = if used > limit { self.over.saturating_add(1) } else { 0 };
        self.under = if used.0 <= clear { self.under.saturating_add(1) } else { 0 };
        if !self.raised && self.over >= SAMPLES_IN_A_ROW {
            return Some(Crossing::Over(
                kind,
                Measured { value: used.0 / 100, limit: limit.0 / 100 },
            ));
        }
        (self.raised && self.under >= SAMPLES_IN_A_ROW).then_some(Crossing::Under(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(cpu: u32, memory: u32) -> Usage {
        Usage {
            cpu: Ppm(cpu * 10_000),
            memory: Ppm(memory * 10_000),
            disk: Ppm(0),
            network: crate::telemetry::metric::NetworkCounters::default(),
        }
    }

    /// Takes samples of CPU usage, does what is said as a service would, and tells what that was.
    fn run(
        watch: &mut UsageWatch,
        limits: &UsageLimits,
        values: &[u32],
    ) -> Vec<(usize, &'static str)> {
        let mut told = Vec::new();
        let from = watch.newest.map_or(0, |at| at.0 + 1);
        for (place, value) in values.iter().enumerate() {
            for crossing in watch.take(
                TimeMs(from + place as i64),
                TimeMs(from + place as i64),
                &usage(*value, 0),
                limits,
            ) {
                let (kind, raised) = match crossing {
                    Crossing::Over(kind, _) => (kind, true),
                    Crossing::Under(kind) => (kind, false),
                };
                watch.note(kind, raised);
                told.push((place, if raised { "raised" } else { "cleared" }));
            }
        }
        told
    }

    fn limits() -> UsageLimits {
        UsageLimits::of(&NodeConfig::default(), None)
    }

    #[test]
    fn a_spike_is_no_alert() {
        let mut watch = UsageWatch::default();
        assert_eq!(run(&mut watch, &limits(), &[99, 50, 99, 99, 80, 99, 99]), []);
        assert_eq!(run(&mut watch, &limits(), &[99]), [(0, "raised")], "three in a row are");
    }

    #[test]
    fn a_value_near_its_limit_raises_one_alert_and_clears_it_once_it_is_well_under() {
        let mut watch = UsageWatch::default();
        let near = [81, 81, 81, 79, 81, 79, 79, 79, 79, 81, 81, 81, 76, 75, 75, 76, 75, 75, 75, 75];
        assert_eq!(run(&mut watch, &limits(), &near), [(2, "raised"), (18, "cleared")]);
        assert_eq!(
            run(&mut watch, &limits(), &[81, 81, 81]),
            [(2, "raised")],
            "and it may come again"
        );
    }

    #[test]
    fn a_low_limit_can_be_cleared_and_the_highest_is_never_crossed() {
        let of = |cpu: u32| {
            UsageLimits::of(
                &NodeConfig { max_cpu: Ppm(cpu * 10_000), ..NodeConfig::default() },
                None,
            )
        };
        assert_eq!(
            run(&mut UsageWatch::default(), &of(2), &[3, 3, 3, 1, 1, 1]),
            [(2, "raised"), (5, "cleared")]
        );
        assert_eq!(
            run(&mut UsageWatch::default(), &of(0), &[1, 1, 1, 0, 0, 0]),
            [(2, "raised"), (5, "cleared")]
        );
        assert_eq!(run(&mut UsageWatch::default(), &of(100), &[100; 9]), []);
    }

    #[test]
    fn what_was_not_done_is_said_again_and_what_is_old_says_nothing() {
        let mut watch = UsageWatch::default();
        let over = |watch: &mut UsageWatch, at| {
            watch.take(TimeMs(at), TimeMs(at), &usage(99, 0), &limits())
        };
        assert_eq!((over(&mut watch, 1), over(&mut watch, 2)), (vec![], vec![]));
        assert_eq!(over(&mut watch, 2), [], "the same sample once more");
        let crossing = Crossing::Over(AlertKind::Cpu, Measured { value: 9_900, limit: 8_000 });
        assert_eq!(over(&mut watch, 3), [crossing]);
        assert_eq!(over(&mut watch, 4), [crossing], "the store did not answer");
        watch.note(AlertKind::Cpu, true);
        assert_eq!(over(&mut watch, 5), []);
        assert_eq!(watch.raised().collect::<Vec<_>>(), [AlertKind::Cpu]);
        assert_eq!(AlertKind::Cpu.shown(9_950), "99.50");
        assert_eq!(AlertKind::Silent.shown(9_950), "9950");
    }

    #[test]
    fn a_sample_of_a_clock_that_was_ahead_silences_no_later_one() {
        let mut watch = UsageWatch::default();
        let mut over = |at, arrived_at| {
            watch.take(TimeMs(at), TimeMs(arrived_at), &usage(99, 0), &limits()).len()
        };
        assert_eq!([over(250_000, 0), over(30_000, 30_000), over(60_000, 60_000)], [0, 0, 1]);
    }

    #[test]
    fn each_resource_has_its_own_count() {
        let mut watch = UsageWatch::default();
        let mut told = Vec::new();
        for (at, (cpu, memory)) in [(99, 10), (99, 99), (99, 99), (99, 99)].into_iter().enumerate()
        {
            told.push(
                watch
                    .take(TimeMs(at as i64), TimeMs(at as i64), &usage(cpu, memory), &limits())
                    .len(),
            );
        }
        assert_eq!(told, [0, 0, 1, 2]);
    }

    #[test]
    fn a_nodes_own_limit_wins_then_its_pools_then_the_default() {
        let pool = AlertThresholds {
            cpu: Some(Ppm(500_000)),
            memory: Some(Ppm(600_000)),
            ..AlertThresholds::default()
        };
        let own = NodeConfig { max_cpu: Ppm(700_000), ..NodeConfig::default() };
        assert_eq!(
            UsageLimits::of(&own, Some(&pool)).0,
            [Ppm(700_000), Ppm(600_000), Ppm(900_000)]
        );
        assert_eq!(UsageLimits::of(&own, None).0, [Ppm(700_000), Ppm(800_000), Ppm(900_000)]);
    }
}
