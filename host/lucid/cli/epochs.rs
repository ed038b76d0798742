//! Epochs, and replay of their scores.

pub mod epoch;
pub mod replay;
