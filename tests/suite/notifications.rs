//! What is told to whom.

pub(crate) mod events;
pub(crate) mod webhooks;
