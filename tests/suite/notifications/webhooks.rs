//! Webhooks: signed, sent again until they arrive, kept over a crash, and never sent into our own
//! network.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{
    Lucid, eventually,
    node::TestNode,
    receiver::{Arrived, Receiver},
};

/// Endpoints on this machine are allowed, and nothing takes long.
const INSIDE: [(&str, &str); 4] = [
    ("RAIL", "sandbox"),
    ("LUCID_WEBHOOKS_INSIDE", "true"),
    ("LUCID_WEBHOOKS_RETRY_FIRST_MS", "50"),
    ("LUCID_WEBHOOKS_RETRY_MAX_S", "1"),
];

fn ask(lucid: &Lucid, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    lucid.call(
        method,
        &format!("/api/v1/webhooks{path}"),
        Some(&lucid.token("root", "super_admin")),
        body,
    )
}

/// Registers an endpoint: its id and its secret.
fn register(lucid: &Lucid, body: &Value) -> (String, String) {
    let (status, made) = ask(lucid, "POST", "", Some(body));
    assert_eq!(status, 201, "{made}");
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("webhook_id"), text("secret"))
}

fn deliveries(lucid: &Lucid, id: &str) -> Vec<Value> {
    let (status, list) = ask(lucid, "GET", &format!("/{id}/deliveries?limit=100"), None);
    assert_eq!(status, 200, "{list}");
    list["deliveries"].as_array().unwrap().clone()
}

fn of_type(receiver: &Receiver, kind: &str) -> Vec<Arrived> {
    receiver.arrived().into_iter().filter(|arrived| arrived.json()["type"] == kind).collect()
}

#[test]
fn an_event_is_signed_and_sent_again_with_the_same_id_until_it_is_taken() {
    let lucid = Lucid::serve_with(&INSIDE);
    let receiver = Receiver::start(500);
    let (id, secret) =
        register(&lucid, &json!({ "url": receiver.url, "events": ["node.registered"] }));
    let node = TestNode::register(&lucid, "alice", 1);
    eventually("two tries", || (receiver.arrived().len() >= 2).then_some(()));
    let waiting = deliveries(&lucid, &id);
    assert_eq!(
        (waiting.len(), &waiting[0]["state"], &waiting[0]["status"]),
        (1, &json!("pending"), &json!(500)),
        "{waiting:?}"
    );
    // A redirect is not followed, and is no success.
    receiver.set(307);
    eventually("a redirect", || {
        receiver.arrived().iter().any(|arrived| arrived.answered == 307).then_some(())
    });
    receiver.set(204);
    let delivered = eventually("the delivery", || {
        deliveries(&lucid, &id).into_iter().find(|delivery| delivery["state"] == "delivered")
    });
    let arrived = receiver.arrived();
    let ids: BTreeSet<_> =
        arrived.iter().map(|arrived| arrived.header("lucid-webhook-id").to_owned()).collect();
    assert_eq!(
        ids.into_iter().collect::<Vec<_>>(),
        [delivered["delivery_id"].as_str().unwrap()],
        "every try has the same id"
    );
    assert_eq!(delivered["attempts"], arrived.len(), "{delivered}");
    for one in &arrived {
        assert!(
            one.is_signed_with(&secret) && !one.is_signed_with("lucid_whsec_another"),
            "{one:?}"
        );
        assert_eq!(one.header("content-type"), "application/json");
    }
    let event = arrived[0].json();
    assert_eq!(
        (&event["type"], &event["data"]["node_id"]),
        (&json!("node.registered"), &json!(node.id.to_string())),
        "{event}"
    );
    assert!(
        ["id", "time", "subject"].iter().all(|field| event[field].is_string())
            && event["seq"].is_number(),
        "{event}"
    );
    assert_eq!(event["id"], delivered["event_id"]);
}

#[test]
fn what_waits_in_the_outbox_is_delivered_after_a_crash_once_the_endpoint_is_back() {
    let mut lucid = Lucid::serve_with(&INSIDE);
    let receiver = Receiver::start(503);
    let (id, secret) = register(&lucid, &json!({ "url": receiver.url, "events": ["node.alert_"] }));
    let mut node = TestNode::register(&lucid, "alice", 1);
    for _ in 0..3 {
        let (status, answer) = node.report(
            &lucid,
            "metrics",
            &json!({ "cpu_usage": 99, "memory_usage": 1, "disk_usage": 1,
            "network_usage": { "bytes_sent": 1, "bytes_received": 1, "packets_sent": 1, "packets_received": 1 } }),
        );
        assert_eq!(status, 200, "{answer}");
    }
    let waiting = eventually("the outbox", || deliveries(&lucid, &id).first().cloned());
    assert_eq!(
        (&waiting["type"], &waiting["state"]),
        (&json!("node.alert_raised"), &json!("pending")),
        "{waiting}"
    );
    lucid.crash_and_restart();
    receiver.set(200);
    let delivered = eventually("the delivery", || {
        deliveries(&lucid, &id).into_iter().find(|delivery| delivery["state"] == "delivered")
    });
    assert_eq!(delivered["delivery_id"], waiting["delivery_id"]);
    let taken: Vec<_> =
        receiver.arrived().into_iter().filter(|arrived| arrived.answered == 200).collect();
    assert!(
        !taken.is_empty() && taken.iter().all(|arrived| arrived.is_signed_with(&secret)),
        "{taken:?}"
    );
    let data = &taken[0].json()["data"];
    assert_eq!(
        (&data["about"], &data["value"], &data["limit"]),
        (&json!("cpu"), &json!("99.00"), &json!("80.00")),
        "{data}"
    );
}

