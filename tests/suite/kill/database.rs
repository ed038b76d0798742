//! kill -9 of the database under the service: it answers 503 meanwhile, goes on by itself, and
//! nothing acknowledged is lost.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{check_money, kills, payouts};
use crate::support::{
    Lucid, SHORT, SandboxProcess, eventually, mongo::MongoServer, node::TestNode, now_ms,
};

/// How long the service works between two kills: not a divisor of a settlement cycle, so that each
/// finds another moment.
const LOAD_TIME: Duration = Duration::from_millis(2_300);
/// How long the database is away.
const AWAY_TIME: Duration = Duration::from_millis(900);

/// What was asked for, what was acknowledged, and what the service said instead.
struct Load {
    nodes: Vec<(TestNode, Option<Report>)>,
    acknowledged: BTreeSet<String>,
    asked: u16,
    unavailable: u32,
    reports: u32,
}

/// A report that is on its way until it is acknowledged: kind, number, body.
type Report = (&'static str, u64, Value);

impl Load {
    fn new(lucid: &Lucid) -> Self {
        let nodes =
            (1..=4).map(|number| (TestNode::register(lucid, "alice", number), None)).collect();
        Self { nodes, acknowledged: BTreeSet::new(), asked: 0, unavailable: 0, reports: 0 }
    }

    /// Whether the answer is the one that is wanted. The only other one there may be is that the
    /// store is away.
    fn is(&mut self, wanted: u16, status: u16, body: &Value) -> bool {
        if status == wanted {
            return true;
        }
        assert_eq!(status, 503, "{body}");
        assert_eq!(body["error"]["request_id"].as_str().map(str::len), Some(36), "{body}");
        self.unavailable += 1;
        false
    }

    /// A registration, and a report of each node; what was not acknowledged is sent again as it
    /// was.
    fn go_on(&mut self, lucid: &Lucid, owner: &str) {
        self.asked += 1;
        let body =
            json!({ "name": "n", "ip_address": "198.51.100.7", "port": 10_000 + self.asked });
        let (status, answer) = lucid.call("POST", "/api/v1/nodes", Some(owner), Some(&body));
        if self.is(201, status, &answer) {
            self.acknowledged.insert(answer["node_id"].as_str().unwrap().to_owned());
        }
        for place in 0..self.nodes.len() {
            let (node, waiting) = &mut self.nodes[place];
            let report = waiting.take().unwrap_or_else(|| {
                let (number, sample) = node.next_sample();
                if number % 2 == 0 {
                    (
                        "observations",
                        number,
                        json!({ "observations": [node.session_until(now_ms())] }),
                    )
                } else {
                    ("metrics", number, sample)
                }
            });
            let (status, answer) = node.report_as(lucid, report.0, report.1, &report.2);
            if self.is(200, status, &answer) {
                self.reports += 1;
            } else {
                self.nodes[place].1 = Some(report);
            }
        }
    }
}

#[test]
fn a_mongodb_that_is_killed_under_load_costs_time_and_nothing_else() {
    let Some(mut server) = MongoServer::start_own() else { return };
    let sandbox = SandboxProcess::start();
    // A database that is away is found to be so in a moment, and not in ten seconds.
    let url = format!("{}&serverSelectionTimeoutMS=300", server.database());
    let mut settings = SHORT.to_vec();
    settings.extend([
        ("MONGODB_URI", url.as_str()),
        ("TRON_PAYMENT_URL", sandbox.url.as_str()),
        ("BLOCKCHAIN_URL", sandbox.url.as_str()),
        ("LUCID_PAYOUTS_SANDBOX_FUNDS_USDT", "100000"),
        ("LUCID_AUTH_NODES_PER_IP_MAX", "0"),
        ("LUCID_AUTH_NODES_PER_IPV4_24_MAX", "0"),
        ("LUCID_AUTH_NODES_PER_OWNER_MAX", "0"),
        ("LUCID_AUTH_NODES_PER_WALLET_MAX", "0"),
        ("LUCID_LIMITS_REGISTRATIONS_PER_MIN", "0"),
        ("LUCID_LIMITS_OTHER_PER_MIN", "0"),
    ]);
    sandbox.set_faults(
        &json!({ "payout": [{ "effect": "once", "answer": { "drip": { "ms": 15 } } }] }),
    );
    let lucid = Lucid::serve_with(&settings);
    let owner = lucid.token("alice", "node_operator");
    let mut load = Load::new(&lucid);
    for kill in 0..kills().div_ceil(3) {
        let until = Instant::now() + LOAD_TIME;
        while Instant::now() < until {
            load.go_on(&lucid, &owner);
        }
        let before = load.unavailable;
        server.kill();
        let until = Instant::now() + AWAY_TIME;
        while Instant::now() < until || load.unavailable == before {
            load.go_on(&lucid, &owner);
        }
        server.start_again();
        let before = load.reports;
        eventually("the service to go on", || {
            load.go_on(&lucid, &owner);
            (load.reports >= before + 4).then_some(())
        });
        println!(
            "kill {kill}: {} registered, {} reports, {} times 503",
            load.acknowledged.len(),
            load.reports,
            load.unavailable
        );
    }
    sandbox.set_faults(&json!({}));
    eventually("every payout to be final", || {
        load.go_on(&lucid, &owner);
        let all = payouts(&lucid);
        let open = all.iter().any(|p| p["status"] == "pending" || p["status"] == "processing");
        (!all.is_empty() && !open).then_some(())
    });
    let log = lucid.process.log();
    assert!(!log.contains("panicked"), "{log}");

    let transfers = sandbox.get("/api/v1/sandbox/transfers?limit=1000");
    let nodes: Vec<TestNode> = load.nodes.into_iter().map(|(node, _)| node).collect();
    check_money(&lucid, &nodes, transfers["transfers"].as_array().unwrap());
    for id in &load.acknowledged {
        lucid.get(&format!("/api/v1/nodes/{id}"));
    }
    // What was asked for and not acknowledged is there or not; nothing is there that nobody asked
    // for.
    let total = lucid.get("/api/v1/nodes")["pagination"]["total"].as_u64().unwrap();
    assert!(
        (load.acknowledged.len() as u64 + 4..=u64::from(load.asked) + 4).contains(&total),
        "{total} of {}",
        load.asked
    );
    crate::audit::check_entries_fit_together(&lucid, &["node", "run", "payout"]);
    // Every entry is in a link of its writer's chain; both are read while the service goes on.
    eventually("chains as long as the log", || {
        let heads = lucid.get("/api/v1/audit/heads");
        let linked: u64 = heads["heads"]
            .as_array()
            .unwrap()
            .iter()
            .map(|head| head["entries"].as_u64().unwrap())
            .sum();
        (lucid.get("/api/v1/audit")["pagination"]["total"] == linked).then_some(())
    });
}
