//! Puts what happens in this process into the outbox of webhooks.

use std::{sync::Arc, time::Duration};

use lucid_api_types::notifications::event::EventBody;
use lucid_model::notifications::event::Event;
use lucid_service::{Notification, Service};
use tokio::sync::{
    Notify,
    broadcast::{Receiver, error::RecvError},
};
use tokio_util::sync::CancellationToken;

/// Events put into the outbox at once.
const EVENTS_AT_ONCE: usize = 256;
/// Between two tries while the store does not answer.
const RETRY: Duration = Duration::from_millis(250);

/// Follows this process's events until it is stopped, and what is left of them then. Who works the
/// outbox off is notified.
pub async fn queue(
    service: Arc<Service>,
    stream: String,
    mut events: Receiver<Event>,
    queued: Arc<Notify>,
    stop: CancellationToken,
) {
    loop {
        let first = tokio::select! {
            biased;
            event = events.recv() => event,
            () = stop.cancelled() => return,
        };
        let first = match first {
            Ok(event) => event,
            Err(RecvError::Lagged(lost)) => {
                metrics::counter!("lucid_webhook_events_lost_total").increment(lost);
                tracing::error!(
                    lost,
                    "events came faster than the store took them: webhooks are not told of them"
                );
                continue;
            }
            Err(RecvError::Closed) => return,
        };
        let more = std::iter::from_fn(|| events.try_recv().ok()).take(EVENTS_AT_ONCE - 1);
        let told: Vec<_> = std::iter::once(first)
            .chain(more)
            .filter(Notification::is_for_webhooks)
            .filter_map(|event| notification_of(event, &stream))
            .collect();
        if !told.is_empty() && put(&service, &told, &stop).await {
            queued.notify_one();
        }
    }
}

fn notification_of(event: Event, stream: &str) -> Option<Notification> {
    let body = EventBody::new(&event, stream);
    let json = serde_json::to_string(&body).ok()?;
    Some(Notification { event, id: body.id, body: json })
}

/// `false` if it was told to stop before the store took them.
async fn put(service: &Service, told: &[Notification], stop: &CancellationToken) -> bool {
    let mut failures = 0_u32;
    loop {
        match service.notifications.queue_webhooks(told).await {
            Ok(()) => return true,
            Err(error) if failures.is_multiple_of(40) => {
                tracing::error!(%error, "events wait to be put into the outbox of webhooks")
            }
            Err(_) => {}
        }
        failures = failures.saturating_add(1);
        tokio::select! {
            () = stop.cancelled() => return false,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}
