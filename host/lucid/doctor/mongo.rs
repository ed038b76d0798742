//! The store, if it is a MongoDB database.

use std::time::Duration;

use lucid_store::OpenError;
use lucid_store_mongo::{DiskUse, MongoInspection, inspect};

use super::{
    Finding,
    machine::{FREE_BYTES_MIN, FREE_BYTES_WARN},
    neighbours::Clocks,
    policies,
    store::{chain, half_copied, stamp},
};
use crate::config::Config;

/// Time of a durable write from which every answer is slow; a majority has to be asked for it.
const WRITE_WARN: Duration = Duration::from_millis(100);
/// Time of a durable write with which the service cannot be used.
const WRITE_MAX: Duration = Duration::from_secs(2);
/// Indices that are named in one line.
const NAMED_MAX: usize = 5;

pub async fn examine(config: &Config, clocks: &mut Clocks) -> Vec<Finding> {
    match inspect(&config.store.url).await {
        Ok(found) => {
            if let Some(ahead_ms) = found.ahead_ms {
                clocks.add("MongoDB's clock", ahead_ms);
            }
            judged(config, &found)
        }
        Err(error @ OpenError::MongoNewerSchema { .. }) => {
            vec![Finding::fail("store", chain(&error), "use the newer binary that has written it")]
        }
        Err(error) => {
            vec![Finding::fail(
                "store",
                chain(&error),
                "see that MONGODB_URI is right and the server's replica set has a primary",
            )]
        }
    }
}

fn judged(config: &Config, found: &MongoInspection) -> Vec<Finding> {
    let mut findings = vec![server(found), durable(&found.durable_write)];
    findings.extend(found.room.as_ref().map(room));
    if !found.used {
        let todo = "nothing, if the service never ran on it; else name its database in MONGODB_URI";
        findings.push(Finding::warn(
            "indices",
            "no service ever used this database; the first start makes them",
            todo,
        ));
        return findings;
    }
    findings.push(indices(found));
    if let Some(copying) = &found.copying {
        findings.push(half_copied(copying));
        return findings;
    }
    findings.push(stamp(config, found.stamp.as_ref()));
    findings.extend(policies::examine(config, &found.active));
    findings
}

fn server(found: &MongoInspection) -> Finding {
    let told = format!(
        "MongoDB {} answers; database {}, schema {}",
        found.version, found.database, found.schema
    );
    if found.replicated {
        return Finding::ok("store", told);
    }
    let todo = "use a replica set of three where money is kept: without one, the loss of that machine's disk is the loss of the store";
    Finding::warn("store", format!("{told}; it is no replica set"), todo)
}

fn durable(write: &Result<Duration, String>) -> Finding {
    let todo = "see that a majority of the replica set is up, that its disks survive power loss, and that the network to it is short";
    match write {
        Err(error) => {
            let todo = "let the service's user read and write the database, and see that a majority of the replica set is up with journals";
            Finding::fail(
                "durable writes",
                format!("w majority, j true is not to be had: {error}"),
                todo,
            )
        }
        Ok(time) => {
            let told = format!(
                "a write is in a majority's journals after {:.1} ms",
                time.as_secs_f64() * 1_000.0
            );
            match *time {
                time if time > WRITE_MAX => Finding::fail("durable writes", told, todo),
                time if time > WRITE_WARN => Finding::warn("durable writes", told, todo),
                _ => Finding::ok("durable writes", told),
            }
        }
    }
}

fn room(room: &DiskUse) -> Finding {
    let told = format!("the database takes {} MiB on disk", room.stored_bytes >> 20);
    let todo = "make room on the server's disk: writes fail when it is full";
    match room.free_bytes {
        None => Finding::ok(
            "database space",
            format!("{told}; what is left there the server does not tell"),
        ),
        Some(free) => {
            let told = format!("{told}; {} MiB are left there", free >> 20);
            match free {
                free if free < FREE_BYTES_MIN => Finding::fail("database space", told, todo),
                free if free < FREE_BYTES_WARN => Finding::warn("database space", told, todo),
                _ => Finding::ok("database space", told),
            }
        }
    }
}

fn indices(found: &MongoInspection) -> Finding {
    if found.wrong_indices.is_empty() {
        return Finding::ok(
            "indices",
            format!("all {} are there as they have to be", found.indices),
        );
    }
    let named: Vec<_> = found.wrong_indices.iter().take(NAMED_MAX).map(String::as_str).collect();
    let more = found.wrong_indices.len().saturating_sub(NAMED_MAX);
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    let todo = "start the service again, which makes what is missing; drop one that is otherwise first. If it then does not start, records \
                that must be unique are there twice: restore the last backup";
    Finding::fail("indices", format!("{}{more}", named.join("; ")), todo)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn a_write_that_is_slow_is_a_warning_and_one_that_is_refused_a_failure() {
        assert_eq!(durable(&Ok(Duration::from_millis(4))).level, Level::Ok);
        assert_eq!(durable(&Ok(Duration::from_millis(101))).level, Level::Warn);
        assert_eq!(durable(&Ok(Duration::from_millis(2_001))).level, Level::Fail);
        assert_eq!(durable(&Err("not authorized".into())).level, Level::Fail);
    }

    #[test]
    fn room_is_judged_only_where_it_is_told() {
        let level = |free_bytes| room(&DiskUse { stored_bytes: 1 << 30, free_bytes }).level;
        assert_eq!(level(None), Level::Ok);
        assert_eq!(level(Some(FREE_BYTES_WARN)), Level::Ok);
        assert_eq!(level(Some(FREE_BYTES_WARN - 1)), Level::Warn);
        assert_eq!(level(Some(FREE_BYTES_MIN - 1)), Level::Fail);
    }
}
