//! What a node measures of itself.

mod rollup;

pub use self::rollup::{
    REPORT_INTERVAL_MS, Reading, Resolution, Rollup, Spread, coarsen, merge_all, roll_up,
    samples_expected,
};
use crate::{
    epochs::score::Ppm,
    id::NodeId,
    telemetry::credit::{Interval, PRESENCE_GAP_MS_MAX},
    time::TimeMs,
};

/// Counters of a node's network interfaces, monotonic until the machine restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NetworkCounters {
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// Packets received.
    pub packets_received: u64,
}

impl NetworkCounters {
    /// What was counted between two readings, the machine having restarted between them or not.
    #[must_use]
    pub fn since(self, earlier: Self, restarted: bool) -> Self {
        let step = |now, before| counted(now, before, restarted);
        Self {
            bytes_sent: step(self.bytes_sent, earlier.bytes_sent),
            bytes_received: step(self.bytes_received, earlier.bytes_received),
            packets_sent: step(self.packets_sent, earlier.packets_sent),
            packets_received: step(self.packets_received, earlier.packets_received),
        }
    }
    /// Sums, saturating.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            bytes_sent: self.bytes_sent.saturating_add(other.bytes_sent),
            bytes_received: self.bytes_received.saturating_add(other.bytes_received),
            packets_sent: self.packets_sent.saturating_add(other.packets_sent),
            packets_received: self.packets_received.saturating_add(other.packets_received),
        }
    }
}

/// What a counter counted between two readings. One that fell has begun anew if the machine did, or
/// if going round would mean more than half of what a counter of its width counts; otherwise it
/// went round.
fn counted(now: u64, before: u64, restarted: bool) -> u64 {
    let Some(fall) = before.checked_sub(now).filter(|fall| *fall > 0) else { return now - before };
    let width_max = if before <= u64::from(u32::MAX) { u64::from(u32::MAX) } else { u64::MAX };
    let round = width_max - fall + 1;
    if restarted || round > width_max / 2 { now } else { round }
}

/// Usage of a machine at an instant; ratios of 0–1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    pub cpu: Ppm,
    pub memory: Ppm,
    pub disk: Ppm,
    /// Network counters.
    pub network: NetworkCounters,
}

/// One sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    pub node: NodeId,
    /// When the node measured, by its own clock.
    pub at: TimeMs,
    /// When it arrived, by ours.
    pub arrived_at: TimeMs,
    /// What it measured.
    pub usage: Usage,
    /// Observation sessions open at the node.
    pub active_sessions: u32,
    /// Seconds since the node's machine started.
    pub uptime_s: u64,
}

/// How far ahead of our clock a sample may be dated, in milliseconds: five minutes, more than a
/// clock without NTP drifts in months.
pub const SAMPLE_AHEAD_MS_MAX: i64 = 300_000;

impl Sample {
    /// Whether it arrived more than [`PRESENCE_GAP_MS_MAX`] after it was measured, so that it does
    /// not describe the present.
    pub fn is_late(&self) -> bool {
        self.arrived_at.ms_since(self.at) > PRESENCE_GAP_MS_MAX
    }
    /// How far the node's clock is ahead of ours, less the time that the report took.
    pub fn clock_offset_ms(&self) -> i64 {
        self.at.ms_since(self.arrived_at)
    }
}

/// Samples of a range, summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageSummary {
    /// Samples in the range.
    pub samples: u64,
    /// The same, but of no node more than were expected of it.
    pub samples_expected: u64,
    /// Mean CPU usage.
    pub cpu: Ppm,
    /// Mean memory usage.
    pub memory: Ppm,
    /// Mean disk usage.
    pub disk: Ppm,
    /// Difference over the range, corrected for counters that went round or began anew.
    pub network: NetworkCounters,
}

/// Sums usage up, of one node or of several.
#[derive(Debug, Clone, Copy, Default)]
pub struct UsageSum {
    samples: u64,
    samples_expected: u64,
    cpu: u64,
    memory: u64,
    disk: u64,
    network: NetworkCounters,
}

impl UsageSum {
    /// Takes usage that stands for itself: its counters have nothing to be compared with.
    pub fn add(&mut self, usage: Usage) {
        self.samples += 1;
        self.cpu += u64::from(usage.cpu.0);
        self.memory += u64::from(usage.memory.0);
        self.disk += u64::from(usage.disk.0);
    }
    /// Takes in all of a node in a range: means over all samples, network added.
    pub fn add_node(&mut self, rollup: &Rollup, range: Interval) {
        self.samples += rollup.samples;
        self.samples_expected += rollup.samples.min(samples_expected(range));
        self.cpu = self.cpu.saturating_add(rollup.cpu.sum);
        self.memory = self.memory.saturating_add(rollup.memory.sum);
        self.disk = self.disk.saturating_add(rollup.disk.sum);
        self.network = self.network.plus(rollup.network);
    }
    /// Means, rounded down.
    pub fn finish(&self) -> UsageSummary {
        let mean = |sum| mean_floor(sum, self.samples);
        let (cpu, memory, disk) = (mean(self.cpu), mean(self.memory), mean(self.disk));
        UsageSummary {
            samples: self.samples,
            samples_expected: self.samples_expected,
            cpu,
            memory,
            disk,
            network: self.network,
        }
    }
}

fn mean_floor(sum: u64, samples: u64) -> Ppm {
    Ppm(sum.checked_div(samples).and_then(|mean| u32::try_from(mean).ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_fell_went_round_or_began_anew() {
        assert_eq!(counted(150, 100, false), 50);
        assert_eq!(counted(30, 150, false), 30, "going round would have been four billion");
        assert_eq!(counted(7, u64::MAX, false), 8, "64 bits went round");
        assert_eq!(counted(4, u64::from(u32::MAX) - 5, false), 10, "32 bits went round");
        assert_eq!(counted(4, u64::from(u32::MAX) - 5, true), 4, "the machine began anew");
        assert_eq!(counted(4, 1 << 33, false), 4, "more than 32 bits, and far from going round");
        assert_eq!(counted(0, 1 << 31, false), 0, "exactly half is too much");
        assert_eq!(
            counted(160, 100, true),
            60,
            "a counter that did not fall is of another clock than the uptime"
        );
    }
}
