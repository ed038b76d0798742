//! What the service was told of this machine, and whether it has to be told again.

use std::net::IpAddr;

use lucid_wire::node::{ChangeMachineRequest, HardwareBody};
use serde::{Deserialize, Serialize};

/// Changes of memory and storage that are not worth telling, in percent: the room of a ZFS pool is
/// never the same.
const TOLERANCE_PERCENT: u64 = 2;

/// This machine, as others are told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) ip_address: IpAddr,
    pub(crate) port: u16,
    /// None while it cannot be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hardware: Option<HardwareBody>,
}

impl Told {
    /// Whether this is something else than what was told before.
    pub(crate) fn is_news_after(&self, before: Option<&Self>) -> bool {
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
        let told = Told {
            ip_address: "203.0.113.9".parse().unwrap(),
            port: 9095,
            hardware: Some(hardware),
        };
        let with = |hardware| Told { hardware, ..told.clone() };
        assert!(told.is_news_after(None) && !told.is_news_after(Some(&told)));
        assert!(Told { port: 9096, ..told.clone() }.is_news_after(Some(&told)));
        assert!(
            Told { ip_address: "::1".parse().unwrap(), ..told.clone() }.is_news_after(Some(&told))
        );
        assert!(with(Some(HardwareBody { cpu_cores: 8, ..hardware })).is_news_after(Some(&told)));
        assert!(
            with(Some(HardwareBody { memory_bytes: 16_000_000_000, ..hardware }))
                .is_news_after(Some(&told))
        );
        assert!(
            with(Some(HardwareBody { storage_bytes: 1, ..hardware })).is_news_after(Some(&told))
        );
        assert!(
            !with(Some(HardwareBody { storage_bytes: 101_000_000_000, ..hardware }))
                .is_news_after(Some(&told))
        );
        assert!(!with(None).is_news_after(Some(&told)), "it could not be measured");
        assert!(told.is_news_after(Some(&with(None))));
    }
}
