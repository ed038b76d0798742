use axum::{
    Json as Answer,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use lucid_api_types::{
    ErrorBody,
    fleet::{
        auth::RegistrationHeaders,
        node::{NodeBody, NodeLive, RegisterNodeRequest, SuspendNodeRequest, UpdateNodeRequest},
        pool::AssignPoolRequest,
    },
    page::{NodeList, PageParams, Pagination},
    schema,
};
use lucid_model::{
    fleet::{
        commands::NewNode,
        node::{NodeEvent, NodeStatus},
    },
    id::{NodeId, PoolId},
};
use lucid_ports::{NodeFilter, NodeSort, PageRequest};
use lucid_service::{Actor, NodeView, RegistrationProof};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::{Api, Shared},
    errors::ApiError,
    etag,
    extract::{Caller, Json, Params},
};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list, register))
        .routes(routes!(get, update, delete))
        .routes(routes!(activate))
        .routes(routes!(deactivate))
        .routes(routes!(suspend))
        .routes(routes!(lift_suspension))
        .routes(routes!(assign))
}

/// The node that a path names: by its id, or by what an older client calls it.
pub async fn node_id(api: &Api, text: &str) -> Result<NodeId, ApiError> {
    Ok(api.service.fleet.find_node(text).await?)
}

pub fn body(view: &NodeView) -> NodeBody {
    let live = view.live.map(|live| NodeLive { last_seen: live.last_seen, sample: live.sample });
    NodeBody::new(&view.node, live.as_ref(), view.hold)
}

/// The filter `pool_id`.
pub fn pool_filter(params: &Params) -> Result<Option<PoolId>, ApiError> {
    params.parsed("pool_id", |text| text.parse::<PoolId>().ok(), "must be a UUID")
}

/// Which page of nodes.
pub fn page(params: &Params) -> Result<PageRequest<NodeSort>, ApiError> {
    params.page(
        ("created_at", NodeSort::CreatedAt),
        &[
            ("updated_at", NodeSort::UpdatedAt),
            ("poot_score", NodeSort::Score),
            ("name", NodeSort::Name),
        ],
    )
}

/// The nodes the caller may see.
///
/// A caller without rights over the fleet sees its own nodes only; `total` counts those.
#[utoipa::path(get, path = "/api/v1/nodes", operation_id = "listNodes", tag = "nodes",
    params(PageParams, ("sort" = Option<schema::NodeSort>, Query, description = "What to sort by"), ("status" = Option<schema::ListedNodeStatus>, Query, description = "Nodes with this status"), ("pool_id" = Option<schema::Id>, Query, description = "Nodes of this pool")),
    responses((status = 200, body = NodeList, description = "A page of nodes")))]
async fn list(
    State(api): State<Shared>,
    Caller(actor): Caller,
    params: Params,
) -> Result<Answer<NodeList>, ApiError> {
    let filter = NodeFilter {
        owner: None,
        status: params.parsed(
            "status",
            |word| NodeStatus::from_name(word).filter(|s| *s != NodeStatus::Deregistered),
            "must be one of active, inactive, pending, suspended, error",
        )?,
        pool: pool_filter(&params)?,
    };
    let page = page(&params)?;
    let nodes = api.service.fleet.nodes(&actor, filter, page).await?;
    Ok(Answer(NodeList {
        nodes: nodes.items.iter().map(body).collect(),
        pagination: Pagination::new(page.page, page.limit, nodes.total),
    }))
}

/// Registers a node.
///
/// Only name, address and port are needed. With a public key the request is signed by it: the
/// headers carry the signature, and a wallet may only come with such a proof or later. Refused with
/// 429 when the owner, address or wallet has too many nodes.
#[utoipa::path(post, path = "/api/v1/nodes", operation_id = "registerNode", tag = "nodes", request_body = RegisterNodeRequest,
    params(RegistrationHeaders),
    responses((status = 201, body = NodeBody, description = "The node, pending until it is activated", headers(("Location" = String, description = "Path of the node"))),
        (status = 409, body = ErrorBody, description = "A node with this key, or this address and port, is registered already")))]
async fn register(
    State(api): State<Shared>,
    Caller(actor): Caller,
    json: Json<RegisterNodeRequest>,
) -> Result<Response, ApiError> {
    let proof = json.registration_proof()?;
    registered(&api, &actor, json.value, proof).await
}

/// Registers a node, whichever form was used.
pub async fn registered(
    api: &Api,
    actor: &Actor,
    new: NewNode,
    proof: Option<RegistrationProof>,
) -> Result<Response, ApiError> {
    let view = api.service.fleet.register(actor, new, proof).await?;
    etag::created(view.node.version, &body(&view), &format!("/api/v1/nodes/{}", view.node.id))
}

/// One node.
///
/// With its newest sample and its score of the last closed epoch.
#[utoipa::path(get, path = "/api/v1/nodes/{id}", operation_id = "getNode", tag = "nodes",
    params(("id" = schema::NodeName, Path, description = "The node")),
    responses((status = 200, body = NodeBody, description = "The node")))]
