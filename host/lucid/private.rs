//! Files that only their owner may read: what the process creates, and what is there already.

use std::{
    fmt, fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::{fs::Mode, process::umask};

/// Permissions that nobody but the owner needs.
const OTHERS: u32 = 0o077;
/// What lies in a folder of `--data`, an agent or the sandbox. A folder may hold foreign files as
/// well: those are not judged.
const NAMES: [&str; 19] = [
    "core.db",
    "core.db-wal",
    "core.db-shm",
    "telemetry.db",
    "telemetry.db-wal",
    "telemetry.db-shm",
    "lock",
    "boot",
    "clock.json",
    "secrets",
    "agent",
    "agent.key",
    "agent.json",
    "pending.json",
    "status.json",
    "spool",
    "sandbox",
    "sandbox.db",
    "sandbox.db-wal",
];
/// Entries of a folder that are looked at.
const ENTRIES_MAX: usize = 10_000;

/// From here on this process creates folders with mode 0700 and files with 0600, whoever creates
/// them: SQLite, too.
pub fn create_private() {
    umask(Mode::from_raw_mode(OTHERS));
}

/// Files or folders that other users may read or write.
#[derive(Debug, PartialEq, Eq)]
pub struct Loose {
    /// The first of them, and its mode.
    pub found: String,
    /// The command that ends it.
    pub command: String,
}

impl fmt::Display for Loose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: run {}", self.found, self.command)
    }
}

/// Secrets and records in a folder that others may read or write, if there are any.
pub fn loose(dir: &Path) -> Option<Loose> {
    let here = is_loose(dir) && is_ours(dir);
    let inside: Vec<_> = NAMES
        .iter()
        .map(|name| dir.join(name))
        .filter(|path| is_loose(path) || holds_loose(path))
        .collect();
    let mut commands = Vec::new();
    if here {
        commands.push(format!("chmod go-rwx {}", quoted(dir)));
    }
    if !inside.is_empty() {
        commands.push(format!(
            "chmod -R go-rwx {}",
            inside.iter().map(|path| quoted(path)).collect::<Vec<_>>().join(" ")
        ));
    }
    let first = if here { Some(dir) } else { inside.first().map(PathBuf::as_path) }?;
    let mode = fs::symlink_metadata(first).map_or(0, |found| found.permissions().mode() & 0o777);
    Some(Loose {
        found: format!("other users may read {} (mode {mode:04o})", first.display()),
        command: commands.join(" && "),
    })
}

/// A link is what it leads to, and that may be elsewhere.
fn is_loose(path: &Path) -> bool {
    fs::symlink_metadata(path)
        .is_ok_and(|found| !found.is_symlink() && found.permissions().mode() & OTHERS != 0)
}

/// A volume's root may belong to somebody else, and its mode be theirs to choose.
fn is_ours(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.uid() == rustix::process::geteuid().as_raw())
}

fn holds_loose(dir: &Path) -> bool {
    let entries = if fs::symlink_metadata(dir).is_ok_and(|found| found.is_dir()) {
        fs::read_dir(dir).ok()
    } else {
        None
    };
    entries.into_iter().flatten().flatten().take(ENTRIES_MAX).any(|entry| is_loose(&entry.path()))
}

/// As a shell reads it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_others_may_read_is_named_with_the_command_that_ends_it() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("my data");
        fs::create_dir_all(dir.join("secrets")).unwrap();
        for file in ["core.db", "notes.txt", "secrets/jwt"] {
            fs::write(dir.join(file), "x").unwrap();
            set(&dir.join(file), 0o600);
        }
        set(&dir, 0o700);
        set(&dir.join("secrets"), 0o700);
        assert_eq!(loose(&dir), None);
        set(&dir.join("notes.txt"), 0o644);
        assert_eq!(loose(&dir), None, "not the service's");
        std::os::unix::fs::symlink(dir.join("notes.txt"), dir.join("lock")).unwrap();
        assert_eq!(loose(&dir), None, "a link is no file");
        set(&dir.join("secrets/jwt"), 0o640);
        assert_eq!(
            loose(&dir).unwrap().command,
            format!("chmod -R go-rwx '{}/secrets'", dir.display())
        );
        set(&dir.join("core.db"), 0o644);
        set(&dir, 0o755);
        let told = loose(&dir).unwrap();
        assert!(
            told.to_string().contains("(mode 0755): run chmod go-rwx '")
                && told.command.contains(" && chmod -R go-rwx '"),
            "{told}"
        );
        let command = &told.command;
        assert!(std::process::Command::new("sh").args(["-c", command]).status().unwrap().success());
        assert_eq!(loose(&dir), None, "{command}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_not_loose() {
        assert_eq!(loose(Path::new("/nonexistent/lucid")), None);
        assert_eq!(
            (quoted(Path::new("it's")), quoted(Path::new(""))),
            (r"'it'\''s'".into(), "''".into())
        );
    }
}
