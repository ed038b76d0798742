//! Copies a whole store into another one, and compares two.
//!
//! A backend gives records of a [`Kind`] in the order of their keys, in pages, and takes such
//! records as they are. It does not matter which backend is on which side. What a store keeps
//! beside its records to find or to count them is made anew by the other: each backend's tests name
//! it (`DERIVED`).
//!
//! The store that is filled has a mark from before the first record until everything was read back
//! and found equal; whoever serves refuses it meanwhile. The mark says how far the copy has come:
//! the same command goes on from there.

mod comparing;
mod copying;
mod ends;
mod kind;
mod progress;
mod record;
mod sum;

use std::{collections::BTreeMap, ops::ControlFlow, time::Duration};

use async_trait::async_trait;
use lucid_model::money::{
    MicroUsdt,
    ledger::{Account, Head, Stream},
};
use lucid_model::money::{payout::PaymentsSwitch, settlement::Distribution};
use lucid_ports::{Stamp, Store, StoreError};

pub use self::progress::source_of_copy;
pub use self::record::{
    Key, LatestRecord, LiveRecord, Part, Record, RequestRecord, RollupsRecord, blocks,
};
pub use self::{copying::Limits, kind::Kind, sum::Sum};
use crate::{OpenError, Seals, Stores};

/// What backends do for a copy.
#[async_trait]
pub trait Transfer: Store {
    /// Ends what a crash left half done, as a start of the service does: what is read after this is
    /// whole.
    async fn finish_writing(&self) -> Result<(), StoreError>;
    async fn read_stamp(&self) -> Result<Option<Stamp>, StoreError>;
    /// How many records of a kind there are; about as many where the kind says so.
    async fn count(&self, kind: Kind) -> Result<u64, StoreError>;
    /// The next records of a kind in the order of their keys; none: there are no more.
    async fn page(
        &self,
        kind: Kind,
        after: Option<Key>,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError>;
    /// Adds those of the records whose keys, and whatever else is one record's alone, are free; how
    /// many those were.
    async fn put(&self, kind: Kind, records: Vec<Record>) -> Result<u64, StoreError>;
    /// What was made anew beside the records and does not fit them.
    async fn misfits(&self, expected: &Expected) -> Result<Vec<String>, StoreError>;
    async fn read_mark(&self) -> Result<Option<String>, StoreError>;
    async fn write_mark(&self, mark: Option<String>) -> Result<(), StoreError>;
    /// How the period is shared whose settlement is in the middle, if one is.
    async fn open_distribution(&self) -> Result<Option<Distribution>, StoreError>;
    /// Says whether payments may be sent, as another store says it (what is frozen stays so), and
    /// that this is a copy.
    async fn carry_switch(&self, switch: PaymentsSwitch) -> Result<(), StoreError>;
}

/// What follows from the records, for whoever has to check what was made from them.
pub struct Expected {
    pub score_rows: u64,
    pub books: Books,
}

/// What the ledger adds up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    pub accounts: BTreeMap<Account, i128>,
    pub heads: BTreeMap<Stream, Head>,
}

impl Books {
    pub fn add(&mut self, record: &Record) {
        let Record::Ledger(entry) = record else { return };
        for leg in &entry.draft.legs {
            *self.accounts.entry(leg.account).or_default() += i128::from(leg.amount.0);
        }
        let head = self.heads.entry(entry.draft.stream).or_default();
        if entry.seq > head.seq {
            *head = Head { seq: entry.seq, balances: entry.balances };
        }
    }
    /// Whether every entry has its counterpart: all accounts together have nothing.
    pub fn balance(&self) -> bool {
        self.accounts.values().sum::<i128>() == 0
    }
    /// What the treasury has paid in, for the report.
    pub fn turnover(&self) -> MicroUsdt {
        MicroUsdt(
            self.accounts
                .values()
                .filter(|sum| **sum > 0)
                .sum::<i128>()
                .try_into()
                .unwrap_or(i64::MAX),
        )
    }
}

