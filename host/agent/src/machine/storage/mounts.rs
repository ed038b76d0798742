//! The mounted file systems, as `/proc/self/mountinfo` lists them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fmt,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

/// The number of the device that holds a file system. The major number is 0 where no block device
/// holds it: in memory, on the network, or on several devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DeviceNumber {
    pub(super) major: u32,
    pub(super) minor: u32,
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    id: u64,
    parent: u64,
    pub(super) device: DeviceNumber,
    pub(super) point: PathBuf,
    /// `ext4`, `nfs4`, `fuse.rclone`, …
    pub(super) kind: String,
    /// A device, a dataset, a share, or any word.
    pub(super) source: String,
}

/// All mounts, with what hides what.
#[derive(Debug, Default)]
pub(super) struct MountTable {
    mounts: Vec<Mount>,
    /// Indices of the mounts on each mount.
    on: BTreeMap<u64, Vec<usize>>,
    /// Indices of the mounts on none that is listed.
    roots: Vec<usize>,
}

impl MountTable {
    /// Skips lines that are not of the format.
    pub(super) fn parse(text: &[u8]) -> Self {
        let mounts: Vec<_> = text.split(|byte| *byte == b'\n').filter_map(mount).collect();
        let ids: BTreeSet<_> = mounts.iter().map(|mount| mount.id).collect();
        let (mut on, mut roots) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
        for (index, mount) in mounts.iter().enumerate() {
            if mount.parent != mount.id && ids.contains(&mount.parent) {
                on.entry(mount.parent).or_default().push(index);
            } else {
                roots.push(index);
            }
        }
        Self { mounts, on, roots }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Mount)> {
        self.mounts.iter().enumerate()
    }

    /// The mounts that lead to a path, from the outermost one to the one that the path is on.
    pub(super) fn leading_to(&self, path: &Path) -> Vec<(usize, &Mount)> {
        let (mut passed, mut way) = (BTreeSet::new(), Vec::<(usize, &Mount)>::new());
        loop {
            let next = match way.last() {
                None => Some(&self.roots),
                Some((_, last)) => self.on.get(&last.id),
            };
            let around = next
                .into_iter()
                .flatten()
                .filter_map(|index| Some((*index, self.mounts.get(*index)?)));
            let around = around
                .filter(|(index, mount)| path.starts_with(&mount.point) && !passed.contains(index));
            // The kernel walks a path from its start. Of two mounts at one point, the later one
            // hides the other.
            let Some((index, mount)) = around
                .min_by_key(|(index, mount)| (mount.point.components().count(), Reverse(*index)))
            else {
                return way;
            };
            passed.insert(index);
            way.push((index, mount));
        }
    }

    /// Whether the mount point of a mount shows this mount, not another one that hides it. Who asks
    /// a hidden one for its room gets the answer of the other one, which may hang.
    pub(super) fn is_in_sight(&self, (index, mount): (usize, &Mount)) -> bool {
        self.leading_to(&mount.point).last().is_some_and(|(last, _)| *last == index)
    }
}

fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = number(fields.next()?)?;
    let parent = number(fields.next()?)?;
    let device = std::str::from_utf8(fields.next()?).ok()?;
    let (major, minor) = device.split_once(':')?;
    let device = DeviceNumber { major: major.parse().ok()?, minor: minor.parse().ok()? };
    // After the directory of the file system that is mounted.
    let point = PathBuf::from(OsString::from_vec(unescaped(fields.nth(1)?)));
    // After the mount's options, and any number of optional fields.
    let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
    let mut text = || Some(String::from_utf8_lossy(&unescaped(fields.next()?)).into_owned());
    let (kind, source) = (text()?, text().unwrap_or_default());
    point.is_absolute().then_some(Mount { id, parent, device, point, kind, source })
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The kernel writes spaces, tabs, line breaks and backslashes as three octal digits: `\040`.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::with_capacity(field.len()), field);
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', behind @ ..]) => {
                bytes.push(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'));
                behind
            }
            _ => {
                bytes.push(*first);
                after
            }
        };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(table: &MountTable, path: &str) -> Option<usize> {
        table.leading_to(Path::new(path)).last().map(|(index, _)| *index)
    }

    #[test]
    fn a_line_is_read_with_and_without_optional_fields() {
        let text = b"\
36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue
37 36 0:40 / /a\\134b rw - fuse.s3fs s3\\040fs rw
38 36 0:41 / /c rw -
nonsense
39 36 0:42 / relative rw - tmpfs tmpfs rw
40 36 0:43 / /d rw - tmpfs
";
        let table = MountTable::parse(text);
        let read: Vec<_> = table
            .iter()
            .map(|(_, m)| {
                (
                    m.device.to_string(),
                    m.point.to_str().unwrap(),
                    m.kind.as_str(),
                    m.source.as_str(),
                )
            })
            .collect();
        let expected = [
            ("98:0", "/mnt 2", "ext3", "/dev/root"),
            ("0:40", "/a\\b", "fuse.s3fs", "s3 fs"),
            ("0:43", "/d", "tmpfs", ""),
        ];
        assert_eq!(
            read,
            expected.map(|(device, point, kind, source)| (device.to_owned(), point, kind, source))
        );
    }

    #[test]
    fn escapes_that_are_none_stay() {
        for (escaped, plain) in [
            ("\\040", " "),
            ("a\\011\\012", "a\t\n"),
            ("\\04", "\\04"),
            ("\\400", "\\400"),
            ("\\", "\\"),
            ("\\134040", "\\040"),
        ] {
            assert_eq!(unescaped(escaped.as_bytes()), plain.as_bytes(), "{escaped}");
        }
    }

    #[test]
    fn a_path_is_on_the_mount_that_the_kernel_finds() {
        let table = MountTable::parse(
            b"\
22 1 8:2 / / rw - ext4 /dev/sda2 rw
23 22 8:17 / /data rw - xfs /dev/sdb1 rw
24 23 8:33 / /data/deep rw - xfs /dev/sdc1 rw
25 22 0:50 / /srv rw - nfs4 nas:/srv rw
26 25 0:51 / /srv rw - tmpfs tmpfs rw
27 22 0:52 / /data rw - nfs4 nas:/data rw
",
        );
        assert_eq!((at(&table, "/etc"), at(&table, "/database")), (Some(0), Some(0)));
        assert_eq!(at(&table, "/srv/x"), Some(4), "mounted on the root of the other");
        assert_eq!(
            at(&table, "/data/deep/x"),
            Some(5),
            "a mount at /data hides what was mounted below it before"
        );
        let in_sight: Vec<_> = table
            .iter()
            .filter(|mount| table.is_in_sight(*mount))
            .map(|(index, _)| index)
            .collect();
        assert_eq!(in_sight, [0, 4, 5]);
    }

    #[test]
    fn a_changed_root_need_not_be_a_mount_and_circles_end() {
        let changed_root = MountTable::parse(
            b"30 7 8:2 /x /data rw - ext4 /dev/sda2 rw\n31 7 0:5 / /proc rw - proc proc rw\n",
        );
        assert_eq!((at(&changed_root, "/data/x"), at(&changed_root, "/etc")), (Some(0), None));
        let circle = MountTable::parse(b"1 1 0:2 / / rw - rootfs rootfs rw\n2 3 0:3 / / rw - tmpfs a rw\n3 2 0:4 / / rw - tmpfs b rw\n");
        assert_eq!(at(&circle, "/x"), Some(0));
    }
}
