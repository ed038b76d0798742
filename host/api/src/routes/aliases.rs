//! Deprecated routes that older clients of the network call: other names for what the rest of the
//! API does. Nothing is decided here.

use axum::{
    Json as Answer, Router,
    extract::{Path, State},
    response::Response,
    routing::{get, post},
};
use lucid_api_types::{
    ErrorBody,
    epochs::poot::ScoreBody,
    fleet::{
        auth::RegistrationHeaders,
        node::{LegacyRegisterRequest, NodeBody},
        pool::PoolBody,
    },
    legacy::{
        JoinPoolRequest, LegacyPayoutBody, NodeAlertBody, NodeAlertsBody, NodeStatusBody, measured,
    },
    page::{NodeList, PageParams, Pagination},
    schema,
    telemetry::resources::{TimeRange, UsageBody, UsageHistoryBody},
};
use lucid_model::fleet::node::{NodeEvent, NodeStatus};
use lucid_ports::{NodeFilter, PayoutFilter, ScoreFilter, ScoreSort};
use lucid_service::ServiceError;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::routes::{
    fleet::nodes::{self, node_id, registered},
    money::payments,
    money::payouts,
    money::runs,
    policies,
};
use crate::{
    api::Shared,
    errors::ApiError,
    extract::{Caller, Json, Params},
};

/// Samples of a history, the newest of the range.
const HISTORY_MAX: u32 = 1_000;

#[expect(deprecated, reason = "marks them so in the API's document; they are offered all the same")]
pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(available))
        .routes(routes!(status))
        .routes(routes!(start))
        .routes(routes!(stop))
        .routes(routes!(pool, join_pool, leave_pool))
        .routes(routes!(poot))
        .routes(routes!(node_payouts))
        .routes(routes!(usage))
        .routes(routes!(usage_history))
        .routes(routes!(alerts))
}

/// Names that no document has any more: each could have been taken for another path. What they are
/// today is in the access table.
pub fn old_names() -> Router<Shared> {
    Router::new()
        .route("/api/v1/payouts/{id}/cancel", post(payments::cancel))
        .route("/api/v1/payouts/{id}/retry", post(runs::retry))
        .route("/api/v1/payouts/{id}/proof", get(runs::proof))
        .route("/api/v1/policies/{kind}/rollback", post(policies::roll_back))
}

/// Registers a node.
///
/// As `POST /nodes`; address and port may be missing, and `node_id` may be the client's own name
/// for the node, which then stands for its id in every path. Without `name` the node has the name
/// of `node_id`, or else of `operator_id`.
#[utoipa::path(post, path = "/api/v1/nodes/register", operation_id = "registerNodeLegacy", tag = "deprecated", request_body = LegacyRegisterRequest,
    params(RegistrationHeaders),
    responses((status = 201, body = NodeBody, description = "The node, pending until it is activated", headers(("Location" = String, description = "Path of the node"))),
        (status = 409, body = ErrorBody, description = "A node with this key, name, or address and port is registered already")))]
#[deprecated]
async fn register(
    State(api): State<Shared>,
    Caller(actor): Caller,
    json: Json<LegacyRegisterRequest>,
) -> Result<Response, ApiError> {
    let proof = json.registration_proof()?;
    registered(&api, &actor, json.value, proof).await
}

/// Active nodes.
///
/// As `GET /nodes?status=active`.
#[utoipa::path(get, path = "/api/v1/nodes/available", operation_id = "listAvailableNodes", tag = "deprecated",
    params(PageParams, ("sort" = Option<schema::NodeSort>, Query, description = "What to sort by"), ("pool_id" = Option<schema::Id>, Query, description = "Nodes of this pool")),
    responses((status = 200, body = NodeList, description = "A page of nodes")))]
#[deprecated]
async fn available(
    State(api): State<Shared>,
    Caller(actor): Caller,
    params: Params,
) -> Result<Answer<NodeList>, ApiError> {
    let (pool, page) = (nodes::pool_filter(&params)?, nodes::page(&params)?);
    let found = api
        .service
        .fleet
        .nodes(&actor, NodeFilter { status: Some(NodeStatus::Active), pool, owner: None }, page)
        .await?;
    Ok(Answer(NodeList {
        nodes: found.items.iter().map(nodes::body).collect(),
        pagination: Pagination::new(page.page, page.limit, found.total),
    }))
}

/// Where a node is in its life.
///
/// As `status` of `GET /nodes/{id}`.
#[utoipa::path(get, path = "/api/v1/nodes/{id}/status", operation_id = "getNodeStatus", tag = "deprecated",
    params(("id" = schema::NodeName, Path, description = "The node")),
    responses((status = 200, body = NodeStatusBody, description = "Its status")))]
