//! How often who may call, and what the others notice of it: nothing.

use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use serde_json::json;

use crate::support::{Lucid, node::TestNode};

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

/// Status, and the two fields.
fn told(
    lucid: &Lucid,
    method: &str,
    path: &str,
    token: Option<&str>,
) -> (u16, Option<String>, Option<String>) {
    let (status, headers, _) = lucid.answer(method, path, token, None, &[]);
    let of = |name| header(&headers, name).map(str::to_owned);
    (status, of("ratelimit-policy"), of("ratelimit"))
}

#[test]
fn every_limited_answer_says_what_is_left_and_health_is_never_limited() {
    let lucid = Lucid::serve();
    let (owner, admin) = (lucid.token("alice", "node_operator"), lucid.token("root", "admin"));
    let (bob, erin) = (lucid.token("bob", "user"), lucid.token("erin", "user"));
    for (method, path, token, status, policy, left) in [
        ("GET", "/api/v1/nodes", Some(&owner), 200, "\"other\";q=1000;w=60", "\"other\";r=999;t=1"),
        ("GET", "/api/v1/payouts", Some(&bob), 200, "\"other\";q=1000;w=60", "\"other\";r=999;t=1"),
        (
            "POST",
            "/api/v1/payouts/runs",
            Some(&owner),
            403,
            "\"payouts\";q=50;w=60",
            "\"payouts\";r=49;t=2",
        ),
        (
            "POST",
            "/api/v1/poot/calculate",
            Some(&owner),
            400,
            "\"poot\";q=100;w=60",
            "\"poot\";r=99;t=1",
        ),
        (
            "POST",
            "/api/v1/nodes",
            Some(&owner),
            400,
            "\"registrations\";q=20;w=20",
            "\"registrations\";r=19;t=1",
        ),
        (
            "GET",
            "/api/v1/payouts",
            Some(&admin),
            200,
            "\"admin\";q=10000;w=60",
            "\"admin\";r=9999;t=1",
        ),
        (
            "POST",
            "/api/v1/payouts/runs",
            None,
            401,
            "\"payouts\";q=50;w=60",
            "\"payouts\";r=49;t=2",
        ),
        ("GET", "/openapi.json", None, 200, "\"other\";q=1000;w=60", "\"other\";r=999;t=1"),
        // A stop is limited only for who may not.
        (
            "POST",
            "/api/v1/payouts/freeze",
            Some(&erin),
            403,
            "\"other\";q=1000;w=60",
            "\"other\";r=999;t=1",
        ),
    ] {
        let answer = told(&lucid, method, path, token.map(String::as_str));
        assert_eq!(
            answer,
            (status, Some(policy.to_owned()), Some(left.to_owned())),
            "{method} {path}"
        );
    }
    assert_eq!(told(&lucid, "GET", "/api/v1/nothing", None).0, 404);
    assert!(told(&lucid, "GET", "/api/v1/nothing", None).1.is_some(), "guessing is limited too");
    let (status, headers, _) = lucid.answer("PATCH", "/api/v1/nodes", Some(&owner), None, &[]);
    assert_eq!((status, header(&headers, "allow")), (405, Some("GET, HEAD, POST")));
    for path in ["/health", "/livez", "/readyz", "/startupz"] {
        assert_eq!(told(&lucid, "GET", path, None), (200, None, None), "{path}");
    }
    assert_eq!(told(&lucid, "GET", "/metrics", Some(&admin)), (200, None, None));
    assert_eq!(told(&lucid, "GET", "/metrics", None).0, 401);
}

