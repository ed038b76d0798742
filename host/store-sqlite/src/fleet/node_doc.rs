use lucid_model::{
    epochs::score::Ppm,
    fleet::node::{Hardware, Node, NodeConfig, NodeStatus, Suspension, Wallet, WalletWish},
    money::tron::TronAddress,
    time::TimeMs,
};
use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// What of a node is neither filtered, sorted nor unique; kept as JSON in `nodes.doc`.
#[derive(Serialize, Deserialize)]
pub(crate) struct NodeDoc {
    v: u8,
    pub(crate) description: Option<String>,
    pub(crate) error_reason: Option<String>,
    activated_at_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status_since_ms: Option<i64>,
    config: ConfigDoc,
    wallet: Option<WalletDoc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wallet_wish: Option<WalletWishDoc>,
    hardware: Option<HardwareDoc>,
    suspension: Option<SuspensionDoc>,
    #[serde(default)]
    pub(crate) approved: bool,
}

#[derive(Serialize, Deserialize)]
struct ConfigDoc {
    max_sessions: u32,
    max_cpu_ppm: u32,
    max_memory_ppm: u32,
    max_disk_ppm: u32,
    max_network_bandwidth: u64,
    auto_scaling: bool,
    monitoring_enabled: bool,
}

#[derive(Serialize, Deserialize)]
struct WalletDoc {
    address: String,
    version: u32,
    since_ms: i64,
}

#[derive(Serialize, Deserialize)]
struct WalletWishDoc {
    address: String,
    at_ms: i64,
    by: String,
}

#[derive(Serialize, Deserialize)]
struct HardwareDoc {
    cpu_cores: u32,
    memory_bytes: u64,
    storage_bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct SuspensionDoc {
    reason: String,
    until_ms: Option<i64>,
    earlier: String,
}

impl NodeDoc {
    pub(crate) fn of(node: &Node) -> Self {
        let c = &node.config;
        let suspension = node.suspension.as_ref().map(|s| SuspensionDoc {
            reason: s.reason.clone(),
            until_ms: s.until.map(|until| until.0),
            earlier: s.earlier.name().to_owned(),
        });
        Self {
            v: 1,
            description: node.description.clone(),
            error_reason: node.error_reason.clone(),
            activated_at_ms: node.activated_at.map(|at| at.0),
            status_since_ms: node.status_since.map(|at| at.0),
            config: ConfigDoc {
                max_sessions: c.max_sessions,
                max_cpu_ppm: c.max_cpu.0,
                max_memory_ppm: c.max_memory.0,
                max_disk_ppm: c.max_disk.0,
                max_network_bandwidth: c.max_network_bandwidth,
                auto_scaling: c.auto_scaling,
                monitoring_enabled: c.monitoring_enabled,
            },
            wallet: node.wallet.map(|w| WalletDoc {
                address: w.address.to_string(),
                version: w.version,
                since_ms: w.since.0,
            }),
            wallet_wish: node.wallet_wish.as_ref().map(|w| WalletWishDoc {
                address: w.address.to_string(),
                at_ms: w.at.0,
                by: w.by.clone(),
            }),
            hardware: node.hardware.map(|h| HardwareDoc {
                cpu_cores: h.cpu_cores,
                memory_bytes: h.memory_bytes,
                storage_bytes: h.storage_bytes,
            }),
            suspension,
            approved: node.approved,
        }
    }

    pub(crate) fn activated_at(&self) -> Option<TimeMs> {
        self.activated_at_ms.map(TimeMs)
    }

    pub(crate) fn status_since(&self) -> Option<TimeMs> {
        self.status_since_ms.map(TimeMs)
    }

    pub(crate) fn config(&self) -> NodeConfig {
        let c = &self.config;
        NodeConfig {
            max_sessions: c.max_sessions,
            max_cpu: Ppm(c.max_cpu_ppm),
            max_memory: Ppm(c.max_memory_ppm),
            max_disk: Ppm(c.max_disk_ppm),
            max_network_bandwidth: c.max_network_bandwidth,
            auto_scaling: c.auto_scaling,
            monitoring_enabled: c.monitoring_enabled,
        }
    }

    pub(crate) fn wallet(&self) -> Result<Option<Wallet>, Fault> {
        let Some(wallet) = &self.wallet else { return Ok(None) };
        Ok(Some(Wallet {
            address: address(&wallet.address)?,
            version: wallet.version,
            since: TimeMs(wallet.since_ms),
        }))
    }

    pub(crate) fn wallet_wish(&self) -> Result<Option<WalletWish>, Fault> {
        let Some(wish) = &self.wallet_wish else { return Ok(None) };
        Ok(Some(WalletWish {
            address: address(&wish.address)?,
            at: TimeMs(wish.at_ms),
            by: wish.by.clone(),
        }))
    }

    pub(crate) fn hardware(&self) -> Option<Hardware> {
        let hardware = self.hardware.as_ref()?;
        Some(Hardware {
            cpu_cores: hardware.cpu_cores,
            memory_bytes: hardware.memory_bytes,
            storage_bytes: hardware.storage_bytes,
        })
    }

    pub(crate) fn suspension(&self) -> Result<Option<Suspension>, Fault> {
        let Some(suspension) = &self.suspension else { return Ok(None) };
        let earlier = NodeStatus::from_name(&suspension.earlier)
            .ok_or_else(|| Fault::Bad(format!("node status {:?}", suspension.earlier)))?;
        Ok(Some(Suspension {
            reason: suspension.reason.clone(),
            until: suspension.until_ms.map(TimeMs),
            earlier,
        }))
    }
}

fn address(text: &str) -> Result<TronAddress, Fault> {
    TronAddress::from_record(text).map_err(|error| Fault::Bad(format!("wallet {text:?}: {error}")))
}
