//! Nodes as the API shows them.

pub mod configuration;
pub mod identity;
pub mod request;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lucid_model::{
    fleet::node::{Hardware, Node, NodeConfig, PayoutHold},
    telemetry::metric::{NetworkCounters, Sample, Usage},
    time::TimeMs,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{number::ExactNumber, schema};
pub use configuration::{NodeConfigRequest, ResourceLimitsRequest};
pub use identity::public_key;
pub use request::{
    ChangeMachineRequest, LegacyRegisterRequest, NAME_LENGTH, RegisterNodeRequest,
    SuspendNodeRequest, UpdateNodeRequest,
};

/// What is newest of a node: kept apart from its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeLive {
    /// When the last report arrived.
    pub last_seen: TimeMs,
    /// The newest sample.
    pub sample: Option<Sample>,
}

/// Traffic counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct NetworkUsageBody {
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// Packets received.
    pub packets_received: u64,
}

impl From<NetworkCounters> for NetworkUsageBody {
    fn from(c: NetworkCounters) -> Self {
        Self {
            bytes_sent: c.bytes_sent,
            bytes_received: c.bytes_received,
            packets_sent: c.packets_sent,
            packets_received: c.packets_received,
        }
    }
}

/// Usage of a machine, in percent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResourceUsageBody {
    /// CPU, 0–100 %.
    #[schema(value_type = schema::Percent)]
    pub cpu_usage: ExactNumber,
    /// Memory, 0–100 %.
    #[schema(value_type = schema::Percent)]
    pub memory_usage: ExactNumber,
    /// Disk, 0–100 %.
    #[schema(value_type = schema::Percent)]
    pub disk_usage: ExactNumber,
    /// Network counters.
    pub network_usage: NetworkUsageBody,
}

impl From<Usage> for ResourceUsageBody {
    fn from(usage: Usage) -> Self {
        Self {
            cpu_usage: ExactNumber::percent(usage.cpu),
            memory_usage: ExactNumber::percent(usage.memory),
            disk_usage: ExactNumber::percent(usage.disk),
            network_usage: usage.network.into(),
        }
    }
}

/// Limits of what a node lends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResourceLimitsBody {
    /// Percent, 0–100.
    #[schema(value_type = schema::Percent)]
    pub max_cpu_usage: ExactNumber,
    /// Percent, 0–100.
    #[schema(value_type = schema::Percent)]
    pub max_memory_usage: ExactNumber,
    /// Percent, 0–100.
    #[schema(value_type = schema::Percent)]
    pub max_disk_usage: ExactNumber,
    /// Bytes per second.
    pub max_network_bandwidth: u64,
}

/// How a node works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeConfigBody {
    /// Concurrent sessions, 1–100.
    pub max_sessions: u32,
    /// Limits of what it lends.
    pub resource_limits: ResourceLimitsBody,
    /// Whether it may be given more sessions under load.
    pub auto_scaling: bool,
    /// Whether alerts are raised for it.
    pub monitoring_enabled: bool,
}

impl From<&NodeConfig> for NodeConfigBody {
    fn from(config: &NodeConfig) -> Self {
        Self {
            max_sessions: config.max_sessions,
            resource_limits: ResourceLimitsBody {
                max_cpu_usage: ExactNumber::percent(config.max_cpu),
                max_memory_usage: ExactNumber::percent(config.max_memory),
                max_disk_usage: ExactNumber::percent(config.max_disk),
                max_network_bandwidth: config.max_network_bandwidth,
            },
            auto_scaling: config.auto_scaling,
            monitoring_enabled: config.monitoring_enabled,
        }
    }
}

/// What a node is made of; the limits are those of the built-in validation policy, its tolerance of
/// 10 % included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HardwareBody {
    /// Logical CPU cores.
    #[schema(minimum = 1, maximum = 140)]
    pub cpu_cores: u32,
    /// Bytes of memory.
    #[schema(minimum = 900_000_000, maximum = 1_100_000_000_000_u64)]
    pub memory_bytes: u64,
    /// Bytes of storage.
    #[schema(minimum = 9_000_000_000_u64, maximum = 110_000_000_000_000_u64)]
    pub storage_bytes: u64,
}

impl From<Hardware> for HardwareBody {
    fn from(hardware: Hardware) -> Self {
        Self {
            cpu_cores: hardware.cpu_cores,
            memory_bytes: hardware.memory_bytes,
            storage_bytes: hardware.storage_bytes,
        }
    }
}

/// Why and how long a node is suspended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SuspensionBody {
    /// Why.
    pub reason: String,
    /// When it lifts itself; absent: when somebody lifts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub until: Option<String>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeBody {
    /// Its id.
    #[schema(value_type = schema::Id)]
    pub node_id: String,
    /// Its owner.
    #[schema(value_type = schema::Id)]
    pub user_id: String,
    /// The name that an older client uses as its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Its name.
    pub name: String,
    /// About it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `active`, `inactive`, `pending`, `suspended`, `error`; `deregistered` once it is gone.
    #[schema(value_type = schema::NodeStatus)]
    pub status: String,
    /// Why it is in `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_reason: Option<String>,
    /// Set while it is suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspension: Option<SuspensionBody>,
    /// Its pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub pool_id: Option<String>,
    /// Where it is reached; an older client need not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::IpAddress>)]
    pub ip_address: Option<String>,
    /// 1024–65535.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Registration.
    #[schema(value_type = schema::Timestamp)]
    pub created_at: String,
    /// Last change.
    #[schema(value_type = schema::Timestamp)]
    pub updated_at: String,
    /// Last report.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub last_seen: Option<String>,
    /// Score of its last epoch, 0–100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Score>)]
    pub poot_score: Option<ExactNumber>,
    /// Credited seconds, lifetime.
    pub total_observation_time: u64,
    /// What its newest sample says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_usage: Option<ResourceUsageBody>,
    /// How it works.
    pub configuration: NodeConfigBody,
    /// Its Ed25519 key, base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::PublicKey>)]
    pub public_key: Option<String>,
    /// Where its earnings go.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::TronAddress>)]
    pub wallet_address: Option<String>,
    /// How often its wallet was set: a change is signed for the present one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wallet_version: Option<u32>,
    /// A wallet that was asked for without the node's signature: it waits for a treasurer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::TronAddress>)]
    pub wallet_requested: Option<String>,
    /// What it says it is made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<HardwareBody>,
    /// Whether its earnings can be paid as it is.
    pub payable: bool,
    /// Why not: `no_wallet`, `suspended`, `wallet_cooling_down`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::PayoutHold>)]
    pub payout_hold: Option<String>,
}

