//! Address and hardware of this machine, as reported to the service.

use std::net::IpAddr;

use lucid_api_types::fleet::node::{ChangeMachineRequest, HardwareBody};
use serde::{Deserialize, Serialize};

/// Changes of memory and storage that are not worth telling, in percent: the room of a ZFS pool is
/// never the same.
const TOLERANCE_PERCENT: u64 = 2;

/// What the service knows of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MachineProfile {
    pub(crate) ip_address: IpAddr,
    pub(crate) port: u16,
    /// None while it cannot be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hardware: Option<HardwareBody>,
}

impl MachineProfile {
    /// Whether the service has to hear of it, after it was sent `before`.
    pub(crate) fn differs_from(&self, before: Option<&Self>) -> bool {
        let Some(before) = before else { return true };
        let hardware_changed = match (&before.hardware, &self.hardware) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(before), Some(now)) => {
                before.cpu_cores != now.cpu_cores
                    || differ(before.memory_bytes, now.memory_bytes)
                    || differ(before.storage_bytes, now.storage_bytes)
            }
        };
        (self.ip_address, self.port) != (before.ip_address, before.port) || hardware_changed
    }

    pub(crate) fn request(&self) -> ChangeMachineRequest {
        ChangeMachineRequest {
            ip_address: Some(self.ip_address.to_string()),
            port: Some(self.port),
            hardware: self.hardware,
        }
    }
}

fn differ(before: u64, now: u64) -> bool {
    before.abs_diff(now) > before / 100 * TOLERANCE_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_address_and_other_hardware_are_news_and_what_fluctuates_is_not() {
        let hardware = HardwareBody {
            cpu_cores: 4,
            memory_bytes: 8_000_000_000,
            storage_bytes: 100_000_000_000,
        };
        let told = MachineProfile {
            ip_address: "203.0.113.9".parse().unwrap(),
            port: 9095,
            hardware: Some(hardware),
        };
        let with = |hardware| MachineProfile { hardware, ..told.clone() };
        assert!(told.differs_from(None) && !told.differs_from(Some(&told)));
        assert!(MachineProfile { port: 9096, ..told.clone() }.differs_from(Some(&told)));
        assert!(
            MachineProfile { ip_address: "::1".parse().unwrap(), ..told.clone() }
                .differs_from(Some(&told))
        );
        assert!(with(Some(HardwareBody { cpu_cores: 8, ..hardware })).differs_from(Some(&told)));
        assert!(
            with(Some(HardwareBody { memory_bytes: 16_000_000_000, ..hardware }))
                .differs_from(Some(&told))
        );
        assert!(
            with(Some(HardwareBody { storage_bytes: 1, ..hardware })).differs_from(Some(&told))
        );
        assert!(
            !with(Some(HardwareBody { storage_bytes: 101_000_000_000, ..hardware }))
                .differs_from(Some(&told))
        );
        assert!(!with(None).differs_from(Some(&told)), "it could not be measured");
        assert!(told.differs_from(Some(&with(None))));
    }
}
