//! Who did what, when and why.

use crate::{id::AuditId, time::TimeMs};

/// One entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its id.
    pub id: AuditId,
    /// When.
    pub at: TimeMs,
    /// Who: a subject, a node, `file`, `system`.
    pub actor: String,
    /// What: `node.register`, `policy.activate`, …
    pub action: String,
    /// To what.
    pub subject: String,
    /// Why, and what else a reader needs.
    pub detail: String,
    /// The request it came with.
    pub request_id: Option<String>,
}
