use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    id::Digest,
    policies::{Activation, Bundle, BundleSignature, PolicyReport, PolicyVersion, Revision},
};

use crate::StoreError;

/// A version with its bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBundle {
    /// What is known of it.
    pub version: PolicyVersion,
    /// What was handed in.
    pub bundle: Bundle,
}

/// What became of an activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activated {
    /// It is in force, with this revision.
    Done(Revision),
    /// The revision it was based on is no longer the last.
    Conflict,
}

/// What became of an import, so that it is not done again at the next start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportRecord {
    /// Of which content; or of a name, for the state of a file of that name.
    pub digest: Digest,
    /// What it led to.
    pub outcome: String,
}

/// Reports of the gate that a store keeps.
pub const REPORTS_KEPT: u32 = 256;

/// Versions and activations: the only truth of what is active.
#[async_trait]
pub trait PolicyStore: Send + Sync {
    /// Keeps a version; a version that is there already stays as it is (`false`).
    async fn add_version(
        &self,
        stored: StoredBundle,
        audit: AuditEntry,
    ) -> Result<bool, StoreError>;
    /// Replaces a version's signatures, and with them who is said to stand for it; `false` if there
    /// is no such version.
    async fn sign_version(
        &self,
        digest: Digest,
        signatures: Vec<BundleSignature>,
        signed_by: Vec<String>,
        audit: AuditEntry,
    ) -> Result<bool, StoreError>;
    /// All versions, newest first.
    async fn versions(&self) -> Result<Vec<PolicyVersion>, StoreError>;
    /// One version by the digest of its component, with its bundle.
    async fn bundle(&self, digest: Digest) -> Result<Option<StoredBundle>, StoreError>;
    /// Marks a version as retired, for a reason; `false` if it is not there or was retired before.
    async fn retire_version(
        &self,
        digest: Digest,
        reason: String,
        audit: AuditEntry,
    ) -> Result<bool, StoreError>;
    /// Keeps what the gate found; of all reports the newest [`REPORTS_KEPT`] stay.
    async fn add_report(&self, report: PolicyReport) -> Result<(), StoreError>;
    /// Reports, newest first; with a digest, those of one component.
    async fn reports(
        &self,
        digest: Option<Digest>,
        limit: u32,
    ) -> Result<Vec<PolicyReport>, StoreError>;
    /// The last revision and what is in force, by revision: of each kind and scope the newest
    /// activation that applies at once, and what was scheduled after it.
    async fn active(&self) -> Result<(Revision, Vec<Activation>), StoreError>;
    /// All activations, newest first.
    async fn activations(&self, limit: u32) -> Result<Vec<Activation>, StoreError>;
    /// Appends activations if the last revision is still `based_on`; each gets a revision of its
    /// own.
    async fn activate(
        &self,
        based_on: Revision,
        activations: Vec<Activation>,
        audit: Vec<AuditEntry>,
    ) -> Result<Activated, StoreError>;
    /// What became of a file with this content, if it was imported.
    async fn import(&self, digest: Digest) -> Result<Option<ImportRecord>, StoreError>;
    /// Remembers an import; one of the same digest is replaced.
    async fn record_import(&self, record: ImportRecord) -> Result<(), StoreError>;
}
