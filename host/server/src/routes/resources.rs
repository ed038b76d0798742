use axum::{
    Json as Answer,
    extract::{Path, State},
};
use lucid_wire::{
    resources::{NodeResourcesBody, ResourceSummaryBody, TimeRange},
    schema,
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
///
/// Without samples in the range there is only the node and the time of the answer.
#[utoipa::path(get, path = "/api/v1/resources/nodes/{id}", operation_id = "getNodeResources", tag = "resources",
    params(("id" = schema::NodeName, Path, description = "The node"), ("time_range" = Option<schema::TimeRange>, Query, description = "How far back")),
    responses((status = 200, body = NodeResourcesBody, description = "Means and traffic over the range")))]
async fn node(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Answer<NodeResourcesBody>, ApiError> {
    let (id, range) = (node_id(&api, &id).await?, TimeRange::read(params.get("time_range"))?);
    let usage = api.service.node_usage(&actor, id, range.ms()).await?;
    let newest = usage.live.and_then(|live| live.sample);
    Ok(Answer(NodeResourcesBody::new(id, &usage.summary, newest.as_ref(), api.service.now())))
}

/// What all nodes used over a range.
///
/// All nodes the caller may see.
#[utoipa::path(get, path = "/api/v1/resources/summary", operation_id = "getResourceSummary", tag = "resources",
    params(("time_range" = Option<schema::TimeRange>, Query, description = "How far back")),
    responses((status = 200, body = ResourceSummaryBody, description = "Means and sums over the range")))]
async fn summary(State(api): State<Shared>, Caller(actor): Caller, params: Params) -> Result<Answer<ResourceSummaryBody>, ApiError> {
    let range = TimeRange::read(params.get("time_range"))?;
    let fleet = api.service.fleet_usage(&actor, range.ms()).await?;
    Ok(Answer(ResourceSummaryBody::new(api.service.now(), fleet.total_nodes, fleet.active_nodes, &fleet.summary, fleet.active_sessions)))
}