#[deprecated]
async fn status(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Answer<NodeStatusBody>, ApiError> {
    let view = api.service.fleet.node(&actor, node_id(&api, &id).await?).await?;
    Ok(Answer(NodeStatusBody::new(&view.node, view.live.map(|live| live.last_seen))))
}

/// Starts a node.
///
/// As `POST /nodes/{id}/activate`.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/start", operation_id = "startNode", tag = "deprecated",
    params(("id" = schema::NodeName, Path, description = "The node")),
    responses((status = 200, body = NodeStatusBody, description = "Its status"),
        (status = 409, body = ErrorBody, description = "Somebody else changed it at the same time")))]
#[deprecated]
async fn start(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Answer<NodeStatusBody>, ApiError> {
    let node = api
        .service
        .fleet
        .transition(&actor, node_id(&api, &id).await?, NodeEvent::Activate)
        .await?
        .node;
    Ok(Answer(NodeStatusBody::new(&node, None).started(&node)))
}

/// Stops a node.
///
/// As `POST /nodes/{id}/deactivate`.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/stop", operation_id = "stopNode", tag = "deprecated",
    params(("id" = schema::NodeName, Path, description = "The node")),
    responses((status = 200, body = NodeStatusBody, description = "Its status"),
        (status = 409, body = ErrorBody, description = "Somebody else changed it at the same time")))]
#[deprecated]
async fn stop(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Answer<NodeStatusBody>, ApiError> {
    let node = api
        .service
        .fleet
        .transition(&actor, node_id(&api, &id).await?, NodeEvent::Deactivate)
        .await?
        .node;
    Ok(Answer(NodeStatusBody::new(&node, None).stopped(&node)))
}

/// The pool of a node.
///
/// As `GET /pools/{id}` with the node's `pool_id`, without the pool's nodes.
#[utoipa::path(get, path = "/api/v1/nodes/{id}/pool", operation_id = "getNodePool", tag = "deprecated",
    params(("id" = schema::NodeName, Path, description = "The node")),
    responses((status = 200, body = PoolBody, description = "The pool")))]
#[deprecated]
async fn pool(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Answer<PoolBody>, ApiError> {
    let view = api.service.fleet.node(&actor, node_id(&api, &id).await?).await?;
    let pool = view.node.pool.ok_or(ServiceError::NotFound { what: "pool" })?;
    let (pool, _) = api.service.fleet.pool(&actor, pool).await?;
    Ok(Answer(PoolBody::from(&pool)))
}

/// Puts a node into a pool.
///
/// As `PUT /nodes/{id}/pool`; the Electron client calls it so.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/pool", operation_id = "joinNodePool", tag = "deprecated", request_body = JoinPoolRequest,
    params(("id" = schema::NodeName, Path, description = "The node")),
    responses((status = 200, body = NodeBody, description = "The node as it is now"),
        (status = 409, body = ErrorBody, description = "The pool is full, or somebody else changed the node at the same time")))]
#[deprecated]
async fn join_pool(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<JoinPoolRequest>,
) -> Result<Response, ApiError> {
    nodes::changed(
        &api.service.fleet.assign(&actor, node_id(&api, &id).await?, Some(json.value)).await?,
    )
}

/// Takes a node out of its pool.
///
/// For its owner and operators; a node that is in none stays so.
#[utoipa::path(delete, path = "/api/v1/nodes/{id}/pool", operation_id = "leaveNodePool", tag = "deprecated",
    params(("id" = schema::NodeName, Path, description = "The node")),
    responses((status = 200, body = NodeBody, description = "The node as it is now"),
        (status = 409, body = ErrorBody, description = "Somebody else changed it at the same time")))]
#[deprecated]
async fn leave_pool(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    nodes::changed(&api.service.fleet.assign(&actor, node_id(&api, &id).await?, None).await?)
}

/// The latest score of a node.
///
/// As the first of `GET /poot/scores?node_id=…&sort=calculated_at`.
#[utoipa::path(get, path = "/api/v1/nodes/{id}/poot", operation_id = "getNodePoot", tag = "deprecated",
    params(("id" = schema::NodeName, Path, description = "The node")),
    responses((status = 200, body = ScoreBody, description = "The score")))]
