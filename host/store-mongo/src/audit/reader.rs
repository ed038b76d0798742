//! Reads the log without writing anything, also beside services that add to it. Entries that a link
//! has and the list has not yet are read from the link; those that no link has are not in the log
//! yet.
//!
//! An entry goes from its link to the list before the link lets go of it. So links are read first,
//! always: what moves meanwhile is seen twice, and counted once.

use std::collections::BTreeMap;

use async_trait::async_trait;
use lucid_model::{
    audit::{
        chain::{ChainHead, ChainedEntry, Link},
        seal::Seal,
    },
    id::AuditWriterId,
};
use lucid_ports::{AuditFilter, AuditLog, Page, PageRequest, StoreError};
use mongodb::{
    Database,
    bson::{Bson, doc},
};

use super::{ENTRIES, LINKS, SEALS, chain, log};
use crate::{durable, fault::Fault, fields};

/// The audit log of a database.
pub(crate) struct AuditReader {
    database: Database,
}

impl AuditReader {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    async fn waiting(&self) -> Result<Vec<ChainedEntry>, Fault> {
        let links = chain::waiting(&durable(&self.database, LINKS)).await?;
        Ok(links.iter().flat_map(|(link, entries)| chain::placed(link, entries)).collect())
    }

    async fn entries(
        &self,
        writer: AuditWriterId,
        after_place: u64,
        limit: u32,
    ) -> Result<Vec<ChainedEntry>, Fault> {
        let waiting = self
            .waiting()
            .await?
            .into_iter()
            .filter(|entry| entry.writer == writer && entry.place > after_place);
        let mut all: BTreeMap<u64, ChainedEntry> =
            waiting.map(|entry| (entry.place, entry)).collect();
        let listed =
            log::entries_after(&durable(&self.database, ENTRIES), writer, after_place, limit)
                .await?;
        all.extend(listed.into_iter().map(|entry| (entry.place, entry)));
        Ok(all.into_values().take(usize::try_from(limit).unwrap_or(usize::MAX)).collect())
    }

    /// A page of the list; the total has what waits in links as well, unless the list is filtered.
    async fn page(
        &self,
        filter: &AuditFilter,
        request: &PageRequest<()>,
    ) -> Result<Page<ChainedEntry>, Fault> {
        let waiting: Vec<Bson> =
            self.waiting().await?.iter().map(|waiting| fields::id(waiting.entry.id.0)).collect();
        let entries = durable(&self.database, ENTRIES);
        let mut page = log::listed(&entries, filter, request).await?;
        if *filter == AuditFilter::default() && !waiting.is_empty() {
            let others = entries.count_documents(doc! { "_id": { "$nin": &waiting } }).await?;
            page.total = others.saturating_add(waiting.len() as u64);
        }
        Ok(page)
    }
}

#[async_trait]
impl AuditLog for AuditReader {
    async fn audit(
        &self,
        filter: &AuditFilter,
        request: PageRequest<()>,
    ) -> Result<Page<ChainedEntry>, StoreError> {
        Ok(self.page(filter, &request).await?)
    }
    async fn audit_heads(&self) -> Result<Vec<ChainHead>, StoreError> {
        Ok(log::heads(&durable(&self.database, LINKS)).await?)
    }
    async fn audit_links(
        &self,
        writer: AuditWriterId,
        after_seq: u64,
        limit: u32,
    ) -> Result<Vec<Link>, StoreError> {
        Ok(log::links_after(&durable(&self.database, LINKS), writer, after_seq, limit).await?)
    }
    async fn audit_entries(
        &self,
        writer: AuditWriterId,
        after_place: u64,
        limit: u32,
    ) -> Result<Vec<ChainedEntry>, StoreError> {
        Ok(self.entries(writer, after_place, limit).await?)
    }
    async fn audit_seals(&self, after_seq: u64, limit: u32) -> Result<Vec<Seal>, StoreError> {
        Ok(log::seals_after(&durable(&self.database, SEALS), after_seq, limit).await?)
    }
    async fn last_audit_seal(&self) -> Result<Option<Seal>, StoreError> {
        Ok(log::last_seal(&durable(&self.database, SEALS)).await?)
    }
}
