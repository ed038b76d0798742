//! Pools of nodes.

pub mod health;
pub mod performance;

use crate::{fleet::alert::AlertThresholds, id::PoolId, named_enum::named_enum, time::TimeMs};

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
    /// How a pool spreads what it gives away: its nodes, when it is removed.
    LoadBalancing {
        /// To each other pool in turn, in the order of their creation.
        RoundRobin = "round_robin",
        /// To the pool with the fewest nodes.
        LeastConnections = "least_connections",
        /// To the pool with the largest share of its places free.
        Weighted = "weighted",
    }
}

/// A pool that could take a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    pub id: PoolId,
    /// Its nodes now.
    pub node_count: u32,
    /// How many it may have.
    pub max_nodes: u32,
}

impl LoadBalancing {
    /// Which of the pools takes the next node; `candidates` in the order of their creation, `turn`
    /// counts the nodes given away so far. None if no pool has room.
    pub fn choose(self, candidates: &[Candidate], turn: usize) -> Option<PoolId> {
        let mut open = candidates.iter().filter(|c| c.node_count < c.max_nodes);
        let chosen = match self {
            Self::RoundRobin => {
                let places = open.clone().count();
                open.nth(turn.checked_rem(places)?)
            }
            Self::LeastConnections => open.min_by_key(|c| c.node_count),
            // a/b < c/d as a·d < c·b: the share that is taken, without a fraction.
            Self::Weighted => open.min_by(|a, b| {
                let taken = |x: &Candidate, other: &Candidate| {
                    u64::from(x.node_count) * u64::from(other.max_nodes)
                };
                taken(a, b).cmp(&taken(b, a))
            }),
        };
        chosen.map(|c| c.id)
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
    /// Whether a member that fails for long gives its place to a node that has none.
    pub failover_enabled: bool,
    /// When alerts about its members are raised.
    pub thresholds: AlertThresholds,
}

impl Default for PoolConfig {
    /// The contract's defaults.
    fn default() -> Self {
        Self {
            auto_assignment: true,
            load_balancing: LoadBalancing::RoundRobin,
            health_check_interval_s: 300,
            failover_enabled: true,
            thresholds: AlertThresholds::default(),
        }
    }
}

/// A pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
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
    pub created_at: TimeMs,
    pub updated_at: TimeMs,
    /// How it works.
    pub config: PoolConfig,
    /// Counts changes; compared and swapped.
    pub version: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(how: LoadBalancing, mut pools: Vec<Candidate>, nodes: usize) -> Vec<u32> {
        for turn in 0..nodes {
            let Some(id) = how.choose(&pools, turn) else { break };
            let pool = pools.iter_mut().find(|p| p.id == id).unwrap();
            pool.node_count += 1;
        }
        pools.iter().map(|p| p.node_count).collect()
    }

    fn pools() -> Vec<Candidate> {
        let candidate = |i, node_count, max_nodes| Candidate {
            id: PoolId(uuid::Uuid::from_u128(i)),
            node_count,
            max_nodes,
        };
        vec![candidate(1, 0, 10), candidate(2, 4, 10), candidate(3, 0, 2), candidate(4, 5, 100)]
    }

    #[test]
    fn nodes_are_spread_as_the_pool_they_leave_says() {
        assert_eq!(spread(LoadBalancing::RoundRobin, pools(), 4), [1, 5, 1, 6]);
        assert_eq!(spread(LoadBalancing::LeastConnections, pools(), 6), [4, 4, 2, 5]);
        assert_eq!(spread(LoadBalancing::Weighted, pools(), 6), [1, 4, 1, 9]);
    }

    #[test]
    fn no_pool_is_filled_beyond_its_limit() {
        for how in LoadBalancing::ALL {
            assert_eq!(spread(*how, pools(), 1_000), [10, 10, 2, 100], "{how:?}");
            assert_eq!(how.choose(&[], 3), None);
        }
    }
}
