//! Events and webhooks.

pub(super) mod events;
pub(super) mod webhooks;
