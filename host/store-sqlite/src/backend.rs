use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use lucid_ports::{AuditLog, Books, Store};
use lucid_store::{
    BackedUpFile, Backend, BackupProgress, CACHE_MIB, OpenError, PartSchema, transfer::Transfer,
    without_password,
};

use crate::{
    CORE, Memory, SqliteStore, TELEMETRY, audit, backup, database::schema_found, money::books,
    transfer,
};

/// Stores under `sqlite://DIR/` and `memory://`.
pub struct Sqlite;

/// The folder of a URL.
pub(crate) fn dir_of(url: &str) -> Result<&Path, OpenError> {
    match url.split_once("://") {
        Some(("sqlite", dir)) if !dir.is_empty() => Ok(Path::new(dir)),
        Some((scheme, _)) if scheme != "sqlite" => {
            Err(OpenError::Scheme { scheme: scheme.to_owned() })
        }
        _ => Err(OpenError::NotAUrl { url: without_password(url) }),
    }
}

fn absolute(dir: &Path) -> Result<PathBuf, OpenError> {
    let unusable = |source| OpenError::Directory { dir: dir.to_owned(), source };
    if dir.exists() {
        dir.canonicalize().map_err(unusable)
    } else {
        std::path::absolute(dir).map_err(unusable)
    }
}

#[async_trait]
impl Backend for Sqlite {
    fn keeps(&self, scheme: &str) -> bool {
        matches!(scheme, "sqlite" | "memory")
    }

    fn check_url(&self, url: &str) -> Result<(), OpenError> {
        if url == "memory://" {
            return Ok(());
        }
        match dir_of(url) {
            // In memory it has no name.
            Err(OpenError::Scheme { .. }) => Err(OpenError::NotAUrl { url: without_password(url) }),
            checked => checked.map(drop),
        }
    }

    async fn open(&self, url: &str, cache_mib: u32) -> Result<Arc<dyn Store>, OpenError> {
        if url == "memory://" {
            return Ok(Arc::new(Memory::new()?.open()?));
        }
        Ok(Arc::new(SqliteStore::open_with(dir_of(url)?, cache_mib)?))
    }

    async fn open_audit_log(&self, url: &str) -> Result<Arc<dyn AuditLog>, OpenError> {
        audit::open_audit_log(dir_of(url)?)
    }

    async fn open_books(&self, url: &str) -> Result<Arc<dyn Books>, OpenError> {
        books::open_books(dir_of(url)?)
    }

    async fn schemas(&self, url: &str) -> Result<Vec<PartSchema>, OpenError> {
        if url == "memory://" {
            return Ok(Vec::new());
        }
        let dir = dir_of(url)?;
        [("core", CORE), ("telemetry", TELEMETRY)]
            .into_iter()
            .map(|(name, steps)| schema_found(dir, name, steps))
            .collect()
    }

    fn back_up(
        &self,
        url: &str,
        to: &Path,
        told: &mut dyn FnMut(BackupProgress),
    ) -> Result<Vec<BackedUpFile>, OpenError> {
        match dir_of(url) {
            Err(OpenError::Scheme { scheme }) => Err(OpenError::NoBackup { scheme }),
            dir => backup::back_up(dir?, to, told),
        }
    }

    async fn place_of(&self, url: &str) -> Result<String, OpenError> {
        Ok(format!("sqlite://{}", absolute(dir_of(url)?)?.display()))
    }

    async fn occupied(&self, url: &str) -> Result<Option<String>, OpenError> {
        transfer::occupied(dir_of(url)?)
    }

    async fn is_marked(&self, url: &str) -> Result<bool, OpenError> {
        transfer::is_marked(dir_of(url)?)
    }

    async fn open_source(&self, url: &str) -> Result<Option<Arc<dyn Transfer>>, OpenError> {
        let dir = dir_of(url)?;
        if !dir.join("core.db").is_file() {
            return Ok(None);
        }
        Ok(Some(Arc::new(SqliteStore::open(dir)?)))
    }

    async fn open_target(&self, url: &str) -> Result<Arc<dyn Transfer>, OpenError> {
        Ok(Arc::new(SqliteStore::open_marked(dir_of(url)?, CACHE_MIB)?))
    }
}
