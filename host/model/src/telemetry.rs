//! What nodes report, and what of it counts as observed.

pub mod credit;
pub mod metric;
pub mod observation;
