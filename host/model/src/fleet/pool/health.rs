//! A pool's health: worse at once, better only after it lasted; and who failed for long enough to
//! be replaced.

use crate::{
    fleet::node::{Node, NodeStatus},
    id::{NodeId, PoolId},
    named_enum::named_enum,
    time::TimeMs,
};

named_enum! {
    /// How well a pool is.
    Health {
        /// No member has failed.
        Healthy = "healthy",
        /// Some members have failed.
        Degraded = "degraded",
        /// At least half of those that should work have failed.
        Unhealthy = "unhealthy",
    }
}

impl Health {
    fn rank(self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::Degraded => 1,
            Self::Unhealthy => 2,
        }
    }

    fn worse(self, other: Self) -> Self {
        if other.rank() > self.rank() { other } else { self }
    }
}

/// What one check counts among a pool's members. Who is paused, suspended or not yet active is
/// neither: somebody decided that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Members {
    /// Report as they should.
    pub working: u32,
    /// Fell silent.
    pub failed: u32,
}

impl Members {
    /// Counts them.
    pub fn count<'a>(members: impl IntoIterator<Item = &'a Node>) -> Self {
        members.into_iter().fold(Self::default(), |counted, node| match node.status {
            NodeStatus::Active => Self { working: counted.working.saturating_add(1), ..counted },
            NodeStatus::Error => Self { failed: counted.failed.saturating_add(1), ..counted },
            _ => counted,
        })
    }

    /// What they make of the pool's health.
    pub fn health(self) -> Health {
        match self.failed {
            0 => Health::Healthy,
            failed if failed >= self.working => Health::Unhealthy,
            _ => Health::Degraded,
        }
    }
}

/// A member that failed and whose place was given to another node: it comes back when it works
/// again and there is room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replaced {
    pub node: NodeId,
    /// When its place was given away.
    pub at: TimeMs,
}

/// What is known of a pool from its checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub pool: PoolId,
    /// Its health now.
    pub health: Health,
    pub since: TimeMs,
    /// What the last check found, if that was better than `health`.
    pub better: Option<Health>,
    /// The last check.
    pub checked_at: TimeMs,
    /// What it counted.
    pub members: Members,
    /// Members that were replaced and may come back.
    pub replaced: Vec<Replaced>,
    /// Counts changes; compared and swapped.
    pub version: u64,
}

impl Standing {
    /// A pool's first check.
    pub fn first(pool: PoolId, members: Members, at: TimeMs) -> Self {
        Self {
            pool,
            health: members.health(),
            since: at,
            better: None,
            checked_at: at,
            members,
            replaced: Vec::new(),
            version: 1,
        }
    }

    /// The standing after a check. Worse counts at once; better once two checks in a row say so,
    /// and then the worse of what the two found: a pool that goes up and down is not well.
    #[must_use]
    pub fn checked(self, members: Members, at: TimeMs) -> Self {
        let found = members.health();
        let is_better = found.rank() < self.health.rank();
        let (health, better) = match self.better {
            _ if !is_better => (found, None),
            None => (self.health, Some(found)),
            Some(before) => (before.worse(found), None),
        };
        let since = if health == self.health { self.since } else { at };
        Self {
            health,
            since,
            better,
            checked_at: at,
            members,
            version: self.version.saturating_add(1),
            ..self
        }
    }
}

/// Share of a pool's places that one check gives away at most: one in so many, but always one.
const REPLACED_AT_ONCE: u32 = 10;

/// Members that have failed for at least the pool's interval, longest first: as many as one check
/// may replace.
pub fn to_replace(members: &[Node], interval_ms: i64, now: TimeMs) -> Vec<&Node> {
    let mut failed: Vec<_> = members
        .iter()
        .filter(|n| n.status == NodeStatus::Error && now.ms_since(n.updated_at) >= interval_ms)
        .collect();
    failed.sort_by_key(|node| (node.updated_at, node.id));
    let most = u32::try_from(members.len()).unwrap_or(u32::MAX) / REPLACED_AT_ONCE;
    failed.truncate(usize::try_from(most.max(1)).unwrap_or(usize::MAX));
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL_WELL: Members = Members { working: 10, failed: 0 };
    const ONE_FAILED: Members = Members { working: 9, failed: 1 };
    const HALF_FAILED: Members = Members { working: 5, failed: 5 };

    fn after(checks: &[Members]) -> Standing {
        let first = Standing::first(PoolId(uuid::Uuid::nil()), checks[0], TimeMs(0));
        (1..)
            .zip(&checks[1..])
            .fold(first, |standing, (at, members)| standing.checked(*members, TimeMs(at)))
    }

    #[test]
    fn failures_make_the_health_and_decisions_of_people_do_not() {
        let health = |working, failed| Members { working, failed }.health();
        assert_eq!([health(0, 0), health(3, 0), health(2, 1), health(1, 1), health(0, 1)], {
            use Health::{Degraded, Healthy, Unhealthy};
            [Healthy, Healthy, Degraded, Unhealthy, Unhealthy]
        });
    }

    #[test]
    fn a_pool_is_worse_at_the_first_check_that_says_so() {
        let standing = after(&[ALL_WELL, HALF_FAILED]);
        assert_eq!(
            (standing.health, standing.since, standing.version),
            (Health::Unhealthy, TimeMs(1), 2)
        );
        assert_eq!(after(&[ALL_WELL, ALL_WELL]).since, TimeMs(0));
    }

    #[test]
    fn a_pool_that_goes_up_and_down_stays_unhealthy() {
        let checks: Vec<_> =
            (0..20).map(|turn| if turn % 2 == 0 { HALF_FAILED } else { ALL_WELL }).collect();
        assert_eq!((after(&checks).health, after(&checks).since), (Health::Unhealthy, TimeMs(0)));
    }

    #[test]
    fn a_pool_is_better_after_two_better_checks_in_a_row_and_as_well_as_the_worse_of_them() {
        assert_eq!(after(&[HALF_FAILED, ALL_WELL]).health, Health::Unhealthy);
        let well = after(&[HALF_FAILED, ALL_WELL, ALL_WELL]);
        assert_eq!((well.health, well.since, well.better), (Health::Healthy, TimeMs(2), None));
        for checks in [[HALF_FAILED, ALL_WELL, ONE_FAILED], [HALF_FAILED, ONE_FAILED, ALL_WELL]] {
            assert_eq!(after(&checks).health, Health::Degraded);
        }
    }
}
