//! Worker nodes and their life cycle.

mod caps;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use crate::{
    epochs::score::{Ppm, ScoreCenti},
    id::{NodeId, PoolId, UserId},
    money::tron::TronAddress,
    named_enum::named_enum,
    time::TimeMs,
};
pub use caps::{CapReached, NodeCaps, SiblingCounts, network_of};

/// Where a node is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeStatus {
    /// Registered, not yet approved.
    Pending,
    /// Working: earns observation.
    Active,
    /// Paused by its owner or an operator.
    Inactive,
    /// Stopped by an operator: earns nothing, votes nothing, is not paid.
    Suspended,
    /// Silent for too long; comes back by itself.
    Error,
    /// Gone; its balance stays its owner's.
    Deregistered,
}

impl NodeStatus {
    /// Every status, in the order of the API's enum, the internal one last.
    pub const ALL: [Self; 6] = [
        Self::Active,
        Self::Inactive,
        Self::Pending,
        Self::Suspended,
        Self::Error,
        Self::Deregistered,
    ];

    /// The word on the wire and in the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Suspended => "suspended",
            Self::Error => "error",
            Self::Deregistered => "deregistered",
        }
    }
    /// The status of a word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }
}

/// Limits a node puts on what it lends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeConfig {
    /// Concurrent observation sessions, 1–100.
    pub max_sessions: u32,
    /// CPU usage above which the node is overloaded.
    pub max_cpu: Ppm,
    /// Memory usage likewise.
    pub max_memory: Ppm,
    /// Disk usage likewise.
    pub max_disk: Ppm,
    /// Bytes per second.
    pub max_network_bandwidth: u64,
    /// Whether the node may be given more sessions under load.
    pub auto_scaling: bool,
    /// Whether alerts are raised for it.
    pub monitoring_enabled: bool,
}

impl Default for NodeConfig {
    /// The contract's defaults.
    fn default() -> Self {
        Self {
            max_sessions: 10,
            max_cpu: Ppm(800_000),
            max_memory: Ppm(800_000),
            max_disk: Ppm(900_000),
            max_network_bandwidth: 1_000_000_000,
            auto_scaling: false,
            monitoring_enabled: true,
        }
    }
}

/// What a node says it is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hardware {
    /// Logical CPU cores.
    pub cpu_cores: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Bytes of storage.
    pub storage_bytes: u64,
}

/// Where a node's earnings go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wallet {
    /// Checked address.
    pub address: TronAddress,
    /// Counts changes; a payout plan pins it.
    pub version: u32,
    /// When this address was set.
    pub since: TimeMs,
}

named_enum! {
    /// Why a node is not paid, whatever it has.
    PayoutHold {
        /// There is nowhere to send it.
        NoWallet = "no_wallet",
        /// The node is suspended.
        Suspended = "suspended",
        /// The wallet was changed so lately that neither the old nor the new one is paid.
        WalletCoolingDown = "wallet_cooling_down",
    }
}

/// Why and how long a node is suspended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// 1–500 characters.
    pub reason: String,
    /// When it lifts itself; none = until lifted.
    pub until: Option<TimeMs>,
    /// What the node returns to.
    pub earlier: NodeStatus,
}

/// A wallet that was asked for without the node's signature: it waits for a treasurer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalletWish {
    /// The address asked for.
    pub address: TronAddress,
    pub at: TimeMs,
    /// Who asked, as the token names it: approves nothing with four eyes.
    pub by: String,
}

/// Where a node can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeAddress {
    /// IPv4 or IPv6.
    pub ip: IpAddr,
    /// 1024–65535.
    pub port: u16,
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.ip, self.port).fmt(f)
    }
}

/// An Ed25519 public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey(pub [u8; 32]);

/// A registered node, as the store keeps it. What changes with every report (last seen, usage) is
/// kept apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub id: NodeId,
    pub owner: UserId,
    /// A name that an older client used as id.
    pub external_id: Option<String>,
    /// 1–255 characters.
    pub name: String,
    /// At most 1000 characters.
    pub description: Option<String>,
    /// Where it is in its life.
    pub status: NodeStatus,
    /// Why it is in `Error`.
    pub error_reason: Option<String>,
    pub pool: Option<PoolId>,
    /// Where it can be reached; older clients register without.
    pub address: Option<NodeAddress>,
    /// Registration.
    pub created_at: TimeMs,
    /// Last change of this record.
    pub updated_at: TimeMs,
    /// Last activation.
    pub activated_at: Option<TimeMs>,
    /// When it got its status, by the clock that presence is dated by: no presence grows from
    /// before. None in records from before this was kept.
    pub status_since: Option<TimeMs>,
    /// Score of its last epoch.
    pub score: Option<ScoreCenti>,
    /// Credited seconds, lifetime.
    pub observed_s: u64,
    /// Limits.
    pub config: NodeConfig,
    /// Identity.
    pub public_key: Option<PublicKey>,
    /// Payee address.
    pub wallet: Option<Wallet>,
    /// One that waits for a treasurer.
    pub wallet_wish: Option<WalletWish>,
    /// Hardware as registered.
    pub hardware: Option<Hardware>,
    /// Set while suspended.
    pub suspension: Option<Suspension>,
    /// Whether an operator approved it beforehand, by an enrolment token.
    pub approved: bool,
    /// Counts changes; compared and swapped.
    pub version: u64,
}

