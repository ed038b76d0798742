use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    id::RunId,
    money::run::{Run, RunPart},
};

use crate::{Page, PageRequest, StoreError};

/// Payout runs.
#[async_trait]
pub trait RunStore: Send + Sync {
    /// Adds a run; `false` if it exists.
    async fn create_run(&self, run: Run, audit: AuditEntry) -> Result<bool, StoreError>;
    /// One run.
    async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError>;
    /// Replaces a run if its version is still `run.version - 1`.
    async fn update_run(&self, run: Run, audit: AuditEntry) -> Result<bool, StoreError>;
    /// Runs that are planned or approved.
    async fn open_runs(&self) -> Result<Vec<Run>, StoreError>;
    /// All runs, or those of a cycle, by when they were planned; not those that ended because there
    /// was nobody to pay.
    async fn runs(
        &self,
        cycle: Option<i64>,
        page: PageRequest<()>,
    ) -> Result<Page<Run>, StoreError>;
    /// What a run's payouts are, in sum.
    async fn run_parts(&self, run: RunId) -> Result<Vec<RunPart>, StoreError>;
}
