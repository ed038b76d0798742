//! The access table, row by row and role by role, against the real service with real records.

use std::time::Duration;

use lucid_api::access::{ROUTES, Route, Who};
use lucid_model::{fleet::statement, id::Digest};
use lucid_service::Role;
use serde_json::{Value, json};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::Signer as _;

use crate::support::{
    Lucid, SECRET, SHORT, block_on, eventually,
    node::{TestNode, WALLET},
    now_ms,
};

struct Walk {
    lucid: Lucid,
    client: reqwest::Client,
    /// What stands in the place of a parameter, by the word before it.
    records: Vec<(&'static str, String)>,
    body: Value,
    document: Value,
    own: TestNode,
    foreign: TestNode,
}

impl Walk {
    /// Alice's records: a node, a pool, a score, a payout in a planned run. Mallory has a node as
    /// well.
    fn new() -> Self {
        let roles: serde_json::Map<String, Value> = Role::ALL
            .into_iter()
            .filter(|role| *role != Role::Node)
            .map(|role| (format!("only-{}", role.name()), json!([role.name()])))
            .collect();
        let roles = Value::Object(roles).to_string();
        let mut settings = SHORT.to_vec();
        settings.extend([
            ("ROLE_MAP", roles.as_str()),
            ("LUCID_SCORING_EPOCH_S", "1"),
            ("LUCID_SCORING_CLOSE_DELAY_S", "0"),
            ("POOT_MIN_OBSERVATION_TIME", "1"),
            ("LUCID_PAYOUTS_SETTLEMENT_S", "2"),
            ("LUCID_PAYOUTS_SANDBOX_FUNDS_USDT", "1000"),
            ("PAYOUT_AUTO_APPROVE_MAX_USDT", "0"),
            ("LUCID_LIMITS_ADMIN_PER_MIN", "0"),
            ("LUCID_LIMITS_PAYOUTS_PER_MIN", "0"),
            ("LUCID_LIMITS_POOT_PER_MIN", "0"),
            ("LUCID_LIMITS_REGISTRATIONS_PER_MIN", "0"),
            ("LUCID_LIMITS_OTHER_PER_MIN", "0"),
            // The walk may take long; nobody reports meanwhile.
            ("LUCID_SCORING_SILENCE_S", "3600"),
        ]);
        let lucid = Lucid::serve_with(&settings);
        let pool = lucid.create_pool("first");
        let (mut own, foreign) =
            (TestNode::register(&lucid, "alice", 1), TestNode::register(&lucid, "mallory", 2));
        let first = |list: Value, name: &str| {
            list[name].as_array().and_then(|items| items.first().cloned())
        };
        let payout = eventually("a payout", || {
            own.work(&lucid);
            first(lucid.get("/api/v1/payouts"), "payouts")
        });
        let run = payout["run_id"].as_str().unwrap().to_owned();
        let score =
            first(lucid.get(&format!("/api/v1/poot/scores?node_id={}", own.id)), "scores").unwrap();
        let score = score["score_id"].as_str().unwrap().to_owned();
        let session = own.session_until(now_ms());
        // One body serves all: of it a route is sent the fields that it knows.
        let body = json!({
            "name": "walked", "ip_address": "198.51.100.7", "port": 9001, "reason": "walked", "pool_id": pool, "poolId": pool, "node_id": own.id.to_string(),
            "observation_data": [session], "observations": [session], "score": 50.0, "timestamp": lucid_model::time::TimeMs(now_ms()).to_string(),
            "public_key": STANDARD.encode(own.key.verifying_key().to_bytes()), "signature": STANDARD.encode([7; 64]),
            "cpu_usage": 1, "memory_usage": 1, "disk_usage": 1, "reference": "walked", "amount_usdt": "1", "wallet_address": WALLET,
        });
        let (status, enrolment) = lucid.call(
            "POST",
            "/api/v1/enrolment-tokens",
            Some(&lucid.token("alice", "node_operator")),
            Some(&json!({ "name": "walked" })),
        );
        assert_eq!(status, 201, "{enrolment}");
        let (status, webhook) = lucid.call(
            "POST",
            "/api/v1/webhooks",
            Some(&lucid.token("root", "super_admin")),
            Some(&json!({ "url": "https://hooks.example.org/", "enabled": false })),
        );
        assert_eq!(status, 201, "{webhook}");
        let payout = payout["payout_id"].as_str().unwrap();
        let records = vec![
            ("webhooks", webhook["webhook_id"].as_str().unwrap().to_owned()),
            ("nodes", own.id.to_string()),
            ("enrolment-tokens", enrolment["enrolment_id"].as_str().unwrap().to_owned()),
            ("pools", pool),
            ("scores", score),
            ("payouts", payout.to_owned()),
            ("proofs", payout.to_owned()),
            ("cancellations", payout.to_owned()),
            ("retries", payout.to_owned()),
            ("runs", run),
            ("policies", "scoring".to_owned()),
            ("rollbacks", "scoring".to_owned()),
            ("{kind}", "observation-weighted".to_owned()),
            ("{name}", "1.0.0".to_owned()),
        ];
        let client = crate::support::http().timeout(Duration::from_secs(10)).build().unwrap();
        let document = lucid.call("GET", "/openapi.json", None, None).1;
        Self { lucid, client, records, body, document, own, foreign }
    }

