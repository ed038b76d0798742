//! Webhooks on the wire.

use lucid_model::notifications::{
    commands::{NewWebhook, WebhookPatch},
    webhook::{Delivery, Webhook},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    fields::{FieldError, Fields, Request},
    fleet::node::request::DESCRIPTION_LENGTH,
    schema,
};

/// Characters of a URL.
const URL_LENGTH: std::ops::RangeInclusive<usize> = 1..=2_048;
/// Entries of a filter of events.
const EVENTS: std::ops::RangeInclusive<usize> = 0..=50;
/// Characters of one.
const EVENT_LENGTH: std::ops::RangeInclusive<usize> = 1..=64;

/// Registers an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct CreateWebhookRequest {
    /// Where it is: `https://`.
    #[schema(value_type = schema::EndpointUrl)]
    pub url: String,
    /// About it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Description>)]
    pub description: Option<String>,
    /// What the types of its events begin with, as in `/events`; all that are sent if it is empty
    /// or absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<schema::EventFilter>>, max_items = 50)]
    pub events: Option<Vec<String>>,
    /// Only events about this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub node_id: Option<String>,
    /// Only events about nodes in this pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub pool_id: Option<String>,
    /// Whether it is sent anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(default = true)]
    pub enabled: Option<bool>,
}

/// Changes a webhook; what is absent is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct UpdateWebhookRequest {
    /// Where it is: `https://`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::EndpointUrl>)]
    pub url: Option<String>,
    /// About it; an empty text removes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Description>)]
    pub description: Option<String>,
    /// What the types of its events begin with; empty: all that are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<schema::EventFilter>>, max_items = 50)]
    pub events: Option<Vec<String>>,
    /// Only events about this node; an empty text lifts that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub node_id: Option<String>,
    /// Only events about nodes in this pool; an empty text lifts that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub pool_id: Option<String>,
    /// Whether it is sent anything; one that the service disabled is enabled again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

impl Request for CreateWebhookRequest {
    type Valid = NewWebhook;
    fn read(fields: &Fields<'_>) -> Result<NewWebhook, FieldError> {
        Ok(NewWebhook {
            url: fields.require("url", fields.line("url", URL_LENGTH)?)?,
            description: fields.text("description", DESCRIPTION_LENGTH)?,
            events: fields.texts("events", EVENTS, EVENT_LENGTH)?.unwrap_or_default(),
            node: fields.parsed("node_id")?,
            pool: fields.parsed("pool_id")?,
            enabled: fields.flag("enabled")?.unwrap_or(true),
        })
    }
}

/// An id, or an empty text for none.
fn id_or_lifted<T: std::str::FromStr<Err: std::fmt::Display>>(
    fields: &Fields<'_>,
    key: &str,
) -> Result<Option<Option<T>>, FieldError> {
    if fields.string(key)? == Some("") { Ok(Some(None)) } else { Ok(fields.parsed(key)?.map(Some)) }
}

impl Request for UpdateWebhookRequest {
    type Valid = WebhookPatch;
    fn read(fields: &Fields<'_>) -> Result<WebhookPatch, FieldError> {
        Ok(WebhookPatch {
            url: fields.line("url", URL_LENGTH)?,
            description: fields.text("description", DESCRIPTION_LENGTH)?,
            events: fields.texts("events", EVENTS, EVENT_LENGTH)?,
            node: id_or_lifted(fields, "node_id")?,
            pool: id_or_lifted(fields, "pool_id")?,
            enabled: fields.flag("enabled")?,
        })
    }
}

/// A webhook: what is known of it, and once its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookBody {
    /// Its id.
    #[schema(value_type = schema::Id)]
    pub webhook_id: String,
    /// What its deliveries are signed with: only in the answer that makes it, and not in a repeat
    /// of that answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Where it is.
    pub url: String,
    /// About it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What the types of its events begin with; empty: all that are sent.
    pub events: Vec<String>,
    /// Only events about this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub node_id: Option<String>,
    /// Only events about nodes in this pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub pool_id: Option<String>,
    /// Whether it is sent anything.
    pub enabled: bool,
    /// Why the service disabled it, if it was the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_reason: Option<String>,
    /// Creation.
    #[schema(value_type = schema::Timestamp)]
    pub created_at: String,
    /// Last change.
    #[schema(value_type = schema::Timestamp)]
    pub updated_at: String,
    /// By whom it was made.
    pub created_by: String,
}

impl From<&Webhook> for WebhookBody {
    fn from(webhook: &Webhook) -> Self {
        Self {
            webhook_id: webhook.id.to_string(),
            secret: None,
            url: webhook.url.clone(),
            description: webhook.description.clone(),
            events: webhook.events.clone(),
            node_id: webhook.node.map(|node| node.to_string()),
            pool_id: webhook.pool.map(|pool| pool.to_string()),
            enabled: webhook.enabled,
            disabled_reason: webhook.disabled_reason.clone(),
            created_at: webhook.created_at.to_string(),
            updated_at: webhook.updated_at.to_string(),
            created_by: webhook.created_by.clone(),
        }
    }
}

/// An event on its way to a webhook, or arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryBody {
    /// Its id: the header `lucid-webhook-id` of every try.
    #[schema(value_type = schema::Id)]
    pub delivery_id: String,
    /// The event's id.
    pub event_id: String,
    /// The event's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What became of it.
    #[schema(value_type = schema::DeliveryState)]
    pub state: String,
    /// How often it was sent.
    pub attempts: u32,
    /// When it was queued.
    #[schema(value_type = schema::Timestamp)]
    pub created_at: String,
    /// When it is sent next, while it is pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub next_attempt_at: Option<String>,
    /// When it arrived or was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub finished_at: Option<String>,
    /// The status of the last answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What went wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl From<&Delivery> for DeliveryBody {
    fn from(delivery: &Delivery) -> Self {
        let pending = delivery.finished_at.is_none();
        Self {
            delivery_id: delivery.id.to_string(),
            event_id: delivery.event_id.clone(),
            kind: delivery.kind.clone(),
            state: delivery.state.name().into(),
            attempts: delivery.attempts,
            created_at: delivery.created_at.to_string(),
            next_attempt_at: pending.then(|| delivery.next_attempt_at.to_string()),
            finished_at: delivery.finished_at.map(|at| at.to_string()),
            status: delivery.status,
            error: delivery.error.clone(),
        }
    }
}
