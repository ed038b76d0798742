//! Trees of files as kernels show them.

use std::fs;

use super::*;

const GB: u64 = 1 << 30;
/// What the machine has around the groups.
const MACHINE_BYTES: u64 = 64 * GB;

struct Tree(tempfile::TempDir);

impl Tree {
    fn new(cgroup: &str, mountinfo: &str) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        tree.write("proc/self/cgroup", cgroup);
        tree.write("proc/self/mountinfo", mountinfo);
        tree
    }
    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    /// Files of one group: name and content.
    fn group(&self, dir: &str, files: &[(&str, &str)]) {
        files.iter().for_each(|(name, text)| self.write(&format!("{dir}/{name}"), text));
    }
    fn memory(&self) -> Option<MemoryShare> {
        Limits::find(self.0.path()).memory(MACHINE_BYTES)
    }
    fn cpu(&self, machine_cpus: usize) -> Option<CpuShare> {
        Limits::find(self.0.path()).cpu(machine_cpus)
    }
}

/// Version 2 with the whole hierarchy in sight.
const V2: &str = "\
24 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw
35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
";

/// Version 1 as a container runtime mounts it: the group of the container is the root of what is
/// seen.
const V1_CONTAINER: &str = "\
600 500 0:50 / / rw,relatime - overlay overlay rw,lowerdir=/a,upperdir=/b,workdir=/c
640 610 0:31 /docker/4f /sys/fs/cgroup/memory ro,nosuid,nodev,noexec,relatime master:12 - cgroup cgroup rw,memory
641 610 0:32 /docker/4f /sys/fs/cgroup/cpu,cpuacct ro,nosuid,nodev,noexec,relatime master:13 - cgroup cgroup rw,cpu,cpuacct
642 610 0:33 /docker/4f /sys/fs/cgroup/cpuset ro,nosuid,nodev,noexec,relatime master:14 - cgroup cgroup rw,cpuset
";

#[test]
fn a_container_of_version_2_has_what_its_group_has() {
    let tree = Tree::new(
        "0::/\n",
        "700 690 0:30 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw\n",
    );
    tree.group(
        "sys/fs/cgroup",
        &[
            ("memory.max", "2147483648\n"),
            ("memory.high", "max\n"),
            ("memory.current", "1610612736\n"),
            (
                "memory.stat",
                "anon 1000000000\nfile 600000000\nactive_file 63000000\ninactive_file 536870912\n",
            ),
            ("cpu.max", "150000 100000\n"),
            ("cpu.stat", "usage_usec 9000000\nuser_usec 5000000\nsystem_usec 4000000\n"),
            ("cpuset.cpus.effective", "0-7\n"),
        ],
    );
    assert_eq!(tree.memory(), Some(MemoryShare { limit_bytes: 2 * GB, used_bytes: GB }));
    assert_eq!(tree.cpu(8), Some(CpuShare { limit_milli: 1500, used_us: 9_000_000 }));
}

#[test]
fn the_tightest_group_around_the_process_is_what_counts() {
    let tree = Tree::new("0::/kubepods.slice/pod1.slice/worker.scope\n", V2);
    tree.group("sys/fs/cgroup", &[("cpu.stat", "usage_usec 99000000\n")]);
    let pod = [
        ("memory.max", "8589934592\n"),
        ("memory.high", "4294967296\n"),
        ("memory.current", "2147483648\n"),
    ];
    tree.group(
        "sys/fs/cgroup/kubepods.slice",
        &[("memory.max", "max\n"), ("cpu.max", "max 100000\n")],
    );
    tree.group("sys/fs/cgroup/kubepods.slice/pod1.slice", &pod);
    tree.group(
        "sys/fs/cgroup/kubepods.slice/pod1.slice",
        &[("cpu.max", "50000 100000\n"), ("cpu.stat", "usage_usec 7000\n")],
    );
    let worker = "sys/fs/cgroup/kubepods.slice/pod1.slice/worker.scope";
    tree.group(
        worker,
        &[("memory.max", "17179869184\n"), ("memory.high", "max\n"), ("memory.current", "1000\n")],
    );
    tree.group(worker, &[("cpu.max", "200000 100000\n"), ("cpu.stat", "usage_usec 5000\n")]);
    assert_eq!(
        tree.memory(),
        Some(MemoryShare { limit_bytes: 4 * GB, used_bytes: 2 * GB }),
        "memory.high of the pod, and the pod's usage"
    );
    assert_eq!(tree.cpu(8), Some(CpuShare { limit_milli: 500, used_us: 7000 }));
}

#[test]
fn a_group_without_limits_leaves_the_machine_as_it_is() {
    let tree = Tree::new("0::/system.slice/worker.scope\n", V2);
    let files = [
        ("memory.max", "max\n"),
        ("memory.high", "max\n"),
        ("memory.current", "4096\n"),
        ("cpu.max", "max 100000\n"),
    ];
    tree.group("sys/fs/cgroup/system.slice/worker.scope", &files);
    tree.group(
        "sys/fs/cgroup/system.slice/worker.scope",
        &[("cpu.stat", "usage_usec 1\n"), ("cpuset.cpus.effective", "0-3\n")],
    );
    assert_eq!((tree.memory(), tree.cpu(4)), (None, None));
    let nothing = Tree::new("", "");
    assert_eq!((nothing.memory(), nothing.cpu(4)), (None, None));
}

