//! Events and webhooks.

pub mod event;
pub mod webhook;
