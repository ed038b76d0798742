//! What holds a file system, as the kernel's tree of devices shows it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    path::{Component, Path, PathBuf},
};

use super::mounts::Mount;

/// Images that nothing can be written to, and file systems that machines share.
const NEVER: [&str; 8] =
    ["cramfs", "erofs", "gfs2", "iso9660", "ocfs2", "romfs", "squashfs", "udf"];
/// Views of room that other file systems hold.
const LAYERS: [&str; 5] = ["aufs", "fuse.fuse-overlayfs", "overlay", "simfs", "vzfs"];
/// Local file systems without one block device of their own: they may be on several, or on bare
/// flash memory.
const OWN_DEVICE: [&str; 3] = ["bcachefs", "btrfs", "ubifs"];
/// File systems that may be on more disks than the one that the kernel names.
const SPANNING: [&str; 3] = ["bcachefs", "btrfs", "f2fs"];
/// What the kernel counts the size of a device in, whatever the device's own sectors are.
const SECTOR_BYTES: u64 = 512;

/// What holds a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Medium {
    /// Disks of this machine.
    Disk(Disk),
    /// A ZFS pool: its datasets share its room.
    Pool(String),
    /// Another file system of this machine, whose room this shows again.
    Layer,
    /// Nothing that room of this machine is on: memory, the network, an image. Asking for its size
    /// may hang for ever.
    None,
}

/// Where a file system on disks is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disk {
    /// The same for each mount of the file system, and for no other one.
    pub(super) key: String,
    /// The whole disks below partitions, volumes and encryption, with their bytes; empty where they
    /// are not known.
    pub(super) disks: BTreeMap<String, u64>,
    /// It may be gone tomorrow: on USB, in a reader of cards, or reached through the network.
    pub(super) is_attached: bool,
}

impl Disk {
    /// Whether another file system is on the same disk, as another partition is.
    pub(super) fn is_with(&self, other: &Self) -> bool {
        self.key == other.key || self.disks.keys().any(|disk| other.disks.contains_key(disk))
    }
}

/// What a disk is, by its name and its place in the tree.
enum Place {
    Inside,
    Attached,
    File,
    Nowhere,
}

impl Medium {
    /// What holds a mount, by the tree below `root`, which is `/` but for tests.
    pub(super) fn of(root: &Path, mount: &Mount) -> Self {
        let kind = mount.kind.as_str();
        if NEVER.contains(&kind) {
            return Self::None;
        }
        if kind == "zfs" {
            let pool = mount.source.split(['/', '@']).next().unwrap_or_default();
            return if pool.is_empty() { Self::None } else { Self::Pool(pool.to_owned()) };
        }
        if LAYERS.contains(&kind) {
            return Self::Layer;
        }
        if mount.device.major == 0 && !OWN_DEVICE.contains(&kind) {
            return Self::None;
        }
        match directory(root, mount) {
            Some(dir) => known(root, mount, &dir),
            None => unknown(mount),
        }
    }
}

fn known(root: &Path, mount: &Mount, dir: &Path) -> Medium {
    let mut whole = BTreeSet::new();
    whole_disks(dir, &mut BTreeSet::new(), &mut whole);
    let mut found = Disk { key: key(mount, dir), disks: BTreeMap::new(), is_attached: false };
    for dir in &whole {
        let name = name_of(dir);
        match place(root, dir, &name) {
            Place::Nowhere => return Medium::None,
            Place::File => return Medium::Layer,
            Place::Attached => found.is_attached = true,
            Place::Inside => {}
        }
        found.disks.insert(name, bytes(dir));
    }
    if SPANNING.contains(&mount.kind.as_str()) || found.disks.values().any(|bytes| *bytes == 0) {
        found.disks.clear();
    }
    Medium::Disk(found)
}

