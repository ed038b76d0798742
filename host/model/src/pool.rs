//! Pools of nodes.

use crate::{id::PoolId, time::TimeMs};

macro_rules! named_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }
        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// The word on the wire and in the store.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
            /// The value of a word.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}
pub(crate) use named_enum;

named_enum! {
    /// Whether a pool takes nodes.
    PoolStatus {
        /// It does.
        Active = "active",
        /// It does not.
        Inactive = "inactive",
        /// It is being worked on.
        Maintenance = "maintenance",
    }
}

named_enum! {
    /// How a pool chooses among its nodes.
    LoadBalancing {
        /// In turn.
        RoundRobin = "round_robin",
        /// The least busy.
        LeastConnections = "least_connections",
        /// By score.
        Weighted = "weighted",
    }
}

/// How a pool works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolConfig {
    /// Whether new nodes may be put here by the service.
    pub auto_assignment: bool,
    /// How it chooses.
    pub load_balancing: LoadBalancing,
    /// Seconds between health checks, 30–3600.
    pub health_check_interval_s: u32,
    /// Whether the sessions of a failed node move.
    pub failover_enabled: bool,
}

impl Default for PoolConfig {
    /// The contract's defaults.
    fn default() -> Self {
        Self { auto_assignment: true, load_balancing: LoadBalancing::RoundRobin, health_check_interval_s: 300, failover_enabled: true }
    }
}

/// A pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Its id.
    pub id: PoolId,
    /// 1–255 characters, unique among pools.
    pub name: String,
    /// At most 1000 characters.
    pub description: Option<String>,
    /// Whether it takes nodes.
    pub status: PoolStatus,
    /// 1–1000.
    pub max_nodes: u32,
    /// Its nodes, counted by the store.
    pub node_count: u32,
    /// Creation.
    pub created_at: TimeMs,
    /// Last change.
    pub updated_at: TimeMs,
    /// How it works.
    pub config: PoolConfig,
    /// Counts changes; compared and swapped.
    pub version: u64,
}
