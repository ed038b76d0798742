//! Events, webhooks, and alerts about the service.

mod bus;
mod service_alerts;
mod webhooks;

use std::{collections::BTreeMap, sync::Arc};

use lucid_audit::Audit;
use lucid_foundation::{Ids, ServiceClock};
use lucid_model::{id::WebhookId, time::TimeMs};
use lucid_ports::{Entropy, NodeStore, Sealer, WebhookSender, WebhookStore};
use parking_lot::Mutex;

pub use self::{
    bus::EventBus,
    webhooks::{GivenWebhook, Notification, WebhookSettings},
};

/// What it is built on.
pub struct Parts {
    pub audit: Arc<Audit>,
    pub clock: Arc<ServiceClock>,
    pub entropy: Arc<dyn Entropy>,
    pub ids: Ids,
    pub nodes: Arc<dyn NodeStore>,
    pub sealer: Arc<dyn Sealer>,
    pub sender: Arc<dyn WebhookSender>,
    pub webhooks: Arc<dyn WebhookStore>,
}

/// How it works. Times in milliseconds unless the name says otherwise.
#[derive(Debug, Clone)]
pub struct NotificationsConfig {
    /// Events that a listener in this process may be behind before it loses the oldest.
    pub events_buffered_max: usize,
    /// How webhooks are sent.
    pub webhooks: WebhookSettings,
}

/// Publishes events, notifies webhooks, and raises alerts about the service.
pub struct Notifications {
    parts: Parts,
    config: NotificationsConfig,
    bus: EventBus,
    /// Endpoints that took nothing lately: how often in a row, and until when they are left alone.
    webhooks_paused: Mutex<BTreeMap<WebhookId, (u32, TimeMs)>>,
    /// Alerts of the service itself that are raised, so that each is said once.
    alerts: Mutex<BTreeMap<(&'static str, String), String>>,
}

impl Notifications {
    /// Puts the parts together; nothing runs yet.
    pub fn new(parts: Parts, config: NotificationsConfig) -> Arc<Self> {
        Arc::new(Self {
            parts,
            bus: EventBus::new(config.events_buffered_max),
            config,
            webhooks_paused: Mutex::default(),
            alerts: Mutex::default(),
        })
    }

    /// How it is set up.
    pub fn config(&self) -> &NotificationsConfig {
        &self.config
    }
}
