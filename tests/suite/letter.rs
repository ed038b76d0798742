//! HTTP to the letter: what a request says is what happens, and nothing else.

use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::support::{Lucid, block_on, eventually, node::TestNode, raw::Raw};

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

/// A request with `If-Match`: its status, and the tag of its answer.
fn conditional(
    lucid: &Lucid,
    method: &str,
    path: &str,
    token: &str,
    tag: &str,
    body: Option<&Value>,
) -> (u16, String) {
    let body = body.map(|body| body.to_string().into_bytes());
    let (status, headers, _) =
        lucid.answer(method, path, Some(token), body, &[("if-match", tag.to_owned())]);
    (status, text(&headers, "etag").to_owned())
}

#[test]
fn no_change_is_made_to_another_version_than_the_one_that_is_named() {
    let lucid = Lucid::serve();
    let (root, owner) = (lucid.token("root", "super_admin"), lucid.token("alice", "node_operator"));
    let node = TestNode::register(&lucid, "alice", 1);
    let pool = lucid.create_pool("first");
    let hook = json!({ "url": "https://hooks.example.org/a", "events": ["node."] });
    let (status, hook) = lucid.call("POST", "/api/v1/webhooks", Some(&root), Some(&hook));
    assert_eq!(status, 201, "{hook}");
    let (node, pool) = (format!("/api/v1/nodes/{}", node.id), format!("/api/v1/pools/{pool}"));
    let hook = format!("/api/v1/webhooks/{}", hook["webhook_id"].as_str().unwrap());
    let pool_id = json!({ "pool_id": pool.rsplit('/').next().unwrap() });
    let stale = "\"999-0123456789abcdef\"";
    for (method, path, token, body) in [
        ("PUT", node.clone(), &owner, Some(json!({ "name": "other" }))),
        ("DELETE", node.clone(), &owner, None),
        ("POST", format!("{node}/deactivate"), &owner, None),
        ("POST", format!("{node}/stop"), &owner, None),
        ("POST", format!("{node}/suspend"), &root, Some(json!({ "reason": "x" }))),
        ("POST", format!("{node}/lift-suspension"), &root, None),
        ("PUT", format!("{node}/pool"), &owner, Some(pool_id.clone())),
        ("DELETE", format!("{node}/pool"), &owner, None),
        (
            "PUT",
            format!("{node}/wallet"),
            &owner,
            Some(json!({ "wallet_address": "TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HC" })),
        ),
        ("PUT", pool.clone(), &root, Some(json!({ "name": "other" }))),
        ("DELETE", pool.clone(), &root, None),
        ("PUT", hook.clone(), &root, Some(json!({ "enabled": false }))),
        ("POST", format!("{hook}/test"), &root, None),
        ("DELETE", hook.clone(), &root, None),
        // What has no version has none that could be named.
        ("POST", "/api/v1/payouts/freeze".into(), &root, Some(json!({ "reason": "x" }))),
        ("POST", "/api/v1/pools".into(), &root, Some(json!({ "name": "second" }))),
        ("POST", "/api/v1/enrolment-tokens".into(), &owner, Some(json!({ "name": "x" }))),
    ] {
        assert_eq!(
            conditional(&lucid, method, &path, token, stale, body.as_ref()).0,
            412,
            "{method} {path}"
        );
    }
    assert_eq!(
        (lucid.get(&node)["name"].as_str(), lucid.get(&node)["status"].as_str()),
        (Some("node 9001"), Some("pending")),
        "{}",
        lucid.get(&node)
    );
    assert_eq!(
        (
            lucid.get(&pool)["name"].as_str(),
            lucid.get("/api/v1/payouts/status")["freeze"]["frozen"].as_bool().unwrap_or(false)
        ),
        (Some("first"), false)
    );
    // Each answer to a change has the tag that the next one names.
    let read =
        |path: &str| text(&lucid.answer("GET", path, Some(&root), None, &[]).1, "etag").to_owned();
    let (mut tag, mut before) = (read(&node), String::new());
    for (method, path, token, body) in [
        ("PUT", format!("{node}/pool"), &owner, Some(pool_id)),
        ("POST", format!("{node}/activate"), &owner, None),
        ("POST", format!("{node}/deactivate"), &owner, None),
        ("DELETE", format!("{node}/pool"), &owner, None),
        ("DELETE", node.clone(), &owner, None),
    ] {
        if !before.is_empty() {
            assert_eq!(
                conditional(&lucid, method, &path, token, &before, body.as_ref()).0,
                412,
                "{method} {path}"
            );
        }
        let (status, next) = conditional(&lucid, method, &path, token, &tag, body.as_ref());
        assert!(matches!(status, 200 | 204), "{method} {path}: {status}");
        before = std::mem::replace(&mut tag, next);
    }
    for path in [&pool, &hook] {
        assert_eq!(conditional(&lucid, "DELETE", path, &root, &read(path), None).0, 204, "{path}");
    }
    // A condition that was not met is no last word under a key.
    let body = json!({ "name": "keyed" }).to_string().into_bytes();
    let with = |tag: &str| {
        lucid
            .answer(
                "POST",
                "/api/v1/pools",
                Some(&root),
                Some(body.clone()),
                &[("idempotency-key", "one".into()), ("if-match", tag.into())],
            )
            .0
    };
    assert_eq!((with(stale), with("*")), (412, 201));
}

