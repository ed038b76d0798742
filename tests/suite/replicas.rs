//! Two replicas on one MongoDB and one Redis: what one knows the other knows, and what one does for
//! all only one does.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{
    Lucid, SHORT, SandboxProcess, block_on, clock::WallClock, eventually, mongo::MongoServer,
    node::TestNode, redis::RedisServer,
};

/// Replicas, and what they share.
struct Pair {
    first: Lucid,
    second: Lucid,
    redis: RedisServer,
    _mongo: MongoServer,
}

impl Pair {
    /// Two services that were told of the same store and the same Redis; none where one of the
    /// servers cannot be had.
    fn start(settings: &[(&str, &str)]) -> Option<Self> {
        let (redis, mongo) = (RedisServer::start()?, MongoServer::start()?);
        let (url, database) = (redis.url(), mongo.database());
        let mut all = vec![("REDIS_URI", url.as_str()), ("MONGODB_URI", database.as_str())];
        all.extend(settings);
        let first = Lucid::serve_with(&all);
        Some(Self { first, second: Lucid::serve_with(&all), redis, _mongo: mongo })
    }

    fn both(&self) -> [&Lucid; 2] {
        [&self.first, &self.second]
    }

    /// Places of the replicas that hold a lease.
    fn holders(&self, lease: &str) -> Vec<usize> {
        let name = format!("lucid_lease_held{{name=\"{lease}\"}}");
        (0..2).filter(|place| self.both()[*place].metric(&name) == 1.0).collect()
    }

    fn holder(&self, lease: &str) -> usize {
        eventually("a replica with the lease", || self.holders(lease).first().copied())
    }
}

/// Lines of a replica's stream until one has everything that is sought.
fn hears(stream: &mut reqwest::Response, sought: &[&str]) -> String {
    let mut heard = String::new();
    let waited = block_on(async {
        let hearing = async {
            while !sought.iter().all(|sought| heard.contains(sought)) {
                heard += &String::from_utf8_lossy(&stream.chunk().await.unwrap().unwrap());
            }
        };
        tokio::time::timeout(Duration::from_secs(10), hearing).await
    });
    assert!(waited.is_ok(), "{sought:?} is not in {heard:?}");
    heard
}

