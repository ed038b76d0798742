//! What people decide about payments: whether any are sent, and what became of one that nobody can
//! tell.

use crate::{
    id::{MismatchId, NodeId, PayoutId, ProposalId},
    money::{MicroUsdt, payout::Remedy},
    named_enum::named_enum,
    time::TimeMs,
};

/// Whether payments may be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PaymentsSwitch {
    /// Nothing is sent; what was sent is still looked after.
    pub frozen: Option<Freeze>,
    /// When it was noticed that the store was restored from a backup, or copied: what was paid
    /// meanwhile is not in it. Payouts of cycles that began before may have been paid, and are
    /// looked up before they are sent.
    pub restored_at: Option<TimeMs>,
    /// The newest record that the restored store came with: payouts have to be compared from this
    /// moment on, at the latest.
    pub backup_at: Option<TimeMs>,
    /// What somebody wants compared with the payment service.
    pub reconciliation: Option<Reconciliation>,
    /// Counts changes; compared and swapped. 0: nobody ever changed it.
    pub version: u64,
}

impl PaymentsSwitch {
    /// `active`, `freezing`, `frozen`.
    pub fn state(&self) -> &'static str {
        match &self.frozen {
            None => "active",
            Some(Freeze { still_at: None, .. }) => "freezing",
            Some(_) => "frozen",
        }
    }

    /// Whether payments may not be let go yet: the store comes from elsewhere, and was not compared
    /// with the payment service since.
    pub fn waits_for_reconciliation(&self) -> bool {
        self.restored_at.is_some()
            && self.reconciliation.is_none_or(|asked| asked.done_at.is_none())
    }
}

/// Payouts are compared with the payment service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconciliation {
    /// Those that changed last at this time or later.
    pub since: TimeMs,
    /// When all were, and nothing else was told of any.
    pub done_at: Option<TimeMs>,
}

/// Why nothing is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    pub at: TimeMs,
    pub by: String,
    pub reason: String,
    /// No payer with a smaller fence changes a payout any more: the store has seen this one, or is
    /// about to.
    pub fence: u64,
    /// Since when no request can be on its way any more; none: payments are still freezing.
    pub still_at: Option<TimeMs>,
}

/// What became of a payout that a person has to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was paid, by this transaction.
    Paid {
        /// The transaction.
        txid: String,
    },
    /// It was not paid, and never will be.
    NotPaid,
}

impl Outcome {
    /// The transaction, if it was paid.
    pub fn txid(&self) -> Option<&str> {
        match self {
            Self::Paid { txid } => Some(txid),
            Self::NotPaid => None,
        }
    }

    /// Of the transaction that paid, if one did.
    pub fn by(txid: Option<String>) -> Self {
        txid.map_or(Self::NotPaid, |txid| Self::Paid { txid })
    }
}

named_enum! {
    /// How a node's balances are put right by people.
    Correction {
        /// What is held back may be paid.
        ReleaseHold = "release_hold",
        /// What is held back goes to the treasury.
        ForfeitHold = "forfeit_hold",
        /// The treasury gives something.
        Credit = "credit",
        /// Something that may be paid goes to the treasury.
        Debit = "debit",
    }
}

/// What became of one payout of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    pub payout: PayoutId,
    /// What became of it.
    pub outcome: Outcome,
    /// How that is known: an extract, a ticket, a letter of the payment service.
    pub evidence: String,
}

/// What two treasurers decide about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// What became of a payout that nobody can tell.
    Payout {
        payout: PayoutId,
        /// What became of it.
        outcome: Outcome,
    },
    /// What became of several such payouts: confirmed or refused as a whole.
    Payouts(Vec<Resolution>),
    /// A node's balances.
    Balance {
        node: NodeId,
        /// What is done.
        correction: Correction,
        /// How much; above zero.
        amount: MicroUsdt,
    },
    /// A payout that the payment service contradicts.
    Mismatch {
        mismatch: MismatchId,
        /// What is done about it.
        remedy: Remedy,
    },
}

/// What one treasurer says, for another one to confirm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    pub id: ProposalId,
    /// What it is about.
    pub about: About,
    /// How that is known, or why: an extract, a ticket, a letter of the payment service.
    pub evidence: String,
    /// Who says so.
    pub by: String,
    pub at: TimeMs,
    /// What was decided.
    pub decided: Option<Decision>,
}

/// What was decided about a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub at: TimeMs,
    pub by: String,
    /// Whether it is so.
    pub accepted: bool,
}