#[test]
fn a_parameter_that_nobody_reads_is_told_of() {
    let lucid = Lucid::serve();
    let root = lucid.token("root", "super_admin");
    let of = |path: &str| {
        let (status, answer) = lucid.call("GET", path, Some(&root), None);
        (status, answer["error"]["message"].as_str().unwrap_or_default().to_owned())
    };
    for (path, meant) in [
        ("/api/v1/nodes?statuss=error", "status"),
        ("/api/v1/nodes?state=manual", "status"),
        ("/api/v1/payouts?nodeId=1", "node_id"),
        ("/api/v1/resources/summary?timeRange=1h", "time_range"),
        ("/api/v1/audit?actr=root", "actor"),
        ("/api/v1/payouts/runs?status=done", "page"),
        ("/api/v1/policies?kinds=scoring", "kind"),
        ("/api/v1/events?types=node", "type"),
    ] {
        let (status, said) = of(path);
        assert!(status == 400 && said.contains(meant), "{path}: {status} {said}");
    }
    for path in [
        "/api/v1/nodes?trace=on",
        "/api/v1/nodes/available?_=1760000000",
        "/api/v1/payouts/mismatches?sort=created_at",
        "/livez?verbose",
    ] {
        assert_eq!(of(path).0, 200, "{path}");
    }
    assert!(lucid.metric("lucid_http_parameters_ignored_total") > 1.5);
    // A misspelt field is refused as well, unless a client of the contract sends it.
    for (path, body, meant) in [
        ("/api/v1/enrolment-tokens", json!({ "name": "rack", "use_max": 1 }), "uses_max"),
        ("/api/v1/payouts/freeze", json!({ "reson": "x", "reason": "y" }), "reason"),
        ("/api/v1/payouts/runs", json!({ "node_id": [] }), "node_ids"),
    ] {
        let (status, answer) = lucid.call("POST", path, Some(&root), Some(&body));
        assert!(
            status == 400
                && answer["error"]["message"]
                    .as_str()
                    .unwrap()
                    .contains(&format!("did you mean {meant}?")),
            "{path}: {answer}"
        );
    }
}

#[test]
fn a_request_that_two_readers_read_differently_is_refused() {
    let lucid = Lucid::serve();
    let token = lucid.token("root", "admin");
    let get = "GET /api/v1/nodes HTTP/1.1\r\n";
    let bearer = format!("authorization: Bearer {token}\r\n");
    let post = format!(
        "POST /api/v1/pools HTTP/1.1\r\nhost: x\r\n{bearer}content-type: application/json\r\n"
    );
    for (what, request, expected) in [
        ("a host", format!("{get}host: x\r\n{bearer}\r\n"), 200),
        ("no host", format!("{get}{bearer}\r\n"), 400),
        ("two hosts", format!("{get}host: x\r\nhost: x\r\n{bearer}\r\n"), 400),
        ("two tokens", format!("{get}host: x\r\n{bearer}{bearer}\r\n"), 400),
        (
            "another letter case",
            format!("{get}host: x\r\nauthorization: bEARER {token}\r\n\r\n"),
            200,
        ),
        (
            "a packed body",
            format!("{post}content-encoding: gzip\r\ncontent-length: 2\r\n\r\n{{}}"),
            415,
        ),
        (
            "a chunk of no size",
            format!("{post}transfer-encoding: chunked\r\n\r\nzz\r\n{{}}\r\n0\r\n\r\n"),
            400,
        ),
        (
            "a chunk without its end",
            format!("{post}transfer-encoding: chunked\r\n\r\n2\r\n{{}}x\r\n0\r\n\r\n"),
            400,
        ),
        (
            "chunks that are a body",
            format!(
                "{post}transfer-encoding: chunked\r\n\r\n11\r\n{{\"name\":\"chunks\"}}\r\n0\r\n\r\n"
            ),
            201,
        ),
    ] {
        let mut raw = Raw::connect(&lucid);
        raw.send(&request);
        let answer = raw.answer();
        assert_eq!(answer.status, expected, "{what}: {}", String::from_utf8_lossy(&answer.body));
        assert!(
            expected != 415 || answer.header("accept-encoding") == Some("identity"),
            "{}",
            answer.head
        );
    }
}

