use axum::{
    Json as Answer,
    extract::{Path, State},
    http::{StatusCode, header},
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
    auth::RegistrationHeaders,
    node::{NodeBody, NodeLive, RegisterNodeRequest, SuspendNodeRequest, UpdateNodeRequest},
    page::{NodeList, PageParams, Pagination},
    pool::AssignPoolRequest,
    schema,
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
///
/// A caller without rights over the fleet sees its own nodes only; `total` counts those.
#[utoipa::path(get, path = "/api/v1/nodes", operation_id = "listNodes", tag = "nodes",
    params(PageParams, ("sort" = Option<schema::NodeSort>, Query, description = "What to sort by"), ("status" = Option<schema::ListedNodeStatus>, Query, description = "Nodes with this status"), ("pool_id" = Option<schema::Id>, Query, description = "Nodes of this pool")),
    responses((status = 200, body = NodeList, description = "A page of nodes")))]
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

/// Registers a node.
///
/// Only name, address and port are needed. With a public key the request is signed by it: the headers carry the
/// signature, and a wallet may only come with such a proof or later. Refused with 429 when the owner, address or wallet
/// has too many nodes.
#[utoipa::path(post, path = "/api/v1/nodes", operation_id = "registerNode", tag = "nodes", request_body = RegisterNodeRequest,
    params(RegistrationHeaders),
    responses((status = 201, body = NodeBody, description = "The node, pending until it is activated", headers(("Location" = String, description = "Path of the node"))),
        (status = 409, body = ErrorBody, description = "A node with this key, or this address and port, is registered already")))]
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
    let location = format!("/api/v1/nodes/{}", node.node_id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Answer(node)).into_response())
}

/// One node.
///
/// With its newest sample and its score of the last closed epoch.
#[utoipa::path(get, path = "/api/v1/nodes/{id}", operation_id = "getNode", tag = "nodes",
    params(("id" = schema::Id, Path, description = "The node")),
    responses((status = 200, body = NodeBody, description = "The node")))]
async fn get(State(api): State<Shared>, Caller(actor): Caller, Path(id): Path<String>) -> Result<Answer<NodeBody>, ApiError> {
    Ok(Answer(body(&api.service.node(&actor, node_id(&id)?).await?)))
}

/// Changes a node.
///
/// Name, description and configuration; what is absent is kept, within the configuration too. An empty description
/// removes it.
#[utoipa::path(put, path = "/api/v1/nodes/{id}", operation_id = "updateNode", tag = "nodes", request_body = UpdateNodeRequest,
    params(("id" = schema::Id, Path, description = "The node")),
    responses((status = 200, body = NodeBody, description = "The node as it is now"),
        (status = 409, body = ErrorBody, description = "Somebody else changed it at the same time")))]
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

/// Removes a node.
///
/// It leaves its pool and earns no more; its balance stays its owner's.
#[utoipa::path(delete, path = "/api/v1/nodes/{id}", operation_id = "deleteNode", tag = "nodes",
    params(("id" = schema::Id, Path, description = "The node")),
    responses((status = 204, description = "It is gone"),
        (status = 409, body = ErrorBody, description = "Somebody else changed it at the same time")))]
async fn delete(State(api): State<Shared>, Caller(actor): Caller, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    api.service.transition(&actor, node_id(&id)?, NodeEvent::Deregister).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn transition(api: &Api, actor: &Actor, id: &str, event: NodeEvent) -> Result<Answer<NodeBody>, ApiError> {
    Ok(Answer(body(&api.service.transition(actor, node_id(id)?, event).await?)))
}

/// Starts a pending or inactive node.
///
/// A pending node is looked at by the validation policy first. A node in another status is refused with 400.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/activate", operation_id = "activateNode", tag = "nodes",
    params(("id" = schema::Id, Path, description = "The node")),
    responses((status = 200, body = NodeBody, description = "The node as it is now"),
        (status = 409, body = ErrorBody, description = "Somebody else changed it at the same time")))]
async fn activate(State(api): State<Shared>, Caller(actor): Caller, Path(id): Path<String>) -> Result<Answer<NodeBody>, ApiError> {
    transition(&api, &actor, &id, NodeEvent::Activate).await
}

/// Pauses an active node.
///
/// It earns nothing while it is inactive; what it earned is paid. A node in another status is refused with 400.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/deactivate", operation_id = "deactivateNode", tag = "nodes",
    params(("id" = schema::Id, Path, description = "The node")),
    responses((status = 200, body = NodeBody, description = "The node as it is now"),
        (status = 409, body = ErrorBody, description = "Somebody else changed it at the same time")))]
async fn deactivate(State(api): State<Shared>, Caller(actor): Caller, Path(id): Path<String>) -> Result<Answer<NodeBody>, ApiError> {
    transition(&api, &actor, &id, NodeEvent::Deactivate).await
}

/// Stops a node for a time, or until lifted.
///
/// For operators. It neither earns nor votes, and its payouts are held; at the end it returns to the status it had.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/suspend", operation_id = "suspendNode", tag = "nodes", request_body = SuspendNodeRequest,
    params(("id" = schema::Id, Path, description = "The node")),
    responses((status = 200, body = NodeBody, description = "The node as it is now"),
        (status = 409, body = ErrorBody, description = "Somebody else changed it at the same time")))]
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
///
/// It leaves the pool it was in.
#[utoipa::path(put, path = "/api/v1/nodes/{id}/pool", operation_id = "assignNodeToPool", tag = "nodes", request_body = AssignPoolRequest,
    params(("id" = schema::Id, Path, description = "The node")),
    responses((status = 200, body = NodeBody, description = "The node as it is now"),
        (status = 409, body = ErrorBody, description = "The pool is full, or somebody else changed the node at the same time")))]
async fn assign(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<AssignPoolRequest>,
) -> Result<Answer<NodeBody>, ApiError> {
    Ok(Answer(body(&api.service.assign(&actor, node_id(&id)?, Some(json.value)).await?)))
}