#[test]
fn who_comes_too_often_waits_and_nobody_else_does() {
    let lucid = Lucid::serve_with(&[
        ("RAIL", "sandbox"),
        ("LUCID_LIMITS_PAYOUTS_PER_MIN", "6"),
        ("LUCID_LIMITS_POOT_PER_MIN", "0"),
    ]);
    let (alice, bob, admin) =
        (lucid.token("alice", "user"), lucid.token("bob", "user"), lucid.token("root", "admin"));
    let payouts =
        |token: &str| lucid.answer("POST", "/api/v1/payouts/runs", Some(token), None, &[]);
    for _ in 0..6 {
        assert_eq!(payouts(&alice).0, 403);
    }
    let (status, headers, body) = payouts(&alice);
    assert_eq!((status, body["error"]["code"].as_str()), (429, Some("LUCID_ERR_4291")), "{body}");
    let wait: u64 = header(&headers, "retry-after").unwrap().parse().unwrap();
    assert!((1..=10).contains(&wait), "{wait}");
    let left = format!("\"payouts\";r=0;t={wait}");
    assert_eq!(
        (header(&headers, "ratelimit-policy"), header(&headers, "ratelimit")),
        (Some("\"payouts\";q=6;w=60"), Some(left.as_str()))
    );
    assert_eq!(
        told(
            &lucid,
            "POST",
            "/api/v1/payouts/0192f0c1-2b3c-7d4e-8f90-123456789abc/retry",
            Some(&alice)
        )
        .0,
        429,
        "the same class"
    );
    let another = lucid_api::issue_token(
        crate::support::SECRET,
        "alice",
        "viewer",
        60,
        lucid_model::time::TimeMs(crate::support::now_ms()),
    )
    .unwrap();
    assert_eq!(payouts(&another).0, 429, "another token of the same subject is no other subject");
    assert_eq!(payouts(&bob).0, 403);
    assert_eq!(told(&lucid, "GET", "/api/v1/nodes", Some(&alice)).0, 200, "another class");
    assert_eq!(
        told(&lucid, "POST", "/api/v1/poot/calculate", Some(&alice)),
        (400, None, None),
        "0 is off"
    );
    for _ in 0..30 {
        assert_eq!(payouts(&admin).0, 403);
    }
    let metrics = lucid.metrics();
    assert!(
        metrics.contains("lucid_rate_limit_total{class=\"payouts\",outcome=\"refused\"} 3"),
        "{metrics}"
    );
}

#[test]
fn a_stop_always_works_and_reading_payouts_never_stands_in_its_way() {
    let lucid = Lucid::serve_with(&[
        ("RAIL", "sandbox"),
        ("LUCID_LIMITS_PAYOUTS_PER_MIN", "5"),
        ("LUCID_LIMITS_OTHER_PER_MIN", "200"),
        ("LUCID_LIMITS_ADMIN_PER_MIN", "5"),
    ]);
    let (treasurer, operator) =
        (lucid.token("carol", "super_admin"), lucid.token("dave", "operator"));
    let freeze = |token: &str| {
        lucid
            .call(
                "POST",
                "/api/v1/payouts/freeze",
                Some(token),
                Some(&json!({ "reason": "a breach" })),
            )
            .0
    };
    for token in [&treasurer, &operator] {
        let mut statuses = Vec::new();
        for _ in 0..60 {
            statuses.push(told(&lucid, "GET", "/api/v1/payouts/status", Some(token)).0);
        }
        for _ in 0..20 {
            statuses.push(told(&lucid, "POST", "/api/v1/payouts/verify", Some(token)).0);
        }
        assert!(statuses.contains(&429), "the caller is over its limits: {statuses:?}");
        for _ in 0..10 {
            assert!([200, 202].contains(&freeze(token)));
        }
    }
    let statuses: Vec<_> = (0..60)
        .map(|_| told(&lucid, "GET", "/api/v1/payouts", Some(&lucid.token("erin", "user"))).0)
        .collect();
    assert!(statuses.iter().all(|status| *status == 200), "an ordinary read: {statuses:?}");
    let guesses: Vec<_> =
        (0..250).map(|_| told(&lucid, "POST", "/api/v1/payouts/freeze", Some("guess")).0).collect();
    assert!(guesses.contains(&429), "guessing is limited: {guesses:?}");
}

#[test]
fn an_address_that_guesses_tokens_is_stopped_and_good_tokens_from_it_still_count() {
    let lucid = Lucid::serve_with(&[("RAIL", "sandbox"), ("LUCID_LIMITS_OTHER_PER_MIN", "30")]);
    let guess = |number: u32| {
        told(&lucid, "GET", "/api/v1/nodes", Some(&format!("guess.number.{number}"))).0
    };
    let statuses: Vec<u16> = (0..40).map(guess).collect();
    let wrong = statuses.iter().filter(|status| **status == 401).count();
    assert!((30..=35).contains(&wrong) && statuses.last() == Some(&429), "{statuses:?}");
    assert_eq!(told(&lucid, "GET", "/api/v1/nodes", None).0, 429, "no token is no better");
    assert_eq!(
        told(&lucid, "POST", "/api/v1/auth/challenge", None).0,
        429,
        "and asks no challenges"
    );
    assert_eq!(told(&lucid, "GET", "/api/v1/nodes", Some(&lucid.token("alice", "user"))).0, 200);
    assert_eq!(told(&lucid, "GET", "/readyz", None).0, 200);
}