#[deprecated]
async fn poot(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Answer<ScoreBody>, ApiError> {
    let filter = ScoreFilter { node: Some(node_id(&api, &id).await?), pool: None, owner: None };
    let newest = lucid_ports::PageRequest {
        page: 1,
        limit: 1,
        sort: ScoreSort::CalculatedAt,
        order: lucid_ports::Order::Descending,
    };
    let scores = api.service.epochs.scores(&actor, filter, newest).await?;
    let score = scores.items.first().ok_or(ServiceError::NotFound { what: "score" })?;
    Ok(Answer(ScoreBody::of_epoch(&score.row, &score.header, score.calculated_at)))
}

/// Payouts of a node.
///
/// The `payouts` of `GET /payouts?node_id=…` alone, as the Electron client reads them: a list, each
/// with its amount and transaction by the client's names as well.
#[utoipa::path(get, path = "/api/v1/nodes/{id}/payouts", operation_id = "listNodePayouts", tag = "deprecated",
    params(PageParams, ("id" = schema::NodeName, Path, description = "The node"), ("sort" = Option<schema::PayoutSort>, Query, description = "What to sort by"),
        ("status" = Option<schema::PayoutStatus>, Query, description = "Payouts with this status")),
    responses((status = 200, body = Vec<LegacyPayoutBody>, description = "A page of payouts")))]
#[deprecated]
async fn node_payouts(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Answer<Vec<LegacyPayoutBody>>, ApiError> {
    let (status, page) = (payouts::status(&params)?, payouts::page(&params)?);
    let filter =
        PayoutFilter { node: Some(node_id(&api, &id).await?), status, ..PayoutFilter::default() };
    let found = api.service.money.payouts(&actor, filter, page).await?;
    Ok(Answer(found.items.iter().map(LegacyPayoutBody::from).collect()))
}

/// The newest sample of a node.
///
/// As `resource_usage` of `GET /nodes/{id}`; 404 if it never sent one.
#[utoipa::path(get, path = "/api/v1/nodes/{id}/usage", operation_id = "getNodeUsage", tag = "deprecated",
    params(("id" = schema::NodeName, Path, description = "The node")),
    responses((status = 200, body = UsageBody, description = "The sample")))]
#[deprecated]
async fn usage(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Answer<UsageBody>, ApiError> {
    let view = api.service.fleet.node(&actor, node_id(&api, &id).await?).await?;
    let sample =
        view.live.and_then(|live| live.sample).ok_or(ServiceError::NotFound { what: "sample" })?;
    Ok(Answer(UsageBody::from(&sample)))
}

/// Samples of a node.
///
/// The newest 1000 of the range, oldest first.
#[utoipa::path(get, path = "/api/v1/nodes/{id}/usage/history", operation_id = "getNodeUsageHistory", tag = "deprecated",
    params(("id" = schema::NodeName, Path, description = "The node"), ("time_range" = Option<schema::TimeRange>, Query, description = "How far back")),
    responses((status = 200, body = UsageHistoryBody, description = "The samples")))]
#[deprecated]
async fn usage_history(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Answer<UsageHistoryBody>, ApiError> {
    let range = TimeRange::read(params.get("time_range"))?;
    let samples = api
        .service
        .telemetry
        .node_samples(&actor, node_id(&api, &id).await?, range.ms(), HISTORY_MAX)
        .await?;
    Ok(Answer(UsageHistoryBody { usage_history: samples.iter().map(UsageBody::from).collect() }))
}

/// What is wrong with a node, and what was.
///
/// Silence, suspension, a missing wallet, and usage above its limits: the node's own, else its
/// pool's, else the contract's defaults. Usage counts once three samples in a row are over the
/// limit, and is over once as many are five points under it. The history has the newest 100 alerts,
/// active ones too.
#[utoipa::path(get, path = "/api/v1/nodes/{id}/alerts", operation_id = "getNodeAlerts", tag = "nodes",
    params(("id" = schema::NodeName, Path, description = "The node")),
    responses((status = 200, body = NodeAlertsBody, description = "Alerts, those of now and those of the past")))]
async fn alerts(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Answer<NodeAlertsBody>, ApiError> {
    let found = api.service.fleet.node_alerts(&actor, node_id(&api, &id).await?).await?;
    let body = |alert: &lucid_service::NodeAlert| {
        let (value, limit) =
            alert.measured.map_or((None, None), |(kind, numbers)| measured(kind, Some(numbers)));
        NodeAlertBody {
            about: alert.about.to_owned(),
            message: alert.message.clone(),
            since: alert.since.map(|at| at.to_string()),
            value,
            limit,
        }
    };
    Ok(Answer(NodeAlertsBody {
        active_alerts: found.active.iter().map(body).collect(),
        alert_history: found.history.iter().map(Into::into).collect(),
    }))
}