impl NodeBody {
    /// A node with what is newest of it, and why it is not paid now, if it is not.
    pub fn new(node: &Node, live: Option<&NodeLive>, hold: Option<PayoutHold>) -> Self {
        let suspension = |s: &lucid_model::fleet::node::Suspension| SuspensionBody {
            reason: s.reason.clone(),
            until: s.until.map(|t| t.to_string()),
        };
        Self {
            node_id: node.id.to_string(),
            user_id: node.owner.to_string(),
            external_id: node.external_id.clone(),
            name: node.name.clone(),
            description: node.description.clone(),
            status: node.status.name().into(),
            error_reason: node.error_reason.clone(),
            suspension: node.suspension.as_ref().map(suspension),
            pool_id: node.pool.map(|pool| pool.to_string()),
            ip_address: node.address.map(|address| address.ip.to_string()),
            port: node.address.map(|address| address.port),
            created_at: node.created_at.to_string(),
            updated_at: node.updated_at.to_string(),
            last_seen: live.map(|l| l.last_seen.to_string()),
            poot_score: node.score.map(Into::into),
            total_observation_time: node.observed_s,
            resource_usage: live.and_then(|l| l.sample).map(|sample| sample.usage.into()),
            configuration: (&node.config).into(),
            public_key: node.public_key.map(|key| STANDARD.encode(key.0)),
            wallet_address: node.wallet.map(|wallet| wallet.address.to_string()),
            wallet_version: node.wallet.map(|wallet| wallet.version),
            wallet_requested: node.wallet_wish.as_ref().map(|wish| wish.address.to_string()),
            hardware: node.hardware.map(Into::into),
            payable: hold.is_none(),
            payout_hold: hold.map(|hold| hold.name().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use lucid_model::{
        epochs::score::{Ppm, ScoreCenti},
        fleet::node::{NodeAddress, NodeStatus},
        id::{NodeId, UserId},
    };

    use super::*;

    fn node() -> Node {
        Node {
            id: NodeId(uuid::Uuid::from_u128(7)),
            owner: UserId(uuid::Uuid::from_u128(1)),
            external_id: None,
            name: "worker".into(),
            description: None,
            status: NodeStatus::Active,
            error_reason: None,
            pool: None,
            address: Some(NodeAddress { ip: IpAddr::from([192, 0, 2, 1]), port: 9000 }),
            created_at: TimeMs(0),
            updated_at: TimeMs(0),
            activated_at: None,
            status_since: None,
            score: Some(ScoreCenti(8750)),
            observed_s: 3600,
            config: NodeConfig::default(),
            public_key: None,
            wallet: None,
            wallet_wish: None,
            hardware: None,
            suspension: None,
            approved: false,
            version: 1,
        }
    }

    #[test]
    fn a_node_without_a_wallet_says_so_and_leaves_out_what_it_has_not() {
        let json = serde_json::to_string(&NodeBody::new(&node(), None, Some(PayoutHold::NoWallet)))
            .unwrap();
        assert_eq!(
            json,
            concat!(
                r#"{"node_id":"00000000-0000-0000-0000-000000000007","user_id":"00000000-0000-0000-0000-000000000001","name":"worker","#,
                r#""status":"active","ip_address":"192.0.2.1","port":9000,"created_at":"1970-01-01T00:00:00.000Z","#,
                r#""updated_at":"1970-01-01T00:00:00.000Z","poot_score":87.50,"total_observation_time":3600,"#,
                r#""configuration":{"max_sessions":10,"resource_limits":{"max_cpu_usage":80,"max_memory_usage":80,"max_disk_usage":90,"#,
                r#""max_network_bandwidth":1000000000},"auto_scaling":false,"monitoring_enabled":true},"payable":false,"payout_hold":"no_wallet"}"#
            )
        );
    }

    #[test]
    fn a_node_shows_its_newest_sample() {
        let usage = Usage { cpu: Ppm(123_456), ..Usage::default() };
        let sample = Sample {
            node: node().id,
            at: TimeMs(1),
            arrived_at: TimeMs(2),
            usage,
            active_sessions: 0,
            uptime_s: 5,
        };
        let body = NodeBody::new(
            &node(),
            Some(&NodeLive { last_seen: TimeMs(2), sample: Some(sample) }),
            None,
        );
        assert_eq!(body.last_seen.as_deref(), Some("1970-01-01T00:00:00.002Z"));
        assert_eq!(body.resource_usage.unwrap().cpu_usage.as_str(), "12.3456");
    }
}
