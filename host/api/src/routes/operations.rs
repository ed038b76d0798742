//! What an operator's tools ask for: health and metrics.

use std::time::Duration;

use axum::{
    Json as Answer, Router,
    extract::State,
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use lucid_api_types::health::{Check, HealthBody};
use lucid_service::{CLOCK, CLOCK_DOUBTED};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::{Api, Shared},
    scraping::METRICS,
};

const DASHBOARD: &str = include_str!("../../web/dashboard.html");
/// What the dashboard may do: run its own script, and fetch what this service serves. The hashes
/// are of its script and style.
const POLICY: &str = concat!(
    "default-src 'none'; ",
    "script-src 'sha256-18qZYstyrOQrK/2rYV1WDtX7DpMyn/yiMg7gvPSnb+Q='; ",
    "style-src 'sha256-VRaLyKjF/pXhh3fJniofz3jL3ZKuf+IoEiq3GrocYVE='; ",
    "img-src data:; ",
    "connect-src 'self'; ",
    "base-uri 'none'; ",
    "form-action 'none'; ",
    "frame-ancestors 'none'"
);

/// The dashboard.
pub fn page() -> Router<Shared> {
    let headers = [(header::CONTENT_SECURITY_POLICY, POLICY), (header::X_FRAME_OPTIONS, "DENY")];
    Router::new().route("/", get(move || async move { (headers, Html(DASHBOARD)) }))
}

/// The measurements alone.
pub fn measurements() -> Router<Shared> {
    Router::new().route(METRICS, get(metrics))
}

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(live))
        .routes(routes!(started))
        .routes(routes!(ready))
        .routes(routes!(health))
        .routes(routes!(metrics))
}

/// How long the store may take to answer whoever asks whether it does.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(3);

async fn store_answers(api: &Api) -> Result<(), String> {
    // What is known already is said also where the store answers nobody.
    api.service.vitals.store_is_well()?;
    match tokio::time::timeout(ANSWER_TIME_MAX, api.service.fleet.ready()).await {
        Ok(answered) => answered.map_err(|error| error.to_string()),
        Err(_) => Err(format!("the store has not answered within {} s", ANSWER_TIME_MAX.as_secs())),
    }
}

async fn checks(api: &Api) -> Vec<Check> {
    let store = store_answers(api).await;
    let tasks = api.service.vitals.tasks_live();
    let policies = if api.service.policies.policies_loaded() {
        Ok(())
    } else {
        Err("a kind of policy is not active".to_owned())
    };
    let raised = api.service.notifications.raised_alerts();
    let clock = raised
        .iter()
        .find(|(about, _)| [CLOCK, CLOCK_DOUBTED].contains(about))
        .map_or(Ok(()), |(_, words)| Err(words.clone()));
    let alerts = if raised.is_empty() {
        Ok(())
    } else {
        Err(raised.iter().map(|(about, _)| *about).collect::<Vec<_>>().join(", "))
    };
    vec![
        Check { name: "store", needed: true, finding: store },
        Check { name: "policies", needed: true, finding: policies },
        Check { name: "clock", needed: true, finding: clock },
        Check { name: "tasks", needed: true, finding: tasks },
        Check { name: "alerts", needed: false, finding: alerts },
    ]
}

/// Whether the service is well.
///
/// Unhealthy if a part that it needs is wrong, degraded if another one is; which one is named.
#[utoipa::path(get, path = "/health", operation_id = "getHealth", tag = "operations", security(()),
    responses((status = 200, body = HealthBody, description = "Healthy or degraded"), (status = 503, body = HealthBody, description = "Unhealthy")))]
async fn health(State(api): State<Shared>) -> Response {
    let mut body =
        HealthBody::new(env!("CARGO_PKG_VERSION"), api.service.clock.now(), checks(&api).await);
    body.checks.insert("environment".into(), api.environment.into());
    let status =
        if body.status == "unhealthy" { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
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
/// Its store can be written where it was opened and is not damaged, a policy of each kind is
/// active, its clock can be trusted and is that of the other replicas, and none of its tasks hangs
/// or panics.
#[utoipa::path(get, path = "/readyz", operation_id = "getReadiness", tag = "operations", security(()),
    responses((status = 200, body = String, content_type = "text/plain", description = "It can"),
        (status = 503, body = String, content_type = "text/plain", description = "What is missing")))]
async fn ready(State(api): State<Shared>) -> Response {
    readiness(&api).await
}

async fn readiness(api: &Api) -> Response {
    let missing: Vec<_> = checks(api)
        .await
        .into_iter()
        .filter(|c| c.needed)
        .filter_map(|c| c.finding.err().map(|why| format!("{}: {why}", c.name)))
        .collect();
    if missing.is_empty() {
        "ready".into_response()
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            [(header::CONTENT_TYPE, "text/plain")],
            missing.join("\n"),
        )
            .into_response()
    }
}

/// Measurements for Prometheus.
///
/// In its text format; names begin with `lucid_`, and no label holds a node's id. For callers who
/// see all records, and for whoever has the token of `server.metrics_token_file`.
#[utoipa::path(get, path = "/metrics", operation_id = "getMetrics", tag = "operations",
    responses((status = 200, body = String, content_type = "text/plain; version=0.0.4", description = "The measurements")))]
async fn metrics(State(api): State<Shared>) -> Response {
    api.service.vitals.measure_tasks();
    if let Ok(counts) = api.service.fleet.count_by_status().await {
        for (status, count) in counts {
            metrics::gauge!("lucid_nodes", "status" => status.name())
                .set(u32::try_from(count).map_or(f64::MAX, f64::from));
        }
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], api.metrics.render()).into_response()
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use lucid_model::id::Digest;

    use super::{DASHBOARD, POLICY};

    #[test]
    fn the_dashboards_policy_names_the_script_and_style_it_has() {
        assert!(
            POLICY.contains("frame-ancestors 'none'") && !DASHBOARD.contains("http-equiv"),
            "a policy that is in the page as well hides what the header forgets"
        );
        for tag in ["script", "style"] {
            let (_, rest) = DASHBOARD
                .rsplit_once(&format!("<{tag}"))
                .and_then(|(_, rest)| Some(("", rest.split_once('>')?.1)))
                .unwrap();
            let (content, _) = rest.split_once(&format!("</{tag}>")).unwrap();
            let hash = STANDARD.encode(Digest::of(content.as_bytes()).0);
            assert!(
                POLICY.contains(&format!("sha256-{hash}")),
                "the {tag} changed: its hash is now sha256-{hash}"
            );
        }
    }
}