#[test]
fn a_refused_request_leaves_its_connection_as_it_says() {
    let lucid = Lucid::serve();
    let head = |more: &str, length: usize| {
        format!("POST /api/v1/nodes HTTP/1.1\r\nhost: x\r\n{more}content-length: {length}\r\n\r\n")
    };
    // All of it came, or comes at once: the connection goes on.
    let mut raw = Raw::connect(&lucid);
    for _ in 0..3 {
        raw.send(head("", 60_000) + &" ".repeat(60_000));
        let answer = raw.answer();
        assert_eq!((answer.status, answer.header("connection")), (401, None), "{}", answer.head);
    }
    raw.send("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(raw.answer().status, 200);
    // It does not: the answer says that this was the last one, and the connection ends.
    for (what, request) in [
        ("half of it", head("", 50_000) + &" ".repeat(25_000)),
        ("more than is waited for", head("", 5_000_000) + &" ".repeat(100_000)),
        ("it waits to be asked", head("expect: 100-continue\r\n", 50_000)),
    ] {
        let mut raw = Raw::connect(&lucid);
        raw.send(&request);
        let asked = Instant::now();
        let answer = raw.answer();
        assert_eq!(
            (answer.status, answer.header("connection")),
            (401, Some("close")),
            "{what}: {}",
            answer.head
        );
        assert!(asked.elapsed() < Duration::from_secs(1), "{what}");
        let (_, after) = raw.until_closed();
        assert!(after < Duration::from_secs(6), "{what}: after {after:?}");
    }
}

#[test]
fn a_stream_ends_when_its_token_does() {
    let lucid = Lucid::serve();
    let short = |left_s: i64| {
        // 30 s are forgiven: this token is over for as long.
        let at = crate::support::now_ms() - (30 - left_s + 1) * 1_000;
        lucid_api::issue_token(
            crate::support::SECRET,
            "root",
            "admin",
            1,
            lucid_model::time::TimeMs(at),
        )
        .unwrap()
    };
    let client = crate::support::http().timeout(Duration::from_secs(60)).build().unwrap();
    let began = Instant::now();
    let request = client.get(format!("{}/api/v1/events", lucid.base)).bearer_auth(short(3));
    let mut stream = block_on(async { request.send().await.unwrap() });
    assert_eq!(stream.status(), 200);
    assert_eq!(
        (text(stream.headers(), "x-accel-buffering"), text(stream.headers(), "cache-control")),
        ("no", "no-cache")
    );
    block_on(async { while stream.chunk().await.unwrap().is_some() {} });
    let after = began.elapsed();
    assert!((Duration::from_millis(1_500)..Duration::from_secs(10)).contains(&after), "{after:?}");
}

#[test]
fn an_answer_says_what_browsers_and_caches_may_do_with_it() {
    let lucid = Lucid::serve();
    let root = lucid.token("root", "admin");
    let pool = lucid.create_pool("first");
    for (path, cached, policy) in [
        ("/api/v1/nodes".to_owned(), "no-store", "default-src 'none'; frame-ancestors 'none'"),
        (
            format!("/api/v1/pools/{pool}"),
            "private, no-cache",
            "default-src 'none'; frame-ancestors 'none'",
        ),
        ("/api/v1/nothing".to_owned(), "no-store", "default-src 'none'; frame-ancestors 'none'"),
        ("/openapi.json".to_owned(), "no-store", "default-src 'none'"),
        ("/livez".to_owned(), "no-store", "default-src 'none'"),
        ("/docs/".to_owned(), "max-age=300", "script-src 'self'"),
        ("/".to_owned(), "no-store", "script-src 'sha256-"),
    ] {
        let (_, headers, _) = lucid.answer("GET", &path, Some(&root), None, &[]);
        assert_eq!(
            (text(&headers, "x-content-type-options"), text(&headers, "cache-control")),
            ("nosniff", cached),
            "{path}"
        );
        let said = text(&headers, "content-security-policy");
        assert!(said.contains(policy) && said.contains("frame-ancestors 'none'"), "{path}: {said}");
        assert_eq!(
            (headers.get_all("cache-control").iter().count(), text(&headers, "deprecation")),
            (1, ""),
            "{path}"
        );
    }
    for (method, path) in [
        ("GET", "/api/v1/nodes/available"),
        ("POST", "/api/v1/nodes/register"),
        ("GET", "/api/v1/nodes/0192f0c1-2b3c-7d4e-8f90-123456789abc/payouts"),
        ("POST", "/api/v1/payouts/0192f0c1-2b3c-7d4e-8f90-123456789abc/retry"),
        ("GET", "/api/v1/payouts/0192f0c1-2b3c-7d4e-8f90-123456789abc/proof"),
    ] {
        let (_, headers, _) = lucid.answer(method, path, Some(&root), None, &[]);
        let (since, until) = (text(&headers, "deprecation"), text(&headers, "sunset"));
        assert!(since.starts_with('@') && until.ends_with(" GMT"), "{path}: {since} {until}");
    }
}

#[test]
fn measurements_have_a_token_or_a_port_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("metrics.token");
    std::fs::write(&file, "a token of the monitoring\n").unwrap();
    // Free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
        .to_string();
    let settings = [
        ("RAIL", "sandbox"),
        ("LUCID_SERVER_METRICS_TOKEN_FILE", file.to_str().unwrap()),
        ("LUCID_SERVER_METRICS_PORT", &port),
    ];
    let lucid = Lucid::serve_with(&settings);
    let status = |token: Option<&str>| lucid.call("GET", "/metrics", token, None).0;
    assert_eq!(
        (
            status(None),
            status(Some("another token of it")),
            status(Some("a token of the monitoring"))
        ),
        (401, 401, 200)
    );
    let of = |role: &str| status(Some(&lucid.token("someone", role)));
    assert_eq!(
        (of("viewer"), of("treasurer"), of("node_operator"), of("user")),
        (200, 200, 403, 403)
    );
    assert_eq!(
        lucid.call("GET", "/api/v1/nodes", Some("a token of the monitoring"), None).0,
        401,
        "it is good for nothing else"
    );
    let own = |path: &str| {
        block_on(async { reqwest::get(format!("http://127.0.0.1:{port}{path}")).await.unwrap() })
    };
    let answer = own("/metrics");
    assert_eq!(
        (answer.status().as_u16(), text(answer.headers(), "x-content-type-options")),
        (200, "nosniff")
    );
    assert!(block_on(answer.text()).unwrap().contains("lucid_treasury_usdt"));
    for path in ["/", "/api/v1/nodes", "/health"] {
        assert_eq!(own(path).status().as_u16(), 404, "{path}");
    }
    std::fs::write(&file, "the next token of it\n").unwrap();
    eventually("the next token", || (status(Some("the next token of it")) == 200).then_some(()));
    assert_eq!(status(Some("a token of the monitoring")), 401);
}

