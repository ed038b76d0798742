//! Enrolment tokens: what lets a machine register without its owner's token.

use crate::{
    id::{Digest, EnrolmentId, PoolId, UserId},
    named_enum::named_enum,
    time::TimeMs,
};

named_enum! {
    /// What a token lets its bearer do.
    EnrolmentScope {
        /// Register a node, which is then approved as any other.
        Register = "register",
        /// Register a node that is approved already: an operator's word, given beforehand.
        Approve = "approve",
    }
}

/// A token as it is kept: its digest, never itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// Names it in lists and in the audit log.
    pub id: EnrolmentId,
    /// SHA-256 of the token, which has 256 random bits: no salt is needed.
    pub digest: Digest,
    /// Whose nodes are registered with it.
    pub owner: UserId,
    /// For people; 1–255 characters.
    pub name: String,
    /// What it lets its bearer do.
    pub scope: EnrolmentScope,
    /// The pool its nodes are put into while that has room; none = as any other node.
    pub pool: Option<PoolId>,
    /// How many nodes may be registered with it.
    pub uses_max: u32,
    /// How many were.
    pub uses: u32,
    /// Not good from then on.
    pub expires_at: TimeMs,
    /// Not good any more.
    pub revoked_at: Option<TimeMs>,
    /// When it was made.
    pub created_at: TimeMs,
    /// Who made it, as the token of that request names it.
    pub created_by: String,
}

impl Enrolment {
    /// Whether one more node may be registered with it.
    pub fn is_good(&self, now: TimeMs) -> bool {
        self.revoked_at.is_none() && now < self.expires_at && self.uses < self.uses_max
    }
}
