//! Payouts, runs, statements, and what treasurers decide.

pub mod mismatch;
pub mod payments;
pub mod payout;
pub mod resolution;
pub mod run;
pub mod statement;
pub mod unpaid;
