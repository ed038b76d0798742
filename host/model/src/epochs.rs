//! Scoring periods: facts, frames, scores and their receipts.

pub mod adjustment;
pub mod commands;
pub mod epoch;
pub mod epoch_file;
pub mod facts;
pub mod frame;
pub mod receipt;
pub mod score;
