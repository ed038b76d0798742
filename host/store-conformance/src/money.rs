//! The ledger, payouts, and what treasurers decide.

pub mod decisions;
pub mod ledger;
pub mod payouts;
