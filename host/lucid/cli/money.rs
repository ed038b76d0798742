//! Payouts and the ledger.

pub mod ledger;
pub mod payout;
