use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use lucid_ports::{AuditLog, Books, Store};

use crate::{BackedUpFile, BackupProgress, OpenError, PartSchema, transfer::Transfer};

/// Memory for pages of what is written in a SQLite store, MiB, where nobody says otherwise: room
/// for the indices of 100,000 nodes, all of which the end of an epoch touches.
pub const CACHE_MIB: u32 = 192;

/// Keeps stores that URLs of its schemes name.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Whether URLs of a scheme are this backend's.
    fn keeps(&self, scheme: &str) -> bool;

    /// Whether [`Backend::open`] could be called with a URL; nothing is opened or called.
    fn check_url(&self, url: &str) -> Result<(), OpenError>;

    /// Opens a store, creating it if it is not there. `cache_mib` is memory for pages of what is
    /// written, where the process itself keeps them.
    async fn open(&self, url: &str, cache_mib: u32) -> Result<Arc<dyn Store>, OpenError>;

    /// Opens the audit log for reading, also while services use it: nothing is written.
    async fn open_audit_log(&self, url: &str) -> Result<Arc<dyn AuditLog>, OpenError>;

    /// Opens the books for reading, also while services use them.
    async fn open_books(&self, url: &str) -> Result<Arc<dyn Books>, OpenError>;

    /// The schemas of a store, also while services use it. What is in memory has none.
    async fn schemas(&self, url: &str) -> Result<Vec<PartSchema>, OpenError>;

    /// Copies the files of a store into a folder, as they were when it began, whole and synced; the
    /// service goes on meanwhile.
    fn back_up(
        &self,
        url: &str,
        to: &Path,
        told: &mut dyn FnMut(BackupProgress),
    ) -> Result<Vec<BackedUpFile>, OpenError>;

    /// Where a store is, without credentials: the same for the same store, however its URL is
    /// spelled; an alias of a server's name is not seen through.
    async fn place_of(&self, url: &str) -> Result<String, OpenError>;

    /// A table or collection with something in it; none: nothing was ever kept there.
    async fn occupied(&self, url: &str) -> Result<Option<String>, OpenError>;

    /// Whether a copy into it was begun and not ended.
    async fn is_marked(&self, url: &str) -> Result<bool, OpenError>;

    /// Opens a store to copy from; none: there is none.
    async fn open_source(&self, url: &str) -> Result<Option<Arc<dyn Transfer>>, OpenError>;

    /// Opens a store that a copy fills, also in the middle of it.
    async fn open_target(&self, url: &str) -> Result<Arc<dyn Transfer>, OpenError>;
}

/// The backends that a program has.
pub struct Stores(&'static [&'static dyn Backend]);

impl Stores {
    pub const fn new(backends: &'static [&'static dyn Backend]) -> Self {
        Self(backends)
    }

    /// The backend of a URL.
    ///
    /// # Errors
    /// [`OpenError`] if it is no URL, or no backend has the scheme.
    pub fn of(&self, url: &str) -> Result<&'static dyn Backend, OpenError> {
        let (scheme, _) = url
            .split_once("://")
            .ok_or_else(|| OpenError::NotAUrl { url: without_password(url) })?;
        self.0
            .iter()
            .find(|backend| backend.keeps(scheme))
            .copied()
            .ok_or_else(|| OpenError::Scheme { scheme: scheme.to_owned() })
    }

    /// Opens the store of a URL, creating it if it is not there; `memory://` is another one each
    /// time, gone with its last handle. With SQLite it blocks: migrations run here.
    ///
    /// # Errors
    /// [`OpenError`] if no backend has the scheme, or the backend cannot use what the URL names.
    pub async fn open(&self, url: &str) -> Result<Arc<dyn Store>, OpenError> {
        self.open_with(url, CACHE_MIB).await
    }

    /// The same with so much memory for pages of what is written, if it is a SQLite store.
    ///
    /// # Errors
    /// As [`Stores::open`].
    pub async fn open_with(&self, url: &str, cache_mib: u32) -> Result<Arc<dyn Store>, OpenError> {
        let backend = self.of(url)?;
        backend.check_url(url)?;
        backend.open(url, cache_mib).await
    }

    /// The books of a store alone, to be read beside a service.
    ///
    /// # Errors
    /// [`OpenError`] if no backend has the scheme, or there is no such store.
    pub async fn open_books(&self, url: &str) -> Result<Arc<dyn Books>, OpenError> {
        self.of(url)?.open_books(url).await
    }

    /// The audit log of a store alone, to be read beside a service.
    ///
    /// # Errors
    /// [`OpenError`] if no backend has the scheme, or there is no such store.
    pub async fn open_audit_log(&self, url: &str) -> Result<Arc<dyn AuditLog>, OpenError> {
        self.of(url)?.open_audit_log(url).await
    }

    /// Whether [`Stores::open`] could be called with a URL; nothing is opened or called.
    ///
    /// # Errors
    /// [`OpenError`] if no backend has the scheme, or the URL names nothing.
    pub fn check_url(&self, url: &str) -> Result<(), OpenError> {
        self.of(url)?.check_url(url)
    }
}

/// What of a URL may be shown.
pub fn without_password(url: &str) -> String {
    match url.split_once('@') {
        Some((_, place)) => format!("…@{place}"),
        None => url.to_owned(),
    }
}