/// A device that the tree does not show, as where `/sys` is hidden: its name has to do.
fn unknown(mount: &Mount) -> Medium {
    let name = Path::new(&mount.source).file_name().unwrap_or_default().to_string_lossy();
    match place_by_name(&name) {
        Some(Place::Nowhere) => Medium::None,
        Some(Place::File) => Medium::Layer,
        place => {
            let key = if mount.device.major == 0 {
                mount.source.clone()
            } else {
                mount.device.to_string()
            };
            Medium::Disk(Disk { key, disks: BTreeMap::new(), is_attached: place.is_some() })
        }
    }
}

fn key(mount: &Mount, dir: &Path) -> String {
    if mount.device.major != 0 {
        return mount.device.to_string();
    }
    fs::read_to_string(dir.join("dev"))
        .map_or_else(|_| mount.source.clone(), |number| number.trim().to_owned())
}

/// The directory of a mount's device.
fn directory(root: &Path, mount: &Mount) -> Option<PathBuf> {
    if mount.device.major != 0 {
        return root.join("sys/dev/block").join(mount.device.to_string()).canonicalize().ok();
    }
    // bcachefs names all its devices. The first one stands for them: they are in one machine.
    let source = Path::new(mount.source.split(':').next()?);
    let is_plain = source.starts_with("/dev")
        && source
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !is_plain {
        return None;
    }
    let name = source.file_name()?;
    let class = root.join("sys/class/block");
    let linked = root.join(source.strip_prefix("/").ok()?).canonicalize().ok();
    let by_name = [linked.as_deref().and_then(Path::file_name), Some(name)]
        .into_iter()
        .flatten()
        .find_map(|name| class.join(name).canonicalize().ok());
    // Who has no `/dev/mapper` still sees its names.
    by_name.or_else(|| mapped(&class, name))
}

fn mapped(class: &Path, name: &OsStr) -> Option<PathBuf> {
    let devices = fs::read_dir(class).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut named = devices.filter(|dir| {
        fs::read_to_string(dir.join("dm/name")).is_ok_and(|text| *text.trim() == *name)
    });
    named.next()?.canonicalize().ok()
}

/// The directories of the whole disks below a device, through partitions, volumes, encryption and
/// arrays.
fn whole_disks(dir: &Path, passed: &mut BTreeSet<PathBuf>, found: &mut BTreeSet<PathBuf>) {
    if !passed.insert(dir.to_owned()) {
        return;
    }
    let disk = if dir.join("partition").exists() { dir.parent().unwrap_or(dir) } else { dir };
    let below = fs::read_dir(disk.join("slaves"))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.path().canonicalize().ok());
    let below: Vec<_> = below.collect();
    if below.is_empty() {
        found.insert(disk.to_owned());
    }
    below.iter().for_each(|dir| whole_disks(dir, passed, found));
}

fn place(root: &Path, dir: &Path, name: &str) -> Place {
    if let Some(place) = place_by_name(name) {
        return place;
    }
    let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let above: Vec<_> = dir
        .strip_prefix(root)
        .unwrap_or(dir)
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    let is_below = |bus: &str| {
        above.iter().any(|part| {
            part.strip_prefix(bus)
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        })
    };
    // Of disks at a SATA port that can be changed while it runs, many kernels say that they are
    // removable.
    let is_removable = !is_below("ata")
        && fs::read_to_string(dir.join("removable")).is_ok_and(|flag| flag.trim() == "1");
    if is_below("usb") || is_removable { Place::Attached } else { Place::Inside }
}

/// Where a disk is, if its name alone says so.
fn place_by_name(name: &str) -> Option<Place> {
    let driver: String = name.chars().take_while(char::is_ascii_alphabetic).collect();
    match driver.as_str() {
        "loop" => Some(Place::File),
        "fd" | "ram" | "sr" | "zram" => Some(Place::Nowhere),
        "nbd" | "rbd" => Some(Place::Attached),
        _ => None,
    }
}

fn name_of(dir: &Path) -> String {
    dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn bytes(dir: &Path) -> u64 {
    let sectors =
        fs::read_to_string(dir.join("size")).ok().and_then(|text| text.trim().parse::<u64>().ok());
    sectors.unwrap_or(0).saturating_mul(SECTOR_BYTES)
}
