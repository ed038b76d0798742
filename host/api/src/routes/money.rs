//! Payouts, runs, and what treasurers decide.

pub(super) mod mismatches;
pub(super) mod payments;
pub(super) mod payouts;
pub(super) mod runs;
pub(super) mod unpaid;
