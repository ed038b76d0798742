//! This machine: files that may be open, room and speed of the disk.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::Finding;
use crate::{
    config::Config,
    open_files,
    private::{self, Loose},
};

/// Free disk below which there is something to do soon.
pub const FREE_BYTES_WARN: u64 = 2 << 30;
/// Free disk below which writes may fail today.
pub const FREE_BYTES_MIN: u64 = 256 << 20;
/// Writes that are timed; the middle one counts.
const SYNCS: usize = 9;
/// What each of them writes.
const SYNC_BYTES: usize = 4_096;
/// Time of a sync from which group commits no longer hide it.
const SYNC_WARN: Duration = Duration::from_millis(50);
/// Time of a sync with which the service cannot be used.
const SYNC_MAX: Duration = Duration::from_secs(1);

pub fn open_files(config: &Config) -> Finding {
    let wished = config.server.connections_max;
    match rlimit::getrlimit(rlimit::Resource::NOFILE) {
        Ok((_, hard)) if open_files::fitting(wished, hard) < wished => {
            let found = format!(
                "at most {hard} may be open, too few for {wished} connections (server.connections_max)"
            );
            Finding::warn(
                "open files",
                found,
                "raise the hard limit (ulimit -Hn, LimitNOFILE= in the unit), or lower server.connections_max",
            )
        }
        Ok((_, hard)) => Finding::ok(
            "open files",
            format!("{hard} may be open, enough for {wished} connections"),
        ),
        Err(error) => Finding::warn(
            "open files",
            format!("the limit cannot be read: {error}"),
            "see that the process may call getrlimit",
        ),
    }
}

/// Room and speed of the disk that holds a directory, which may not be there yet.
pub fn disk(dir: &Path) -> Vec<Finding> {
    let place = existing(dir);
    let writable = match timed_syncs(&place) {
        Ok(median) => sync_finding(median),
        Err(error) => {
            let todo = format!(
                "let the service's user write to {}, or name another place with --data",
                dir.display()
            );
            return vec![Finding::fail(
                "disk",
                format!("{} cannot be written to: {error}", place.display()),
                todo,
            )];
        }
    };
    vec![room(&place), writable]
}

/// The directory, or the nearest one above it that is there; a file in the way is what is there.
fn existing(dir: &Path) -> PathBuf {
    let mut place = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    while !place.exists() {
        // A file in the place of a directory above makes what is below it look as if it were not
        // there.
        let Some(above) = place.parent() else { break };
        place = above.to_owned();
    }
    place
}

/// Files that other users may read.
pub fn loose_files(dir: &Path) -> Option<Finding> {
    private::loose(dir)
        .map(|Loose { found, command }| Finding::warn("files", found, format!("run {command}")))
}

fn room(place: &Path) -> Finding {
    let todo = "make room, or move the store to a larger disk";
    match rustix::fs::statvfs(place) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let found = format!("{} MiB are free at {}", free >> 20, place.display());
            match free {
                free if free < FREE_BYTES_MIN => Finding::fail("disk space", found, todo),
                free if free < FREE_BYTES_WARN => Finding::warn("disk space", found, todo),
                _ => Finding::ok("disk space", found),
            }
        }
        Err(error) => Finding::warn(
            "disk space",
            format!("{}: {error}", place.display()),
            "see that the place can be looked at",
        ),
    }
}

fn sync_finding(median: Duration) -> Finding {
    let found = format!("a write is durable after {:.1} ms", median.as_secs_f64() * 1_000.0);
    let todo = "use a local disk with a write cache that survives power loss; every answer of the service waits for it";
    match median {
        median if median > SYNC_MAX => Finding::fail("disk sync", found, todo),
        median if median > SYNC_WARN => Finding::warn("disk sync", found, todo),
        _ => Finding::ok("disk sync", found),
    }
}

/// The middle one of some small durable writes to a file of our own, which is removed again.
fn timed_syncs(dir: &Path) -> io::Result<Duration> {
    let path = dir.join(format!(".doctor-{}", std::process::id()));
    let file = File::options().write(true).create_new(true).open(&path)?;
    let times = syncs(file);
    fs::remove_file(&path)?;
    let mut times = times?;
    times.sort_unstable();
    Ok(times.get(SYNCS / 2).copied().unwrap_or_default())
}

fn syncs(mut file: File) -> io::Result<Vec<Duration>> {
    let bytes = [0x5a; SYNC_BYTES];
    (0..SYNCS)
        .map(|_| {
            let began = Instant::now();
            file.write_all(&bytes)?;
            file.sync_data()?;
            Ok(began.elapsed())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn a_directory_that_is_not_there_yet_is_judged_by_the_one_above_and_nothing_is_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let findings = disk(&dir.path().join("a/b"));
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        fs::write(dir.path().join("file"), "").unwrap();
        assert_eq!(disk(&dir.path().join("file"))[0].level, Level::Fail);
        assert_eq!(disk(&dir.path().join("file/below"))[0].level, Level::Fail);
    }

    #[test]
    fn a_slow_disk_is_a_warning_and_a_hopeless_one_a_failure() {
        assert_eq!(sync_finding(Duration::from_millis(4)).level, Level::Ok);
        assert_eq!(sync_finding(Duration::from_millis(51)).level, Level::Warn);
        assert_eq!(sync_finding(Duration::from_millis(1_001)).level, Level::Fail);
    }
}
