//! What is told to whom.

pub mod event;
pub mod webhook;
