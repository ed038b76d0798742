//! What callers ask for, checked field by field: read by the API, taken by the service.

use std::net::IpAddr;

use crate::{
    epochs::score::Ppm,
    fleet::{
        alert::AlertThresholds,
        enrolment::EnrolmentScope,
        node::{Hardware, NodeAddress, NodeConfig, PublicKey},
        pool::{LoadBalancing, PoolConfig, PoolStatus},
    },
    id::{PoolId, UserId},
    money::tron::TronAddress,
};

/// A registration, its fields checked for form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNode {
    /// 1–255 characters.
    pub name: String,
    /// At most 1000.
    pub description: Option<String>,
    /// Where it can be reached; older clients do not say.
    pub address: Option<NodeAddress>,
    /// Limits.
    pub config: NodeConfig,
    /// Identity.
    pub public_key: Option<PublicKey>,
    /// Payee address.
    pub wallet: Option<TronAddress>,
    /// What it is made of.
    pub hardware: Option<Hardware>,
    /// An older client's id.
    pub external_id: Option<String>,
}

/// What a PUT changes; none = kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodePatch {
    /// New name.
    pub name: Option<String>,
    /// New description.
    pub description: Option<String>,
    /// New limits.
    pub config: Option<NodeConfigChange>,
}

/// A configuration as a request changes it: only what is set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeConfigChange {
    pub max_sessions: Option<u32>,
    pub max_cpu: Option<Ppm>,
    pub max_memory: Option<Ppm>,
    pub max_disk: Option<Ppm>,
    pub max_network_bandwidth: Option<u64>,
    pub auto_scaling: Option<bool>,
    pub monitoring_enabled: Option<bool>,
}

impl NodeConfigChange {
    /// The configuration with the change in it.
    pub fn apply(&self, to: NodeConfig) -> NodeConfig {
        NodeConfig {
            max_sessions: self.max_sessions.unwrap_or(to.max_sessions),
            max_cpu: self.max_cpu.unwrap_or(to.max_cpu),
            max_memory: self.max_memory.unwrap_or(to.max_memory),
            max_disk: self.max_disk.unwrap_or(to.max_disk),
            max_network_bandwidth: self.max_network_bandwidth.unwrap_or(to.max_network_bandwidth),
            auto_scaling: self.auto_scaling.unwrap_or(to.auto_scaling),
            monitoring_enabled: self.monitoring_enabled.unwrap_or(to.monitoring_enabled),
        }
    }
}

/// A suspension to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSuspension {
    /// Why; 1–500 characters.
    pub reason: String,
    /// For how long, 1–8760; none = until lifted.
    pub hours: Option<u32>,
    /// Whether the owner is told.
    pub notify_owner: bool,
}

/// The machine as it is now; none = as it was told before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MachinePatch {
    /// Where it is reached.
    pub ip: Option<IpAddr>,
    /// On which port.
    pub port: Option<u16>,
    /// What it is made of.
    pub hardware: Option<Hardware>,
}

/// A pool to be, its fields checked for form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPool {
    /// 1–255 characters.
    pub name: String,
    /// At most 1000.
    pub description: Option<String>,
    /// 1–1000.
    pub max_nodes: u32,
    /// How it works.
    pub config: PoolConfig,
}

/// What a PUT changes; none = kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolPatch {
    /// New name.
    pub name: Option<String>,
    /// New description.
    pub description: Option<String>,
    /// New size.
    pub max_nodes: Option<u32>,
    /// New status.
    pub status: Option<PoolStatus>,
    /// New configuration.
    pub config: Option<PoolConfigChange>,
}

/// What a request says of a pool's configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolConfigChange {
    pub auto_assignment: Option<bool>,
    pub load_balancing: Option<LoadBalancing>,
    pub health_check_interval_s: Option<u32>,
    pub failover_enabled: Option<bool>,
    pub thresholds: Option<AlertThresholds>,
}

impl PoolConfigChange {
    /// The configuration with the change in it.
    pub fn apply(&self, to: PoolConfig) -> PoolConfig {
        PoolConfig {
            auto_assignment: self.auto_assignment.unwrap_or(to.auto_assignment),
            load_balancing: self.load_balancing.unwrap_or(to.load_balancing),
            health_check_interval_s: self
                .health_check_interval_s
                .unwrap_or(to.health_check_interval_s),
            failover_enabled: self.failover_enabled.unwrap_or(to.failover_enabled),
            thresholds: self.thresholds.unwrap_or(to.thresholds),
        }
    }
}

/// A token to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEnrolment {
    /// 1–255 characters.
    pub name: String,
    /// Whose nodes; none = the caller's.
    pub owner: Option<UserId>,
    /// What it lets its bearer do.
    pub scope: EnrolmentScope,
    /// The pool of its nodes.
    pub pool: Option<PoolId>,
    /// 1–10000.
    pub uses_max: u32,
    /// Seconds until it expires.
    pub ttl_s: u32,
}
