//! What an operator's tools ask for: health, metrics, the API's document, events as they happen.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json as Answer, Router,
    extract::State,
    http::{StatusCode, header},
    response::{
        Html, IntoResponse, Response,
        sse::{Event as SseEvent, KeepAlive, Sse},
    },
    routing::get,
};
use futures::{Stream, stream};
use lucid_model::event::Event;
use lucid_service::Actor;
use lucid_wire::{
    event::EventBody,
    health::{Check, HealthBody},
    schema,
};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::{Api, Shared},
    errors::ApiError,
    extract::{Caller, Params},
};

/// How often a silent stream says that it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

const DASHBOARD: &str = include_str!("../../web/dashboard.html");

/// The dashboard.
pub fn page() -> Router<Shared> {
    Router::new().route("/", get(|| async { ([(header::X_FRAME_OPTIONS, "DENY")], Html(DASHBOARD)) }))
}

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(started)).routes(routes!(ready)).routes(routes!(health)).routes(routes!(metrics))
}

pub fn streams() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(events))
}

async fn checks(api: &Api) -> Vec<Check> {
    let store = api.service.ready().await.map_err(|error| error.to_string());
    let policies = if api.service.policies_loaded() { Ok(()) } else { Err("a kind of policy is not active".to_owned()) };
    let raised = api.service.raised_alerts();
    let alerts = if raised.is_empty() { Ok(()) } else { Err(raised.iter().map(|(about, _)| *about).collect::<Vec<_>>().join(", ")) };
    vec![
        Check { name: "store", needed: true, finding: store },
        Check { name: "policies", needed: true, finding: policies },
        Check { name: "alerts", needed: false, finding: alerts },
    ]
}

/// Whether the service is well.
///
/// Unhealthy if a part that it needs is wrong, degraded if another one is; which one is named.
#[utoipa::path(get, path = "/health", operation_id = "getHealth", tag = "operations", security(()),
    responses((status = 200, body = HealthBody, description = "Healthy or degraded"), (status = 503, body = HealthBody, description = "Unhealthy")))]
async fn health(State(api): State<Shared>) -> Response {
    let mut body = HealthBody::new(env!("CARGO_PKG_VERSION"), api.service.now(), checks(&api).await);
    body.checks.insert("environment".into(), api.environment.into());
    let status = if body.status == "unhealthy" { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, Answer(body)).into_response()
}

/// Whether the process lives.
///
/// It answers: that is all that is asked. What it depends on is not looked at.
#[utoipa::path(get, path = "/livez", operation_id = "getLiveness", tag = "operations", security(()),
    responses((status = 200, body = String, content_type = "text/plain", description = "It lives")))]
async fn live() -> &'static str {
    "ok"
}

/// Whether the service has started.
///
/// As `/readyz`, for probes that give a start more time.
#[utoipa::path(get, path = "/startupz", operation_id = "getStartup", tag = "operations", security(()),
    responses((status = 200, body = String, content_type = "text/plain", description = "It has started"),
        (status = 503, body = String, content_type = "text/plain", description = "What is missing")))]
async fn started(State(api): State<Shared>) -> Response {
    readiness(&api).await
}

/// Whether the service can be sent requests.
///
/// Its store answers, and a policy of each kind is active.
#[utoipa::path(get, path = "/readyz", operation_id = "getReadiness", tag = "operations", security(()),
    responses((status = 200, body = String, content_type = "text/plain", description = "It can"),
        (status = 503, body = String, content_type = "text/plain", description = "What is missing")))]
async fn ready(State(api): State<Shared>) -> Response {
    readiness(&api).await
}

async fn readiness(api: &Api) -> Response {
    let missing: Vec<_> =
        checks(api).await.into_iter().filter(|c| c.needed).filter_map(|c| c.finding.err().map(|why| format!("{}: {why}", c.name))).collect();
    if missing.is_empty() {
        "ready".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, [(header::CONTENT_TYPE, "text/plain")], missing.join("\n")).into_response()
    }
}

/// Measurements for Prometheus.
///
/// In its text format; names begin with `lucid_`, and no label holds a node's id.
#[utoipa::path(get, path = "/metrics", operation_id = "getMetrics", tag = "operations", security(()),
    responses((status = 200, body = String, content_type = "text/plain; version=0.0.4", description = "The measurements")))]
async fn metrics(State(api): State<Shared>) -> Response {
    if let Ok(counts) = api.service.count_by_status().await {
        for (status, count) in counts {
            metrics::gauge!("lucid_nodes", "status" => status.name()).set(u32::try_from(count).map_or(f64::MAX, f64::from));
        }
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], api.metrics.render()).into_response()
}

/// Events as they happen.
///
/// Server-sent events: `id`, the kind as `event`, and the envelope as JSON in `data`. A caller without rights over the fleet
/// sees those of its own nodes. A silent stream says every 15 s that it is still there.
#[utoipa::path(get, path = "/api/v1/events", operation_id = "streamEvents", tag = "events",
    params(("type" = Option<String>, Query, description = "Only events whose type begins so: `score` takes `score.computed`")),
    responses((status = 200, body = schema::EventStream, content_type = "text/event-stream", description = "The stream; it does not end by itself")))]
async fn events(
    State(api): State<Shared>,
    Caller(actor): Caller,
    params: Params,
) -> Result<Sse<impl Stream<Item = Result<SseEvent, Infallible>>>, ApiError> {
    let prefix = params.get("type").unwrap_or_default().to_owned();
    let listener = Listener { events: api.service.bus().subscribe(), elsewhere: api.elsewhere.subscribe(), api, actor, prefix };
    let told = stream::unfold(listener, |mut listener| async move { listener.next().await.map(|event| (Ok(event), listener)) });
    Ok(Sse::new(told).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

struct Listener {
    events: Receiver<Event>,
    elsewhere: Receiver<EventBody>,
    api: Shared,
    actor: Actor,
    prefix: String,
}

impl Listener {
    async fn next(&mut self) -> Option<SseEvent> {
        loop {
            let next = tokio::select! {
                next = self.events.recv() => next.map(|event| EventBody::new(&event, &self.api.stream)),
                next = self.elsewhere.recv() => next,
                () = self.api.stopping.cancelled() => return None,
            };
            let body = match next {
                Ok(body) => body,
                // Too slow: the oldest are lost, and the gap in the numbers says so.
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return None,
            };
            if body.kind.starts_with(&self.prefix) && self.may_see(&body).await {
                return SseEvent::default().id(&body.id).event(&body.kind).json_data(&body).ok();
            }
        }
    }

    async fn may_see(&self, body: &EventBody) -> bool {
        if self.actor.sees_all() {
            return true;
        }
        match body.data.get("node_id").and_then(|id| id.as_str()).and_then(|id| id.parse().ok()) {
            Some(node) => self.api.service.node(&self.actor, node).await.is_ok(),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use lucid_model::id::Digest;

    use super::DASHBOARD;

    #[test]
    fn the_dashboards_policy_names_the_script_and_style_it_has() {
        for tag in ["script", "style"] {
            let (_, rest) = DASHBOARD.rsplit_once(&format!("<{tag}")).and_then(|(_, rest)| Some(("", rest.split_once('>')?.1))).unwrap();
            let (content, _) = rest.split_once(&format!("</{tag}>")).unwrap();
            let hash = STANDARD.encode(Digest::of(content.as_bytes()).0);
            assert!(DASHBOARD.contains(&format!("sha256-{hash}")), "the {tag} changed: its hash is now sha256-{hash}");
        }
    }
}
