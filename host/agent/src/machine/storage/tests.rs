//! Machines as their kernels show them.

mod machines;
mod property;

use std::{cell::RefCell, collections::BTreeMap, fs, os::unix::fs::symlink, path::Path};

use super::{
    Room,
    medium::Medium,
    mounts::{Mount, MountTable},
    survey::{self, Survey},
};

const GB: u64 = 1_000_000_000;

/// A tree of devices, and what each mount point answers.
pub(super) struct Machine {
    root: tempfile::TempDir,
    rooms: BTreeMap<&'static str, u64>,
}

impl Machine {
    fn new(mountinfo: &str) -> Self {
        let machine = Self { root: tempfile::tempdir().unwrap(), rooms: BTreeMap::new() };
        machine.write("proc/self/mountinfo", mountinfo);
        machine
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn link(&self, path: &str, target: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(self.root.path().join(target), path).unwrap();
    }

    /// A device below `/sys/devices`, as `8:0 pci0/ata1/block/sda`.
    fn device(&self, number: &str, path: &str) {
        let (dir, name) = (format!("sys/devices/{path}"), path.rsplit('/').next().unwrap());
        self.write(&format!("{dir}/dev"), &format!("{number}\n"));
        self.link(&format!("sys/dev/block/{number}"), &dir);
        self.link(&format!("sys/class/block/{name}"), &dir);
    }

    fn disk(self, number: &str, path: &str, gigabytes: u64, is_removable: bool) -> Self {
        self.device(number, path);
        self.write(&format!("sys/devices/{path}/size"), &format!("{}\n", gigabytes * GB / 512));
        self.write(
            &format!("sys/devices/{path}/removable"),
            if is_removable { "1\n" } else { "0\n" },
        );
        self
    }

    fn partition(self, number: &str, path: &str) -> Self {
        self.device(number, path);
        self.write(&format!("sys/devices/{path}/partition"), "1\n");
        self
    }

    /// A volume of the device mapper, or an array, over others.
    fn stacked(self, number: &str, name: &str, mapped: Option<&str>, below: &[&str]) -> Self {
        let dir = format!("sys/devices/virtual/block/{name}");
        self.device(number, &format!("virtual/block/{name}"));
        below.iter().for_each(|below| {
            self.link(&format!("{dir}/slaves/{below}"), &format!("sys/class/block/{below}"))
        });
        if let Some(mapped) = mapped {
            self.write(&format!("{dir}/dm/name"), &format!("{mapped}\n"));
        }
        self
    }

    /// What a mount point may be asked for.
    fn room(mut self, point: &'static str, gigabytes: u64) -> Self {
        self.rooms.insert(point, gigabytes * GB);
        self
    }

    fn table(&self) -> MountTable {
        MountTable::parse(&fs::read(self.root.path().join("proc/self/mountinfo")).unwrap())
    }

    /// Gigabytes of all disks, and what was asked for its room: nothing else may be.
    fn counted(&self, data: &str) -> (u64, Vec<String>) {
        let table = self.table();
        let survey =
            Survey { table: &table, medium: |mount: &Mount| Medium::of(self.root.path(), mount) };
        let asked = RefCell::new(Vec::new());
        let room = |point: &Path| {
            let point = point.to_str().unwrap();
            asked.borrow_mut().push(point.to_owned());
            let total = *self.rooms.get(point).unwrap_or_else(|| panic!("{point} may hang"));
            Some(Room { total, available: 0 })
        };
        let total = survey::total_bytes(&survey.stores(Path::new(data)), room);
        (total / GB, asked.into_inner())
    }

    /// The mount whose usage is reported.
    fn holding(&self, data: &str) -> Option<String> {
        let table = self.table();
        let survey =
            Survey { table: &table, medium: |mount: &Mount| Medium::of(self.root.path(), mount) };
        survey.holding(Path::new(data)).map(|(mount, _)| mount.point.to_str().unwrap().to_owned())
    }
}

fn points(points: &[&str]) -> Vec<String> {
    points.iter().map(|point| (*point).to_owned()).collect()
}