#[test]
fn filters_choose_by_node_and_pool_and_a_test_goes_the_way_of_every_event() {
    let lucid = Lucid::serve_with(&INSIDE);
    let root = lucid.token("root", "super_admin");
    let pool = lucid.create_pool("first");
    let [one, other] = [1, 2].map(|number| TestNode::register(&lucid, "alice", number));
    for (node, pool) in [(&one, json!({ "pool_id": pool })), (&other, Value::Null)] {
        let method = if pool.is_null() { "DELETE" } else { "PUT" };
        let (status, answer) = lucid.call(
            method,
            &format!("/api/v1/nodes/{}/pool", node.id),
            Some(&root),
            Some(&pool),
        );
        assert_eq!(status, 200, "{answer}");
    }
    let [of_node, of_pool, all] =
        [Receiver::start(200), Receiver::start(200), Receiver::start(200)];
    register(
        &lucid,
        &json!({ "url": of_node.url, "events": ["node."], "node_id": other.id.to_string() }),
    );
    register(&lucid, &json!({ "url": of_pool.url, "events": ["node."], "pool_id": pool }));
    let (id, _) = register(&lucid, &json!({ "url": all.url }));
    for node in [&one, &other] {
        let (status, answer) = lucid.call(
            "POST",
            &format!("/api/v1/nodes/{}/suspend", node.id),
            Some(&root),
            Some(&json!({ "reason": "test" })),
        );
        assert_eq!(status, 200, "{answer}");
    }
    eventually("both", || (of_type(&all, "node.suspended").len() == 2).then_some(()));
    let about = |receiver: &Receiver| {
        of_type(receiver, "node.suspended")
            .iter()
            .map(|arrived| arrived.json()["subject"].clone())
            .collect::<Vec<_>>()
    };
    eventually("the node's", || (about(&of_node) == [json!(other.id.to_string())]).then_some(()));
    eventually("the pool's", || (about(&of_pool) == [json!(one.id.to_string())]).then_some(()));

    assert_eq!(ask(&lucid, "POST", &format!("/{id}/test"), None).0, 202);
    eventually("the test", || (of_type(&all, "webhook.test").len() == 1).then_some(()));
    let (status, changed) = ask(
        &lucid,
        "PUT",
        &format!("/{id}"),
        Some(&json!({ "enabled": false, "description": "later" })),
    );
    assert_eq!(
        (status, &changed["enabled"], &changed["url"], changed.get("secret")),
        (200, &json!(false), &json!(all.url), None),
        "{changed}"
    );
    assert_eq!(ask(&lucid, "POST", &format!("/{id}/test"), None).0, 400, "it is disabled");
    assert_eq!(ask(&lucid, "DELETE", &format!("/{id}"), None).0, 204);
    for (method, path) in
        [("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/test"), ("GET", "/deliveries")]
    {
        let body = (method == "PUT").then(|| json!({}));
        assert_eq!(
            ask(&lucid, method, &format!("/{id}{path}"), body.as_ref()).0,
            404,
            "{method} {path}"
        );
    }
    assert_eq!(
        of_type(&of_node, "webhook.test").len() + of_type(&of_pool, "webhook.test").len(),
        0,
        "nobody else's test"
    );
}

