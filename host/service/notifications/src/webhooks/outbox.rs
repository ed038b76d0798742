//! The outbox of webhooks: a delivery is a stored row from the moment its event is told, and is
//! worked off by whichever replica holds the lease. It may arrive more than once, always with the
//! same id.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    id::{DeliveryId, NodeId, PoolId, WebhookId},
    notifications::{
        event::{Event, EventKind, Value},
        webhook::{Delivery, DeliveryState, Webhook, WebhookSecret, is_sent, wait_ms},
    },
    time::TimeMs,
};
use lucid_ports::{DeliveryFilter, Order, PageRequest, TRACE};

use crate::Notifications;

/// Deliveries of one endpoint in one step, one after the other.
const DELIVERIES_A_STEP: u32 = 50;
/// Endpoints that are sent to at once.
const ENDPOINTS_AT_ONCE: usize = 16;
/// Deliveries dropped in one go.
const DROPPED_AT_ONCE: u32 = 100;
/// Deliveries forgotten in one step.
const FORGOTTEN_A_STEP: u32 = 1_000;
/// What the alert about webhooks that are sent nothing is about: disabled ones, and secrets that do
/// not open.
const ABOUT: &str = "webhooks";

/// How webhooks are sent.
#[derive(Debug, Clone, Copy)]
pub struct WebhookSettings {
    /// Endpoints there may be.
    pub endpoints_max: usize,
    /// Deliveries that may wait for one endpoint; beyond, the oldest are dropped.
    pub undelivered_max: u64,
    /// First wait before a delivery is sent again; doubles.
    pub retry_first_ms: i64,
    /// Longest wait.
    pub retry_max_ms: i64,
    /// Age at which a delivery is given up.
    pub give_up_ms: i64,
    /// How long deliveries are kept in the list.
    pub kept_ms: i64,
}

/// An event as it is told outside.
#[derive(Debug, Clone)]
pub struct Notification {
    /// What happened.
    pub event: Event,
    pub id: String,
    /// In its envelope.
    pub body: String,
}

impl Notification {
    /// Whether some webhook might want it.
    pub fn is_for_webhooks(event: &Event) -> bool {
        matches!(event.kind, EventKind::WebhookTest { .. }) || is_sent(&event.kind.type_name())
    }
}

/// The node an event is about.
fn node_of(event: &Event) -> Option<NodeId> {
    event.kind.data().into_iter().find_map(|(name, value)| match value {
        Value::Text(id) if name == "node_id" => id.parse().ok(),
        _ => None,
    })
}

impl Notifications {
    /// Writes what is to be sent because of events into the outbox, and waits until it is there.
    ///
    /// # Errors
    /// [`ServiceError::Store`]: nothing may be there, and the same events may be told again.
    pub async fn queue_webhooks(&self, told: &[Notification]) -> Result<(), ServiceError> {
        let webhooks: Vec<_> = self
            .parts
            .webhooks
            .webhooks()
            .await?
            .into_iter()
            .filter(|webhook| webhook.enabled)
            .collect();
        if webhooks.is_empty() {
            return Ok(());
        }
        let (mut pools, mut queued) = (BTreeMap::new(), Vec::new());
        let pools_matter = webhooks.iter().any(|webhook| webhook.pool.is_some());
        for told in told {
            let (kind, node) = (told.event.kind.type_name(), node_of(&told.event));
            let pool = match node {
                Some(node) if pools_matter => self.pool_of(node, &mut pools).await?,
                _ => told.event.kind.pool(),
            };
            let wanting = webhooks.iter().filter(|webhook| match &told.event.kind {
                EventKind::WebhookTest { webhook: tried } => webhook.id == *tried,
                _ => webhook.wants(&kind, node, pool),
            });
            queued.extend(
                wanting.map(|webhook| delivery(webhook.id, told, &kind, self.parts.clock.now())),
            );
        }
        if queued.is_empty() {
            return Ok(());
        }
        let mut touched: Vec<_> = queued.iter().map(|delivery| delivery.webhook).collect();
        touched.sort_unstable();
        touched.dedup();
        metrics::counter!("lucid_webhook_deliveries_queued_total").increment(queued.len() as u64);
        self.parts.webhooks.add_deliveries(queued).await?;
        for webhook in touched {
            self.drop_oldest(webhook).await?;
        }
        Ok(())
    }

    async fn pool_of(
        &self,
        node: NodeId,
        known: &mut BTreeMap<NodeId, Option<PoolId>>,
    ) -> Result<Option<PoolId>, ServiceError> {
        if let Some(pool) = known.get(&node) {
            return Ok(*pool);
        }
        let pool = self.parts.nodes.node(node).await?.and_then(|node| node.pool);
        known.insert(node, pool);
        Ok(pool)
    }

