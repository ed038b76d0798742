use axum::{
    Json as Answer,
    extract::{Path, State},
    http::StatusCode,
};
use lucid_model::{id::PoolId, pool::PoolStatus};
use lucid_ports::{PoolFilter, PoolSort};
use lucid_service::{NewPool, PoolConfigChange, PoolPatch, ServiceError};
use lucid_wire::{
    ErrorBody,
    page::{PageParams, Pagination, PoolList},
    pool::{CreatePoolRequest, PoolBody, UpdatePoolRequest},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::nodes;
use crate::{
    api::Shared,
    errors::ApiError,
    extract::{Caller, Json, Params},
};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update, delete))
}

/// An id in a path; anything that is not one names no pool.
fn pool_id(text: &str) -> Result<PoolId, ApiError> {
    text.parse().map_err(|_| ServiceError::NotFound { what: "pool" }.into())
}

/// All pools.
#[utoipa::path(get, path = "/api/v1/pools", tag = "pools",
    params(PageParams, ("status" = Option<String>, Query, description = "active, inactive, maintenance")),
    responses((status = 200, body = PoolList), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody)))]
async fn list(State(api): State<Shared>, _caller: Caller, params: Params) -> Result<Answer<PoolList>, ApiError> {
    let filter = PoolFilter { status: params.parsed("status", PoolStatus::from_name, "must be one of active, inactive, maintenance")? };
    let page = params.page(
        ("created_at", PoolSort::CreatedAt),
        &[("updated_at", PoolSort::UpdatedAt), ("name", PoolSort::Name), ("node_count", PoolSort::NodeCount)],
    )?;
    let pools = api.service.pools(filter, page).await?;
    Ok(Answer(PoolList { pools: pools.items.iter().map(PoolBody::from).collect(), pagination: Pagination::new(page.page, page.limit, pools.total) }))
}

/// Makes a pool.
#[utoipa::path(post, path = "/api/v1/pools", tag = "pools", request_body = CreatePoolRequest,
    responses((status = 201, body = PoolBody), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn create(State(api): State<Shared>, Caller(actor): Caller, json: Json<CreatePoolRequest>) -> Result<(StatusCode, Answer<PoolBody>), ApiError> {
    let asked = json.value;
    let new = NewPool { name: asked.name, description: asked.description, max_nodes: asked.max_nodes, config: asked.config };
    Ok((StatusCode::CREATED, Answer((&api.service.create_pool(&actor, new).await?).into())))
}

/// One pool with its nodes.
#[utoipa::path(get, path = "/api/v1/pools/{id}", tag = "pools", params(("id" = String, Path)),
    responses((status = 200, body = PoolBody), (status = 404, body = ErrorBody)))]
async fn get(State(api): State<Shared>, Caller(actor): Caller, Path(id): Path<String>) -> Result<Answer<PoolBody>, ApiError> {
    let (pool, members) = api.service.pool(&actor, pool_id(&id)?).await?;
    let mut bodies = Vec::with_capacity(members.len());
    for member in members {
        // A node that left meanwhile is no member any more.
        if let Ok(view) = api.service.node(&actor, member).await {
            bodies.push(nodes::body(&view));
        }
    }
    Ok(Answer(PoolBody::from(&pool).with_nodes(bodies)))
}

/// Changes a pool; what is absent is kept.
#[utoipa::path(put, path = "/api/v1/pools/{id}", tag = "pools", params(("id" = String, Path)), request_body = UpdatePoolRequest,
    responses((status = 200, body = PoolBody), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
async fn update(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<UpdatePoolRequest>,
) -> Result<Answer<PoolBody>, ApiError> {
    let asked = json.value;
    let config = asked.config.map(|change| -> PoolConfigChange { Box::new(move |config| change.apply(config)) });
    let patch = PoolPatch { name: asked.name, description: asked.description, max_nodes: asked.max_nodes, status: asked.status, config };
    Ok(Answer((&api.service.update_pool(&actor, pool_id(&id)?, patch).await?).into()))
}

/// Removes a pool; its nodes go where there is room.
#[utoipa::path(delete, path = "/api/v1/pools/{id}", tag = "pools", params(("id" = String, Path)),
    responses((status = 204), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
async fn delete(State(api): State<Shared>, Caller(actor): Caller, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    api.service.delete_pool(&actor, pool_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
