//! The status of a running service.

pub mod status;
