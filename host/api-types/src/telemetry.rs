//! What nodes report, and what is read of it.

pub mod history;
pub mod report;
pub mod resources;