#[test]
fn limits_of_the_agents_own_service_are_not_the_machines() {
    let tree = Tree::new("0::/workers.slice/lucid-agent.service\n", V2);
    let service = [
        ("memory.max", "67108864\n"),
        ("memory.current", "1000\n"),
        ("cpu.max", "10000 100000\n"),
        ("cpu.stat", "usage_usec 1\n"),
    ];
    tree.group("sys/fs/cgroup/workers.slice/lucid-agent.service", &service);
    let slice = [
        ("memory.max", "8589934592\n"),
        ("memory.current", "1073741824\n"),
        ("cpu.max", "max 100000\n"),
        ("cpu.stat", "usage_usec 2\n"),
    ];
    tree.group("sys/fs/cgroup/workers.slice", &slice);
    assert_eq!(tree.memory(), Some(MemoryShare { limit_bytes: 8 * GB, used_bytes: GB }));
    assert_eq!(tree.cpu(8), None);
}

#[test]
fn a_set_of_cpus_is_a_limit_of_its_own() {
    let tree = Tree::new("0::/worker\n", V2);
    let worker = "sys/fs/cgroup/worker";
    tree.group(
        worker,
        &[
            ("cpu.max", "max 100000\n"),
            ("cpu.stat", "usage_usec 42\n"),
            ("cpuset.cpus.effective", "0-1,6\n"),
        ],
    );
    assert_eq!(tree.cpu(8), Some(CpuShare { limit_milli: 3000, used_us: 42 }));
    tree.group(worker, &[("cpu.max", "400000 100000\n")]);
    assert_eq!(
        tree.cpu(8),
        Some(CpuShare { limit_milli: 3000, used_us: 42 }),
        "a quota that the set cannot fill"
    );
}

#[test]
fn a_container_of_version_1_has_what_its_groups_have() {
    let memberships = "12:memory:/docker/4f\n11:cpu,cpuacct:/docker/4f\n10:cpuset:/docker/4f\n1:name=systemd:/docker/4f\n0::/system.slice/containerd\n";
    let tree = Tree::new(memberships, V1_CONTAINER);
    let memory =
        [("memory.limit_in_bytes", "1073741824\n"), ("memory.usage_in_bytes", "805306368\n")];
    tree.group("sys/fs/cgroup/memory", &memory);
    tree.group(
        "sys/fs/cgroup/memory",
        &[("memory.stat", "cache 5\ninactive_file 7\ntotal_inactive_file 268435456\n")],
    );
    let cpu = [
        ("cpu.cfs_quota_us", "250000\n"),
        ("cpu.cfs_period_us", "100000\n"),
        ("cpuacct.usage", "3000000123\n"),
    ];
    tree.group("sys/fs/cgroup/cpu,cpuacct", &cpu);
    tree.group(
        "sys/fs/cgroup/cpuset",
        &[("cpuset.effective_cpus", "\n"), ("cpuset.cpus", "0-15\n")],
    );
    assert_eq!(tree.memory(), Some(MemoryShare { limit_bytes: GB, used_bytes: GB / 2 }));
    assert_eq!(tree.cpu(16), Some(CpuShare { limit_milli: 2500, used_us: 3_000_000 }));
}

#[test]
fn version_1_without_limits_says_so_in_its_own_way() {
    let tree = Tree::new("4:memory:/docker/4f\n1:cpu,cpuacct:/docker/4f\n", V1_CONTAINER);
    let files =
        [("memory.limit_in_bytes", "9223372036854771712\n"), ("memory.usage_in_bytes", "1\n")];
    tree.group("sys/fs/cgroup/memory", &files);
    let files =
        [("cpu.cfs_quota_us", "-1\n"), ("cpu.cfs_period_us", "100000\n"), ("cpuacct.usage", "1\n")];
    tree.group("sys/fs/cgroup/cpu,cpuacct", &files);
    assert_eq!((tree.memory(), tree.cpu(2)), (None, None));
}

#[test]
fn version_1_may_account_in_another_hierarchy_than_it_limits_in() {
    let mounts = "\
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
    let tree = Tree::new("2:cpuacct:/\n1:cpu:/jobs/one\n0::/\n", mounts);
    tree.group(
        "sys/fs/cgroup/cpu/jobs/one",
        &[("cpu.cfs_quota_us", "100000\n"), ("cpu.cfs_period_us", "100000\n")],
    );
    tree.group("sys/fs/cgroup/cpuacct", &[("cpuacct.usage", "5000\n")]);
    assert_eq!(tree.cpu(4), Some(CpuShare { limit_milli: 1000, used_us: 5 }));
}

#[test]
fn usage_is_a_part_of_what_might_have_been_used() {
    let at = |used_us| CpuShare { limit_milli: 500, used_us };
    assert_eq!(at(1_250_000).percent_since(at(1_000_000), 1_000_000).to_string(), "50");
    assert_eq!(at(9_000_000).percent_since(at(0), 1_000_000).to_string(), "100");
    assert_eq!(
        at(0).percent_since(at(5), 1_000_000).to_string(),
        "0",
        "a group that was made anew"
    );
    assert_eq!(at(5).percent_since(at(0), 0).to_string(), "0");
}
