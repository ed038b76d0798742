//! The disks as the system's own list has them: where there is no `/proc/self/mountinfo`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use sysinfo::{DiskRefreshKind, Disks};

use super::Room;

/// A disk of the list.
struct Listed {
    device: String,
    point: PathBuf,
    is_removable: bool,
    room: Room,
}

fn list() -> Vec<Listed> {
    let Ok(disks) =
        Disks::new_with_refreshed_list_specifics(DiskRefreshKind::nothing().with_storage())
    else {
        return Vec::new();
    };
    let listed = |disk: &sysinfo::Disk| Listed {
        device: disk.name().to_string_lossy().into_owned(),
        point: disk.mount_point().to_owned(),
        is_removable: disk.is_removable(),
        room: Room { total: disk.total_space(), available: disk.available_space() },
    };
    disks.iter().map(listed).collect()
}

fn holding<'a>(disks: &'a [Listed], path: &Path) -> Option<&'a Listed> {
    disks
        .iter()
        .filter(|disk| path.starts_with(&disk.point))
        .max_by_key(|disk| disk.point.components().count())
}

fn sum(disks: &[Listed], data: &Path) -> u64 {
    let of_data = holding(disks, data).map(|disk| disk.device.as_str());
    let mut seen = BTreeSet::new();
    let counted = disks.iter().filter(|disk| {
        (!disk.is_removable || Some(disk.device.as_str()) == of_data) && seen.insert(&disk.device)
    });
    counted.fold(0, |sum, disk| sum.saturating_add(disk.room.total))
}

/// Bytes of this machine's disks.
pub(super) fn total_bytes(data: &Path) -> u64 {
    sum(&list(), data)
}

/// The room of the disk that holds `data`.
pub(super) fn room_at(data: &Path) -> Option<Room> {
    holding(&list(), data).map(|disk| disk.room)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(device: &str, point: &str, is_removable: bool) -> Listed {
        Listed {
            device: device.into(),
            point: point.into(),
            is_removable,
            room: Room { total: 10, available: 4 },
        }
    }

    #[test]
    fn each_device_counts_once_and_a_removable_one_only_with_the_data() {
        let disks = [
            disk("a", "/", false),
            disk("a", "/Volumes/x", false),
            disk("b", "/Volumes/usb", true),
            disk("c", "/Volumes/other", true),
        ];
        assert_eq!(sum(&disks, Path::new("/var/agent")), 10);
        assert_eq!(sum(&disks, Path::new("/Volumes/usb/agent")), 20);
        assert_eq!(holding(&disks, Path::new("/Volumes/usb/agent")).unwrap().device, "b");
    }

    #[test]
    fn this_machines_list_can_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().canonicalize().unwrap();
        assert!(room_at(&data).is_none_or(|room| room.available <= room.total && room.total <= total_bytes(&data)));
    }
}
