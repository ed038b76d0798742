//! Checks of pools, each at its own interval, and the places that long failed members give to nodes
//! that have none.
//!
//! A check reads the pool's members, says how well it is and keeps that. Who is replaced is written
//! down before it leaves, so that nobody is forgotten by a crash: at a later check it comes back
//! once it works again and there is room.

use std::collections::{BTreeMap, BTreeSet};

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    fleet::{
        node::{Node, NodeStatus},
        pool::{
            Pool, PoolStatus,
            health::{Health, Members, Replaced, Standing, to_replace},
        },
    },
    id::{NodeId, PoolId, PoolScope},
    notifications::event::EventKind,
    time::TimeMs,
};
use lucid_ports::{Assigned, NodeFilter, NodeSort, Order, PageRequest, PoolFilter, PoolSort};

use crate::Fleet;

/// Pools read at once.
const POOLS_A_PAGE: u32 = 100;
/// Between two looks at which pools there are: a new one's first check, a shorter interval.
const LOOK_MS: i64 = 15_000;
/// How long a replaced member may come back.
const COMES_BACK_MS: i64 = 7 * 86_400_000;
/// Pools that an alert names.
const NAMED_MAX: usize = 5;

/// How a pool is.
#[derive(Debug, Clone)]
pub struct PoolHealth {
    pub pool: Pool,
    /// What its checks found; none before the first.
    pub standing: Option<Standing>,
    /// Its nodes now.
    pub members: Vec<Node>,
}

fn due_at(pool: &Pool, standing: Option<&Standing>) -> TimeMs {
    standing.map_or(TimeMs(i64::MIN), |known| known.checked_at.plus_ms(interval_ms(pool)))
}

fn interval_ms(pool: &Pool) -> i64 {
    i64::from(pool.config.health_check_interval_s) * 1_000
}

fn named(pools: &[String]) -> String {
    let more = pools.len().saturating_sub(NAMED_MAX);
    let first = pools.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}

impl Fleet {
    /// Checks the pools that are due, and replaces members that failed for long.
    ///
    /// # Errors
    /// [`ServiceError::Store`]; what was not checked is due still.
    pub async fn check_due_pools(&self) -> Result<u32, ServiceError> {
        let Some(now) =
            self.parts.clock.sure_now().filter(|now| *now >= *self.no_pool_check_before.lock())
        else {
            return Ok(0);
        };
        let standings: BTreeMap<_, _> = self
            .parts
            .pools
            .pool_standings()
            .await?
            .into_iter()
            .map(|standing| (standing.pool, standing))
            .collect();
        let (mut checked, mut next, mut page) = (0, now.plus_ms(LOOK_MS), 1);
        let (mut unhealthy, mut taking, mut with_room) = (Vec::new(), 0_u32, 0_u32);
        loop {
            let request = PageRequest {
                page,
                limit: POOLS_A_PAGE,
                sort: PoolSort::CreatedAt,
                order: Order::Ascending,
            };
            let pools = self.parts.pools.pools(&PoolFilter::default(), request).await?.items;
            for pool in &pools {
                let known = standings.get(&pool.id);
                let (health, due) = if due_at(pool, known) <= now {
                    checked += 1;
                    (
                        self.check_pool(pool, known.cloned(), now).await?,
                        now.plus_ms(interval_ms(pool)),
                    )
                } else {
                    (known.map_or(Health::Healthy, |standing| standing.health), due_at(pool, known))
                };
                next = next.min(due);
                if health == Health::Unhealthy {
                    unhealthy.push(pool.name.clone());
                }
                if pool.status == PoolStatus::Active && pool.config.auto_assignment {
                    taking += 1;
                    with_room += u32::from(pool.node_count < pool.max_nodes);
                }
            }
            if pools.len() < POOLS_A_PAGE as usize {
                break;
            }
            page += 1;
        }
        *self.no_pool_check_before.lock() = next;
        self.report_pools(&unhealthy, taking > 0 && with_room == 0);
        Ok(checked)
    }

    fn report_pools(&self, unhealthy: &[String], full: bool) {
        metrics::gauge!("lucid_pools_unhealthy")
            .set(u32::try_from(unhealthy.len()).map_or(f64::MAX, f64::from));
        if unhealthy.is_empty() {
            self.parts.notifications.clear_alert("pool-health");
        } else {
            self.parts.notifications.alert(
                "pool-health",
                format!(
                    "at least half of the nodes that should work have failed in {}",
                    named(unhealthy)
                ),
            );
        }
        if full {
            self.parts.notifications.alert(
                "pool-capacity",
                "every pool that takes nodes by itself is full: new nodes are in no pool".into(),
            );
        } else {
            self.parts.notifications.clear_alert("pool-capacity");
        }
    }

