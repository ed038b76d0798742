//! What this machine is made of, and how busy it is. In a container that means what the container
//! may use.

mod cgroup;
mod figures;
mod network;
mod storage;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use lucid_api_types::{
    fleet::node::{HardwareBody, NetworkUsageBody},
    telemetry::report::SampleRequest,
};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, Networks, RefreshKind, System};
use tokio::time::Instant;

pub(crate) use self::figures::OutOfRange;
use self::{
    cgroup::{CpuShare, Limits},
    figures::{Figures, NUMBER_MAX},
};
use crate::{AgentError, clock::ClockReading};

/// What the node is called when its host has no name.
const NAMELESS: &str = "worker";
/// Between two looks at the hardware: memory and limits may be changed while it runs.
const HARDWARE_INTERVAL: Duration = Duration::from_secs(3_600);
/// Where the system's trees are.
const ROOT: &str = "/";

/// This host's name.
pub(crate) fn host_name() -> String {
    System::host_name()
        .ok()
        .filter(|name| !name.trim().is_empty())
        .unwrap_or_else(|| NAMELESS.into())
}

/// A sample and when it was taken.
#[derive(Debug, Clone)]
pub(crate) struct Measurement {
    pub(crate) at: ClockReading,
    pub(crate) sample: SampleRequest,
    /// What there is to use, if it was time to look at it again.
    pub(crate) hardware: Option<HardwareBody>,
    /// Figures that were out of range for the first time.
    pub(crate) out_of_range: Vec<OutOfRange>,
}

/// The machine, with the last readings that the next ones are compared to.
pub(crate) struct Machine {
    system: System,
    networks: Networks,
    limits: Limits,
    /// The last reading of CPU time, where that is limited.
    cpu: Option<(CpuShare, Instant)>,
    figures: Figures,
    /// When hardware was looked at last.
    hardware_at: Instant,
    /// The disk whose usage is reported is the one that this is on.
    data_dir: PathBuf,
}

impl Machine {
    /// The machine that has `data_dir`.
    pub(crate) async fn open(data_dir: PathBuf) -> Result<Self, AgentError> {
        blocking(move || {
            let system = System::new_with_specifics(refreshed()).map_err(failed)?;
            let limits = Limits::find(Path::new(ROOT));
            let cpu = limits.cpu(system.cpus().len()).map(|cpu| (cpu, Instant::now()));
            let networks = Networks::new_with_refreshed_list().map_err(failed)?;
            let data_dir = data_dir.canonicalize().unwrap_or(data_dir);
            Ok(Self {
                system,
                networks,
                limits,
                cpu,
                figures: Figures::default(),
                hardware_at: Instant::now(),
                data_dir,
            })
        })
        .await
    }

    /// What there is to use; none if it does not say everything. Takes the machine along, because
    /// reading it may block.
    pub(crate) async fn hardware(mut self) -> Result<(Self, Option<HardwareBody>), AgentError> {
        blocking(move || {
            let hardware = self.read_hardware();
            Ok((self, hardware))
        })
        .await
    }

    fn read_hardware(&mut self) -> Option<HardwareBody> {
        self.hardware_at = Instant::now();
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let (cpus, machine) = (number(self.system.cpus().len()), self.system.total_memory());
        let cores =
            self.cpu.map_or(cpus, |(cpu, _)| (cpu.limit_milli / 1000).clamp(1, cpus.max(1)));
        let memory = self.limits.memory(machine).map_or(machine, |memory| memory.limit_bytes);
        hardware(
            &mut self.figures,
            (cores, memory, storage::total_bytes(Path::new(ROOT), &self.data_dir)),
        )
    }

    /// Figures that were out of range for the first time since this was last asked.
    pub(crate) fn take_out_of_range(&mut self) -> Vec<OutOfRange> {
        self.figures.take_out_of_range()
    }

    /// How busy it was since the last time; takes the machine along, because reading it may block.
    pub(crate) async fn measure(mut self) -> Result<(Self, Measurement), AgentError> {
        blocking(move || {
            self.system.refresh_specifics(refreshed());
            self.networks.refresh(true);
            let at = ClockReading::now();
            let sample = SampleRequest {
                timestamp: Some(at.wall.to_string()),
                cpu_usage: self.cpu_usage(),
                memory_usage: self.memory_usage(),
                disk_usage: self.disk_usage(),
                network_usage: Some(self.traffic()),
                active_sessions: None,
                uptime: System::uptime()
                    .ok()
                    .map(|seconds| self.figures.within("uptime", seconds, NUMBER_MAX)),
            };
            let hardware = if self.hardware_at.elapsed() >= HARDWARE_INTERVAL {
                self.read_hardware()
            } else {
                None
            };
            let out_of_range = self.take_out_of_range();
            Ok((self, Measurement { at, sample, hardware, out_of_range }))
        })
        .await
    }

