//! What a node measures of itself.

use crate::{id::NodeId, score::Ppm, time::TimeMs};

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
    /// What was counted between two readings; a counter that went back restarted from zero.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        let step = |now: u64, before: u64| if now >= before { now - before } else { now };
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

/// Usage of a machine at an instant; ratios of 0–1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// CPU.
    pub cpu: Ppm,
    /// Memory.
    pub memory: Ppm,
    /// Disk.
    pub disk: Ppm,
    /// Network counters.
    pub network: NetworkCounters,
}

/// One sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Whose.
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

/// Samples of a range, summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageSummary {
    /// Samples in the range.
    pub samples: u64,
    /// Mean CPU usage.
    pub cpu: Ppm,
    /// Mean memory usage.
    pub memory: Ppm,
    /// Mean disk usage.
    pub disk: Ppm,
    /// Reset-corrected difference over the range.
    pub network: NetworkCounters,
}

/// Sums samples of one node up, in the order of their time.
#[derive(Debug, Clone, Copy, Default)]
pub struct UsageSum {
    samples: u64,
    cpu: u64,
    memory: u64,
    disk: u64,
    network: NetworkCounters,
    last: Option<NetworkCounters>,
}

impl UsageSum {
    /// Takes the next sample.
    pub fn add(&mut self, usage: Usage) {
        self.samples += 1;
        self.cpu += u64::from(usage.cpu.0);
        self.memory += u64::from(usage.memory.0);
        self.disk += u64::from(usage.disk.0);
        if let Some(last) = self.last {
            self.network = self.network.plus(usage.network.since(last));
        }
        self.last = Some(usage.network);
    }
    /// Takes another node's sum in: means over all samples, network added.
    pub fn merge(&mut self, other: &Self) {
        self.samples += other.samples;
        self.cpu += other.cpu;
        self.memory += other.memory;
        self.disk += other.disk;
        self.network = self.network.plus(other.network);
    }
    /// Means, rounded down.
    pub fn finish(&self) -> UsageSummary {
        let mean = |sum: u64| Ppm(sum.checked_div(self.samples).and_then(|m| u32::try_from(m).ok()).unwrap_or(0));
        UsageSummary { samples: self.samples, cpu: mean(self.cpu), memory: mean(self.memory), disk: mean(self.disk), network: self.network }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_restarts_loses_nothing_after_the_restart() {
        let mut sum = UsageSum::default();
        for bytes_sent in [100, 150, 30, 40] {
            sum.add(Usage { cpu: Ppm(500_000), network: NetworkCounters { bytes_sent, ..Default::default() }, ..Default::default() });
        }
        let summary = sum.finish();
        assert_eq!((summary.network.bytes_sent, summary.cpu, summary.samples), (90, Ppm(500_000), 4));
    }
}
