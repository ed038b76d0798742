//! A payout that ended, and of which the payment service says otherwise.
//!
//! One look-up proves nothing: a mismatch is recorded when a second, later look-up says the same. A
//! recorded mismatch stops payments once, and is ended by two treasurers; until then it stays open
//! and keeps nobody else's payout back.

use super::Payout;
use crate::{
    id::{MismatchId, NodeId, PayoutId},
    money::MicroUsdt,
    named_enum::named_enum,
    time::TimeMs,
};

named_enum! {
    /// What contradicts what.
    MismatchKind {
        /// The books gave the money back to the payee, and the payment service paid, too.
        PaidAfterRelease = "paid_after_release",
        /// The books say that it was paid, and the payment service says that it was not.
        NotPaid = "not_paid",
        /// Both say that it was paid, by different transactions.
        OtherTransaction = "other_transaction",
        /// The payment service could not tell, however often it was asked.
        Unclear = "unclear",
    }
}

named_enum! {
    /// What is done about a mismatch.
    Remedy {
        /// Nothing: the books are right, and why is in the evidence.
        Dismiss = "dismiss",
        /// The payee was paid twice over: what is available is taken back, the rest is owed.
        Recover = "recover",
        /// The payee was not paid: the amount is available again.
        Restore = "restore",
    }
}

impl Remedy {
    /// Whether it makes sense for a mismatch.
    pub fn fits(self, kind: MismatchKind) -> bool {
        match self {
            Self::Dismiss => true,
            Self::Recover => kind == MismatchKind::PaidAfterRelease,
            Self::Restore => matches!(kind, MismatchKind::NotPaid | MismatchKind::Unclear),
        }
    }
}

/// A payout that the payment service contradicts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Follows from the payout and what is said of it: the same claim again is the same mismatch.
    pub id: MismatchId,
    pub payout: PayoutId,
    /// Its payee.
    pub node: NodeId,
    /// Its amount.
    pub amount: MicroUsdt,
    /// What contradicts what.
    pub kind: MismatchKind,
    /// What the books and the payment service say, for a person.
    pub evidence: String,
    /// When it was said first.
    pub first_at: TimeMs,
    /// When a later look-up said it again.
    pub confirmed_at: TimeMs,
    /// When and how two treasurers ended it.
    pub ended: Option<(TimeMs, Remedy)>,
}

impl Mismatch {
    /// The mismatch of a payout and a claim that was made twice.
    pub fn of(
        payout: &Payout,
        kind: MismatchKind,
        claim: &str,
        first_at: TimeMs,
        confirmed_at: TimeMs,
    ) -> Self {
        Self {
            id: MismatchId::of(payout.id, claim),
            payout: payout.id,
            node: payout.node,
            amount: payout.amount,
            kind,
            evidence: format!(
                "the books say {}, the payment service says {claim}",
                payout.state.name()
            ),
            first_at,
            confirmed_at,
            ended: None,
        }
    }
}