#[test]
fn an_endpoint_that_takes_nothing_is_disabled_and_more_than_it_may_have_waiting_is_dropped() {
    let mut settings = INSIDE.to_vec();
    settings.extend([
        ("LUCID_WEBHOOKS_GIVE_UP_S", "2"),
        ("LUCID_WEBHOOKS_UNDELIVERED_MAX", "2"),
        ("LUCID_WEBHOOKS_ENDPOINTS_MAX", "1"),
    ]);
    let mut lucid = Lucid::serve_with(&settings);
    let receiver = Receiver::start(500);
    let (id, _) = register(&lucid, &json!({ "url": receiver.url, "events": ["node.registered"] }));
    let (status, answer) = ask(&lucid, "POST", "", Some(&json!({ "url": receiver.url })));
    assert_eq!(
        (status, answer["error"]["details"]["field"].as_str()),
        (400, Some("url")),
        "{answer}"
    );
    for number in 1..=4 {
        TestNode::register(&lucid, "alice", number);
    }
    let count = |lucid: &Lucid, state: &str| {
        deliveries(lucid, &id).iter().filter(|delivery| delivery["state"] == state).count()
    };
    eventually("what is dropped", || (count(&lucid, "dropped") >= 2).then_some(()));
    assert!(lucid.metric("lucid_webhook_deliveries_dropped_total") >= 2.0);
    let shown = eventually("the end", || {
        Some(ask(&lucid, "GET", &format!("/{id}"), None).1)
            .filter(|webhook| webhook["enabled"] == false)
    });
    assert!(shown["disabled_reason"].as_str().unwrap().contains("it answers 500"), "{shown}");
    assert!(count(&lucid, "failed") >= 1);
    eventually("the rest is dropped", || (count(&lucid, "pending") == 0).then_some(()));
    let health = |lucid: &Lucid| {
        lucid.send("GET", "/health", None, None, &[]).1["checks"]["alerts"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    eventually("the alert", || health(&lucid).contains("webhooks").then_some(()));
    lucid.crash_and_restart();
    eventually("the alert after a restart", || health(&lucid).contains("webhooks").then_some(()));
    receiver.set(200);
    let (status, enabled) =
        ask(&lucid, "PUT", &format!("/{id}"), Some(&json!({ "enabled": true })));
    assert_eq!((status, enabled.get("disabled_reason")), (200, None), "{enabled}");
    TestNode::register(&lucid, "alice", 5);
    eventually("the delivery", || (count(&lucid, "delivered") == 1).then_some(()));
    eventually("the end of the alert", || (!health(&lucid).contains("webhooks")).then_some(()));
}

#[test]
fn nothing_is_sent_into_our_own_network_and_a_refusal_names_the_field() {
    let lucid = Lucid::serve();
    let good = json!({ "url": "https://hooks.example.org/lucid" });
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    for url in [
        "http://hooks.example.org/",
        "https://127.0.0.1/",
        "https://localhost:8443/",
        "https://2130706433/",
        "https://[::1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.1.2.3/",
        "https://user:secret@hooks.example.org/",
        "file:///etc/passwd",
        "hooks",
        "",
    ] {
        let (status, answer) = ask(&lucid, "POST", "", Some(&with("url", json!(url))));
        assert_eq!(
            (status, answer["error"]["details"]["field"].as_str()),
            (400, Some("url")),
            "{url}: {answer}"
        );
    }
    for (body, field) in [
        (json!({}), "url"),
        (with("url", json!(7)), "url"),
        (with("url", json!(format!("https://hooks.example.org/{}", "x".repeat(2_048)))), "url"),
        (with("events", json!(["metrics.stored"])), "events"),
        (with("events", json!(["score.computed"])), "events"),
        (with("events", json!(["node.", "nothing"])), "events"),
        (with("events", json!("node.")), "events"),
        (with("events", json!([""])), "events[0]"),
        (with("events", json!(["node.", 7])), "events[1]"),
        (with("events", json!(vec!["node."; 51])), "events"),
        (with("node_id", json!("worker")), "node_id"),
        (with("pool_id", json!("first")), "pool_id"),
        (with("enabled", json!("yes")), "enabled"),
        (with("description", json!("x".repeat(1_001))), "description"),
    ] {
        let (status, answer) = ask(&lucid, "POST", "", Some(&body));
        assert_eq!(
            (status, answer["error"]["details"]["field"].as_str()),
            (400, Some(field)),
            "{body}: {answer}"
        );
    }
    assert_eq!(ask(&lucid, "GET", "", None).1["pagination"]["total"], 0);
    let headers =
        [("idempotency-key", "once".to_owned()), ("content-type", "application/json".to_owned())];
    let root = lucid.token("root", "super_admin");
    let make = || {
        lucid.send(
            "POST",
            "/api/v1/webhooks",
            Some(&root),
            Some(good.to_string().into_bytes()),
            &headers,
        )
    };
    let ((status, made), (again, repeated)) = (make(), make());
    assert_eq!(
        (status, again, &made["webhook_id"]),
        (201, 201, &repeated["webhook_id"]),
        "{repeated}"
    );
    assert!(
        made["secret"].as_str().unwrap().starts_with("lucid_whsec_")
            && repeated.get("secret").is_none(),
        "shown once: {repeated}"
    );
    let id = made["webhook_id"].as_str().unwrap();
    assert_eq!(
        ask(&lucid, "PUT", &format!("/{id}"), Some(&json!({ "url": "https://192.168.0.1/" }))).0,
        400
    );
    assert!(ask(&lucid, "GET", &format!("/{id}"), None).1.get("secret").is_none());
    let owner = lucid.token("alice", "node_operator");
    assert_eq!(lucid.call("GET", "/api/v1/webhooks", Some(&owner), None).0, 403);
}
