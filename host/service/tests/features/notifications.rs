use std::sync::Arc;

use async_trait::async_trait;
use lucid_model::notifications::event::EventKind;
use lucid_notifications::{Notifications, NotificationsConfig, WebhookSettings};
use lucid_ports::{WebhookError, WebhookSender};
use lucid_store::{SEAL_KEY_BYTES, SealKeys};

use crate::Ground;

/// An endpoint that takes nothing.
struct Busy;

#[async_trait]
impl WebhookSender for Busy {
    fn check(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
    async fn send(
        &self,
        _: &str,
        _: [(&'static str, String); 3],
        _: String,
    ) -> Result<u16, WebhookError> {
        Ok(503)
    }
}

fn notifications(ground: &Ground) -> Arc<Notifications> {
    let parts = lucid_notifications::Parts {
        audit: ground.audit(),
        clock: ground.clock.clone(),
        entropy: ground.entropy.clone(),
        ids: ground.ids.clone(),
        nodes: ground.store.clone(),
        sealer: Arc::new(SealKeys::read(&"5e".repeat(SEAL_KEY_BYTES)).unwrap()),
        sender: Arc::new(Busy),
        webhooks: ground.store.clone(),
    };
    let webhooks = WebhookSettings {
        endpoints_max: 4,
        undelivered_max: 10,
        retry_first_ms: 1_000,
        retry_max_ms: 60_000,
        give_up_ms: 3_600_000,
        kept_ms: 86_400_000,
    };
    Notifications::new(parts, NotificationsConfig { events_buffered_max: 16, webhooks })
}

#[test]
fn an_alert_is_raised_once_for_as_long_as_it_lasts_and_clears_only_its_own_subject() {
    let ground = Ground::empty();
    let notifications = notifications(&ground);
    let mut events = notifications.bus().subscribe();
    let mut published = || {
        let mut kinds = Vec::new();
        while let Ok(event) = events.try_recv() {
            kinds.push(match event.kind {
                EventKind::Alert { subject, message, .. } => format!("+{subject}: {message}"),
                EventKind::AlertCleared { subject, .. } => format!("-{subject}"),
                other => panic!("{other:?}"),
            });
        }
        kinds
    };
    notifications.alert_of("payout", "p-1".into(), "it waits".into());
    notifications.alert_of("payout", "p-1".into(), "it waits".into());
    notifications.alert_of("payout", "p-2".into(), "it waits".into());
    assert_eq!(published(), ["+p-1: it waits", "+p-2: it waits"]);
    notifications.alert_of("payout", "p-1".into(), "it still waits".into());
    assert_eq!(published(), ["+p-1: it still waits"], "another message is news");
    notifications.clear_alert_of("payout", "p-1");
    notifications.clear_alert_of("payout", "p-1");
    assert_eq!(published(), ["-p-1"]);
    assert_eq!(notifications.alerts_about("payout"), ["p-2"]);
    assert_eq!(notifications.raised_alerts(), [("payout", "it waits".to_owned())]);
}
