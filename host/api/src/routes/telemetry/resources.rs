use axum::{
    Json as Answer,
    extract::{Path, State},
};
use lucid_api_types::{
    FieldError,
    number::ExactNumber,
    schema,
    telemetry::{
        history::{HistoryPointBody, Metric, NodeHistoryBody},
        resources::{NodeResourcesBody, ResourceSummaryBody, TimeRange},
    },
};
use lucid_model::{telemetry::credit::Interval, time::TimeMs};
use lucid_service::{Grain, HistoryPoint};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::routes::fleet::nodes::node_id;
use crate::{
    api::Shared,
    errors::ApiError,
    extract::{Caller, Params},
};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(node)).routes(routes!(history)).routes(routes!(summary))
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
    let usage = api.service.telemetry.node_usage(&actor, id, range.ms()).await?;
    let newest = usage.live.and_then(|live| live.sample);
    Ok(Answer(NodeResourcesBody::new(
        id,
        &usage.summary,
        newest.as_ref(),
        usage.completeness,
        api.service.clock.now(),
    )))
}

/// What is asked when nothing is said of it: the last day.
const HISTORY_MS: i64 = 86_400_000;

fn time(params: &Params, name: &'static str) -> Result<Option<TimeMs>, ApiError> {
    params.parsed(
        name,
        |text| text.parse().ok(),
        "must be an RFC 3339 time such as 2026-01-31T12:00:00Z",
    )
}

/// What `from` and `to` say: without them the last day.
pub(crate) fn range(params: &Params, api: &Shared) -> Result<Interval, ApiError> {
    let to = time(params, "to")?.unwrap_or_else(|| api.service.clock.now().plus_ms(1));
    let from = time(params, "from")?.unwrap_or_else(|| to.plus_ms(-HISTORY_MS));
    if from >= to {
        return Err(FieldError::new("to", "must be after from").into());
    }
    Ok(Interval { from, to })
}

fn grain_name(grain: Grain) -> &'static str {
    match grain {
        Grain::Raw => "raw",
        Grain::Of(resolution) => resolution.name(),
    }
}

/// What one node measured over time.
///
/// Its samples, or the least, mean and greatest of each interval; at most 5,000 points. Without
/// `from` it is the day before `to`, without `to` it ends now. Samples are kept for a week,
/// intervals of 5 minutes for 90 days, of an hour for a year, unless the operator says otherwise;
/// intervals of a minute as long as samples.
#[utoipa::path(get, path = "/api/v1/resources/nodes/{id}/history", operation_id = "getNodeHistory", tag = "resources",
    params(("id" = schema::NodeName, Path, description = "The node"),
        ("metric" = Option<schema::HistoryMetric>, Query, description = "What it tells of"),
        ("from" = Option<schema::Timestamp>, Query, description = "Not before this time; the interval that it is in is there as a whole"),
        ("to" = Option<schema::Timestamp>, Query, description = "Before this time, which is after `from`"),
        ("resolution" = Option<schema::HistoryResolution>, Query, description = "How finely")),
    responses((status = 200, body = NodeHistoryBody, description = "The points, oldest first")))]
async fn history(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Answer<NodeHistoryBody>, ApiError> {
    let id = node_id(&api, &id).await?;
    let word = |text: &str| Metric::ALL.into_iter().find(|metric| metric.name() == text);
    let metric = params
        .parsed("metric", word, "must be one of cpu, memory, disk, network, sessions, all")?
        .unwrap_or(Metric::All);
    let grain = |text: &str| {
        (text == "auto")
            .then_some(None)
            .or_else(|| Grain::ALL.into_iter().find(|g| grain_name(*g) == text).map(Some))
    };
    let grain =
        params.parsed("resolution", grain, "must be one of raw, 1m, 5m, 1h, auto")?.flatten();
    let range = range(&params, &api)?;
    let told = api.service.telemetry.node_history(&actor, id, range, grain).await?;
    let point = |p: &HistoryPoint| {
        HistoryPointBody::new(metric, p.at, &p.rollup, p.network.into(), p.completeness)
    };
    Ok(Answer(NodeHistoryBody {
        node_id: id.to_string(),
        metric: metric.name().into(),
        resolution: grain_name(told.grain).into(),
        from: told.range.from.to_string(),
        to: told.range.to.to_string(),
        completeness: ExactNumber::percent_floor(told.completeness),
        points: told.points.iter().map(point).collect(),
    }))
}

/// What all nodes used over a range.
///
/// All nodes the caller may see.
#[utoipa::path(get, path = "/api/v1/resources/summary", operation_id = "getResourceSummary", tag = "resources",
    params(("time_range" = Option<schema::TimeRange>, Query, description = "How far back")),
    responses((status = 200, body = ResourceSummaryBody, description = "Means and sums over the range")))]
async fn summary(
    State(api): State<Shared>,
    Caller(actor): Caller,
    params: Params,
) -> Result<Answer<ResourceSummaryBody>, ApiError> {
    let range = TimeRange::read(params.get("time_range"))?;
    let fleet = api.service.telemetry.fleet_usage(&actor, range.ms()).await?;
    Ok(Answer(ResourceSummaryBody::new(
        api.service.clock.now(),
        (fleet.total_nodes, fleet.active_nodes),
        &fleet.summary,
        fleet.active_sessions,
        fleet.completeness,
    )))
}
