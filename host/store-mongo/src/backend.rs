use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use lucid_ports::{AuditLog, Books, Store};
use lucid_store::{
    BackedUpFile, Backend, BackupProgress, OpenError, PartSchema, transfer::Transfer,
    without_password,
};
use mongodb::options::ConnectionString;

use crate::{MongoStore, open_audit_log, open_books, place_of, schema_of, transfer};

/// Stores under `mongodb://HOST/DATABASE`.
pub struct Mongo;

#[async_trait]
impl Backend for Mongo {
    fn keeps(&self, scheme: &str) -> bool {
        matches!(scheme, "mongodb" | "mongodb+srv")
    }

    fn check_url(&self, url: &str) -> Result<(), OpenError> {
        if url.ends_with("://") {
            return Err(OpenError::NotAUrl { url: without_password(url) });
        }
        ConnectionString::parse(url)
            .map(drop)
            .map_err(|source| OpenError::MongoUrl { source: source.into() })
    }

    async fn open(&self, url: &str, _cache_mib: u32) -> Result<Arc<dyn Store>, OpenError> {
        Ok(Arc::new(MongoStore::open(url).await?))
    }

    async fn open_audit_log(&self, url: &str) -> Result<Arc<dyn AuditLog>, OpenError> {
        open_audit_log(url).await
    }

    async fn open_books(&self, url: &str) -> Result<Arc<dyn Books>, OpenError> {
        open_books(url).await
    }

    async fn schemas(&self, url: &str) -> Result<Vec<PartSchema>, OpenError> {
        Ok(vec![schema_of(url).await?])
    }

    fn back_up(
        &self,
        _url: &str,
        _to: &Path,
        _told: &mut dyn FnMut(BackupProgress),
    ) -> Result<Vec<BackedUpFile>, OpenError> {
        Err(OpenError::NoBackup { scheme: "mongodb".to_owned() })
    }

    async fn place_of(&self, url: &str) -> Result<String, OpenError> {
        self.check_url(url)?;
        place_of(url).await
    }

    async fn occupied(&self, url: &str) -> Result<Option<String>, OpenError> {
        transfer::occupied(url).await
    }

    async fn is_marked(&self, url: &str) -> Result<bool, OpenError> {
        transfer::is_marked(url).await
    }

    async fn open_source(&self, url: &str) -> Result<Option<Arc<dyn Transfer>>, OpenError> {
        if transfer::occupied(url).await?.is_none() {
            return Ok(None);
        }
        Ok(Some(Arc::new(MongoStore::open(url).await?)))
    }

    async fn open_target(&self, url: &str) -> Result<Arc<dyn Transfer>, OpenError> {
        Ok(Arc::new(MongoStore::open_marked(url).await?))
    }
}
