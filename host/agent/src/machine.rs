//! What this machine is made of, and how busy it is. In a container that means what the container may use.

mod cgroup;
mod network;
mod storage;

use std::path::{Path, PathBuf};

use lucid_model::time::TimeMs;
use lucid_wire::{
    node::{HardwareBody, NetworkUsageBody},
    report::SampleRequest,
};
use sysinfo::{CpuRefreshKind, DiskRefreshKind, Disks, MemoryRefreshKind, Networks, RefreshKind, System};
use tokio::time::Instant;

use self::{
    cgroup::{CpuShare, Limits},
    storage::Mount,
};
use crate::{AgentError, now};

/// What the node is called when its host has no name.
const NAMELESS: &str = "worker";
/// Where the system's trees are.
const ROOT: &str = "/";

/// This host's name.
pub(crate) fn host_name() -> String {
    System::host_name().ok().filter(|name| !name.trim().is_empty()).unwrap_or_else(|| NAMELESS.into())
}

/// A sample and when it was taken.
#[derive(Debug, Clone)]
pub(crate) struct Measurement {
    pub(crate) at: TimeMs,
    pub(crate) sample: SampleRequest,
}

/// The machine, with the last readings that the next ones are compared to.
pub(crate) struct Machine {
    system: System,
    disks: Disks,
    networks: Networks,
    limits: Limits,
    /// The last reading of CPU time, where that is limited.
    cpu: Option<(CpuShare, Instant)>,
    /// The disk that counts is the one that this is on.
    data_dir: PathBuf,
}

impl Machine {
    /// The machine that has `data_dir`.
    pub(crate) async fn open(data_dir: PathBuf) -> Result<Self, AgentError> {
        blocking(move || {
            let system = System::new_with_specifics(refreshed()).map_err(failed)?;
            let disks = Disks::new_with_refreshed_list_specifics(storage_only()).map_err(failed)?;
            let limits = Limits::find(Path::new(ROOT));
            let cpu = limits.cpu(system.cpus().len()).map(|cpu| (cpu, Instant::now()));
            let networks = Networks::new_with_refreshed_list().map_err(failed)?;
            Ok(Self { system, disks, networks, limits, cpu, data_dir: data_dir.canonicalize().unwrap_or(data_dir) })
        })
        .await
    }

    /// What there is to use; none if it does not say everything.
    pub(crate) fn hardware(&self) -> Option<HardwareBody> {
        let limited = self.cpu.map(|(cpu, _)| usize::try_from(cpu.limit_milli / 1000).unwrap_or(usize::MAX).max(1));
        let cpus = self.system.cpus().len();
        let cpu_cores = u32::try_from(limited.map_or(cpus, |limit| limit.min(cpus))).ok().filter(|cores| *cores > 0)?;
        let machine = self.system.total_memory();
        let memory_bytes = Some(self.limits.memory(machine).map_or(machine, |memory| memory.limit_bytes)).filter(|bytes| *bytes > 0)?;
        let (mounts, disks) = (self.mounts(), &self.disks);
        let fixed = storage::disks(&mounts).into_iter().filter_map(|index| disks.get(index)).filter(|disk| !disk.is_removable());
        let storage_bytes = Some(fixed.fold(0_u64, |sum, disk| sum.saturating_add(disk.total_space()))).filter(|bytes| *bytes > 0)?;
        Some(HardwareBody { cpu_cores, memory_bytes, storage_bytes })
    }

    /// How busy it was since the last time; takes the machine along, because reading it may block.
    pub(crate) async fn measure(mut self) -> Result<(Self, Measurement), AgentError> {
        blocking(move || {
            self.system.refresh_specifics(refreshed());
            self.networks.refresh(true);
            let at = now();
            let sample = SampleRequest {
                timestamp: Some(at.to_string()),
                cpu_usage: self.cpu_usage(),
                memory_usage: self.memory_usage(),
                disk_usage: self.disk_usage(),
                network_usage: Some(self.traffic()),
                active_sessions: None,
                uptime: System::uptime().ok(),
            };
            Ok((self, Measurement { at, sample }))
        })
        .await
    }