    /// How a pool is.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub async fn pool_health(&self, id: PoolId) -> Result<PoolHealth, ServiceError> {
        let pool = self.parts.pools.pool(id).await?.ok_or(ServiceError::no("pool"))?;
        let (standing, members) =
            (self.parts.pools.pool_standing(id).await?, self.members_of(&pool).await?);
        Ok(PoolHealth { pool, standing, members })
    }

    async fn check_pool(
        &self,
        pool: &Pool,
        known: Option<Standing>,
        now: TimeMs,
    ) -> Result<Health, ServiceError> {
        let nodes = self.members_of(pool).await?;
        let members = Members::count(&nodes);
        let before = known.as_ref().map(|standing| standing.health);
        let mut standing = known.map_or_else(
            || Standing::first(pool.id, members, now),
            |known| known.checked(members, now),
        );
        let returning = self.returning(pool, &mut standing, now).await?;
        let leaving = self.leaving(pool, &nodes, &returning, now).await?;
        standing
            .replaced
            .extend(leaving.iter().map(|(failed, _)| Replaced { node: failed.id, at: now }));
        if !self.parts.pools.keep_standing(standing.clone()).await? {
            // Removed, or another replica was faster.
            return Ok(standing.health);
        }
        let from = before.unwrap_or(Health::Healthy);
        if from != standing.health {
            self.parts.notifications.emit(EventKind::PoolHealthChanged {
                pool: pool.id,
                name: pool.name.clone(),
                from,
                to: standing.health,
                members,
            });
        }
        for node in returning {
            self.move_node(&node, Some(pool), "works again").await?;
        }
        for (failed, standby) in leaving {
            self.replace(pool, &failed, &standby).await?;
        }
        Ok(standing.health)
    }

    pub(crate) async fn members_of(&self, pool: &Pool) -> Result<Vec<Node>, ServiceError> {
        let filter = NodeFilter { pool: Some(pool.id), ..NodeFilter::default() };
        let all = PageRequest {
            page: 1,
            limit: pool.max_nodes,
            sort: NodeSort::CreatedAt,
            order: Order::Ascending,
        };
        Ok(self.parts.nodes.nodes(&filter, all).await?.items)
    }

    /// Replaced members that come back now; who never will is taken off the list.
    async fn returning(
        &self,
        pool: &Pool,
        standing: &mut Standing,
        now: TimeMs,
    ) -> Result<Vec<Node>, ServiceError> {
        let mut room = pool.max_nodes.saturating_sub(pool.node_count);
        let (mut back, mut waiting) = (Vec::new(), Vec::new());
        for replaced in std::mem::take(&mut standing.replaced) {
            let node = self
                .parts
                .nodes
                .node(replaced.node)
                .await?
                .filter(|node| node.is_live() && node.pool.is_none());
            let Some(node) = node.filter(|_| now.ms_since(replaced.at) < COMES_BACK_MS) else {
                continue;
            };
            // Whoever comes back stays on the list until it is seen in a pool: the move may fail.
            waiting.push(replaced);
            if node.status == NodeStatus::Active && room > 0 && pool.status == PoolStatus::Active {
                room -= 1;
                back.push(node);
            }
        }
        standing.replaced = waiting;
        Ok(back)
    }

    /// Members that leave now, each with the node that takes its place.
    async fn leaving(
        &self,
        pool: &Pool,
        nodes: &[Node],
        returning: &[Node],
        now: TimeMs,
    ) -> Result<Vec<(Node, Node)>, ServiceError> {
        let wanted = pool.config.failover_enabled
            && pool.status == PoolStatus::Active
            && !self
                .parts
                .notifications
                .raised_alerts()
                .iter()
                .any(|(about, _)| *about == "mass-outage");
        let failed = if wanted { to_replace(nodes, interval_ms(pool), now) } else { Vec::new() };
        if failed.is_empty() {
            return Ok(Vec::new());
        }
        let most = u32::try_from(failed.len() + returning.len()).unwrap_or(u32::MAX);
        let coming: BTreeSet<NodeId> = returning.iter().map(|node| node.id).collect();
        let standby = self
            .parts
            .nodes
            .standby_nodes(most)
            .await?
            .into_iter()
            .filter(|node| !coming.contains(&node.id));
        Ok(failed.into_iter().cloned().zip(standby).collect())
    }

    async fn replace(
        &self,
        pool: &Pool,
        failed: &Node,
        standby: &Node,
    ) -> Result<(), ServiceError> {
        // Back meanwhile, or changed otherwise: it stays, and the list forgets it at the next
        // check.
        let Some(failed) = self
            .move_node(
                failed,
                None,
                &format!("failed for long: {} takes its place in pool {}", standby.id, pool.name),
            )
            .await?
        else {
            return Ok(());
        };
        let taken = self
            .move_node(standby, Some(pool), &format!("takes the place of {}", failed.id))
            .await?;
        match taken {
            Some(_) => {
                metrics::counter!("lucid_pool_failovers_total").increment(1);
                tracing::warn!(pool = %pool.name, failed = %failed.id, by = %standby.id, "a member that failed for long was replaced");
            }
            // Nobody took it: it is the failed one's again.
            None => drop(self.move_node(&failed, Some(pool), "nobody took its place").await?),
        }
        Ok(())
    }

    /// Puts a node as it was read into a pool, or out of all; none if it was changed meanwhile or
    /// there is no room.
    async fn move_node(
        &self,
        node: &Node,
        pool: Option<&Pool>,
        why: &str,
    ) -> Result<Option<Node>, ServiceError> {
        let to = pool.map(|pool| pool.id);
        let audit = self
            .parts
            .audit
            .entry(&Actor::system(), "pool.failover", node.id, why)
            .changing(node, &Node { pool: to, ..node.clone() });
        match self.parts.nodes.assign_node(node.id, node.version, to, audit).await? {
            Assigned::Done(moved) => {
                let pool_name = pool.map(|pool| pool.name.clone());
                self.parts.notifications.emit(EventKind::NodeAssigned {
                    node: node.id,
                    pool: PoolScope::of(to),
                    pool_name,
                });
                Ok(Some(*moved))
            }
            Assigned::PoolFull | Assigned::NoSuchPool | Assigned::Conflict => Ok(None),
        }
    }
}
