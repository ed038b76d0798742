pub(crate) mod requests;

use async_trait::async_trait;
use lucid_model::{
    audit::{
        AuditEntry,
        chain::{ChainHead, ChainedEntry, Link},
        seal::Seal,
    },
    id::AuditWriterId,
    time::TimeMs,
};

use crate::{Page, PageRequest, StoreError};

/// Which audit entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// By this actor.
    pub actor: Option<String>,
    /// With this action.
    pub action: Option<String>,
    /// With an action of this area: `policy` finds `policy.upload` and `policy.activate`.
    pub area: Option<String>,
    /// About this subject.
    pub subject: Option<String>,
    /// Not before.
    pub from: Option<TimeMs>,
    /// Before.
    pub to: Option<TimeMs>,
}

/// Reads the audit log. Each writer has a chain of its own: in every state that can be seen, each
/// of its entries belongs to a link, and links and places count from 1 without gaps.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Newest first (or oldest, by the order).
    async fn audit(
        &self,
        filter: &AuditFilter,
        page: PageRequest<()>,
    ) -> Result<Page<ChainedEntry>, StoreError>;
    /// The end of every writer's chain, by writer; one without links is left out.
    async fn audit_heads(&self) -> Result<Vec<ChainHead>, StoreError>;
    /// A writer's links after the one of this number, in order.
    async fn audit_links(
        &self,
        writer: AuditWriterId,
        after_seq: u64,
        limit: u32,
    ) -> Result<Vec<Link>, StoreError>;
    /// A writer's entries after this place, in order.
    async fn audit_entries(
        &self,
        writer: AuditWriterId,
        after_place: u64,
        limit: u32,
    ) -> Result<Vec<ChainedEntry>, StoreError>;
    /// Seals after the one of this number, in order.
    async fn audit_seals(&self, after_seq: u64, limit: u32) -> Result<Vec<Seal>, StoreError>;
    /// The newest seal.
    async fn last_audit_seal(&self) -> Result<Option<Seal>, StoreError>;
}

/// Writes the audit log: insert-only. Entries are added by every other port's writes; a link is
/// added with them, by the backend, in the same write.
#[async_trait]
pub trait AuditStore: AuditLog {
    /// Adds an entry that belongs to no other write; one that is there already is the same entry.
    async fn add_audit(&self, entry: AuditEntry) -> Result<(), StoreError>;
    /// Adds a seal if the last one's number is still `seal.statement.seq - 1`. `false`: somebody
    /// else was first.
    async fn add_audit_seal(&self, seal: Seal) -> Result<bool, StoreError>;
}