    fn cpu_usage(&mut self) -> f64 {
        let read = self.limits.cpu(self.system.cpus().len()).map(|cpu| (cpu, Instant::now()));
        match (std::mem::replace(&mut self.cpu, read), read) {
            (Some((before, then)), Some((cpu, at))) => percent(cpu.percent_since(
                before,
                u64::try_from(at.duration_since(then).as_micros()).unwrap_or(u64::MAX),
            )),
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

    fn disk_usage(&self) -> f64 {
        let room = storage::room_at(Path::new(ROOT), &self.data_dir);
        room.map_or(0.0, |room| share(room.total.saturating_sub(room.available), room.total))
    }

    /// What the interfaces that count have counted since the machine started.
    fn traffic(&mut self) -> NetworkUsageBody {
        let is_loopback = |data: &sysinfo::NetworkData| {
            data.ip_networks().iter().any(|network| network.addr.is_loopback())
        };
        let names: Vec<_> = self
            .networks
            .iter()
            .filter(|(_, data)| !is_loopback(data))
            .filter_map(|(name, _)| name.to_str())
            .collect();
        let counted = network::counted(Path::new(ROOT), &names);
        let counted = self
            .networks
            .iter()
            .filter(|(name, _)| name.to_str().is_some_and(|name| counted.contains(&name)));
        let sum = counted.fold(NetworkUsageBody::default(), |sum, (_, data)| NetworkUsageBody {
            bytes_sent: sum.bytes_sent.saturating_add(data.total_transmitted()),
            bytes_received: sum.bytes_received.saturating_add(data.total_received()),
            packets_sent: sum.packets_sent.saturating_add(data.total_packets_transmitted()),
            packets_received: sum.packets_received.saturating_add(data.total_packets_received()),
        });
        within(&mut self.figures, sum)
    }
}

fn hardware(
    figures: &mut Figures,
    (cores, memory, storage): (u64, u64, u64),
) -> Option<HardwareBody> {
    if cores == 0 || memory == 0 || storage == 0 {
        return None;
    }
    Some(HardwareBody {
        cpu_cores: u32::try_from(figures.within("cpu_cores", cores, u64::from(u32::MAX)))
            .unwrap_or(u32::MAX),
        memory_bytes: figures.within("memory_bytes", memory, NUMBER_MAX),
        storage_bytes: figures.within("storage_bytes", storage, NUMBER_MAX),
    })
}

fn within(figures: &mut Figures, counters: NetworkUsageBody) -> NetworkUsageBody {
    NetworkUsageBody {
        bytes_sent: figures.within("bytes_sent", counters.bytes_sent, NUMBER_MAX),
        bytes_received: figures.within("bytes_received", counters.bytes_received, NUMBER_MAX),
        packets_sent: figures.within("packets_sent", counters.packets_sent, NUMBER_MAX),
        packets_received: figures.within("packets_received", counters.packets_received, NUMBER_MAX),
    }
}

fn refreshed() -> RefreshKind {
    RefreshKind::nothing()
        .with_cpu(CpuRefreshKind::nothing().with_usage())
        .with_memory(MemoryRefreshKind::nothing().with_ram())
}

fn failed(error: impl std::fmt::Display) -> AgentError {
    AgentError::Machine { detail: error.to_string() }
}

/// A percentage with four digits, as many as the service keeps.
fn percent(value: f64) -> f64 {
    if value.is_finite() { (value.clamp(0.0, 100.0) * 10_000.0).round() / 10_000.0 } else { 0.0 }
}

fn share(part: u64, whole: u64) -> f64 {
    f64::from(lucid_model::epochs::score::Ppm::ratio_floor(part, whole).0) / 10_000.0
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AgentError> + Send + 'static,
) -> Result<T, AgentError> {
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}

#[cfg(test)]
mod tests {
    use lucid_api_types::{
        fleet::node::RegisterNodeRequest, parse, telemetry::report::MetricsRequest,
    };

    use super::*;

    #[tokio::test]
    async fn this_machine_is_measured_within_what_the_service_takes() {
        let dir = tempfile::tempdir().unwrap();
        let (machine, hardware) =
            Machine::open(dir.path().to_owned()).await.unwrap().hardware().await.unwrap();
        assert!(hardware.is_none_or(|hardware| hardware.cpu_cores > 0
            && hardware.memory_bytes > 0
            && hardware.storage_bytes > 0));
        let (_, measurement) = machine.measure().await.unwrap();
        let body = serde_json::to_vec(&measurement.sample).unwrap();
        let samples = parse::<MetricsRequest>(&body).unwrap();
        assert_eq!(samples[0].at, Some(measurement.at.wall));
        assert!(samples[0].usage.memory.0 > 0 && samples[0].uptime_s > 0);
        assert_eq!(measurement.out_of_range, []);
    }

    #[test]
    fn the_service_takes_the_figures_of_a_machine_that_counts_nonsense() {
        let mut figures = Figures::default();
        let most = u64::MAX;
        let request = RegisterNodeRequest {
            name: "w".into(),
            ip_address: "192.0.2.1".into(),
            port: 9000,
            hardware: hardware(&mut figures, (most, most, most)),
            ..RegisterNodeRequest::default()
        };
        let taken = parse::<RegisterNodeRequest>(&serde_json::to_vec(&request).unwrap()).unwrap();
        assert_eq!(taken.hardware.unwrap().storage_bytes, NUMBER_MAX);
        let counters = NetworkUsageBody {
            bytes_sent: most,
            bytes_received: most,
            packets_sent: most,
            packets_received: most,
        };
        let sample = SampleRequest {
            network_usage: Some(within(&mut figures, counters)),
            uptime: Some(figures.within("uptime", most, NUMBER_MAX)),
            ..SampleRequest::default()
        };
        assert_eq!(
            parse::<MetricsRequest>(&serde_json::to_vec(&sample).unwrap()).unwrap()[0]
                .usage
                .network
                .packets_received,
            NUMBER_MAX
        );
        assert_eq!(figures.take_out_of_range().len(), 8);
        assert_eq!(hardware(&mut figures, (1, 1, 0)), None, "what is not known is not said");
    }
}
