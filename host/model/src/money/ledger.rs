//! The ledger: insert-only, double entry. An entry's legs add up to zero; each node has a stream of
//! its own, numbered without gaps, and every entry keeps the balances after it.
//!
//! Invariants: I1 legs sum to 0; I2 balances are never negative and `seq` has no gaps. A correction
//! is another entry, never an edit.

mod drafts;
pub mod verify;

use crate::{
    id::{NodeId, PoolScope},
    money::{MicroUsdt, MoneyError},
    named_enum::named_enum,
    time::TimeMs,
};

/// An account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Account {
    /// Where funding comes from and payments go to: the world outside.
    Outside,
    /// Funds not yet promised to anybody.
    Treasury,
    /// A pool's budget of the settlement period being accrued.
    Budget(PoolScope),
    /// A node's money that may be paid.
    Available(NodeId),
    /// A node's money that is held back.
    Held(NodeId),
    /// A node's money that a payout is about to pay.
    Reserved(NodeId),
    /// What a node owes after a reversal.
    Receivable(NodeId),
    /// What was taken back from nodes, on its way to the treasury.
    Reversals,
    /// The other side of what nodes owe: not there yet.
    Owed,
    /// What nodes left behind and nobody claimed: kept apart, and nobody's budget.
    Unclaimed,
}

impl Account {
    /// `treasury`, `budget:{pool}`, `available:{node}`, …
    pub fn name(self) -> String {
        match self {
            Self::Outside => "outside".into(),
            Self::Treasury => "treasury".into(),
            Self::Budget(pool) => format!("budget:{pool}"),
            Self::Available(node) => format!("available:{node}"),
            Self::Held(node) => format!("held:{node}"),
            Self::Reserved(node) => format!("reserved:{node}"),
            Self::Receivable(node) => format!("receivable:{node}"),
            Self::Reversals => "reversals".into(),
            Self::Owed => "owed".into(),
            Self::Unclaimed => "unclaimed".into(),
        }
    }
    /// The account of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name.split_once(':') {
            None => match name {
                "outside" => Some(Self::Outside),
                "treasury" => Some(Self::Treasury),
                "reversals" => Some(Self::Reversals),
                "owed" => Some(Self::Owed),
                "unclaimed" => Some(Self::Unclaimed),
                _ => None,
            },
            Some(("budget", pool)) => pool.parse().ok().map(Self::Budget),
            Some(("available", node)) => node.parse().ok().map(Self::Available),
            Some(("held", node)) => node.parse().ok().map(Self::Held),
            Some(("reserved", node)) => node.parse().ok().map(Self::Reserved),
            Some(("receivable", node)) => node.parse().ok().map(Self::Receivable),
            Some(_) => None,
        }
    }
}

/// Which sequence an entry belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// The treasury's.
    Treasury,
    /// A node's.
    Node(NodeId),
}

impl Stream {
    /// `treasury` or the node's id.
    pub fn name(self) -> String {
        match self {
            Self::Treasury => "treasury".into(),
            Self::Node(node) => node.to_string(),
        }
    }
    /// The stream of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "treasury" { Some(Self::Treasury) } else { name.parse().ok().map(Self::Node) }
    }
}

named_enum! {
    /// What an entry records.
    EntryKind {
        /// Money comes into the treasury.
        Deposit = "deposit",
        /// A pool's budget is set aside.
        Fund = "fund",
        /// What was not shared goes back.
        Remainder = "remainder",
        /// A node earned.
        Accrue = "accrue",
        /// A payout sets money aside.
        Reserve = "reserve",
        /// A payout was paid.
        Settle = "settle",
        /// A payout was not paid.
        Release = "release",
        /// Part of what a node earned is taken back.
        Reverse = "reverse",
        /// A node pays back what it owes, from what it earns.
        Offset = "offset",
        /// What was taken back comes into the treasury.
        Recover = "recover",
        /// What was held back may be paid.
        ReleaseHold = "release_hold",
        /// What was held back goes to the treasury.
        Forfeit = "forfeit",
        /// Two treasurers put something right.
        Adjust = "adjust",
        /// What a node left behind was not claimed in time.
        Unclaimed = "unclaimed",
    }
}

