//! How much of the machine its control groups let a container use, and how much of that is used.
//!
//! Limits of a `*.service` are left out: with them systemd says what the agent itself may use, not
//! what the node has.

mod layout;

use std::{fs, path::Path};

use layout::{Group, Groups, Version};

/// A part of the memory that is less than the machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MemoryShare {
    pub(super) limit_bytes: u64,
    /// Without files that are only cached, which give way before anything is refused.
    pub(super) used_bytes: u64,
}

/// A part of the CPUs that is less than the machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CpuShare {
    /// Thousandths of a CPU.
    pub(super) limit_milli: u64,
    /// CPU time since the group was made.
    pub(super) used_us: u64,
}

impl CpuShare {
    /// Percent of what might have been used since `earlier`.
    pub(super) fn percent_since(self, earlier: Self, elapsed_us: u64) -> f64 {
        let might = u128::from(self.limit_milli) * u128::from(elapsed_us) / 1000;
        let used = u128::from(self.used_us.saturating_sub(earlier.used_us)).min(might);
        let ppm = (used * 1_000_000).checked_div(might).unwrap_or(0);
        f64::from(u32::try_from(ppm).unwrap_or(1_000_000)) / 10_000.0
    }
}

/// The groups that this process is in.
#[derive(Debug)]
pub(super) struct Limits(Groups);

impl Limits {
    /// Finds them below `root`, which is `/` but for tests.
    pub(super) fn find(root: &Path) -> Self {
        Self(Groups::find(root))
    }

    /// The tightest limit of memory, if one is below what the machine has.
    pub(super) fn memory(&self, machine_bytes: u64) -> Option<MemoryShare> {
        let group = self.0.memory.as_ref()?;
        let limits = group.levels().filter_map(|level| Some((memory_limit(group, &level)?, level)));
        let (limit_bytes, level) =
            limits.filter(|(limit, _)| *limit < machine_bytes).min_by_key(|(limit, _)| *limit)?;
        Some(MemoryShare { limit_bytes, used_bytes: memory_used(group, &level)? })
    }

    /// The tightest limit of CPU time, or of CPUs, if one is below what the machine has.
    pub(super) fn cpu(&self, machine_cpus: usize) -> Option<CpuShare> {
        let machine_milli = u64::try_from(machine_cpus).ok()?.saturating_mul(1000);
        let quotas = self.0.cpu.iter().flat_map(|group| {
            group.levels().filter_map(|level| Some((quota_milli(group, &level)?, level)))
        });
        let quota = quotas.min_by_key(|(milli, _)| *milli);
        let set = self
            .0
            .cpuset
            .as_ref()
            .and_then(|group| group.levels().find_map(|level| cpus_of_set(group, &level)));
        let set_milli = set.map_or(machine_milli, |cpus| cpus.saturating_mul(1000));
        let accounting = self.0.accounting.as_ref()?;
        let (limit_milli, level) = match quota {
            Some((milli, level)) if milli <= set_milli => (milli, level),
            _ => (set_milli, accounting.levels().next()?),
        };
        if limit_milli >= machine_milli || limit_milli == 0 {
            return None;
        }
        // In version 1 accounting may be a hierarchy of its own, which need not go as deep.
        let used_us = cpu_used_us(accounting, &level)
            .or_else(|| cpu_used_us(accounting, &accounting.levels().next()?))?;
        Some(CpuShare { limit_milli, used_us })
    }
}

fn memory_limit(group: &Group, level: &Path) -> Option<u64> {
    match group.version {
        // Above `high` everything is slowed down and reclaimed: more is not to be had in practice.
        Version::Two => [number(group, level, "memory.max"), number(group, level, "memory.high")]
            .into_iter()
            .flatten()
            .min(),
        Version::One => number(group, level, "memory.limit_in_bytes"),
    }
}

fn memory_used(group: &Group, level: &Path) -> Option<u64> {
    let (used, cached) = match group.version {
        Version::Two => (number(group, level, "memory.current")?, "inactive_file"),
        Version::One => (number(group, level, "memory.usage_in_bytes")?, "total_inactive_file"),
    };
    let stat = text(group, level, "memory.stat").unwrap_or_default();
    Some(used.saturating_sub(entry(&stat, cached).unwrap_or(0)))
}

fn quota_milli(group: &Group, level: &Path) -> Option<u64> {
    let (quota, period): (u64, u64) = match group.version {
        Version::Two => {
            let text = text(group, level, "cpu.max")?;
            let mut words = text.split_whitespace();
            // `max` is no number, and no limit.
            (words.next()?.parse().ok()?, words.next()?.parse().ok()?)
        }
        // -1 is no limit.
        Version::One => {
            (number(group, level, "cpu.cfs_quota_us")?, number(group, level, "cpu.cfs_period_us")?)
        }
    };
    quota.checked_mul(1000)?.checked_div(period)
}

fn cpu_used_us(group: &Group, level: &Path) -> Option<u64> {
    match group.version {
        Version::Two => entry(&text(group, level, "cpu.stat")?, "usage_usec"),
        Version::One => number(group, level, "cpuacct.usage").map(|ns| ns / 1000),
    }
}

fn cpus_of_set(group: &Group, level: &Path) -> Option<u64> {
    let set = match group.version {
        Version::Two => text(group, level, "cpuset.cpus.effective")?,
        Version::One => text(group, level, "cpuset.effective_cpus")
            .or_else(|| text(group, level, "cpuset.cpus"))?,
    };
    count_of_list(set.trim()).filter(|cpus| *cpus > 0)
}

/// How many numbers are in a list such as `0-3,8`.
fn count_of_list(list: &str) -> Option<u64> {
    let count = |part: &str| -> Option<u64> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        last.checked_sub(first)?.checked_add(1)
    };
    list.split(',').filter(|part| !part.is_empty()).map(count).sum()
}

/// The value of a line `key value`.
fn entry(table: &str, key: &str) -> Option<u64> {
    table.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

fn number(group: &Group, level: &Path, file: &str) -> Option<u64> {
    text(group, level, file)?.trim().parse().ok()
}

fn text(group: &Group, level: &Path, file: &str) -> Option<String> {
    fs::read_to_string(group.mount.join(level).join(file)).ok()
}

#[cfg(test)]
mod tests;
