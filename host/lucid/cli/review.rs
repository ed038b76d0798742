//! How everything is.

pub mod status;