    fn cpu_usage(&mut self) -> f64 {
        let read = self.limits.cpu(self.system.cpus().len()).map(|cpu| (cpu, Instant::now()));
        match (std::mem::replace(&mut self.cpu, read), read) {
            (Some((before, then)), Some((cpu, at))) => {
                percent(cpu.percent_since(before, u64::try_from(at.duration_since(then).as_micros()).unwrap_or(u64::MAX)))
            }
            _ => percent(f64::from(self.system.global_cpu_usage())),
        }
    }

    fn memory_usage(&self) -> f64 {
        let machine = self.system.total_memory();
        match self.limits.memory(machine) {
            Some(memory) => share(memory.used_bytes, memory.limit_bytes),
            None => share(self.system.used_memory(), machine),
        }
    }

    /// Only the disk that holds the data is asked: another one may hang.
    fn disk_usage(&mut self) -> f64 {
        let Some(index) = storage::holding(&self.mounts(), &self.data_dir) else { return 0.0 };
        let Some(disk) = self.disks.get_mut(index) else { return 0.0 };
        disk.refresh_specifics(storage_only());
        share(disk.total_space().saturating_sub(disk.available_space()), disk.total_space())
    }

    fn mounts(&self) -> Vec<Mount> {
        let text = |name: &std::ffi::OsStr| name.to_string_lossy().into_owned();
        let mount = |disk: &sysinfo::Disk| Mount { device: text(disk.name()), point: disk.mount_point().to_owned(), kind: text(disk.file_system()) };
        self.disks.iter().map(mount).collect()
    }

    /// What the interfaces that count have counted since the machine started.
    fn traffic(&self) -> NetworkUsageBody {
        let is_loopback = |data: &sysinfo::NetworkData| data.ip_networks().iter().any(|network| network.addr.is_loopback());
        let names: Vec<_> = self.networks.iter().filter(|(_, data)| !is_loopback(data)).filter_map(|(name, _)| name.to_str()).collect();
        let counted = network::counted(Path::new(ROOT), &names);
        let counted = self.networks.iter().filter(|(name, _)| name.to_str().is_some_and(|name| counted.contains(&name)));
        counted.fold(NetworkUsageBody::default(), |sum, (_, data)| NetworkUsageBody {
            bytes_sent: sum.bytes_sent.saturating_add(data.total_transmitted()),
            bytes_received: sum.bytes_received.saturating_add(data.total_received()),
            packets_sent: sum.packets_sent.saturating_add(data.total_packets_transmitted()),
            packets_received: sum.packets_received.saturating_add(data.total_packets_received()),
        })
    }
}

fn refreshed() -> RefreshKind {
    RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing().with_usage()).with_memory(MemoryRefreshKind::nothing().with_ram())
}

fn storage_only() -> DiskRefreshKind {
    DiskRefreshKind::nothing().with_storage()
}

fn failed(error: impl std::fmt::Display) -> AgentError {
    AgentError::Machine { detail: error.to_string() }
}

/// A percentage with four digits, as many as the service keeps.
fn percent(value: f64) -> f64 {
    if value.is_finite() { (value.clamp(0.0, 100.0) * 10_000.0).round() / 10_000.0 } else { 0.0 }
}

fn share(part: u64, whole: u64) -> f64 {
    f64::from(lucid_model::score::Ppm::ratio_floor(part, whole).0) / 10_000.0
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, AgentError> + Send + 'static) -> Result<T, AgentError> {
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn this_machine_is_measured_within_what_the_service_takes() {
        let dir = tempfile::tempdir().unwrap();
        let machine = Machine::open(dir.path().to_owned()).await.unwrap();
        assert!(machine.hardware().is_none_or(|hardware| hardware.cpu_cores > 0 && hardware.memory_bytes > 0));
        let (_, measurement) = machine.measure().await.unwrap();
        let body = serde_json::to_vec(&measurement.sample).unwrap();
        let samples = lucid_wire::parse::<lucid_wire::report::MetricsRequest>(&body).unwrap();
        assert_eq!(samples[0].at, Some(measurement.at));
        assert!(samples[0].usage.memory.0 > 0 && samples[0].uptime_s > 0);
    }
}
