//! Which mounts are measured: each local disk once, others never.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{
    Room,
    medium::Medium,
    mounts::{Mount, MountTable},
};

/// Room that is counted once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Store<'a> {
    /// Where it is asked for; the largest answer counts. There are several only for the datasets of
    /// a pool, each of which shows what it holds itself and what the pool has left.
    pub(super) points: Vec<&'a Path>,
    /// The disks below, with their bytes, where they are known.
    disks: BTreeMap<String, u64>,
}

/// The mounts of a machine, and what holds them.
pub(super) struct Survey<'a, M> {
    pub(super) table: &'a MountTable,
    /// What holds a mount.
    pub(super) medium: M,
}

impl<'a, M: Fn(&Mount) -> Medium> Survey<'a, M> {
    /// The mount that `path` is on; of memory and of the network, the one around it.
    pub(super) fn holding(&self, path: &Path) -> Option<(&'a Mount, Medium)> {
        let mut around = self
            .table
            .leading_to(path)
            .into_iter()
            .rev()
            .map(|found| (found, (self.medium)(found.1)));
        let (found, medium) = around
            .find(|(found, medium)| *medium != Medium::None && self.table.is_in_sight(*found))?;
        Some((found.1, medium))
    }

    /// All room of this machine's disks; without a disk in sight, as in a container, the room that
    /// `data` is on. A disk that may be gone tomorrow counts only if `data` is on it.
    pub(super) fn stores(&self, data: &Path) -> Vec<Store<'a>> {
        let holding = self.holding(data);
        let is_of_data = |medium: &Medium| match (medium, &holding) {
            (Medium::Disk(disk), Some((_, Medium::Disk(of_data)))) => disk.is_with(of_data),
            _ => false,
        };
        let (mut stores, mut datasets) =
            (BTreeMap::<(&str, String), Store<'a>>::new(), BTreeSet::new());
        for found in self.table.iter() {
            let (mount, medium) = (found.1, (self.medium)(found.1));
            let is_of_data = is_of_data(&medium);
            let (key, disks) = match medium {
                Medium::Disk(disk) if !disk.is_attached || is_of_data => {
                    (("disk", disk.key), disk.disks)
                }
                Medium::Pool(name) if !datasets.contains(&mount.device) => {
                    (("pool", name), BTreeMap::new())
                }
                _ => continue,
            };
            let is_new = key.0 == "pool" || !stores.contains_key(&key);
            if is_new && self.table.is_in_sight(found) {
                datasets.insert(mount.device);
                let store = stores.entry(key).or_default();
                store.points.push(&mount.point);
                store.disks = disks;
            }
        }
        if stores.is_empty() {
            return holding
                .map(|(mount, _)| Store { points: vec![&mount.point], disks: BTreeMap::new() })
                .into_iter()
                .collect();
        }
        stores.into_values().collect()
    }
}

/// The sum of their room. Volumes that promise more than their disks hold count what those hold.
pub(super) fn total_bytes(stores: &[Store<'_>], room: impl Fn(&Path) -> Option<Room>) -> u64 {
    let (mut disks, mut on_disks, mut elsewhere) = (BTreeMap::new(), 0_u64, 0_u64);
    for store in stores {
        let bytes = store
            .points
            .iter()
            .filter_map(|point| room(point))
            .map(|room| room.total)
            .max()
            .unwrap_or(0);
        let sum = if store.disks.is_empty() { &mut elsewhere } else { &mut on_disks };
        *sum = sum.saturating_add(bytes);
        disks.extend(&store.disks);
    }
    let held = disks.values().fold(0_u64, |sum, bytes| sum.saturating_add(**bytes));
    on_disks.min(held).saturating_add(elsewhere)
}
