//! The ledger, payouts, runs, settlements, and what treasurers decide.

pub(crate) mod books;
pub(crate) mod decisions;
pub(crate) mod ledger;
pub(crate) mod mismatches;
pub(crate) mod payouts;
pub(crate) mod runs;
pub(crate) mod settlements;
