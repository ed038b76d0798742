//! What a collector is told: a request and what it consists of, under the trace of whoever calls.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value as Any,
    trace::v1::Span,
};
use prost::Message as _;
use serde_json::json;

use crate::support::{
    Lucid, SHORT, eventually,
    mongo::MongoServer,
    node::{TestNode, work_until},
    now_ms,
    receiver::Receiver,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn spans(collector: &Receiver) -> Vec<Span> {
    let requests = collector
        .arrived()
        .into_iter()
        .map(|arrived| ExportTraceServiceRequest::decode(&*arrived.bytes).unwrap());
    requests
        .flat_map(|request| request.resource_spans)
        .flat_map(|of| of.scope_spans)
        .flat_map(|of| of.spans)
        .collect()
}

fn text(span: &Span, name: &str) -> Option<String> {
    match span.attributes.iter().find(|attribute| attribute.key == name)?.value.clone()?.value? {
        Any::StringValue(text) => Some(text),
        Any::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Names of the span and of those that it is in, the innermost first.
fn path(spans: &[Span], span: &Span) -> Vec<String> {
    let by_id: BTreeMap<&[u8], &Span> = spans.iter().map(|span| (&*span.span_id, span)).collect();
    let mut path = vec![span.name.clone()];
    let mut parent = by_id.get(&*span.parent_span_id);
    while let Some(span) = parent {
        path.push(span.name.clone());
        parent = by_id.get(&*span.parent_span_id);
    }
    path
}

fn is_traced(service: &Lucid, collector: &Receiver, store: &str) {
    let owner = service.token("alice", "node_operator");
    let mut node = TestNode::register(service, "alice", 1);
    let at = |minutes: i64| lucid_model::time::TimeMs(now_ms() - minutes * 60_000).to_string();
    let session = json!({ "session_id": uuid::Uuid::now_v7().to_string(), "start_time": at(60), "end_time": at(30), "quality_score": 1 });
    let request = json!({ "node_id": node.id.to_string(), "observation_data": [session] });
    let parent = format!("00-{TRACE}-{CALLER}-01");
    let (status, _) = service.send(
        "POST",
        "/api/v1/poot/calculate",
        Some(&owner),
        Some(request.to_string().into_bytes()),
        &[("traceparent", parent)],
    );
    assert_eq!(status, 200);

    // The request is in the caller's trace, and what it consists of is in the request.
    let route = "POST /api/v1/poot/calculate";
    let (all, of_store, of_policy) = eventually("the spans of a request", || {
        let all: Vec<Span> = spans(collector)
            .into_iter()
            .filter(|span| hex::encode(&span.trace_id) == TRACE)
            .collect();
        let named = |name: &str| all.iter().find(|span| span.name.starts_with(name)).cloned();
        let scores = |span: &&Span| {
            span.name == "policy"
                && text(span, "policy")
                    .is_some_and(|policy| policy.starts_with("observation-weighted"))
        };
        let (of_store, of_policy) = (named("store."), all.iter().find(scores).cloned());
        all.iter().any(|span| span.name == route).then_some(())?;
        Some((all.clone(), of_store?, of_policy?))
    });
    let server = all.iter().find(|span| span.name == route).unwrap();
    assert_eq!(hex::encode(&server.parent_span_id), CALLER);
    assert_eq!(text(server, "http.response.status_code").as_deref(), Some("200"));
    assert!(
        text(server, "request_id").is_some_and(|id| id.parse::<uuid::Uuid>().is_ok()),
        "{server:?}"
    );
    assert_eq!(path(&all, &of_policy), ["policy", "service.score_on_demand", route]);
    assert_eq!(text(&of_store, "db.system.name").as_deref(), Some(store));
    assert_eq!(path(&all, &of_store).last().map(String::as_str), Some(route));

    // A payout that is sent: from the service to the store, and to the payment service.
    let sent = work_until(service, &mut node, "a payout that is sent", || {
        let all = spans(collector);
        let sent = all.iter().find(|span| span.name == "rail.send")?;
        let trace: Vec<Span> =
            all.iter().filter(|span| span.trace_id == sent.trace_id).cloned().collect();
        // Its outermost span ends last.
        (path(&trace, sent).last()? == "service.drive_payout")
            .then_some((trace.clone(), sent.clone()))
    });
    let (trace, sent) = sent;
    assert!(
        trace.iter().any(|span| span.name.starts_with("store.")),
        "{:?}",
        trace.iter().map(|span| &span.name).collect::<Vec<_>>()
    );
    let payout = text(&sent, "payout").unwrap();
    let paid = service.get(&format!("/api/v1/payouts/{payout}"));
    assert_eq!(paid["node_id"].as_str(), Some(&*node.id.to_string()));
}

fn settings(url: &str) -> Vec<(&'static str, String)> {
    let mut settings: Vec<_> =
        SHORT.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    settings.extend([
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.trim_end_matches("/hook").to_owned()),
        ("OTEL_TRACES_SAMPLER_ARG", "1".to_owned()),
        ("LUCID_PAYOUTS_SANDBOX_FUNDS_USDT", "1000".to_owned()),
        // Batches go out sooner than by themselves.
        ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
    ]);
    settings
}

fn serve(settings: &[(&'static str, String)]) -> Lucid {
    Lucid::serve_with(
        &settings.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>(),
    )
}

#[test]
fn a_request_is_traced_through_service_engine_and_store_and_a_payout_to_the_payment_service() {
    let collector = Receiver::start(200);
    is_traced(&serve(&settings(&collector.url)), &collector, "sqlite");
}

#[test]
fn so_it_is_over_mongodb() {
    let Some(server) = MongoServer::start() else { return };
    let collector = Receiver::start(200);
    let mut settings = settings(&collector.url);
    settings.push(("MONGODB_URI", server.database()));
    is_traced(&serve(&settings), &collector, "mongodb");
}

/// A collector that is away, or refuses, changes nothing.
#[test]
fn a_collector_that_is_away_keeps_nobody_waiting() {
    let collector = Receiver::start(500);
    let mut settings = settings(&collector.url);
    let service = serve(&settings);
    TestNode::register(&service, "alice", 1);
    eventually("a batch that is refused", || (!collector.arrived().is_empty()).then_some(()));
    assert_eq!(service.get("/api/v1/nodes")["pagination"]["total"], 1);
    drop(service);
    for setting in &mut settings {
        if setting.0 == "OTEL_EXPORTER_OTLP_ENDPOINT" {
            "http://127.0.0.1:1".clone_into(&mut setting.1);
        }
    }
    let mut service = serve(&settings);
    TestNode::register(&service, "alice", 1);
    assert_eq!(service.process.stop(), Some(0), "it stops as ever");
}
