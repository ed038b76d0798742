//! Webhooks: endpoints that operators register, and what is on its way to them.

mod outbox;
mod seals;

use lucid_foundation::{Actor, CAS_TRIES, Role, ServiceError};
use lucid_model::{
    id::WebhookId,
    notifications::{
        commands::{NewWebhook, WebhookPatch},
        event::EventKind,
        webhook::{Delivery, DeliveryState, Webhook, WebhookSecret, is_filter},
    },
};
use lucid_ports::{DeliveryFilter, Page, PageRequest};

pub use self::outbox::{Notification, WebhookSettings};
use crate::Notifications;

/// What every secret begins with, so that a leaked one is recognised.
const PREFIX: &str = "lucid_whsec_";

/// A webhook as it is made.
#[derive(Debug, Clone)]
pub struct GivenWebhook {
    /// What is kept of it.
    pub webhook: Webhook,
    /// Its secret; none if an earlier try of the same request may have shown it already.
    pub secret: Option<WebhookSecret>,
}

fn operator(actor: &Actor) -> Result<(), ServiceError> {
    if actor.is(Role::Operator) {
        Ok(())
    } else {
        Err(ServiceError::Forbidden { why: "this needs role operator" })
    }
}

fn sent_at_all(events: &[String]) -> Result<(), ServiceError> {
    match events.iter().find(|event| !is_filter(event)) {
        Some(event) => Err(ServiceError::invalid(
            "events",
            format!(
                "webhooks are not sent for {event:?}, but for types that begin with {}",
                lucid_model::notifications::webhook::SENT.join(", ")
            ),
        )),
        None => Ok(()),
    }
}

impl Notifications {
    /// Whether an endpoint may be sent to.
    fn check_url(&self, url: &str) -> Result<(), ServiceError> {
        self.parts.sender.check(url).map_err(|problem| ServiceError::invalid("url", problem))
    }

    /// Registers an endpoint.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, there are too many, or what it says is wrong.
    pub async fn create_webhook(
        &self,
        actor: &Actor,
        new: NewWebhook,
    ) -> Result<GivenWebhook, ServiceError> {
        operator(actor)?;
        self.check_url(&new.url)?;
        sent_at_all(&new.events)?;
        let (known, id) =
            (self.parts.webhooks.webhooks().await?, WebhookId(self.parts.ids.new_id(actor)));
        if let Some(made) = known.iter().find(|webhook| webhook.id == id) {
            return Ok(GivenWebhook { webhook: made.clone(), secret: None });
        }
        let most = self.config.webhooks.endpoints_max;
        if known.len() >= most {
            return Err(ServiceError::invalid(
                "url",
                format!("there are {} webhooks, the most there may be is {most}", known.len()),
            ));
        }
        self.check_seals(&known)?;
        let (now, secret) = (
            self.parts.clock.now(),
            WebhookSecret(format!("{PREFIX}{}", hex::encode(self.parts.entropy.random_32()))),
        );
        let webhook = Webhook {
            id,
            url: new.url,
            description: new.description,
            events: new.events,
            node: new.node,
            pool: new.pool,
            secret: self.sealed(id, &secret)?,
            enabled: new.enabled,
            disabled_reason: None,
            created_at: now,
            updated_at: now,
            created_by: actor.subject.clone(),
            version: 1,
        };
        let audit = self
            .parts
            .audit
            .entry(actor, "webhook.create", id, webhook.url.clone())
            .creating(&webhook);
        let fresh = self.parts.webhooks.add_webhook(webhook.clone(), audit).await?;
        Ok(GivenWebhook { webhook, secret: fresh.then_some(secret) })
    }

    /// All webhooks, oldest first.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not.
    pub async fn webhooks(&self, actor: &Actor) -> Result<Vec<Webhook>, ServiceError> {
        operator(actor)?;
        Ok(self.parts.webhooks.webhooks().await?)
    }

    /// One webhook.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, or there is none.
    pub async fn webhook(&self, actor: &Actor, id: WebhookId) -> Result<Webhook, ServiceError> {
        self.webhooks(actor)
            .await?
            .into_iter()
            .find(|webhook| webhook.id == id)
            .ok_or(ServiceError::no("webhook"))
    }

    /// Changes what a PUT may change; to enable one again forgets why it was disabled.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, it is gone or was changed meanwhile, or what is said
    /// is wrong.
    pub async fn update_webhook(
        &self,
        actor: &Actor,
        id: WebhookId,
        patch: WebhookPatch,
    ) -> Result<Webhook, ServiceError> {
        let before = self.webhook(actor, id).await?;
        actor.expects("webhook", before.version)?;
        if let Some(url) = &patch.url {
            self.check_url(url)?;
        }
        sent_at_all(patch.events.as_deref().unwrap_or_default())?;
        let mut webhook = before.clone();
        webhook.url = patch.url.unwrap_or(webhook.url);
        webhook.description =
            patch.description.or(webhook.description).filter(|text| !text.is_empty());
        webhook.events = patch.events.unwrap_or(webhook.events);
        webhook.node = patch.node.unwrap_or(webhook.node);
        webhook.pool = patch.pool.unwrap_or(webhook.pool);
        webhook.enabled = patch.enabled.unwrap_or(webhook.enabled);
        webhook.disabled_reason = webhook.disabled_reason.filter(|_| !webhook.enabled);
        webhook.updated_at = self.parts.clock.now();
        webhook.version += 1;
        let audit = self
            .parts
            .audit
            .entry(actor, "webhook.update", id, webhook.url.clone())
            .changing(&before, &webhook);
        if !self.parts.webhooks.update_webhook(webhook.clone(), audit).await? {
            return Err(ServiceError::Changed { what: "webhook" });
        }
        self.webhooks_paused.lock().remove(&id);
        Ok(webhook)
    }

    /// Removes a webhook; what was on its way to it is not sent any more.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, or there is none.
    pub async fn delete_webhook(&self, actor: &Actor, id: WebhookId) -> Result<(), ServiceError> {
        for _ in 0..CAS_TRIES {
            let webhook = self.webhook(actor, id).await?;
            actor.expects("webhook", webhook.version)?;
            let audit = self
                .parts
                .audit
                .entry(actor, "webhook.delete", id, webhook.url.clone())
                .removing(&webhook);
            let version = actor.expected.as_ref().map(|_| webhook.version);
            if self.parts.webhooks.remove_webhook(id, version, audit).await? {
                return Ok(());
            }
        }
        Err(ServiceError::Changed { what: "webhook" })
    }

    /// Sends an event of no meaning to a webhook, the way any other goes.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, or there is none, or it is disabled.
    pub async fn test_webhook(
        &self,
        actor: &Actor,
        id: WebhookId,
    ) -> Result<Webhook, ServiceError> {
        let webhook = self.webhook(actor, id).await?;
        actor.expects("webhook", webhook.version)?;
        if !webhook.enabled {
            return Err(ServiceError::invalid(
                "enabled",
                "the webhook is disabled: nothing is sent to it",
            ));
        }
        self.emit(EventKind::WebhookTest { webhook: id });
        Ok(webhook)
    }

    /// A page of what was, and is, on its way to a webhook.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, or there is none.
    pub async fn webhook_deliveries(
        &self,
        actor: &Actor,
        id: WebhookId,
        state: Option<DeliveryState>,
        page: PageRequest<()>,
    ) -> Result<Page<Delivery>, ServiceError> {
        self.webhook(actor, id).await?;
        Ok(self.parts.webhooks.deliveries(DeliveryFilter { webhook: id, state }, page).await?)
    }
}
