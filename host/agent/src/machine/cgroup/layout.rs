//! Where the control groups of this process are: version 2 has one hierarchy, version 1 one for
//! each controller, and both may be there at once.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Which of the two interfaces a hierarchy speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

/// This process in one hierarchy.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) version: Version,
    /// Where the hierarchy, or the part of it that is visible here, is mounted.
    pub(super) mount: PathBuf,
    /// From there to the process.
    path: PathBuf,
}

impl Group {
    /// The groups around the process, the innermost first, as paths from the mount; without those
    /// of the agent's own service.
    pub(super) fn levels(&self) -> impl Iterator<Item = PathBuf> {
        let of_a_service = |level: &Path| {
            level.components().any(|part| {
                part.as_os_str().to_str().is_some_and(|name| name.ends_with(".service"))
            })
        };
        self.path.ancestors().filter(move |level| !of_a_service(level)).map(Path::to_owned)
    }
}

/// This process in each hierarchy that says something of memory or CPUs.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub(super) memory: Option<Group>,
    pub(super) cpu: Option<Group>,
    /// Counts CPU time.
    pub(super) accounting: Option<Group>,
    pub(super) cpuset: Option<Group>,
}

impl Groups {
    pub(super) fn find(root: &Path) -> Self {
        let read = |file: &str| fs::read_to_string(root.join(file)).unwrap_or_default();
        let (memberships, mounts) = (read("proc/self/cgroup"), read("proc/self/mountinfo"));
        let mounts: Vec<Mount> = mounts.lines().filter_map(Mount::parse).collect();
        let group = |controller: &str| {
            // A controller that version 1 has is not in version 2.
            one(controller, &memberships, &mounts).or_else(|| two(&memberships, &mounts)).map(
                |group| Group {
                    mount: root.join(group.mount.strip_prefix("/").unwrap_or(&group.mount)),
                    ..group
                },
            )
        };
        Self {
            memory: group("memory"),
            cpu: group("cpu"),
            accounting: group("cpuacct"),
            cpuset: group("cpuset"),
        }
    }
}

struct Mount<'a> {
    version: Version,
    /// The part of the hierarchy that is seen at `point`.
    root: &'a str,
    point: &'a str,
    /// In version 1 the controllers are among them.
    options: &'a str,
}

impl<'a> Mount<'a> {
    /// A line of `mountinfo`: id, parent, device, root, point, options, optional fields, `-`, type,
    /// source, options.
    fn parse(line: &'a str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let (mut before, mut after) = (before.split(' ').skip(3), after.split(' '));
        let version = match after.next()? {
            "cgroup" => Version::One,
            "cgroup2" => Version::Two,
            _ => return None,
        };
        Some(Self {
            version,
            root: before.next()?,
            point: before.next()?,
            options: after.nth(1).unwrap_or_default(),
        })
    }

    fn group(&self, path: &str) -> Group {
        // What is not below the part that is mounted here (a process that joined from outside) is
        // seen as its root.
        let path = Path::new(path).strip_prefix(self.root).unwrap_or(Path::new(""));
        let path = if path.components().any(|part| part == std::path::Component::ParentDir) {
            Path::new("")
        } else {
            path
        };
        Group { version: self.version, mount: self.point.into(), path: path.to_owned() }
    }
}

/// Lines are `id:controllers:path`.
fn one(controller: &str, memberships: &str, mounts: &[Mount<'_>]) -> Option<Group> {
    let has = |list: &str| list.split(',').any(|name| name == controller);
    let path = memberships.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        has(controllers).then_some(path)
    })?;
    mounts
        .iter()
        .find(|mount| mount.version == Version::One && has(mount.options))
        .map(|mount| mount.group(path))
}

/// The line of version 2 is `0::path`.
fn two(memberships: &str, mounts: &[Mount<'_>]) -> Option<Group> {
    let path = memberships.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.iter().find(|mount| mount.version == Version::Two).map(|mount| mount.group(path))
}
