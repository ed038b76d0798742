//! Events and webhooks.

pub mod commands;
pub mod event;
pub mod webhook;
