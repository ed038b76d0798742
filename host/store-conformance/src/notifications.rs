//! Webhooks and their deliveries.

pub mod webhooks;
