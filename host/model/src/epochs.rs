//! Scoring periods: what is known, what it scores, what is kept of it.

pub mod adjustment;
pub mod epoch;
pub mod epoch_file;
pub mod facts;
pub mod frame;
pub mod receipt;
pub mod score;