    /// Keeps what waits for an endpoint within its bound.
    async fn drop_oldest(&self, webhook: WebhookId) -> Result<(), ServiceError> {
        let mut dropped = 0;
        loop {
            let pending = DeliveryFilter { webhook, state: Some(DeliveryState::Pending) };
            let oldest =
                PageRequest { page: 1, limit: DROPPED_AT_ONCE, sort: (), order: Order::Ascending };
            let found = self.parts.webhooks.deliveries(pending, oldest).await?;
            let over =
                usize::try_from(found.total.saturating_sub(self.config.webhooks.undelivered_max))
                    .unwrap_or(usize::MAX);
            let over: Vec<_> = found.items.into_iter().take(over).collect();
            if over.is_empty() {
                break;
            }
            dropped += u32::try_from(over.len()).unwrap_or(u32::MAX);
            let why = "too many were waiting for the endpoint";
            self.parts
                .webhooks
                .update_deliveries(
                    over.into_iter()
                        .map(|d| {
                            d.ended(
                                DeliveryState::Dropped,
                                self.parts.clock.now(),
                                Some(why.into()),
                            )
                        })
                        .collect(),
                )
                .await?;
        }
        if dropped > 0 {
            metrics::counter!("lucid_webhook_deliveries_dropped_total")
                .increment(u64::from(dropped));
            tracing::warn!(webhook = %webhook, dropped, "deliveries were dropped: too many were waiting");
            self.emit(EventKind::WebhookDropped { webhook, dropped });
        }
        Ok(())
    }

    /// Sends what is due. `true` if something was sent.
    ///
    /// # Errors
    /// [`ServiceError::Store`]; deliveries wait then.
    pub async fn send_webhooks(&self) -> Result<bool, ServiceError> {
        let webhooks = self.parts.webhooks.webhooks().await?;
        self.alert_undelivered(&webhooks);
        let now = self.parts.clock.now();
        let paused = self.webhooks_paused.lock().clone();
        let ready = webhooks
            .into_iter()
            .filter(|webhook| paused.get(&webhook.id).is_none_or(|(_, until)| *until <= now));
        let sent: Vec<_> = stream::iter(ready)
            .map(|webhook| self.serve(webhook))
            .buffer_unordered(ENDPOINTS_AT_ONCE)
            .collect()
            .await;
        sent.into_iter().try_fold(false, |any, sent| Ok(any | sent?))
    }

    /// Sends what is due to one endpoint, until one fails: then nothing is sent to it until that is
    /// tried again.
    async fn serve(&self, webhook: Webhook) -> Result<bool, ServiceError> {
        // What waits for a secret that does not open waits for whoever restores its key; the alert
        // says so.
        let Ok(secret) = self.opened(&webhook) else { return Ok(false) };
        let due = self
            .parts
            .webhooks
            .due_deliveries(webhook.id, self.parts.clock.now(), DELIVERIES_A_STEP)
            .await?;
        let mut sent = false;
        for delivery in due {
            sent = true;
            if !webhook.enabled {
                let dropped = delivery.ended(
                    DeliveryState::Dropped,
                    self.parts.clock.now(),
                    Some("the webhook is disabled".into()),
                );
                self.parts.webhooks.update_deliveries(vec![dropped]).await?;
                continue;
            }
            let tried = self.try_delivery(&webhook, &secret, delivery).await;
            metrics::counter!("lucid_webhook_tries_total", "outcome" => tried.state.name())
                .increment(1);
            self.parts.webhooks.update_deliveries(vec![tried.clone()]).await?;
            match tried.state {
                DeliveryState::Delivered => {
                    self.webhooks_paused.lock().remove(&webhook.id);
                }
                DeliveryState::Pending => {
                    self.pause(webhook.id);
                    break;
                }
                DeliveryState::Failed | DeliveryState::Dropped => {
                    self.disable_if_dead(&webhook, &tried).await?;
                    break;
                }
            }
        }
        Ok(sent)
    }

    /// Leaves an endpoint alone that took nothing, for longer with every time: else each delivery
    /// that waits would try it for itself.
    fn pause(&self, webhook: WebhookId) {
        let (now, chance) = (self.parts.clock.now(), self.chance());
        let mut paused = self.webhooks_paused.lock();
        let (failures, until) = paused.entry(webhook).or_insert((0, now));
        *failures = failures.saturating_add(1);
        *until = now.plus_ms(wait_ms(
            *failures,
            self.config.webhooks.retry_first_ms,
            self.config.webhooks.retry_max_ms,
            chance,
        ));
    }

    fn chance(&self) -> u16 {
        let [left, right, ..] = self.parts.entropy.random_16();
        u16::from_le_bytes([left, right])
    }

