//! What nodes report, and what of it counts as observed.

pub mod commands;
pub mod credit;
pub mod metric;
pub mod observation;