fn active(lucid: &Lucid) -> String {
    let active = lucid.get("/api/v1/policies/active")["active"].clone();
    active.as_array().unwrap().iter().find(|a| a["kind"] == "scoring").unwrap()["policy"]["name"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Activates a scoring policy on one replica: the time until it is in force on the other.
fn swap(here: &Lucid, there: &Lucid, name: &str) -> Duration {
    let path = format!("/api/v1/policies/scoring/{name}/1.0.0/activate");
    let (status, answer) = here.call(
        "POST",
        &path,
        Some(&here.token("root", "admin")),
        Some(&json!({ "reason": "trial" })),
    );
    assert_eq!(status, 200, "{answer}");
    let answered = Instant::now();
    eventually("the policy on the other replica", || (active(there) == name).then_some(()));
    answered.elapsed()
}

#[test]
fn what_one_replica_does_the_other_knows_with_redis_and_without() {
    let Some(mut pair) = Pair::start(&[
        ("RAIL", "sandbox"),
        ("FOUR_EYES", "false"),
        ("LUCID_LIMITS_PAYOUTS_PER_MIN", "8"),
    ]) else {
        return;
    };
    let (first, second) = (&pair.first, &pair.second);
    let url = format!("{}/api/v1/events", second.base);
    let client = crate::support::http().build().unwrap();
    let mut stream = block_on(async {
        client.get(url).bearer_auth(second.token("root", "admin")).send().await.unwrap()
    });

    // A registration, a node's token, a report.
    let mut node = TestNode::register(first, "alice", 1);
    hears(&mut stream, &["event: node.registered", &node.id.to_string()]);
    assert_eq!(second.get(&format!("/api/v1/nodes/{}", node.id))["status"], "pending");
    node.work(second);
    assert_eq!(first.get(&format!("/api/v1/nodes/{}", node.id))["status"], "active");
    let (status, answer) = node.report_as(first, "heartbeat", node.sequence, &json!({}));
    assert_eq!(status, 409, "a number that was used there: {answer}");
    node.work(first);
    // A request that was answered by one is answered the same by the other, and done once.
    let (owner, key) =
        (first.token("alice", "node_operator"), [("idempotency-key", "once".to_owned())]);
    let body =
        serde_json::to_vec(&json!({ "name": "n", "ip_address": "198.51.100.9", "port": 9000 }))
            .unwrap();
    let [one, again] = pair
        .both()
        .map(|lucid| lucid.send("POST", "/api/v1/nodes", Some(&owner), Some(body.clone()), &key));
    assert_eq!((one.0, &one), (201, &again));
    assert_eq!(first.get("/api/v1/nodes")["pagination"]["total"], 2);

    // Requests are counted together.
    let bob = first.token("bob", "user");
    let admitted = (0..12)
        .filter(|turn| {
            pair.both()[turn % 2].call("POST", "/api/v1/payouts/runs", Some(&bob), None).0 == 403
        })
        .count();
    assert!((8..=9).contains(&admitted), "{admitted} of 12 requests, 8 a minute");

    let hinted = swap(first, second, "observation-only");
    assert!(hinted < Duration::from_secs(1), "took {hinted:?}");
    pair.redis.kill();
    let polled = swap(&pair.second, &pair.first, "observation-weighted");
    assert!(polled < Duration::from_secs(1), "without Redis it took {polled:?}");
    println!(
        "a policy is in force on the other replica after {hinted:?}, without Redis after {polled:?}"
    );
    pair.redis.start_again();
    let told = eventually("events after Redis came back", || {
        let pool = pair.first.create_pool(&format!("pool {}", uuid::Uuid::now_v7().simple()));
        let list = pair.second.get(&format!("/api/v1/pools/{pool}"));
        (pair.second.metric("lucid_coordination_up") == 1.0
            && pair.first.metric("lucid_coordination_up") == 1.0)
            .then_some(list)
    });
    assert_eq!(told["node_count"], 0);
    swap(&pair.first, &pair.second, "observation-only");
    hears(&mut stream, &["event: policy.activated", "observation-only"]);
}

#[test]
fn the_other_replica_takes_over_within_ten_seconds_of_a_kill() {
    let Some(mut pair) = Pair::start(&[("RAIL", "sandbox")]) else { return };
    let names = ["epochs", "votes", "settlement", "payer", "webhooks", "rollups", "audit"];
    for name in names {
        pair.holder(name);
    }
    let dead = pair.holder("payer");
    let (killed, left) = match dead {
        0 => (&mut pair.first, &pair.second),
        _ => (&mut pair.second, &pair.first),
    };
    killed.process.kill();
    let at = Instant::now();
    let held = |name: &str| left.metric(&format!("lucid_lease_held{{name=\"{name}\"}}")) == 1.0;
    eventually("every task on the replica that is left", || {
        names.iter().all(|name| held(name)).then_some(())
    });
    let took = at.elapsed();
    println!("after kill -9 the other replica does everything after {took:?}");
    assert!(took < Duration::from_secs(10), "took {took:?}");
}

#[test]
fn nobody_is_paid_twice_by_two_replicas_of_which_one_is_killed_nor_without_redis() {
    let sandbox = SandboxProcess::start();
    let mut settings = SHORT.to_vec();
    settings.extend([
        ("TRON_PAYMENT_URL", sandbox.url.as_str()),
        ("BLOCKCHAIN_URL", sandbox.url.as_str()),
        ("LUCID_PAYOUTS_SANDBOX_FUNDS_USDT", "100000"),
        ("LUCID_SCORING_EPOCH_S", "2"),
        ("LUCID_SCORING_CLOSE_DELAY_S", "1"),
        ("POOT_MIN_OBSERVATION_TIME", "1"),
        ("LUCID_PAYOUTS_SETTLEMENT_S", "4"),
        ("LUCID_COORDINATION_LEASE_MS", "1500"),
        ("LUCID_COORDINATION_TIMEOUT_MS", "400"),
    ]);
    let Some(mut pair) = Pair::start(&settings) else { return };
    // Slow answers, so that a kill often finds a request in flight.
    sandbox.set_faults(
        &json!({ "payout": [{ "effect": "once", "answer": { "drip": { "ms": 15 } } }] }),
    );
    let mut nodes: Vec<TestNode> = (1..=3)
        .map(|number| {
            TestNode::register(pair.both()[usize::from(number % 2 == 0)], "alice", number)
        })
        .collect();
    let paid = || {
        sandbox.get("/api/v1/sandbox/transfers?limit=1000")["transfers"].as_array().unwrap().len()
    };
    let mut turn = 0;
    let mut until = |pair: &Pair, what: &str, alive: &[usize], done: &dyn Fn() -> bool| {
        eventually(what, || {
            turn += 1;
            for node in &mut nodes {
                node.work(pair.both()[alive[turn % alive.len()]]);
            }
            assert_one_holder(pair, alive);
            done().then_some(())
        });
    };
    until(&pair, "payments", &[0, 1], &|| paid() >= 3);
    let dead = pair.holder("payer");
    let killed = if dead == 0 { &mut pair.first } else { &mut pair.second };
    killed.process.kill();
    let (at, before) = (Instant::now(), paid());
    until(&pair, "payments by the other replica", &[1 - dead], &|| paid() > before);
    println!("the other replica paid {:?} after the kill", at.elapsed());
    (if dead == 0 { &mut pair.first } else { &mut pair.second }).crash_and_restart();
    // Stopped for longer than its lease, and going on without knowing it.
    let (stopped, before) = (pair.holder("payer"), paid());
    let signal = |name: &str| {
        std::process::Command::new("kill")
            .args([name, &pair.both()[stopped].process.id().to_string()])
            .status()
            .unwrap()
    };
    assert!(signal("-STOP").success());
    until(&pair, "payments while the payer is stopped", &[1 - stopped], &|| paid() > before);
    assert!(signal("-CONT").success());
    let before = paid();
    until(&pair, "payments after it went on", &[0, 1], &|| paid() > before);
    pair.redis.kill();
    eventually("every lease to be over", || pair.holders("payer").is_empty().then_some(()));
    let frozen = paid();
    pair.redis.start_again();
    until(&pair, "payments after Redis came back", &[0, 1], &|| paid() > frozen);
    sandbox.set_faults(&json!({}));
    eventually("every payout to be final", || {
        let all = pair.first.get("/api/v1/payouts?limit=100");
        let all = all["payouts"].as_array().unwrap();
        (!all.iter().any(|p| p["status"] == "pending" || p["status"] == "processing")).then_some(())
    });
    let transfers = sandbox.get("/api/v1/sandbox/transfers?limit=1000");
    crate::kill::check_money(&pair.second, &nodes, transfers["transfers"].as_array().unwrap());
    let keys = pair
        .both()
        .map(|lucid| lucid.get("/api/v1/audit/heads")["public_key"].as_str().unwrap().to_owned());
    let (code, found) = crate::audit::verify_store(
        &pair.first,
        &["--public-key", &keys[0], "--public-key", &keys[1]],
    );
    assert_eq!((code, &found["intact"]), (Some(0), &json!(true)), "{found}");
}

/// That a replica still has a lease after the other was seen with it says that both had it.
fn assert_one_holder(pair: &Pair, alive: &[usize]) {
    let [one, other] = alive else { return };
    let held = |place: usize| pair.both()[place].metric("lucid_lease_held{name=\"payer\"}") == 1.0;
    assert!(!(held(*one) && held(*other) && held(*one)), "two payers");
}

#[test]
fn a_node_that_reports_to_both_replicas_in_turn_is_credited_like_one_that_reports_to_one() {
    let mut settings = SHORT.to_vec();
    // Shorter than the test: a replica that a node does not report to must not think that it is
    // silent.
    settings.push(("LUCID_SCORING_SILENCE_S", "3"));
    let Some(pair) = Pair::start(&settings) else { return };
    let mut faithful = TestNode::register(&pair.first, "alice", 1);
    let mut wandering = TestNode::register(&pair.first, "alice", 2);
    let mut turn = 0;
    let seen = eventually("two epochs with both nodes from end to end", || {
        turn += 1;
        faithful.work(&pair.first);
        wandering.work(pair.both()[turn % 2]);
        thread::sleep(Duration::from_millis(100));
        let list = pair.second.get("/api/v1/poot/scores?limit=100");
        let mut epochs: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for score in list["scores"].as_array().unwrap() {
            let nodes = epochs.entry(score["epoch"].to_string()).or_default();
            nodes.insert(
                score["node_id"].as_str().unwrap().to_owned(),
                score["total_observation_time"].as_u64().unwrap(),
            );
        }
        let whole: Vec<_> = epochs
            .into_values()
            .filter(|nodes| {
                nodes.get(&faithful.id.to_string()).is_some_and(|seconds| *seconds >= 4)
            })
            .collect();
        (!whole.is_empty()).then_some((whole, turn))
    });
    let (epochs, reports) = seen;
    for nodes in &epochs {
        let (one, both) = (nodes[&faithful.id.to_string()], nodes[&wandering.id.to_string()]);
        // What is lost is one report's interval at each replica, at the beginning.
        assert!(one.abs_diff(both) <= 1, "{one} s with one replica, {both} s with two in turn");
    }
    println!("{} epochs alike after {reports} reports", epochs.len());
    for node in [&faithful, &wandering] {
        let silent =
            pair.first.get(&format!("/api/v1/audit?subject={}&action=node.go_silent", node.id));
        assert_eq!(silent["pagination"]["total"], 0, "{silent}");
    }
    let held: Vec<Value> = pair
        .both()
        .map(|lucid| lucid.get(&format!("/api/v1/nodes/{}", faithful.id))["status"].clone())
        .to_vec();
    assert_eq!(held, ["active", "active"]);
}

#[test]
fn a_replica_whose_clock_is_off_leads_nothing_and_is_not_ready_until_it_is_right() {
    let (Some(redis), Some(mongo), Some(clock)) =
        (RedisServer::start(), MongoServer::start(), WallClock::ahead(0))
    else {
        return;
    };
    let (url, database) = (redis.url(), mongo.database());
    let mut settings =
        vec![("REDIS_URI", url.as_str()), ("MONGODB_URI", database.as_str()), ("RAIL", "sandbox")];
    settings.extend(clock.settings());
    let lucid = Lucid::serve_with(&settings);
    let payer = |held: f64| {
        eventually("the lease", || {
            (lucid.metric("lucid_lease_held{name=\"payer\"}") == held).then_some(())
        })
    };
    let ready = || lucid.send("GET", "/readyz", None, None, &[]);
    payer(1.0);
    assert_eq!(ready().0, 200);
    for seconds in [60, -60] {
        clock.set(seconds);
        payer(0.0);
        let (_, said) =
            eventually("not to be ready", || Some(ready()).filter(|(status, _)| *status == 503));
        assert!(
            said.to_string().contains(&format!("clock: this replica's clock is {seconds:+}")),
            "{said}"
        );
        let ahead = lucid.metric("lucid_clock_ahead_seconds");
        assert!((ahead - f64::from(i32::try_from(seconds).unwrap())).abs() < 2.0, "{ahead}");
        // As far off as may be.
        clock.set(seconds.signum() * 8);
        payer(1.0);
        eventually("to be ready", || (ready().0 == 200).then_some(()));
    }
}
