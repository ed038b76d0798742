use axum::{
    Json as Answer,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use lucid_model::{
    id::{NodeId, PoolId},
    node::{NodeEvent, NodeStatus},
};
use lucid_ports::{NodeFilter, NodeSort};
use lucid_service::{Actor, ConfigChange, NewNode, NodePatch, NodeView, ServiceError};
use lucid_wire::{
    ErrorBody,
    node::{NodeBody, NodeLive, RegisterNodeRequest, SuspendNodeRequest, UpdateNodeRequest},
    page::{NodeList, PageParams, Pagination},
    pool::AssignPoolRequest,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::{Api, Shared},
    errors::ApiError,
    extract::{Caller, Json, Params},
};

/// Milliseconds of an hour.
const HOUR_MS: i64 = 3_600_000;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list, register))
        .routes(routes!(get, update, delete))
        .routes(routes!(activate))
        .routes(routes!(deactivate))
        .routes(routes!(suspend))
        .routes(routes!(assign))
}

/// An id in a path; anything that is not one names no node.
pub fn node_id(text: &str) -> Result<NodeId, ApiError> {
    text.parse().map_err(|_| ServiceError::NotFound { what: "node" }.into())
}

pub fn body(view: &NodeView) -> NodeBody {
    let live = view.live.map(|live| NodeLive { last_seen: live.last_seen, sample: live.sample });
    NodeBody::new(&view.node, live.as_ref())
}

/// The nodes the caller may see.
#[utoipa::path(get, path = "/api/v1/nodes", tag = "nodes",
    params(PageParams, ("status" = Option<String>, Query, description = "active, inactive, pending, suspended, error"), ("pool_id" = Option<String>, Query, description = "of this pool")),
    responses((status = 200, body = NodeList), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody)))]
async fn list(State(api): State<Shared>, Caller(actor): Caller, params: Params) -> Result<Answer<NodeList>, ApiError> {
    let filter = NodeFilter {
        owner: None,
        status: params.parsed(
            "status",
            |word| NodeStatus::from_name(word).filter(|s| *s != NodeStatus::Deregistered),
            "must be one of active, inactive, pending, suspended, error",
        )?,
        pool: params.parsed("pool_id", |text| text.parse::<PoolId>().ok(), "must be a UUID")?,
    };
    let page = params.page(
        ("created_at", NodeSort::CreatedAt),
        &[("updated_at", NodeSort::UpdatedAt), ("poot_score", NodeSort::Score), ("name", NodeSort::Name)],
    )?;
    let nodes = api.service.nodes(&actor, filter, page).await?;
    Ok(Answer(NodeList { nodes: nodes.items.iter().map(body).collect(), pagination: Pagination::new(page.page, page.limit, nodes.total) }))
}

/// Registers a node; with a public key the request is signed by it.
#[utoipa::path(post, path = "/api/v1/nodes", tag = "nodes", request_body = RegisterNodeRequest,
    responses((status = 201, body = NodeBody), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 409, body = ErrorBody), (status = 429, body = ErrorBody)))]
async fn register(State(api): State<Shared>, Caller(actor): Caller, json: Json<RegisterNodeRequest>) -> Result<Response, ApiError> {
    let proof = json.registration_proof()?;
    let asked = json.value;
    let new = NewNode {
        name: asked.name,
        description: asked.description,
        ip_address: asked.ip_address,
        port: asked.port,
        config: asked.config,
        public_key: asked.public_key,
        wallet: asked.wallet_address,
        hardware: asked.hardware,
        external_id: None,
    };
    let node = body(&api.service.register(&actor, new, proof).await?);
    let mut response = (StatusCode::CREATED, Answer(&node)).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("/api/v1/nodes/{}", node.node_id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// One node.
#[utoipa::path(get, path = "/api/v1/nodes/{id}", tag = "nodes", params(("id" = String, Path)),
    responses((status = 200, body = NodeBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
async fn get(State(api): State<Shared>, Caller(actor): Caller, Path(id): Path<String>) -> Result<Answer<NodeBody>, ApiError> {
    Ok(Answer(body(&api.service.node(&actor, node_id(&id)?).await?)))
}

/// Changes name, description and configuration; what is absent is kept.
#[utoipa::path(put, path = "/api/v1/nodes/{id}", tag = "nodes", params(("id" = String, Path)), request_body = UpdateNodeRequest,
    responses((status = 200, body = NodeBody), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
async fn update(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<UpdateNodeRequest>,
) -> Result<Answer<NodeBody>, ApiError> {
    let asked = json.value;
    let config = asked.config.map(|change| -> ConfigChange { Box::new(move |config| change.apply(config)) });
    let patch = NodePatch { name: asked.name, description: asked.description, config };
    Ok(Answer(body(&api.service.update_node(&actor, node_id(&id)?, patch).await?)))
}

/// Removes a node; its balance stays its owner's.
#[utoipa::path(delete, path = "/api/v1/nodes/{id}", tag = "nodes", params(("id" = String, Path)),
    responses((status = 204), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
async fn delete(State(api): State<Shared>, Caller(actor): Caller, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    api.service.transition(&actor, node_id(&id)?, NodeEvent::Deregister).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn transition(api: &Api, actor: &Actor, id: &str, event: NodeEvent) -> Result<Answer<NodeBody>, ApiError> {
    Ok(Answer(body(&api.service.transition(actor, node_id(id)?, event).await?)))
}

/// Starts a pending or inactive node.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/activate", tag = "nodes", params(("id" = String, Path)),
    responses((status = 200, body = NodeBody), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
async fn activate(State(api): State<Shared>, Caller(actor): Caller, Path(id): Path<String>) -> Result<Answer<NodeBody>, ApiError> {
    transition(&api, &actor, &id, NodeEvent::Activate).await
}

/// Pauses an active node.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/deactivate", tag = "nodes", params(("id" = String, Path)),
    responses((status = 200, body = NodeBody), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
async fn deactivate(State(api): State<Shared>, Caller(actor): Caller, Path(id): Path<String>) -> Result<Answer<NodeBody>, ApiError> {
    transition(&api, &actor, &id, NodeEvent::Deactivate).await
}

/// Stops a node for a time, or until lifted.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/suspend", tag = "nodes", params(("id" = String, Path)), request_body = SuspendNodeRequest,
    responses((status = 200, body = NodeBody), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
async fn suspend(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<SuspendNodeRequest>,
) -> Result<Answer<NodeBody>, ApiError> {
    let until = json.value.duration_hours.map(|hours| api.service.now().plus_ms(i64::from(hours) * HOUR_MS));
    transition(&api, &actor, &id, NodeEvent::Suspend { reason: json.value.reason, until }).await
}

/// Puts a node into a pool.
#[utoipa::path(put, path = "/api/v1/nodes/{id}/pool", tag = "nodes", params(("id" = String, Path)), request_body = AssignPoolRequest,
    responses((status = 200, body = NodeBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn assign(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<AssignPoolRequest>,
) -> Result<Answer<NodeBody>, ApiError> {
    Ok(Answer(body(&api.service.assign(&actor, node_id(&id)?, Some(json.value)).await?)))
}
