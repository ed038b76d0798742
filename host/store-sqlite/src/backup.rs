//! A copy of a folder's files as they were at one moment, beside a service that goes on.

use std::{
    fs::{self, File},
    io,
    path::Path,
    time::Duration,
};

use lucid_store::{BackedUpFile, BackupProgress, OpenError};
use rusqlite::{Connection, backup::Backup};

use crate::{boot, database::open_of_any_schema, unopened};

/// Pages between two words of how far it is.
const PAGES_A_STEP: std::ffi::c_int = 4_096;

/// Copies both files into a folder that is new or empty. They are of the same moment, but for what
/// is written between the beginnings of two read transactions.
pub(crate) fn back_up(
    dir: &Path,
    to: &Path,
    told: &mut dyn FnMut(BackupProgress),
) -> Result<Vec<BackedUpFile>, OpenError> {
    let unusable = |source| OpenError::Directory { dir: to.to_owned(), source };
    fs::create_dir_all(to).map_err(unusable)?;
    if fs::read_dir(to).map_err(unusable)?.next().is_some() {
        return Err(unusable(io::Error::new(io::ErrorKind::AlreadyExists, "it is not empty")));
    }
    // What is reported belongs to nodes: they are in the second one, whatever is registered in
    // between.
    let mut sources = Vec::new();
    for name in ["telemetry", "core"] {
        let (source, _, file) = open_of_any_schema(dir, name)?;
        let damaged = |source| unopened::of_sqlite(&file, source);
        // From here on this connection sees this moment.
        source.execute_batch("BEGIN").map_err(damaged)?;
        source
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
            .map_err(damaged)?;
        sources.push((name, source));
    }
    let mut files = Vec::new();
    for (name, source) in sources {
        files.push(copied(name, &source, to, told)?);
    }
    File::open(to).and_then(|folder| folder.sync_all()).map_err(unusable)?;
    Ok(files)
}

/// Under another name until it is whole, so that a copy that was stopped is never taken for one.
fn copied(
    name: &'static str,
    source: &Connection,
    to: &Path,
    told: &mut dyn FnMut(BackupProgress),
) -> Result<BackedUpFile, OpenError> {
    let (partial, file) = (to.join(format!("{name}.db.partial")), to.join(format!("{name}.db")));
    let damaged = |source| unopened::of_sqlite(&partial, source);
    let unusable = |source| OpenError::Directory { dir: to.to_owned(), source };
    {
        let mut target = Connection::open(&partial).map_err(damaged)?;
        let backup = Backup::new(source, &mut target).map_err(damaged)?;
        loop {
            let step = backup.step(PAGES_A_STEP).map_err(damaged)?;
            let progress = backup.progress();
            let pages = |pages: std::ffi::c_int| u64::try_from(pages).unwrap_or_default();
            told(BackupProgress {
                file: name,
                pages: pages(progress.pagecount - progress.remaining),
                of: pages(progress.pagecount),
            });
            match step {
                rusqlite::backup::StepResult::Done => break,
                rusqlite::backup::StepResult::More => {}
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
        drop(backup);
        if name == "core" {
            boot::mark_backup(&target).map_err(damaged)?;
        }
        let found: String =
            target.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(damaged)?;
        if found != "ok" {
            return Err(unusable(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{name}.db: {found}"),
            )));
        }
    }
    // Opening it made files of its log; everything is in the one.
    for log in ["-wal", "-shm"] {
        let _ = fs::remove_file(to.join(format!("{name}.db.partial{log}")));
    }
    File::open(&partial).and_then(|copy| copy.sync_all()).map_err(unusable)?;
    fs::rename(&partial, &file).map_err(unusable)?;
    let bytes = fs::metadata(&file).map_err(unusable)?.len();
    Ok(BackedUpFile { file, bytes })
}