    #[tracing::instrument(target = TRACE, level = "trace", name = "service.deliver_webhook", skip_all)]
    async fn try_delivery(
        &self,
        webhook: &Webhook,
        secret: &WebhookSecret,
        mut delivery: Delivery,
    ) -> Delivery {
        let timestamp_s = self.parts.clock.now().0.div_euclid(1_000);
        let headers = [
            ("lucid-webhook-id", delivery.id.to_string()),
            ("lucid-webhook-timestamp", timestamp_s.to_string()),
            ("lucid-webhook-signature", delivery.signature(secret, timestamp_s)),
        ];
        delivery.attempts = delivery.attempts.saturating_add(1);
        let answer = self.parts.sender.send(&webhook.url, headers, delivery.body.clone()).await;
        let now = self.parts.clock.now();
        delivery.status = answer.as_ref().ok().copied();
        let error = match answer {
            Ok(status) if (200..300).contains(&status) => {
                return delivery.ended(DeliveryState::Delivered, now, None);
            }
            Ok(status) => format!("it answers {status}"),
            Err(error) => error.to_string(),
        };
        let settings = self.config.webhooks;
        if now.ms_since(delivery.created_at) >= settings.give_up_ms {
            return delivery.ended(DeliveryState::Failed, now, Some(error));
        }
        let wait_ms = wait_ms(
            delivery.attempts,
            settings.retry_first_ms,
            settings.retry_max_ms,
            self.chance(),
        );
        // The last try is when it would be given up.
        delivery.next_attempt_at = now
            .plus_ms(wait_ms)
            .min(delivery.created_at.plus_ms(settings.give_up_ms))
            .max(now.plus_ms(1));
        delivery.error = Some(error);
        delivery
    }

    /// Disables an endpoint that took nothing for as long as a delivery is tried.
    async fn disable_if_dead(
        &self,
        webhook: &Webhook,
        failed: &Delivery,
    ) -> Result<(), ServiceError> {
        let arrived = DeliveryFilter { webhook: webhook.id, state: Some(DeliveryState::Delivered) };
        let newest =
            PageRequest { page: 1, limit: DELIVERIES_A_STEP, sort: (), order: Order::Descending };
        let arrived = self.parts.webhooks.deliveries(arrived, newest).await?.items;
        let since = failed.created_at.max(webhook.updated_at);
        if arrived.iter().any(|delivery| delivery.finished_at.is_some_and(|at| at >= since))
            || webhook.updated_at > failed.created_at
        {
            return Ok(());
        }
        let hours = self.config.webhooks.give_up_ms / 3_600_000;
        let reason = format!(
            "nothing arrived for {hours} hours: {}",
            failed.error.as_deref().unwrap_or_default()
        );
        let mut disabled = webhook.clone();
        disabled.enabled = false;
        disabled.disabled_reason = Some(reason.clone());
        disabled.updated_at = self.parts.clock.now();
        disabled.version += 1;
        let audit = self
            .parts
            .audit
            .entry(&Actor::system(), "webhook.disable", webhook.id, reason)
            .changing(webhook, &disabled);
        // Somebody who changed it meanwhile knows better.
        self.parts.webhooks.update_webhook(disabled, audit).await?;
        Ok(())
    }

    fn alert_undelivered(&self, webhooks: &[Webhook]) {
        let disabled: Vec<_> = webhooks
            .iter()
            .filter(|webhook| webhook.disabled_reason.is_some())
            .map(|webhook| webhook.id.to_string())
            .collect();
        let sealed = webhooks.iter().filter_map(|webhook| {
            self.opened(webhook).err().map(|error| format!("secret of {}: {error}", webhook.id))
        });
        let mut troubles: Vec<_> = sealed.collect();
        if !disabled.is_empty() {
            troubles.push(format!("disabled because nothing arrived: {}", disabled.join(", ")));
        }
        if troubles.is_empty() {
            self.clear_alert(ABOUT);
        } else {
            self.alert(ABOUT, troubles.join("; "));
        }
    }

    /// Forgets old deliveries. `true` if there may be more.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn forget_deliveries(&self) -> Result<bool, ServiceError> {
        let Some(now) = self.parts.clock.sure_now() else { return Ok(false) };
        let forgotten = self
            .parts
            .webhooks
            .forget_deliveries(now.plus_ms(-self.config.webhooks.kept_ms), FORGOTTEN_A_STEP)
            .await?;
        Ok(forgotten == u64::from(FORGOTTEN_A_STEP))
    }
}

fn delivery(webhook: WebhookId, told: &Notification, kind: &str, now: TimeMs) -> Delivery {
    Delivery {
        id: DeliveryId::derive(webhook, &told.id),
        webhook,
        event_id: told.id.clone(),
        kind: kind.to_owned(),
        body: told.body.clone(),
        created_at: now,
        state: DeliveryState::Pending,
        attempts: 0,
        next_attempt_at: now,
        finished_at: None,
        status: None,
        error: None,
    }
}
