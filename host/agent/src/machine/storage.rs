//! Which of the mounted file systems are disks, and which one holds the data.

use std::path::{Path, PathBuf};

/// File systems that keep nothing, and views of others.
const PSEUDO: [&str; 14] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "configfs",
    "debugfs",
    "efivarfs",
    "fuse.lxcfs",
    "fusectl",
    "nsfs",
    "ramfs",
    "securityfs",
    "squashfs",
    "tmpfs",
    "tracefs",
];

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) device: String,
    pub(super) point: PathBuf,
    pub(super) kind: String,
}

/// Those that hold data, each disk once, as indices. A layer over other file systems (`overlay`) shows their room as
/// its own: it counts only where no disk is in sight.
pub(super) fn disks(mounts: &[Mount]) -> Vec<usize> {
    let held: Vec<_> = mounts.iter().enumerate().filter(|(_, mount)| !PSEUDO.contains(&mount.kind.as_str())).collect();
    let backed = held.iter().any(|(_, mount)| mount.device.starts_with("/dev/"));
    let mut seen = std::collections::BTreeSet::new();
    let once = held.into_iter().filter(|(_, mount)| !(backed && mount.kind == "overlay") && seen.insert(&mount.device));
    once.map(|(index, _)| index).collect()
}

/// The one that `path` is on, as an index.
pub(super) fn holding(mounts: &[Mount], path: &Path) -> Option<usize> {
    let around = mounts.iter().enumerate().filter(|(_, mount)| !PSEUDO.contains(&mount.kind.as_str()) && path.starts_with(&mount.point));
    // Of two mounted at the same point, the later one is in sight.
    around.max_by_key(|(index, mount)| (mount.point.components().count(), *index)).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts(lines: &str) -> Vec<Mount> {
        let mount = |line: &str| {
            let words: Vec<_> = line.split(' ').collect();
            Mount { device: words[0].into(), point: words[1].into(), kind: words[2].into() }
        };
        lines.lines().map(mount).collect()
    }

    #[test]
    fn the_disk_that_holds_the_data_is_the_nearest_mount() {
        let host = mounts("/dev/sda2 / ext4\n/dev/sda1 /boot vfat\n/dev/sdb1 /var/lib ext4\ntmpfs /var/lib/run tmpfs");
        assert_eq!(holding(&host, Path::new("/var/lib/lucid-agent")), Some(2));
        assert_eq!(holding(&host, Path::new("/var/library")), Some(0));
        assert_eq!(holding(&host, Path::new("/var/lib/run/x")), Some(2), "memory is no disk");
        assert_eq!(holding(&[], Path::new("/x")), None);
    }

    #[test]
    fn a_disk_counts_once_however_often_it_is_mounted() {
        let host =
            mounts("/dev/sda2 / btrfs\n/dev/sda2 /home btrfs\noverlay /var/lib/containers/a overlay\n/dev/sdb1 /data xfs\nbpf /sys/fs/bpf bpf");
        assert_eq!(disks(&host), [0, 3]);
        let container = mounts("overlay / overlay\n/dev/sda2 /etc/hosts ext4\n/dev/sda2 /etc/resolv.conf ext4");
        assert_eq!(disks(&container), [1]);
        assert_eq!(disks(&mounts("overlay / overlay\ntmpfs /tmp tmpfs")), [0]);
    }
}
