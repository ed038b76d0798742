//! Epochs, and computing them again.

pub mod epoch;
pub mod replay;
