//! What this machine is made of, and how busy it is.

use std::collections::BTreeMap;

use lucid_model::time::TimeMs;
use lucid_wire::{
    node::{HardwareBody, NetworkUsageBody},
    report::SampleRequest,
};
use sysinfo::{CpuRefreshKind, DiskRefreshKind, Disks, MemoryRefreshKind, Networks, RefreshKind, System};

use crate::{AgentError, now};

/// What the node is called when its host has no name.
const NAMELESS: &str = "worker";

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
}

impl Machine {
    pub(crate) async fn open() -> Result<Self, AgentError> {
        blocking(|| {
            let system = System::new_with_specifics(refreshed()).map_err(failed)?;
            let disks = Disks::new_with_refreshed_list_specifics(DiskRefreshKind::nothing().with_storage()).map_err(failed)?;
            Ok(Self { system, disks, networks: Networks::new_with_refreshed_list().map_err(failed)? })
        })
        .await
    }

    /// What it is made of; none if it does not say everything.
    pub(crate) fn hardware(&self) -> Option<HardwareBody> {
        let cpu_cores = u32::try_from(self.system.cpus().len()).ok().filter(|cores| *cores > 0)?;
        let memory_bytes = Some(self.system.total_memory()).filter(|bytes| *bytes > 0)?;
        let storage_bytes = Some(self.storage().0).filter(|bytes| *bytes > 0)?;
        Some(HardwareBody { cpu_cores, memory_bytes, storage_bytes })
    }

    /// How busy it was since the last time; takes the machine along, because reading it may block.
    pub(crate) async fn measure(mut self) -> Result<(Self, Measurement), AgentError> {
        blocking(move || {
            self.system.refresh_specifics(refreshed());
            self.disks.refresh_specifics(true, DiskRefreshKind::nothing().with_storage());
            self.networks.refresh(true);
            let (at, (storage, available)) = (now(), self.storage());
            let sample = SampleRequest {
                timestamp: Some(at.to_string()),
                cpu_usage: percent(f64::from(self.system.global_cpu_usage())),
                memory_usage: share(self.system.used_memory(), self.system.total_memory()),
                disk_usage: share(storage.saturating_sub(available), storage),
                network_usage: Some(self.traffic()),
                active_sessions: None,
                uptime: System::uptime().ok(),
            };
            Ok((self, Measurement { at, sample }))
        })
        .await
    }

    /// Total and available bytes of the disks; one that is mounted in several places is one disk.
    fn storage(&self) -> (u64, u64) {
        let by_device: BTreeMap<_, _> =
            self.disks.iter().filter(|disk| !disk.is_removable()).map(|disk| (disk.name(), (disk.total_space(), disk.available_space()))).collect();
        by_device.values().fold((0, 0), |sum, disk| (sum.0.saturating_add(disk.0), sum.1.saturating_add(disk.1)))
    }

    /// What all interfaces but the loopback counted since the machine started.
    fn traffic(&self) -> NetworkUsageBody {
        let real = self.networks.iter().filter(|(_, data)| !data.ip_networks().iter().any(|network| network.addr.is_loopback()));
        real.fold(NetworkUsageBody::default(), |sum, (_, data)| NetworkUsageBody {
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
        let machine = Machine::open().await.unwrap();
        assert!(machine.hardware().is_none_or(|hardware| hardware.cpu_cores > 0 && hardware.memory_bytes > 0));
        let (_, measurement) = machine.measure().await.unwrap();
        let body = serde_json::to_vec(&measurement.sample).unwrap();
        let samples = lucid_wire::parse::<lucid_wire::report::MetricsRequest>(&body).unwrap();
        assert_eq!(samples[0].at, Some(measurement.at));
        assert!(samples[0].usage.memory.0 > 0 && samples[0].uptime_s > 0);
    }
}
