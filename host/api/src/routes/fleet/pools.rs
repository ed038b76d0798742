use axum::{
    Json as Answer,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use lucid_api_types::{
    ErrorBody,
    fleet::pool::{
        CreatePoolRequest, PoolBody, PoolHealthBody, PoolPerformanceBody, PoolPerformancePoint,
        UpdatePoolRequest,
    },
    page::{PageParams, Pagination, PoolList},
    schema,
};
use lucid_model::{fleet::pool::PoolStatus, id::PoolId};
use lucid_ports::{PoolFilter, PoolSort};
use lucid_service::{PoolGrain, ServiceError};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::Shared,
    errors::ApiError,
    etag,
    extract::{Caller, Json, Params},
    routes::{fleet::nodes, telemetry::resources::range},
};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(health))
        .routes(routes!(performance))
}

/// An id in a path; anything that is not one names no pool.
fn pool_id(text: &str) -> Result<PoolId, ApiError> {
    text.parse().map_err(|_| ServiceError::NotFound { what: "pool" }.into())
}

/// All pools.
///
/// Without their nodes: those are shown where one pool is asked for.
#[utoipa::path(get, path = "/api/v1/pools", operation_id = "listPools", tag = "pools",
    params(PageParams, ("sort" = Option<schema::PoolSort>, Query, description = "What to sort by"), ("status" = Option<schema::PoolStatus>, Query, description = "Pools with this status")),
    responses((status = 200, body = PoolList, description = "A page of pools")))]
async fn list(
    State(api): State<Shared>,
    _caller: Caller,
    params: Params,
) -> Result<Answer<PoolList>, ApiError> {
    let filter = PoolFilter {
        status: params.parsed(
            "status",
            PoolStatus::from_name,
            "must be one of active, inactive, maintenance",
        )?,
    };
    let page = params.page(
        ("created_at", PoolSort::CreatedAt),
        &[
            ("updated_at", PoolSort::UpdatedAt),
            ("name", PoolSort::Name),
            ("node_count", PoolSort::NodeCount),
        ],
    )?;
    let pools = api.service.fleet.pools(filter, page).await?;
    Ok(Answer(PoolList {
        pools: pools.items.iter().map(PoolBody::from).collect(),
        pagination: Pagination::new(page.page, page.limit, pools.total),
    }))
}

/// Makes a pool.
///
/// For operators. Only a name is needed.
#[utoipa::path(post, path = "/api/v1/pools", operation_id = "createPool", tag = "pools", request_body = CreatePoolRequest,
    responses((status = 201, body = PoolBody, description = "The pool", headers(("Location" = String, description = "Path of the pool"))),
        (status = 409, body = ErrorBody, description = "There is a pool of this name")))]
async fn create(
    State(api): State<Shared>,
    Caller(actor): Caller,
    json: Json<CreatePoolRequest>,
) -> Result<Response, ApiError> {
    let pool = api.service.fleet.create_pool(&actor, json.value).await?;
    etag::created(pool.version, &PoolBody::from(&pool), &format!("/api/v1/pools/{}", pool.id))
}

/// One pool with its nodes.
///
/// Of its nodes those are listed that the caller may see.
#[utoipa::path(get, path = "/api/v1/pools/{id}", operation_id = "getPool", tag = "pools",
    params(("id" = schema::Id, Path, description = "The pool")),
    responses((status = 200, body = PoolBody, description = "The pool")))]
async fn get(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (pool, members) = api.service.fleet.pool(&actor, pool_id(&id)?).await?;
    etag::tagged(
        &headers,
        pool.version,
        &PoolBody::from(&pool).with_nodes(members.iter().map(nodes::body).collect()),
    )
}

/// Changes a pool.
///
/// For operators. What is absent is kept, within the configuration too; an empty description
/// removes it. `max_nodes` cannot be less than the nodes it has.
#[utoipa::path(put, path = "/api/v1/pools/{id}", operation_id = "updatePool", tag = "pools", request_body = UpdatePoolRequest,
    params(("id" = schema::Id, Path, description = "The pool")),
    responses((status = 200, body = PoolBody, description = "The pool as it is now"),
        (status = 409, body = ErrorBody, description = "There is another pool of this name, or somebody else changed it at the same time")))]
async fn update(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<UpdatePoolRequest>,
) -> Result<Response, ApiError> {
    let pool = api.service.fleet.update_pool(&actor, pool_id(&id)?, json.value).await?;
    etag::changed(pool.version, &PoolBody::from(&pool))
}

/// Removes a pool.
///
/// For operators. Its nodes go where there is room; those that no pool has room for have none.
#[utoipa::path(delete, path = "/api/v1/pools/{id}", operation_id = "deletePool", tag = "pools",
    params(("id" = schema::Id, Path, description = "The pool")),
    responses((status = 204, description = "It is gone")))]
async fn delete(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    api.service.fleet.delete_pool(&actor, pool_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How a pool is.
///
/// What its last check found, room, what its nodes have, and members whose place was given away. A
/// pool is checked each `health_check_interval`: it is `degraded` when a member has failed,
/// `unhealthy` when at least half of those that should work have. It is worse at once, and better
/// once two checks in a row say so. Where `failover_enabled`, a member that has failed for a whole
/// interval gives its place to an active node that is in no pool, if there is one: one place in ten
/// at a check, at least one. It comes back when it works again and there is room, within a week.
#[utoipa::path(get, path = "/api/v1/pools/{id}/health", operation_id = "getPoolHealth", tag = "pools",
    params(("id" = schema::Id, Path, description = "The pool")),
    responses((status = 200, body = PoolHealthBody, description = "How it is")))]
async fn health(
    State(api): State<Shared>,
    _caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer<PoolHealthBody>, ApiError> {
    let found = api.service.fleet.pool_health(pool_id(&id)?).await?;
    Ok(Answer(PoolHealthBody::new(&found.pool, found.standing.as_ref(), &found.members)))
}

/// What a pool did over time.
///
/// From its closed epochs: of those that begin in the range, at most 2,500. Without `from` the
/// range is the day before `to`, without `to` it ends now. Of a past epoch it says what was so
/// then, whoever is a member now.
#[utoipa::path(get, path = "/api/v1/pools/{id}/performance", operation_id = "getPoolPerformance", tag = "pools",
    params(("id" = schema::Id, Path, description = "The pool"),
        ("from" = Option<schema::Timestamp>, Query, description = "Epochs that begin at this time or later"),
        ("to" = Option<schema::Timestamp>, Query, description = "Epochs that begin before this time, which is after `from`"),
        ("resolution" = Option<schema::PoolResolution>, Query, description = "How finely")),
    responses((status = 200, body = PoolPerformanceBody, description = "The points, oldest first, and their total")))]
async fn performance(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Answer<PoolPerformanceBody>, ApiError> {
    let word = |text: &str| {
        (text == "auto")
            .then_some(None)
            .or_else(|| PoolGrain::ALL.into_iter().find(|g| g.name() == text).map(Some))
    };
    let grain = params.parsed("resolution", word, "must be one of epoch, 1h, 1d, auto")?.flatten();
    let range = range(&params, &api)?;
    let told = api.service.review.pool_performance(&actor, pool_id(&id)?, range, grain).await?;
    let points: Vec<_> = told
        .points
        .iter()
        .map(|p| PoolPerformancePoint::new(p.interval.from.to_string(), &p.performance, p.paid))
        .collect();
    let total = PoolPerformancePoint::new(range.from.to_string(), &told.total, told.paid);
    Ok(Answer(PoolPerformanceBody::new(&told.pool, told.grain.name(), range, total, points)))
}
