//! What an operator's tools ask for: health, metrics, the API's document, events as they happen.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json as Answer, Router,
    body::Bytes,
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
};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::{
    api::{Api, Shared},
    errors::ApiError,
    extract::{Caller, Params},
};

/// How often a silent stream says that it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

const DASHBOARD: &str = include_str!("../../web/dashboard.html");

pub fn routes(document: Arc<str>) -> Router<Shared> {
    // Shared by all answers, not copied into each.
    let document = Bytes::copy_from_slice(document.as_bytes());
    Router::new()
        .route("/", get(|| async { ([(header::X_FRAME_OPTIONS, "DENY")], Html(DASHBOARD)) }))
        .route("/livez", get(|| async { "ok" }))
        .route("/startupz", get(ready))
        .route("/readyz", get(ready))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(move || async move { ([(header::CONTENT_TYPE, "application/json")], document) }))
}

pub fn streams() -> Router<Shared> {
    Router::new().route("/api/v1/events", get(events))
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

async fn health(State(api): State<Shared>) -> Response {
    let mut body = HealthBody::new(env!("CARGO_PKG_VERSION"), api.service.now(), checks(&api).await);
    body.checks.insert("environment".into(), api.environment.into());
    let status = if body.status == "unhealthy" { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, Answer(body)).into_response()
}

async fn ready(State(api): State<Shared>) -> Response {
    let missing: Vec<_> =
        checks(&api).await.into_iter().filter(|c| c.needed).filter_map(|c| c.finding.err().map(|why| format!("{}: {why}", c.name))).collect();
    if missing.is_empty() {
        "ready".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, [(header::CONTENT_TYPE, "text/plain")], missing.join("\n")).into_response()
    }
}

async fn metrics(State(api): State<Shared>) -> Response {
    if let Ok(counts) = api.service.count_by_status().await {
        for (status, count) in counts {
            metrics::gauge!("lucid_nodes", "status" => status.name()).set(u32::try_from(count).map_or(f64::MAX, f64::from));
        }
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], api.metrics.render()).into_response()
}

/// Events as they happen; `?type=score` takes those whose type begins so. A caller without fleet rights sees
/// those of its own nodes.
async fn events(
    State(api): State<Shared>,
    Caller(actor): Caller,
    params: Params,
) -> Result<Sse<impl Stream<Item = Result<SseEvent, Infallible>>>, ApiError> {
    let prefix = params.get("type").unwrap_or_default().to_owned();
    let listener = Listener { events: api.service.bus().subscribe(), api, actor, prefix };
    let told = stream::unfold(listener, |mut listener| async move { listener.next().await.map(|event| (Ok(event), listener)) });
    Ok(Sse::new(told).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

struct Listener {
    events: Receiver<Event>,
    api: Shared,
    actor: Actor,
    prefix: String,
}

impl Listener {
    async fn next(&mut self) -> Option<SseEvent> {
        loop {
            let next = tokio::select! {
                next = self.events.recv() => next,
                () = self.api.stopping.cancelled() => return None,
            };
            let event = match next {
                Ok(event) => event,
                // Too slow: the oldest are lost, and the gap in the numbers says so.
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return None,
            };
            let body = EventBody::new(&event, &self.api.stream);
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
