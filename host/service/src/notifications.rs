//! Events, webhooks, and alerts about the service.

pub(crate) mod bus;
pub(crate) mod service_alerts;
pub(crate) mod webhooks;