async fn get(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let view = api.service.fleet.node(&actor, node_id(&api, &id).await?).await?;
    etag::tagged(&headers, view.node.version, &body(&view))
}

/// Changes a node.
///
/// Name, description and configuration; what is absent is kept, within the configuration too. An
/// empty description removes it.
#[utoipa::path(put, path = "/api/v1/nodes/{id}", operation_id = "updateNode", tag = "nodes", request_body = UpdateNodeRequest,
    params(("id" = schema::NodeName, Path, description = "The node")),
    responses((status = 200, body = NodeBody, description = "The node as it is now"),
        (status = 409, body = ErrorBody, description = "Somebody else changed it at the same time")))]
async fn update(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<UpdateNodeRequest>,
) -> Result<Response, ApiError> {
    changed(&api.service.fleet.update_node(&actor, node_id(&api, &id).await?, json.value).await?)
}

/// Removes a node.
///
/// It leaves its pool and earns no more; its balance stays its owner's.
#[utoipa::path(delete, path = "/api/v1/nodes/{id}", operation_id = "deleteNode", tag = "nodes",
    params(("id" = schema::NodeName, Path, description = "The node")),
    responses((status = 204, description = "It is gone"),
        (status = 409, body = ErrorBody, description = "Somebody else changed it at the same time")))]
async fn delete(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    api.service.fleet.transition(&actor, node_id(&api, &id).await?, NodeEvent::Deregister).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn transition(
    api: &Api,
    actor: &Actor,
    id: &str,
    event: NodeEvent,
) -> Result<Response, ApiError> {
    changed(&api.service.fleet.transition(actor, node_id(api, id).await?, event).await?)
}

/// A node that was changed, with the tag that its next change may name.
pub fn changed(view: &NodeView) -> Result<Response, ApiError> {
    etag::changed(view.node.version, &body(view))
}

/// Starts a pending or inactive node.
///
/// A pending node is looked at by the validation policy first. A node in another status is refused
/// with 400.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/activate", operation_id = "activateNode", tag = "nodes",
    params(("id" = schema::NodeName, Path, description = "The node")),
    responses((status = 200, body = NodeBody, description = "The node as it is now"),
        (status = 409, body = ErrorBody, description = "Somebody else changed it at the same time")))]
async fn activate(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    transition(&api, &actor, &id, NodeEvent::Activate).await
}

/// Pauses an active node.
///
/// It earns nothing while it is inactive; what it earned is paid. A node in another status is
/// refused with 400.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/deactivate", operation_id = "deactivateNode", tag = "nodes",
    params(("id" = schema::NodeName, Path, description = "The node")),
    responses((status = 200, body = NodeBody, description = "The node as it is now"),
        (status = 409, body = ErrorBody, description = "Somebody else changed it at the same time")))]
async fn deactivate(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    transition(&api, &actor, &id, NodeEvent::Deactivate).await
}

/// Stops a node for a time, or until lifted.
///
/// For operators. It neither earns nor votes, and its payouts are held; at the end it returns to
/// the status it had.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/suspend", operation_id = "suspendNode", tag = "nodes", request_body = SuspendNodeRequest,
    params(("id" = schema::NodeName, Path, description = "The node")),
    responses((status = 200, body = NodeBody, description = "The node as it is now"),
        (status = 409, body = ErrorBody, description = "Somebody else changed it at the same time")))]
async fn suspend(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<SuspendNodeRequest>,
) -> Result<Response, ApiError> {
    changed(&api.service.fleet.suspend(&actor, node_id(&api, &id).await?, json.value).await?)
}

/// Ends a suspension before its time.
///
/// For operators. The node returns to the status that it had; one that is not suspended is refused
/// with 400.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/lift-suspension", operation_id = "liftSuspension", tag = "nodes",
    params(("id" = schema::NodeName, Path, description = "The node")),
    responses((status = 200, body = NodeBody, description = "The node as it is now"),
        (status = 409, body = ErrorBody, description = "Somebody else changed it at the same time")))]
async fn lift_suspension(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    transition(&api, &actor, &id, NodeEvent::LiftSuspension).await
}

/// Puts a node into a pool.
///
/// It leaves the pool it was in.
#[utoipa::path(put, path = "/api/v1/nodes/{id}/pool", operation_id = "assignNodeToPool", tag = "nodes", request_body = AssignPoolRequest,
    params(("id" = schema::NodeName, Path, description = "The node")),
    responses((status = 200, body = NodeBody, description = "The node as it is now"),
        (status = 409, body = ErrorBody, description = "The pool is full, or somebody else changed the node at the same time")))]
async fn assign(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<AssignPoolRequest>,
) -> Result<Response, ApiError> {
    changed(&api.service.fleet.assign(&actor, node_id(&api, &id).await?, Some(json.value)).await?)
}
