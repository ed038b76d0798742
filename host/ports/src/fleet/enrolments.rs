use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    fleet::enrolment::Enrolment,
    id::{Digest, EnrolmentId, UserId},
    time::TimeMs,
};

use crate::{Page, PageRequest, StoreError};

/// Which enrolment tokens.
#[derive(Debug, Clone, Copy, Default)]
pub struct EnrolmentFilter {
    /// For this owner's nodes.
    pub owner: Option<UserId>,
}

/// Enrolment tokens. Using one up is part of [`crate::NodeStore::register_node`].
#[async_trait]
pub trait EnrolmentStore: Send + Sync {
    /// Adds one; `false` if its id is there: the same request was carried out before.
    async fn create_enrolment(
        &self,
        enrolment: Enrolment,
        audit: AuditEntry,
    ) -> Result<bool, StoreError>;
    /// One, by id.
    async fn enrolment(&self, id: EnrolmentId) -> Result<Option<Enrolment>, StoreError>;
    /// One, by the digest of the token.
    async fn enrolment_by_digest(&self, digest: Digest) -> Result<Option<Enrolment>, StoreError>;
    /// A page, by creation.
    async fn enrolments(
        &self,
        filter: EnrolmentFilter,
        page: PageRequest<()>,
    ) -> Result<Page<Enrolment>, StoreError>;
    /// Removes up to `limit` tokens that were over before an instant: expired or revoked.
    async fn forget_enrolments(&self, before: TimeMs, limit: u32) -> Result<u64, StoreError>;
    /// Takes it back from `at` on; `false` if that was done before or there is none.
    async fn revoke_enrolment(
        &self,
        id: EnrolmentId,
        at: TimeMs,
        audit: AuditEntry,
    ) -> Result<bool, StoreError>;
}
