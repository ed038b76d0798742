use std::{cell::RefCell, collections::BTreeSet, path::Path};

use proptest::prelude::*;

use super::*;

/// Kinds as kernels show them, with whether a block device holds them.
const KINDS: [(&str, bool); 16] = [
    ("ext4", true),
    ("xfs", true),
    ("vfat", true),
    ("fuseblk", true),
    ("squashfs", true),
    ("iso9660", true),
    ("btrfs", false),
    ("zfs", false),
    ("overlay", false),
    ("nfs4", false),
    ("cifs", false),
    ("9p", false),
    ("fuse.rclone", false),
    ("virtiofs", false),
    ("tmpfs", false),
    ("proc", false),
];
const SOURCES: [&str; 9] = [
    "/dev/sda1",
    "/dev/sda2",
    "/dev/sdb",
    "/dev/loop0",
    "/dev/mapper/x",
    "tank/a",
    "tank/b",
    "nas:/x",
    "../../etc",
];
const POINTS: [&str; 8] = ["/", "/a", "/a/b", "/a/b/c", "/a\\040b", "/var", "/var/lib", "/mnt/x"];
const MOUNTED_ELSEWHERE: [&str; 9] =
    ["nfs4", "cifs", "9p", "fuse.rclone", "virtiofs", "tmpfs", "proc", "squashfs", "iso9660"];

fn line() -> impl Strategy<Value = String> {
    let ids = (0_u64..12, 0_u64..12, 0_u32..4);
    let texts = (
        prop::sample::select(&KINDS[..]),
        prop::sample::select(&SOURCES[..]),
        prop::sample::select(&POINTS[..]),
    );
    let sound =
        (ids, texts).prop_map(|((id, parent, minor), ((kind, is_on_device), source, point))| {
            let major = if is_on_device { 8 } else { 0 };
            format!("{id} {parent} {major}:{minor} / {point} rw shared:1 - {kind} {source} rw")
        });
    prop_oneof![9 => sound, 1 => "[ -~]{0,60}"]
}

proptest! {
    #[test]
    fn no_device_is_counted_twice_and_nothing_that_is_none_is_asked(lines in prop::collection::vec(line(), 0..24), data in prop::sample::select(&POINTS[..])) {
        let machine = Machine::new(&lines.join("\n"));
        let machine = machine.disk("8:0", "pci0/ata1/block/sda", 500, false).partition("8:1", "pci0/ata1/block/sda/sda1").disk("8:3", "pci0/ata2/block/sdb", 1, false);
        let table = machine.table();
        let survey = Survey { table: &table, medium: |mount: &Mount| Medium::of(machine.root.path(), mount) };
        let asked = RefCell::new(Vec::new());
        let room = |point: &Path| {
            asked.borrow_mut().push(point.to_owned());
            Some(Room { total: u64::MAX, available: 0 })
        };
        survey::total_bytes(&survey.stores(Path::new(data)), room);
        let mut stores = Vec::new();
        for point in asked.into_inner() {
            let way = table.leading_to(&point);
            let (_, shown) = way.last().unwrap();
            prop_assert_eq!(&shown.point, &point, "another mount answers");
            prop_assert!(!MOUNTED_ELSEWHERE.contains(&shown.kind.as_str()), "{:?}", shown);
            stores.push(match Medium::of(machine.root.path(), shown) {
                Medium::Disk(disk) => disk.key,
                // Each dataset of a pool once.
                _ => format!("{} {}", shown.kind, shown.device),
            });
        }
        prop_assert_eq!(stores.iter().collect::<BTreeSet<_>>().len(), stores.len(), "{:?}", stores);
        prop_assert!(survey.holding(Path::new(data)).is_none_or(|(mount, _)| !MOUNTED_ELSEWHERE.contains(&mount.kind.as_str())));
    }

    #[test]
    fn no_text_ends_the_agent(text in prop::collection::vec(any::<u8>(), 0..400), path in "[ -~]{0,40}") {
        let table = MountTable::parse(&text);
        table.leading_to(Path::new(&path));
    }
}
