//! Whether a directory's file is the one that was written there last. Each start has an id, which
//! is in the file and beside it: a backup that was put back has an older one, a copy of the file
//! alone has none beside it, and a copy of the whole directory is another file. A backup made since
//! the last start would have its id, and may be written over the very file: it says itself that it
//! is one.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::UNIX_EPOCH,
};

use lucid_model::id::Digest;
use lucid_ports::Origin;
use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::{
    fault::Fault,
    query::{execute, first},
};

/// Beside the file: the id of the last start, and that of the one before while one is being begun.
const BESIDE: &str = "boot";

struct Boot {
    id: String,
    file: i64,
}

fn known(connection: &Connection) -> Result<Option<Boot>, Fault> {
    first(connection, "SELECT id, file FROM boot", [], |columns| {
        Ok(Boot { id: columns.take()?, file: columns.take()? })
    })
}

/// Of the file beside the store.
fn unusable(dir: &Path) -> impl Fn(io::Error) -> Fault {
    let path = dir.join(BESIDE);
    move |error| Fault::Io(path.clone(), error)
}

/// What a file is in its file system.
struct Identity {
    /// Free for another file as soon as this one is removed; what earlier versions told a file by.
    inode: i64,
    /// Of the inode and of when the file was made, where the file system knows that: no copy has
    /// it.
    number: i64,
}

fn identity(dir: &Path) -> Result<Identity, Fault> {
    let file = fs::metadata(dir.join("core.db")).map_err(unusable(dir))?;
    let born_ns = file
        .created()
        .ok()
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_nanos());
    let Digest(digest) = Digest::of(format!("{} {born_ns}", file.ino()).as_bytes());
    let number = digest.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes));
    Ok(Identity { inode: file.ino().cast_signed(), number })
}

fn write_beside(dir: &Path, ids: &[&str]) -> io::Result<()> {
    let new = dir.join("boot.new");
    let mut file = File::create(&new)?;
    file.write_all(ids.join("\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, dir.join(BESIDE))?;
    File::open(dir)?.sync_all()
}

/// A file that no service of this version was started on yet is taken for one that belongs here.
pub(super) fn origin(connection: &Connection, dir: &Path) -> Result<Origin, Fault> {
    let Some(boot) = known(connection)? else { return Ok(Origin::Here) };
    let beside = match fs::read_to_string(dir.join(BESIDE)) {
        Ok(beside) => beside,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(unusable(dir)(error)),
    };
    let file = identity(dir)?;
    let here =
        beside.lines().any(|id| id == boot.id) && [file.number, file.inode].contains(&boot.file);
    Ok(if here { Origin::Here } else { Origin::Elsewhere })
}

/// Nothing is beside a store that was copied into: whoever starts on it is told that it comes from
/// elsewhere.
pub(super) fn mark_copied(connection: &Connection) -> Result<(), Fault> {
    execute(
        connection,
        "INSERT INTO boot (one, id, file) VALUES (1, 'copied', 0) ON CONFLICT DO NOTHING",
        [],
    )?;
    Ok(())
}

/// The same of a backup, whatever the file it was made of says of itself. One of an older schema
/// has no place for it.
pub(super) fn mark_backup(connection: &Connection) -> rusqlite::Result<()> {
    if connection.table_exists(None, "boot")? {
        let sql = "INSERT INTO boot (one, id, file) VALUES (1, 'backup', 0) ON CONFLICT (one) DO UPDATE SET id = excluded.id, file = excluded.file";
        connection.execute(sql, [])?;
        // All of it is in the one file, which is what is kept.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    }
    Ok(())
}

/// First beside the file, then in it, then only the new one beside it: whoever is stopped in
/// between is still taken for the same.
pub(super) fn take_possession(connection: &Connection, dir: &Path) -> Result<(), Fault> {
    let (id, before) = (Uuid::now_v7().to_string(), known(connection)?.map(|boot| boot.id));
    let both: Vec<&str> = [id.as_str()].into_iter().chain(before.as_deref()).collect();
    write_beside(dir, &both).map_err(unusable(dir))?;
    let sql = "INSERT INTO boot (one, id, file) VALUES (1, ?, ?) ON CONFLICT (one) DO UPDATE SET id = excluded.id, file = excluded.file";
    execute(connection, sql, params![id, identity(dir)?.number])?;
    Ok(())
}
