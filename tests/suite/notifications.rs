//! Events and webhooks.

pub(crate) mod events;
pub(crate) mod webhooks;
