//! Keeping and sending webhooks.

pub(crate) mod webhooks;