/// What happens to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeEvent {
    /// Owner or operator starts it.
    Activate,
    /// Owner or operator pauses it.
    Deactivate,
    /// An operator stops it, until a time or until lifted.
    Suspend {
        reason: String,
        /// None = until lifted.
        until: Option<TimeMs>,
    },
    /// The suspension ends.
    LiftSuspension,
    /// No report for too long.
    GoSilent,
    /// It reports again.
    Return,
    /// It leaves.
    Deregister,
}

/// A transition the life cycle does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a node that is {from} cannot {verb}")]
pub struct WrongNodeStatus {
    /// The node's status.
    pub from: &'static str,
    /// What was asked.
    pub verb: &'static str,
}

impl Node {
    /// Why it is not paid now, whatever it has. A first wallet has no cool-down.
    pub fn payout_hold(&self, now: TimeMs, wallet_cooldown_ms: i64) -> Option<PayoutHold> {
        let Some(wallet) = self.wallet.filter(|wallet| wallet.address.is_payable()) else {
            return Some(PayoutHold::NoWallet);
        };
        if self.status == NodeStatus::Suspended {
            return Some(PayoutHold::Suspended);
        }
        let cools = wallet.version > 1 && wallet.since.plus_ms(wallet_cooldown_ms) > now;
        cools.then_some(PayoutHold::WalletCoolingDown)
    }

    /// Applies an event.
    ///
    /// # Errors
    /// [`WrongNodeStatus`] if the life cycle has no such transition; nothing has changed then.
    pub fn apply(&mut self, event: NodeEvent, now: TimeMs) -> Result<(), WrongNodeStatus> {
        use NodeStatus::{Active, Deregistered, Error, Inactive, Pending, Suspended};
        let wrong = |verb| WrongNodeStatus { from: self.status.name(), verb };
        let next = match (event, self.status) {
            (NodeEvent::Activate, Pending | Inactive) => Active,
            (NodeEvent::Activate, _) => return Err(wrong("be activated")),
            (NodeEvent::Deactivate, Active | Error) => Inactive,
            (NodeEvent::Deactivate, _) => return Err(wrong("be deactivated")),
            (
                NodeEvent::Suspend { reason, until },
                Pending | Active | Inactive | Error | Suspended,
            ) => {
                let earlier = self.suspension.as_ref().map_or(self.status, |s| s.earlier);
                self.suspension = Some(Suspension { reason, until, earlier });
                Suspended
            }
            (NodeEvent::Suspend { .. }, Deregistered) => return Err(wrong("be suspended")),
            (NodeEvent::LiftSuspension, Suspended) => {
                self.suspension.take().map_or(Inactive, |s| s.earlier)
            }
            (NodeEvent::LiftSuspension, _) => return Err(wrong("be lifted from suspension")),
            (NodeEvent::GoSilent, Active) => Error,
            (NodeEvent::GoSilent, _) => return Err(wrong("go silent")),
            (NodeEvent::Return, Error) => Active,
            (NodeEvent::Return, _) => return Err(wrong("return")),
            (NodeEvent::Deregister, Deregistered) => return Err(wrong("be deregistered")),
            (NodeEvent::Deregister, _) => {
                self.pool = None;
                Deregistered
            }
        };
        if next == Active && matches!(self.status, Pending | Inactive) {
            self.activated_at = Some(now);
        }
        if next != Suspended {
            self.suspension = None;
        }
        self.error_reason =
            (next == Error).then(|| "no report within the liveness window".to_owned());
        self.status = next;
        self.updated_at = now;
        Ok(())
    }

    /// Whether anything may still happen to it.
    pub fn is_live(&self) -> bool {
        self.status != NodeStatus::Deregistered
    }
}

#[cfg(test)]
pub(crate) fn example() -> Node {
    Node {
        id: NodeId(uuid::Uuid::from_u128(7)),
        owner: UserId(uuid::Uuid::from_u128(1)),
        external_id: None,
        name: "worker".into(),
        description: None,
        status: NodeStatus::Pending,
        error_reason: None,
        pool: None,
        address: Some(NodeAddress { ip: IpAddr::from([192, 0, 2, 1]), port: 9000 }),
        created_at: TimeMs(0),
        updated_at: TimeMs(0),
        activated_at: None,
        status_since: None,
        score: None,
        observed_s: 0,
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

#[cfg(test)]
mod tests;