#[test]
fn the_electron_client_finds_what_it_asks_for() {
    let lucid = Lucid::serve();
    let owner = lucid.token("alice", "node_operator");
    let pool = lucid.create_pool("first");
    let call = |method: &str, path: &str, body: Option<Value>| {
        lucid.call(method, &format!("/api/v1/nodes{path}"), Some(&owner), body.as_ref())
    };
    let hardware =
        json!({ "cpu_cores": 8, "memory_gb": 15.6, "disk_gb": 500, "network_speed_mbps": 1000 });
    let said = json!({ "operator_id": "operator-7", "hardware_info": hardware, "location": { "country": "CH", "region": "ZH" } });
    let (status, node) = call("POST", "/register", Some(said));
    assert_eq!(
        (status, node["name"].as_str(), node["status"].as_str()),
        (201, Some("operator-7"), Some("pending")),
        "{node}"
    );
    assert_eq!(
        node["hardware"],
        json!({ "cpu_cores": 8, "memory_bytes": 15_600_000_000_u64, "storage_bytes": 500_000_000_000_u64 }),
        "{node}"
    );
    let id = node["node_id"].as_str().unwrap();
    let (status, joined) = call("POST", &format!("/{id}/pool"), Some(json!({ "poolId": pool })));
    assert_eq!((status, &joined["pool_id"]), (200, &json!(pool)), "{joined}");
    assert_eq!(call("POST", &format!("/{id}/pool"), Some(json!({}))).0, 400);
    assert_eq!(call("GET", &format!("/{id}/payouts"), None), (200, json!([])));
    assert_eq!(call("GET", &format!("/{id}/payouts?status=failed"), None), (200, json!([])));
    assert_eq!(call("GET", &format!("/{id}/payouts?status=lost"), None).0, 400);
    assert_eq!(call("GET", &format!("/{id}/status"), None).1["node_id"], node["node_id"]);
    assert_eq!(call("DELETE", &format!("/{id}/pool"), None).0, 200);
    assert_eq!(
        call("POST", "/register", Some(json!({ "hardware_info": {} }))).0,
        400,
        "nothing to call it by"
    );
}
