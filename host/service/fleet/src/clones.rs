//! Two agents that report as one node: a copied folder, or a copied machine. Each takes numbers
//! that the other has used.
//!
//! A folder that was put back from a backup collides once; agents that run beside each other do
//! again and again.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use lucid_foundation::ServiceError;
use lucid_model::{fleet::alert::AlertKind, id::NodeId};

use crate::Fleet;

/// Collisions that raise the alert, with less than [`QUIET_MS`] from one to the next.
const COLLISIONS_MIN: u32 = 3;
/// Time without a collision after which there is one agent again: twenty reports.
const QUIET_MS: i64 = 600_000;
/// Addresses that are named.
const ADDRESSES_MAX: usize = 4;

/// Nodes whose reports collided lately, on the monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Collisions(BTreeMap<NodeId, Collided>);

#[derive(Debug, Default)]
struct Collided {
    count: u32,
    last_ms: i64,
    from: BTreeSet<IpAddr>,
}

impl Collisions {
    /// Counts a collision; the addresses for the alert's text once there are enough.
    fn add(&mut self, node: NodeId, from: Option<IpAddr>, now_ms: i64) -> Option<String> {
        let collided = self.0.entry(node).or_default();
        if collided.count > 0 && now_ms - collided.last_ms >= QUIET_MS {
            *collided = Collided::default();
        }
        collided.count = collided.count.saturating_add(1);
        collided.last_ms = now_ms;
        if collided.from.len() < ADDRESSES_MAX {
            collided.from.extend(from);
        }
        let addresses: Vec<_> = collided.from.iter().map(ToString::to_string).collect();
        let from = if addresses.is_empty() {
            String::new()
        } else {
            format!(", from {}", addresses.join(" and "))
        };
        (collided.count >= COLLISIONS_MIN).then_some(from)
    }

    /// A node whose alert was raised before this process began.
    fn know(&mut self, node: NodeId, now_ms: i64) {
        self.0.entry(node).or_insert(Collided {
            count: COLLISIONS_MIN,
            last_ms: now_ms,
            from: BTreeSet::new(),
        });
    }

    /// Forgets nodes that have been quiet; those whose alert is over.
    fn quiet(&mut self, now_ms: i64) -> Vec<NodeId> {
        let mut over = Vec::new();
        self.0.retain(|node, collided| {
            let is_quiet = now_ms - collided.last_ms >= QUIET_MS;
            if is_quiet && collided.count >= COLLISIONS_MIN {
                over.push(*node);
            }
            !is_quiet
        });
        over
    }
}

impl Fleet {
    /// A signed report has a number that another one has. A store that does not answer costs
    /// nothing: the next tells.
    pub async fn note_collision(&self, node: NodeId, from: Option<IpAddr>) {
        let told = self.collisions.lock().add(node, from, self.parts.clock.monotonic_ms());
        let Some(from) = told else { return };
        let message = format!(
            "two agents report as this node{from}: stop one and remove its folder, or register it as a node of its own"
        );
        if let Err(error) = self.raise_node_alert(node, AlertKind::Cloned, message, None).await {
            tracing::error!(%node, %error, "an alert could not be raised");
        }
    }

    /// Follows an alert that an earlier process raised, so that it is cleared in its time.
    pub(crate) fn know_cloned(&self, node: NodeId) {
        self.collisions.lock().know(node, self.parts.clock.monotonic_ms());
    }

    /// Clears the alerts of nodes that one agent reports for again.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn clear_clones(&self) -> Result<(), ServiceError> {
        let over = self.collisions.lock().quiet(self.parts.clock.monotonic_ms());
        for node in over {
            self.clear_node_alert(node, AlertKind::Cloned).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const NODE: NodeId = NodeId(Uuid::nil());

    #[test]
    fn collisions_that_go_on_are_told_with_where_they_come_from() {
        let mut collisions = Collisions::default();
        let (a, b) = ("10.0.0.1".parse().ok(), "fd00::2".parse().ok());
        assert_eq!(collisions.add(NODE, a, 0), None, "a folder from a backup");
        assert_eq!(collisions.add(NODE, b, 30_000), None);
        assert_eq!(collisions.add(NODE, a, 60_000), Some(", from 10.0.0.1 and fd00::2".into()));
        assert!(collisions.quiet(60_000 + QUIET_MS - 1).is_empty());
        assert_eq!(collisions.quiet(60_000 + QUIET_MS), [NODE]);
        assert!(collisions.quiet(i64::MAX).is_empty(), "told once");
    }

    #[test]
    fn collisions_far_apart_are_no_clones() {
        let mut collisions = Collisions::default();
        for time in 0..20 {
            assert_eq!(collisions.add(NODE, None, time * QUIET_MS), None);
        }
        assert!(collisions.quiet(i64::MAX).is_empty(), "nothing was told");
        collisions.know(NODE, 0);
        assert_eq!(collisions.quiet(QUIET_MS), [NODE], "raised by an earlier process");
    }
}
