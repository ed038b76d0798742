use axum::{
    Json as Answer,
    extract::{Path, State},
};
use lucid_wire::{
    ErrorBody,
    resources::{NodeResourcesBody, ResourceSummaryBody, TimeRange},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::nodes::node_id;
use crate::{
    api::Shared,
    errors::ApiError,
    extract::{Caller, Params},
};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(node)).routes(routes!(summary))
}

/// What one node used over a range.
#[utoipa::path(get, path = "/api/v1/resources/nodes/{id}", tag = "resources",
    params(("id" = String, Path), ("time_range" = Option<String>, Query, description = "1h (default), 6h, 24h, 7d, 30d")),
    responses((status = 200, body = NodeResourcesBody), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
async fn node(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Answer<NodeResourcesBody>, ApiError> {
    let (id, range) = (node_id(&id)?, TimeRange::read(params.get("time_range"))?);
    let usage = api.service.node_usage(&actor, id, range.ms()).await?;
    let newest = usage.live.and_then(|live| live.sample);
    Ok(Answer(NodeResourcesBody::new(id, &usage.summary, newest.as_ref(), api.service.now())))
}

/// What all nodes the caller may see used over a range.
#[utoipa::path(get, path = "/api/v1/resources/summary", tag = "resources",
    params(("time_range" = Option<String>, Query, description = "1h (default), 6h, 24h, 7d, 30d")),
    responses((status = 200, body = ResourceSummaryBody), (status = 400, body = ErrorBody)))]
async fn summary(State(api): State<Shared>, Caller(actor): Caller, params: Params) -> Result<Answer<ResourceSummaryBody>, ApiError> {
    let range = TimeRange::read(params.get("time_range"))?;
    let fleet = api.service.fleet_usage(&actor, range.ms()).await?;
    Ok(Answer(ResourceSummaryBody::new(api.service.now(), fleet.total_nodes, fleet.active_nodes, &fleet.summary, fleet.active_sessions)))
}
