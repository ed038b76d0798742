//! What was known a moment ago of pools' members and free slots. It is a hint: the unique slot
//! decides. A registration that follows it costs no reading, and one that is misled reads again.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use lucid_model::{fleet::pool::Pool, id::PoolId};
use parking_lot::Mutex;
use uuid::Uuid;

use super::Slot;

/// How long counts are followed that other replicas may have changed. What this one changes counts
/// at once.
const AGE_MAX: Duration = Duration::from_secs(2);
/// How long a slot that was given is not given again, although a reading may not show it taken yet.
const GIVEN_FOR: Duration = Duration::from_secs(10);

/// Hints of one process.
#[derive(Default)]
pub(crate) struct Room {
    known: Mutex<Known>,
    /// Held by who reads the pools: the others wait for what it finds.
    pub(super) reading: tokio::sync::Mutex<()>,
    /// The same for the slots of a pool.
    pub(super) reading_slots: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    /// Grows with every change, so that what was read before it is not remembered after it.
    changes: u64,
    /// Active pools that take nodes by themselves, oldest first, and when they were read.
    pools: Option<(Instant, Vec<Pool>)>,
    slots: HashMap<PoolId, Slots>,
}

#[derive(Default)]
struct Slots {
    free: Vec<Slot>,
    given: HashMap<Slot, Instant>,
}

impl Room {
    /// Pools as they were read a moment ago, if one of them has room; and what [`Room::remember`]
    /// has to be told.
    pub(super) fn recent(&self) -> (Option<Vec<Pool>>, u64) {
        let known = self.known.lock();
        let young = known.pools.as_ref().filter(|(read, pools)| {
            read.elapsed() < AGE_MAX && pools.iter().any(|pool| pool.node_count < pool.max_nodes)
        });
        (young.map(|(_, pools)| pools.clone()), known.changes)
    }

    /// Pools that were read after `changes`.
    pub(super) fn remember(&self, pools: &[Pool], changes: u64) {
        let mut known = self.known.lock();
        if known.changes == changes {
            known.pools = Some((Instant::now(), pools.to_vec()));
        }
    }

    /// A node is in, by this process.
    pub(crate) fn add_member(&self, id: PoolId) {
        let mut known = self.known.lock();
        if let Some(pool) =
            known.pools.iter_mut().flat_map(|(_, pools)| pools).find(|pool| pool.id == id)
        {
            pool.node_count = pool.node_count.saturating_add(1);
        }
    }

    /// This process changed a pool, or who is in it.
    pub(crate) fn forget(&self) {
        let mut known = self.known.lock();
        known.changes += 1;
        known.pools = None;
    }

    /// A slot that was free.
    pub(crate) fn take_slot(&self, pool: PoolId) -> Option<Slot> {
        let mut known = self.known.lock();
        let Slots { free, given } = known.slots.get_mut(&pool)?;
        let slot = free.pop()?;
        given.insert(slot, Instant::now());
        Some(slot)
    }

    /// Slots that are free. They are taken from a place of this process's own, so that two
    /// processes seldom want the same.
    pub(crate) fn put_slots(&self, pool: PoolId, mut free: Vec<Slot>) {
        let mut known = self.known.lock();
        let slots = known.slots.entry(pool).or_default();
        slots.given.retain(|_, at| at.elapsed() < GIVEN_FOR);
        free.retain(|slot| !slots.given.contains_key(slot));
        if let Some(length) = u128::try_from(free.len()).ok().filter(|length| *length > 0) {
            free.rotate_left(usize::try_from(Uuid::new_v4().as_u128() % length).unwrap_or(0));
        }
        slots.free = free;
    }

    /// One of them was taken by somebody else: the others are to be looked at again.
    pub(crate) fn forget_slots(&self, pool: PoolId) {
        if let Some(slots) = self.known.lock().slots.get_mut(&pool) {
            slots.free.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lucid_store_conformance::examples::{pool, pool_id};

    #[test]
    fn what_was_read_before_a_change_is_not_remembered_after_it() {
        let room = Room::default();
        let (nothing, changes) = room.recent();
        assert!(nothing.is_none());
        room.forget();
        room.remember(&[pool(1)], changes);
        assert!(room.recent().0.is_none());
        let (_, changes) = room.recent();
        room.remember(&[Pool { max_nodes: 1, ..pool(1) }], changes);
        assert_eq!(room.recent().0.unwrap().len(), 1);
        room.add_member(pool_id(1));
        assert!(room.recent().0.is_none(), "a full pool is looked at again");
    }

    #[test]
    fn every_free_slot_is_given_once() {
        let room = Room::default();
        room.put_slots(pool_id(1), (0..50).collect());
        let mut taken: Vec<_> = std::iter::from_fn(|| room.take_slot(pool_id(1))).collect();
        taken.sort_unstable();
        assert_eq!(taken, (0..50).collect::<Vec<_>>());
        // Who read before they were taken does not bring them back.
        room.put_slots(pool_id(1), (0..51).collect());
        assert_eq!(std::iter::from_fn(|| room.take_slot(pool_id(1))).collect::<Vec<_>>(), [50]);
    }
}
