use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode};

use crate::{
    CORE, TELEMETRY, backend::dir_of, database::open_for_reading, migrate::migrate, policies,
    stamp, unopened,
};
use lucid_ports::Stamp;
use lucid_store::{ActiveBundle, OpenError, UnfinishedCopy, transfer::source_of_copy};

/// What was found in a store that was only looked at.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// What it was made for; none if no service ever ran on it.
    pub stamp: Option<Stamp>,
    /// The copy into it that was not finished.
    pub copying: Option<UnfinishedCopy>,
    /// Every policy that is active.
    pub active: Vec<ActiveBundle>,
    /// Its files.
    pub files: Vec<StoreFile>,
}

/// One file of a store.
#[derive(Debug, Clone)]
pub struct StoreFile {
    pub path: PathBuf,
    /// Number of its schema: this binary's.
    pub schema: usize,
    /// Tables, indices and triggers that should be there and are not.
    pub missing: Vec<String>,
    /// Its length with its log.
    pub bytes: u64,
    /// Whether its pages are sound.
    pub integrity: Integrity,
}

/// Whether a file's pages are sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Integrity {
    /// They are.
    Intact,
    /// The time was over before all were seen; those that were are.
    NotFinished,
    /// They are not: the first that is wrong.
    Damaged(String),
}

/// Looks at the store of a URL, also while a service has it open: neither the directory's
/// lock is taken nor anything written. The check of each file's pages ends after `check_time_max`,
/// finished or not.
///
/// # Errors
/// [`OpenError`] if the URL is none of a folder, there is no store, or it is of another schema than
/// this binary's.
pub fn inspect(url: &str, check_time_max: Duration) -> Result<Inspection, OpenError> {
    let dir = dir_of(url)?;
    let core = open_for_reading(dir, "core", CORE.len())?;
    let telemetry = open_for_reading(dir, "telemetry", TELEMETRY.len())?;
    let unreadable = |source| unopened::of_sqlite(&dir.join("core.db"), source);
    let damaged = |fault| unopened::of_fault(&dir.join("core.db"), fault);
    let stamp = stamp::find(&core).map_err(damaged)?;
    let mark = words(&core, "SELECT doc FROM copying").map_err(unreadable)?.pop();
    let copying = mark.map(|mark| UnfinishedCopy {
        from: source_of_copy(&mark),
        to: format!("sqlite://{}", dir.display()),
    });
    let mut active = Vec::new();
    for activation in policies::in_force(&core).map_err(damaged)? {
        let kept = policies::kept_bundle(&core, activation.policy.digest)
            .map_err(|fault| fault.to_string());
        active.push(ActiveBundle::new(activation, kept));
    }
    let files = vec![
        look(dir, "core", CORE, core, check_time_max)?,
        look(dir, "telemetry", TELEMETRY, telemetry, check_time_max)?,
    ];
    Ok(Inspection { stamp, copying, active, files })
}

fn look(
    dir: &Path,
    name: &str,
    steps: &[&str],
    connection: Connection,
    check_time_max: Duration,
) -> Result<StoreFile, OpenError> {
    let path = dir.join(format!("{name}.db"));
    let unreadable = |source| unopened::of_sqlite(&path, source);
    let reference = Connection::open_in_memory().map_err(unreadable)?;
    migrate(&reference, &path, steps)?;
    let (wanted, found) =
        (made(&reference).map_err(unreadable)?, made(&connection).map_err(unreadable)?);
    Ok(StoreFile {
        schema: steps.len(),
        missing: wanted.difference(&found).cloned().collect(),
        bytes: size(&path) + size(&PathBuf::from(format!("{}-wal", path.display()))),
        integrity: check(connection, check_time_max),
        path,
    })
}

/// Tables, indices and triggers by name.
fn made(connection: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    words(
        connection,
        "SELECT type || ' ' || name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'",
    )
    .map(BTreeSet::from_iter)
}

fn words(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

fn check(connection: Connection, time_max: Duration) -> Integrity {
    let interrupt = connection.get_interrupt_handle();
    let (done, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            if ended.recv_timeout(time_max) == Err(mpsc::RecvTimeoutError::Timeout) {
                interrupt.interrupt();
            }
        });
        let said: rusqlite::Result<String> =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
        drop(done);
        match said {
            Ok(said) if said == "ok" => Integrity::Intact,
            Ok(said) => Integrity::Damaged(said),
            Err(rusqlite::Error::SqliteFailure(error, _))
                if error.code == ErrorCode::OperationInterrupted =>
            {
                Integrity::NotFinished
            }
            Err(error) => Integrity::Damaged(error.to_string()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SqliteStore;

    fn url(dir: &tempfile::TempDir) -> String {
        format!("sqlite://{}", dir.path().display())
    }

    #[test]
    fn a_store_in_use_is_inspected_and_a_missing_index_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path()).unwrap();
        let found = inspect(&url(&dir), Duration::from_secs(60)).unwrap();
        assert_eq!((found.stamp, found.active.len(), found.files.len()), (None, 0, 2));
        assert!(found.files.iter().all(|file| file.missing.is_empty()
            && file.integrity == Integrity::Intact
            && file.bytes > 0));
        drop(store);
        let file = Connection::open(dir.path().join("core.db")).unwrap();
        let index: String = file
            .query_row(
                "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL LIMIT 1",
                [],
                |row| row.get(0),
            )
            .unwrap();
        file.execute_batch(&format!("DROP INDEX {index}")).unwrap();
        let found = inspect(&url(&dir), Duration::from_secs(60)).unwrap();
        assert_eq!(found.files[0].missing, vec![format!("index {index}")]);
    }

    #[test]
    fn a_damaged_file_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        drop(SqliteStore::open(dir.path()).unwrap());
        let path = dir.path().join("telemetry.db");
        let mut bytes = fs::read(&path).unwrap();
        // All pages but the first, which says what the file is.
        bytes[4_096..].fill(0x5a);
        fs::write(&path, bytes).unwrap();
        let found = inspect(&url(&dir), Duration::from_secs(60)).unwrap();
        assert_eq!(found.files[0].integrity, Integrity::Intact);
        assert!(
            matches!(found.files[1].integrity, Integrity::Damaged(_)),
            "{:?}",
            found.files[1].integrity
        );
    }
}
