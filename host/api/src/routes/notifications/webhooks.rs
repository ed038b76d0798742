//! Webhooks.

use axum::{
    Json as Answer,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use lucid_api_types::{
    ErrorBody,
    notifications::webhook::{
        CreateWebhookRequest, DeliveryBody, UpdateWebhookRequest, WebhookBody,
    },
    page::{DeliveryList, PageParams, Pagination, WebhookList},
    schema,
};
use lucid_model::{id::WebhookId, notifications::webhook::DeliveryState};
use lucid_service::ServiceError;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::Shared,
    errors::ApiError,
    etag,
    extract::{Caller, Json, Params},
    idempotency::KeptInstead,
};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(test))
        .routes(routes!(deliveries))
}

/// An id in a path; anything that is not one names no webhook.
fn webhook_id(text: &str) -> Result<WebhookId, ApiError> {
    text.parse().map_err(|_| ServiceError::NotFound { what: "webhook" }.into())
}

/// All webhooks.
///
/// For operators. Without their secrets.
#[utoipa::path(get, path = "/api/v1/webhooks", operation_id = "listWebhooks", tag = "events",
    params(PageParams, ("sort" = Option<schema::CreatedSort>, Query, description = "What to sort by")),
    responses((status = 200, body = WebhookList, description = "A page of webhooks")))]
async fn list(
    State(api): State<Shared>,
    Caller(actor): Caller,
    params: Params,
) -> Result<Answer<WebhookList>, ApiError> {
    let page = params.page(("created_at", ()), &[])?;
    let mut all = api.service.notifications.webhooks(&actor).await?;
    if page.order == lucid_ports::Order::Descending {
        all.reverse();
    }
    let total = u64::try_from(all.len()).unwrap_or(u64::MAX);
    let from = usize::try_from(page.offset()).unwrap_or(usize::MAX);
    let webhooks = all
        .iter()
        .skip(from)
        .take(usize::try_from(page.limit).unwrap_or(usize::MAX))
        .map(WebhookBody::from)
        .collect();
    Ok(Answer(WebhookList { webhooks, pagination: Pagination::new(page.page, page.limit, total) }))
}

/// Registers a webhook.
///
/// For operators. Events are sent to it as `POST` with the envelope of `/events` as JSON: changes
/// of nodes, alerts, payouts and runs, epochs, periods, pools and policies; never one per sample or
/// score. `lucid-webhook-signature` is `v1=` and the HMAC-SHA-256 in hex, keyed with the secret, of
/// `{lucid-webhook-id}.{lucid-webhook-timestamp}.{body}`. What is not answered with 2xx in time is
/// sent again with the same `lucid-webhook-id`, for a day; an endpoint that takes nothing for so
/// long is disabled. The secret is shown once, in this answer; a repeat under the same
/// `Idempotency-Key` leaves it out.
#[utoipa::path(post, path = "/api/v1/webhooks", operation_id = "createWebhook", tag = "events", request_body = CreateWebhookRequest,
    responses((status = 201, body = WebhookBody, description = "The webhook", headers(("Location" = String, description = "Path of the webhook")))))]
async fn create(
    State(api): State<Shared>,
    Caller(actor): Caller,
    json: Json<CreateWebhookRequest>,
) -> Result<Response, ApiError> {
    let given = api.service.notifications.create_webhook(&actor, json.value).await?;
    let known = WebhookBody::from(&given.webhook);
    let kept = serde_json::to_vec(&known).map_err(|error| ApiError::internal(&error))?;
    let location = format!("/api/v1/webhooks/{}", known.webhook_id);
    let shown = WebhookBody { secret: given.secret.map(|secret| secret.0), ..known };
    let headers = [(header::LOCATION, location), (header::CACHE_CONTROL, "no-store".to_owned())];
    let mut response = (StatusCode::CREATED, headers, Answer(shown)).into_response();
    response.extensions_mut().insert(KeptInstead(Bytes::from(kept)));
    Ok(response)
}

/// One webhook.
///
/// For operators. Without its secret.
#[utoipa::path(get, path = "/api/v1/webhooks/{id}", operation_id = "getWebhook", tag = "events",
    params(("id" = schema::Id, Path, description = "The webhook")),
    responses((status = 200, body = WebhookBody, description = "The webhook")))]
async fn get(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let webhook = api.service.notifications.webhook(&actor, webhook_id(&id)?).await?;
    etag::tagged(&headers, webhook.version, &WebhookBody::from(&webhook))
}

/// Changes a webhook.
///
/// For operators. What is absent is kept; its secret stays what it is. To enable one that the
/// service disabled forgets why it was.
#[utoipa::path(put, path = "/api/v1/webhooks/{id}", operation_id = "updateWebhook", tag = "events", request_body = UpdateWebhookRequest,
    params(("id" = schema::Id, Path, description = "The webhook")),
    responses((status = 200, body = WebhookBody, description = "The webhook as it is now"),
        (status = 409, body = ErrorBody, description = "Somebody else changed it at the same time")))]
async fn update(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<UpdateWebhookRequest>,
) -> Result<Response, ApiError> {
    let webhook =
        api.service.notifications.update_webhook(&actor, webhook_id(&id)?, json.value).await?;
    etag::changed(webhook.version, &WebhookBody::from(&webhook))
}

/// Removes a webhook.
///
/// For operators. What is on its way to it is not sent any more.
#[utoipa::path(delete, path = "/api/v1/webhooks/{id}", operation_id = "deleteWebhook", tag = "events",
    params(("id" = schema::Id, Path, description = "The webhook")),
    responses((status = 204, description = "It is gone")))]
async fn delete(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    api.service.notifications.delete_webhook(&actor, webhook_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tries a webhook out.
///
/// For operators. An event `webhook.test` is sent to it the way any other is; its deliveries tell
/// what became of it.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/test", operation_id = "testWebhook", tag = "events",
    params(("id" = schema::Id, Path, description = "The webhook")),
    responses((status = 202, body = WebhookBody, description = "The event is on its way"),
        (status = 400, body = ErrorBody, description = "The webhook is disabled")))]
async fn test(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let webhook = api.service.notifications.test_webhook(&actor, webhook_id(&id)?).await?;
    Ok((StatusCode::ACCEPTED, Answer(WebhookBody::from(&webhook))).into_response())
}

/// What was, and is, on its way to a webhook.
///
/// For operators. Kept for a week, newest first.
#[utoipa::path(get, path = "/api/v1/webhooks/{id}/deliveries", operation_id = "listWebhookDeliveries", tag = "events",
    params(("id" = schema::Id, Path, description = "The webhook"), PageParams,
        ("sort" = Option<schema::CreatedSort>, Query, description = "What to sort by"),
        ("state" = Option<schema::DeliveryState>, Query, description = "Deliveries in this state")),
    responses((status = 200, body = DeliveryList, description = "A page of deliveries")))]
async fn deliveries(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Answer<DeliveryList>, ApiError> {
    let state = params.parsed(
        "state",
        DeliveryState::from_name,
        "must be one of pending, delivered, failed, dropped",
    )?;
    let page = params.page(("created_at", ()), &[])?;
    let found =
        api.service.notifications.webhook_deliveries(&actor, webhook_id(&id)?, state, page).await?;
    let deliveries = found.items.iter().map(DeliveryBody::from).collect();
    Ok(Answer(DeliveryList {
        deliveries,
        pagination: Pagination::new(page.page, page.limit, found.total),
    }))
}
