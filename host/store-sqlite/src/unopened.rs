//! Why files cannot be opened, in words of every backend: space, permission and damage are three
//! different ones.

use std::{io, path::Path};

use lucid_store::OpenError;

use crate::fault::{Fault, Kind, kind_of, kind_of_io};

/// By what SQLite says.
pub(crate) fn of_sqlite(file: &Path, source: rusqlite::Error) -> OpenError {
    let file = file.to_owned();
    match kind_of(&source) {
        Kind::Damage => OpenError::Damaged { file, detail: source.to_string() },
        Kind::Space => OpenError::NoSpace { path: file, source: source.into() },
        Kind::Permission => OpenError::NotPermitted { path: file, source: source.into() },
        Kind::Passing | Kind::Ours => OpenError::Database { file, source: source.into() },
    }
}

/// By what the operating system says of a file or folder.
pub(crate) fn of_io(path: &Path, source: io::Error) -> OpenError {
    let path = path.to_owned();
    match kind_of_io(&source) {
        Kind::Space => OpenError::NoSpace { path, source: source.into() },
        Kind::Permission => OpenError::NotPermitted { path, source: source.into() },
        _ => OpenError::Directory { dir: path, source },
    }
}

pub(crate) fn of_fault(file: &Path, fault: Fault) -> OpenError {
    match fault {
        Fault::Sql(source) => of_sqlite(file, source),
        Fault::Io(path, source) => of_io(&path, source),
        Fault::Bad(detail) => OpenError::Damaged { file: file.to_owned(), detail },
        moved @ Fault::Moved(_) => OpenError::Directory {
            dir: file.to_owned(),
            source: io::Error::other(moved.to_string()),
        },
    }
}