    /// All of the body for a route that ignores what it does not know; of it what the document says
    /// for the others.
    fn body(&self, route: &Route) -> Value {
        if route.ignores_unknown {
            return self.body.clone();
        }
        let form = &self.document["paths"][route.now.unwrap_or(route.path)]
            [route.method.to_lowercase()]["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        let name = form
            .as_str()
            .and_then(|form| form.strip_prefix("#/components/schemas/"))
            .unwrap_or_default();
        let known = &self.document["components"]["schemas"][name]["properties"];
        self.body
            .as_object()
            .unwrap()
            .iter()
            .filter(|(field, _)| known.get(field.as_str()).is_some())
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    }

    fn path(&self, route: &Route) -> String {
        let mut before = "";
        let mut pieces = Vec::new();
        for piece in route.path.split('/') {
            let record = || {
                self.records
                    .iter()
                    .find(|(word, _)| *word == before)
                    .map(|(_, record)| record.clone())
            };
            pieces.push(if piece.starts_with('{') {
                record().unwrap_or_else(|| uuid::Uuid::nil().to_string())
            } else {
                piece.to_owned()
            });
            before = piece;
        }
        pieces.join("/")
    }

    /// Sends a row's request; status and code. An event stream has no end: its body is not waited
    /// for.
    fn ask(&mut self, route: &Route, caller: Option<&str>, node: Option<u64>) -> (u16, String) {
        let path = self.path(route);
        let bytes = serde_json::to_vec(&self.body(route)).unwrap();
        let mut request = self
            .client
            .request(route.method.parse().unwrap(), format!("{}{path}", self.lucid.base));
        if let Some(token) = caller {
            request = request.bearer_auth(token);
        }
        let kind = path.rsplit('/').next().unwrap();
        // A report is signed with its number; other routes have signatures of their own.
        if let Some(sequence) =
            node.filter(|_| ["heartbeat", "metrics", "observations"].contains(&kind))
        {
            let signature = self.own.key.sign(&statement::report(
                kind,
                self.own.id,
                sequence,
                Digest::of(&bytes),
            ));
            request = request
                .header("x-lucid-sequence", sequence.to_string())
                .header("x-lucid-signature", STANDARD.encode(signature.to_bytes()));
        }
        if route.method != "GET" {
            request = request.header("content-type", "application/json").body(bytes);
        }
        block_on(async {
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            let answer: Value =
                if status < 400 { Value::Null } else { response.json().await.unwrap_or_default() };
            (status, answer["error"]["code"].as_str().unwrap_or_default().to_owned())
        })
    }

    fn token(&self, subject: &str, role: Role) -> String {
        match (role, subject) {
            (Role::Node, "alice") => self.own.token.clone(),
            (Role::Node, _) => self.foreign.token.clone(),
            _ => self.lucid.token(subject, &format!("only-{}", role.name())),
        }
    }

    fn next_sequence(&mut self, role: Role) -> Option<u64> {
        self.own.sequence += 1;
        (role == Role::Node).then_some(self.own.sequence)
    }
}

fn admitted(route: &Route, role: Role) -> bool {
    route.who.roles().contains(&role)
}

/// Whether a role may do on anybody's records what the row says.
fn on_all(route: &Route, role: Role) -> bool {
    route.on_all_records.is_none_or(|roles| roles.contains(&role))
}

#[test]
fn every_route_opens_to_whom_the_table_says_and_to_nobody_else() {
    let mut walk = Walk::new();
    let node = format!("/api/v1/nodes/{}", walk.own.id);
    let before = walk.lucid.get(&node);
    let expired = lucid_api::issue_token(
        SECRET,
        "alice",
        "super_admin",
        60,
        lucid_model::time::TimeMs(1_000_000),
    )
    .unwrap();
    let closed = |route: &&Route| route.who != Who::Public;
    let refused = |status: u16, code: &str| (status, code.to_owned());
    for route in ROUTES.iter().filter(closed) {
        let row = format!("{} {}", route.method, route.path);
        for (what, token) in [
            ("no token", None),
            ("an expired token", Some(expired.as_str())),
            ("garbage", Some("garbage.garbage.garbage")),
        ] {
            assert_eq!(
                walk.ask(route, token, None),
                refused(401, "LUCID_ERR_4010"),
                "{row} with {what}"
            );
        }
        assert_eq!(
            walk.ask(route, Some(&walk.lucid.token("alice", "emperor")), None),
            refused(403, "LUCID_ERR_4030"),
            "{row} with an unknown role"
        );
        for role in Role::ALL {
            let sequence = walk.next_sequence(role);
            if !admitted(route, role) {
                assert_eq!(
                    walk.ask(route, Some(&walk.token("alice", role)), sequence),
                    refused(403, "LUCID_ERR_4030"),
                    "{row} as {}",
                    role.name()
                );
            } else if !on_all(route, role) {
                let foreign = walk.token("mallory", role);
                assert_eq!(
                    walk.ask(route, Some(&foreign), sequence),
                    refused(403, "LUCID_ERR_4030"),
                    "{row} as {} of another",
                    role.name()
                );
            }
        }
    }
    let after = walk.lucid.get(&node);
    for field in ["name", "status", "pool_id", "configuration"] {
        assert_eq!(after[field], before[field], "what was refused changed {field}");
    }

    // What removes records comes last.
    let mut rows: Vec<&Route> = ROUTES.iter().collect();
    rows.sort_by_key(|route| route.method == "DELETE");
    for route in rows {
        let row = format!("{} {}", route.method, route.path);
        if route.who == Who::Public {
            let (status, code) = walk.ask(route, None, None);
            assert!(
                ![401, 403, 405].contains(&status) && status < 500,
                "{row} without a token: {status} {code}"
            );
            continue;
        }
        for role in Role::ALL.into_iter().filter(|role| admitted(route, *role)) {
            let subjects: &[&str] = if on_all(route, role) && role != Role::Node {
                &["alice", "mallory"]
            } else {
                &["alice"]
            };
            for subject in subjects {
                let sequence = walk.next_sequence(role);
                let (status, code) = walk.ask(route, Some(&walk.token(subject, role)), sequence);
                assert!(
                    ![401, 403, 405].contains(&status) && status < 500,
                    "{row} as {} {subject}: {status} {code}",
                    role.name()
                );
            }
        }
    }
}

#[test]
fn a_nodes_token_shows_the_node_and_not_its_owners_others() {
    let lucid = Lucid::serve();
    let (one, other) =
        (TestNode::register(&lucid, "alice", 1), TestNode::register(&lucid, "alice", 2));
    let asks = |path: &str| lucid.call("GET", path, Some(&one.token), None).0;
    assert_eq!(asks(&format!("/api/v1/nodes/{}", one.id)), 200);
    for path in ["/api/v1/poot/scores", "/api/v1/payouts", "/api/v1/consensus/votes"] {
        assert_eq!(
            (
                asks(path),
                asks(&format!("{path}?node_id={}", one.id)),
                asks(&format!("{path}?node_id={}", other.id))
            ),
            (200, 200, 403),
            "{path}"
        );
    }
    assert_eq!(
        (
            asks(&format!("/api/v1/nodes/{}", other.id)),
            asks("/api/v1/nodes"),
            asks("/api/v1/resources/summary")
        ),
        (403, 403, 403)
    );
}
