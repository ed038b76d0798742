//! Scores and their receipts.

pub(super) mod poot;
pub(super) mod receipts;