#[test]
fn a_flood_of_registrations_registers_what_is_allowed_and_holds_up_nobody() {
    let lucid = Lucid::serve_with(&[("RAIL", "sandbox"), ("LUCID_AUTH_NODES_PER_IP_MAX", "0")]);
    let (owner, started) = (lucid.token("mallory", "node_operator"), Instant::now());
    let register = |token: &str, port: u16| {
        let node = json!({ "name": "n", "ip_address": "198.51.100.7", "port": port });
        lucid.answer(
            "POST",
            "/api/v1/nodes",
            Some(token),
            Some(serde_json::to_vec(&node).unwrap()),
            &[],
        )
    };
    let (statuses, slowest) = std::thread::scope(|scope| {
        let flood: Vec<_> = (0..4_u16)
            .map(|part| {
                scope.spawn({
                    let (register, owner) = (&register, &owner);
                    move || {
                        (0..40)
                            .map(|place| register(owner, 10_000 + part * 100 + place))
                            .collect::<Vec<_>>()
                    }
                })
            })
            .collect();
        let bob = lucid.token("bob", "node_operator");
        let mut slowest = Duration::ZERO;
        for port in 0..10 {
            let asked = Instant::now();
            assert_eq!(register(&bob, 20_000 + port).0, 201);
            assert_eq!(
                lucid.call("GET", "/api/v1/nodes", Some(&lucid.token("root", "admin")), None).0,
                200
            );
            slowest = slowest.max(asked.elapsed());
        }
        (flood.into_iter().flat_map(|part| part.join().unwrap()).collect::<Vec<_>>(), slowest)
    });
    let made = statuses.iter().filter(|(status, _, _)| *status == 201).count();
    let allowed = 20 + usize::try_from(started.elapsed().as_secs()).unwrap() + 1;
    assert!((20..=allowed).contains(&made), "{made} of at most {allowed}");
    for (status, headers, body) in statuses.iter().filter(|(status, _, _)| *status != 201) {
        assert_eq!(
            (*status, body["error"]["code"].as_str()),
            (429, Some("LUCID_ERR_4291")),
            "{body}"
        );
        assert!(
            header(headers, "retry-after")
                .is_some_and(|wait| wait.parse::<u64>().is_ok_and(|wait| wait >= 1))
        );
    }
    let (_, list) = lucid.call("GET", "/api/v1/nodes?limit=1", Some(&owner), None);
    assert_eq!(list["pagination"]["total"], made, "a 429 changes nothing");
    assert!(slowest < Duration::from_secs(5), "somebody else waited {slowest:?}");
}

/// A fleet that logs in again through a balancer comes from one address.
#[test]
fn logins_through_a_balancer_are_not_limited_by_its_address() {
    const LIMIT: usize = 20;
    for (proxies, logins_limited) in [("127.0.0.1", false), ("10.0.0.1", true)] {
        let lucid = Lucid::serve_with(&[
            ("RAIL", "sandbox"),
            ("LUCID_SERVER_TRUSTED_PROXIES", proxies),
            ("LUCID_LIMITS_OTHER_PER_MIN", "20"),
        ]);
        let node = TestNode::register(&lucid, "alice", 1);
        let whose = json!({ "node_id": node.id.to_string() });
        let path = "/api/v1/auth/challenge";
        let logins: Vec<_> =
            (0..LIMIT + 5).map(|_| lucid.call("POST", path, None, Some(&whose)).0).collect();
        assert_eq!(logins.contains(&429), logins_limited, "{proxies}: {logins:?}");
        let guesses: Vec<_> = (0..LIMIT + 5)
            .map(|_| lucid.call("GET", "/api/v1/nodes", Some("no token"), None).0)
            .collect();
        assert!(guesses.contains(&429), "guessing is limited through it, too: {guesses:?}");
    }
}