/// Why a copy was not made, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Both sides are one store.
    #[error("{place} is on both sides")]
    SameStore {
        /// Where it is.
        place: String,
    },
    /// A side cannot be opened.
    #[error("cannot open {place}")]
    Open {
        place: String,
        #[source]
        source: Box<OpenError>,
    },
    /// There is nothing that could be copied.
    #[error("{place} is not a store that a service has used")]
    NoStore { place: String },
    /// The target has something in it.
    #[error(
        "{place} is not empty (it has {found}): nothing was written. Copy into a new one; --verify-only compares two stores"
    )]
    NotEmpty {
        /// Which store.
        place: String,
        /// A table or collection with something in it.
        found: String,
    },
    /// The target has a part of another copy.
    #[error("{place} has part of a copy of {begun}, not of {from}: nothing was written")]
    OtherCopy {
        /// The target.
        place: String,
        /// Where that copy is from.
        begun: String,
        /// What was asked for now.
        from: String,
    },
    /// The two stores are not of one family.
    #[error("the stamps differ: {from:?} is copied from, {to:?} is there")]
    OtherStamp {
        /// The source's.
        from: Box<Stamp>,
        /// The target's.
        to: Box<Stamp>,
    },
    /// The target has another record under this key.
    #[error("{} {key}: the target has another record, or what is this one's alone is another's there", kind.name())]
    Conflict {
        kind: Kind,
        /// Whose key.
        key: String,
    },
    /// The source was used while it was copied.
    #[error("{} changed in {place} while it was copied: stop what uses it, empty the target, and copy again", kind.name())]
    Moved {
        kind: Kind,
        /// The source.
        place: String,
    },
    /// It was asked to stop.
    #[error("stopped; the same command goes on from here")]
    Stopped,
    /// The mark in the target cannot be read.
    #[error("the mark of the copy in {place} cannot be read: {detail}")]
    Mark {
        /// The target.
        place: String,
        detail: String,
    },
    /// A store does not do what it has to.
    #[error("{place}, {what}")]
    Store {
        place: String,
        /// At what.
        what: String,
        #[source]
        source: StoreError,
    },
}

impl CopyError {
    /// Whether other arguments are called for.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::SameStore { .. } => true,
            Self::Open { source, .. } => matches!(
                **source,
                OpenError::NotAUrl { .. } | OpenError::Scheme { .. } | OpenError::MongoUrl { .. }
            ),
            _ => false,
        }
    }
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Records are copied.
    Copying,
    /// They are read back, or two stores are read.
    Verifying,
}

/// How far it has come with a kind.
#[derive(Debug, Clone, Copy)]
pub struct CopyProgress {
    /// What is being done.
    pub step: Step,
    /// With which kind.
    pub kind: Kind,
    /// Records so far, those of an earlier run included; of scores the rows, of samples each.
    pub records: u64,
    /// Parts of `pages_of` that are done: records, chunks of scores; of samples the nodes.
    pub units: u64,
    /// How many parts there are, as far as is known.
    pub units_total: u64,
}

/// Hears of progress, and says whether to go on.
pub type OnProgress<'a> = &'a mut (dyn FnMut(CopyProgress) -> ControlFlow<()> + Send);

/// What was found of one kind.
#[derive(Debug, Clone)]
pub struct KindReport {
    pub kind: Kind,
    /// The source's records.
    pub from: Sum,
    /// The target's.
    pub to: Sum,
    /// The first key at which the two differ.
    pub first_difference: Option<String>,
    /// How long copying took in this run.
    pub copied_in: Duration,
    /// How long reading back took.
    pub verified_in: Duration,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct CopyReport {
    /// The source, without credentials.
    pub from: String,
    /// The target.
    pub to: String,
    /// What both were made for.
    pub stamp: Stamp,
    /// Whether an earlier run was taken up.
    pub resumed: bool,
    /// Each kind.
    pub kinds: Vec<KindReport>,
    /// What else does not fit, in words.
    pub misfits: Vec<String>,
    /// Accounts of the ledger and its streams, whose sums and ends are equal on both sides unless a
    /// misfit says otherwise.
    pub ledger: (usize, usize),
    /// What all accounts with more paid in than out have together.
    pub ledger_turnover: MicroUsdt,
    /// How the target's webhook secrets are kept.
    pub seals: Seals,
}

impl CopyReport {
    /// Whether the two stores say the same.
    pub fn is_equal(&self) -> bool {
        self.misfits.is_empty()
            && self.kinds.iter().all(|kind| kind.from == kind.to && kind.first_difference.is_none())
    }
}

/// Copies all of the store `from` into the store `to`, which is empty or has part of this copy, and
/// reads it back.
///
/// # Errors
/// [`CopyError`] if it was not copied to the end. A difference is no error but in the report.
pub async fn copy(
    stores: &Stores,
    from: &str,
    to: &str,
    limits: &Limits,
    told: OnProgress<'_>,
) -> Result<CopyReport, CopyError> {
    let ends = ends::open_to_copy(stores, from, to).await?;
    copying::run(&ends, limits, told).await
}

/// Compares two stores that nobody uses.
///
/// # Errors
/// [`CopyError`] if one of them cannot be read. A difference is no error but in the report.
pub async fn compare(
    stores: &Stores,
    from: &str,
    to: &str,
    told: OnProgress<'_>,
) -> Result<CopyReport, CopyError> {
    let ends = ends::open_to_compare(stores, from, to).await?;
    comparing::run(&ends, None, told).await
}
