use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    id::ProposalId,
    money::payout::{Decision, PaymentsSwitch, Proposal},
};

use crate::{Page, PageRequest, StoreError};

/// What people decide about payments.
#[async_trait]
pub trait DecisionStore: Send + Sync {
    /// Whether payments may be sent; as it is at first if nobody ever said.
    async fn payments_switch(&self) -> Result<PaymentsSwitch, StoreError>;
    /// Replaces that if its version is still `switch.version - 1`.
    async fn set_payments_switch(
        &self,
        switch: PaymentsSwitch,
        audit: AuditEntry,
    ) -> Result<bool, StoreError>;
    /// Adds a proposal; `false` if it is there.
    async fn add_proposal(&self, proposal: Proposal, audit: AuditEntry)
    -> Result<bool, StoreError>;
    /// One proposal.
    async fn proposal(&self, id: ProposalId) -> Result<Option<Proposal>, StoreError>;
    /// All of them, by when they were made.
    async fn proposals(&self, page: PageRequest<()>) -> Result<Page<Proposal>, StoreError>;
    /// Decides a proposal; `false` if it is not there or was decided before.
    async fn decide_proposal(
        &self,
        id: ProposalId,
        decision: Decision,
        audit: AuditEntry,
    ) -> Result<bool, StoreError>;
}
