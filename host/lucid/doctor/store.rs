//! The store, if it is a folder: as it lies there.

use std::{path::Path, time::Duration};

use lucid_ports::Stamp;
use lucid_store::{OpenError, UnfinishedCopy};
use lucid_store_sqlite::{Inspection, Integrity, StoreFile, inspect};

use super::{Finding, policies};
use crate::{
    config::{Config, ConfigError},
    family,
    stamp::{configured, misfit},
};

/// Longest time for the check of one file's pages.
const CHECK_TIME_MAX: Duration = Duration::from_secs(10);

/// A folder, or nothing but memory.
pub fn examine(config: &Config) -> Vec<Finding> {
    if config.is_in_memory() {
        return vec![Finding::warn(
            "store",
            "nothing is kept: store.url is memory://",
            "name a folder with --data, or MONGODB_URI, to keep anything",
        )];
    }
    let dir = config.data_dir();
    if !dir.join("core.db").is_file() {
        let todo = "nothing, if the service never ran here; else name its folder with --data";
        return vec![Finding::warn(
            "store",
            format!("{} holds no store yet; the first start makes one", dir.display()),
            todo,
        )];
    }
    match inspect(&config.store.url, CHECK_TIME_MAX) {
        Ok(found) => {
            let mut findings = vec![store(dir, &found)];
            findings.extend(found.files.iter().map(integrity));
            if let Some(copying) = &found.copying {
                findings.push(half_copied(copying));
                return findings;
            }
            findings.push(stamp(config, found.stamp.as_ref()));
            findings.extend(policies::examine(config, &found.active));
            findings
        }
        Err(error) => vec![Finding::fail("store", chain(&error), unreadable(&error))],
    }
}

pub fn chain(error: &OpenError) -> String {
    let cause =
        std::error::Error::source(error).map_or_else(String::new, |cause| format!(": {cause}"));
    format!("{error}{cause}")
}

fn unreadable(error: &OpenError) -> &'static str {
    match error {
        OpenError::NewerSchema { .. } => "use the newer binary that has written it",
        OpenError::NotPermitted { .. } => {
            "run it as the service's user, and see that it may read and write the folder and its files"
        }
        OpenError::NoSpace { .. } => "make room on the disk",
        OpenError::Damaged { .. } => {
            "stop the service, keep the folder, and restore the last backup"
        }
        OpenError::OlderSchema { .. } => {
            "back the folder up and start this binary's service once: it migrates"
        }
        _ => "see that the folder is the right one and readable; else restore the last backup",
    }
}

fn store(dir: &Path, found: &Inspection) -> Finding {
    let missing: Vec<_> =
        found.files.iter().flat_map(|file| &file.missing).map(String::as_str).collect();
    if !missing.is_empty() {
        return Finding::fail(
            "store",
            format!("missing: {}", missing.join(", ")),
            "somebody changed the schema by hand: restore the last backup",
        );
    }
    let schemas: Vec<_> =
        found.files.iter().map(|file| format!("{} schema {}", name(file), file.schema)).collect();
    Finding::ok(
        "store",
        format!("{}: {}; every table and index is there", dir.display(), schemas.join(", ")),
    )
}

/// A store that no service starts on; what is missing there says nothing.
pub fn half_copied(copy: &UnfinishedCopy) -> Finding {
    let UnfinishedCopy { from, to } = copy;
    let todo = format!(
        "run `lucid store copy {from} {to}` again (with credentials, where there are some): it goes on; no service starts before it has ended"
    );
    Finding::fail("copy", format!("the copy of {from} into {to} is not finished"), todo)
}

fn name(file: &StoreFile) -> String {
    file.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn integrity(file: &StoreFile) -> Finding {
    let mib = file.bytes >> 20;
    match &file.integrity {
        Integrity::Intact => Finding::ok("integrity", format!("{}, {mib} MiB: sound", name(file))),
        Integrity::NotFinished => {
            let found = format!(
                "{}, {mib} MiB: sound as far as it was read in {} s",
                name(file),
                CHECK_TIME_MAX.as_secs()
            );
            Finding::warn(
                "integrity",
                found,
                "let `sqlite3 FILE 'PRAGMA integrity_check'` run on a copy",
            )
        }
        Integrity::Damaged(what) => Finding::fail(
            "integrity",
            format!("{}: {what}", name(file)),
            "stop the service, keep the folder, and restore the last backup",
        ),
    }
}

pub fn stamp(config: &Config, stamp: Option<&Stamp>) -> Finding {
    let (environment, rail) = configured(config);
    let belongs = family::pinned(config)
        .and_then(|pinned| family::check(config, pinned.as_ref(), stamp.map(|stamp| stamp.family)));
    if let Err(ConfigError(problem)) = belongs {
        return Finding::fail("stamp", problem, "no service starts on it until that is done");
    }
    match stamp {
        None => Finding::warn(
            "stamp",
            "no service ever ran on it",
            "nothing: the first start writes it",
        ),
        Some(stamp) => match misfit(stamp, environment, rail) {
            Some(misfit) => Finding::fail(
                "stamp",
                misfit,
                "name the other store (--data, MONGODB_URI), or mend RAIL: the two never meet",
            ),
            None => {
                let Stamp { environment, network, rail, family } = stamp;
                Finding::ok(
                    "stamp",
                    format!(
                        "{} ({network}), rail {rail}, family {}",
                        environment.name(),
                        family.0.simple()
                    ),
                )
            }
        },
    }
}