/// One movement on one account; positive = more on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leg {
    /// Which account.
    pub account: Account,
    /// By how much.
    pub amount: MicroUsdt,
}

/// Balances of a stream after an entry. A treasury stream uses `available` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balances {
    /// May be paid or promised.
    pub available: MicroUsdt,
    /// Held back.
    pub held: MicroUsdt,
    /// Set aside for a payout.
    pub reserved: MicroUsdt,
    /// Owed by the node.
    pub receivable: MicroUsdt,
}

/// An entry before it has its place in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Deterministic, unique in the whole ledger: booking twice is one booking.
    pub id: String,
    /// Whose sequence.
    pub stream: Stream,
    /// What it records.
    pub kind: EntryKind,
    /// What moves.
    pub legs: Vec<Leg>,
    /// What caused it, for a person: a period, a payout, a root.
    pub cause: String,
}

/// A booked entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What was booked.
    pub draft: Draft,
    /// Place in the stream, from 1.
    pub seq: u64,
    pub at: TimeMs,
    /// After it.
    pub balances: Balances,
}

/// The end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// `seq` of the last entry; 0 = none.
    pub seq: u64,
    /// After it.
    pub balances: Balances,
}

/// Why an entry cannot be booked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// I1.
    #[error("entry {id}: the legs add up to {sum}, not to zero")]
    Unbalanced { id: String, sum: MicroUsdt },
    /// I2.
    #[error("entry {id}: {account} would be {balance}")]
    Overdrawn {
        id: String,
        /// The account.
        account: &'static str,
        /// What it would be.
        balance: MicroUsdt,
    },
    /// A leg on an account of another node.
    #[error("entry {id}: a leg belongs to another stream")]
    WrongStream { id: String },
    /// A sum is not representable.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

impl Draft {
    /// Gives the entry its place after `head`.
    ///
    /// # Errors
    /// [`LedgerError`] if the legs do not balance, a balance would be negative, or a leg is another
    /// node's.
    pub fn book(self, head: Head, at: TimeMs) -> Result<Entry, LedgerError> {
        let balances = self.balances_after(head.balances)?;
        Ok(Entry { draft: self, seq: head.seq + 1, at, balances })
    }

    /// The balances of its stream after it.
    ///
    /// # Errors
    /// As [`Draft::book`].
    pub fn balances_after(&self, before: Balances) -> Result<Balances, LedgerError> {
        let sum = MicroUsdt::checked_sum(self.legs.iter().map(|l| l.amount))?;
        if sum != MicroUsdt::ZERO {
            return Err(LedgerError::Unbalanced { id: self.id.clone(), sum });
        }
        let mut balances = before;
        for leg in &self.legs {
            let slot = match (leg.account, self.stream) {
                (
                    Account::Outside
                    | Account::Budget(_)
                    | Account::Reversals
                    | Account::Owed
                    | Account::Unclaimed,
                    _,
                ) => continue,
                (Account::Treasury, Stream::Treasury) => &mut balances.available,
                (Account::Available(node), Stream::Node(own)) if node == own => {
                    &mut balances.available
                }
                (Account::Held(node), Stream::Node(own)) if node == own => &mut balances.held,
                (Account::Reserved(node), Stream::Node(own)) if node == own => {
                    &mut balances.reserved
                }
                (Account::Receivable(node), Stream::Node(own)) if node == own => {
                    &mut balances.receivable
                }
                _ => return Err(LedgerError::WrongStream { id: self.id.clone() }),
            };
            *slot = slot.checked_add(leg.amount)?;
        }
        for (account, balance) in [
            ("available", balances.available),
            ("held", balances.held),
            ("reserved", balances.reserved),
            ("receivable", balances.receivable),
        ] {
            if balance < MicroUsdt::ZERO {
                return Err(LedgerError::Overdrawn { id: self.id.clone(), account, balance });
            }
        }
        Ok(balances)
    }
}

#[cfg(test)]
mod tests;
