//! Scores, epochs and their receipts.

pub mod poot;
