//! Replicas behind a proxy that sends each request to the next of them: a node logs in and earns as
//! with one replica.

use std::{
    thread,
    time::{Duration, Instant},
};

use lucid_model::{
    telemetry::credit::{self, Interval},
    time::TimeMs,
};
use serde_json::json;

use crate::support::{
    Lucid, free_port, keep_port, mongo::MongoServer, nginx::Nginx, node::TestNode,
    redis::RedisServer,
};

/// Between two reports: with `PROXY_REPORT_S=25` four replicas hear of a node further apart than
/// one of them may be silent for.
fn report_interval() -> Duration {
    Duration::from_secs(
        std::env::var("PROXY_REPORT_S").ok().and_then(|s| s.parse().ok()).unwrap_or(1),
    )
}

/// What the store has of the only node's presence, seconds.
fn presence_s(mongo: &MongoServer, database: &str) -> f64 {
    let dump = mongo.dump(database);
    let (_, live) = dump.iter().find(|(name, _)| name == "live").unwrap();
    let stretches = live[0].get_document("presence").unwrap().iter();
    let stretches = stretches.map(|(from, to)| Interval {
        from: TimeMs(from.parse().unwrap()),
        to: TimeMs(to.as_i64().unwrap()),
    });
    credit::total_ms(&credit::union(stretches.collect())) as f64 / 1_000.0
}

/// Runs a node behind `replicas` replicas. With more than one, kills the last replica halfway.
fn works_behind(replicas: usize, redis: &RedisServer, mongo: &MongoServer) {
    let (ports, database): (Vec<u16>, _) =
        ((0..replicas).map(|_| free_port()).collect(), mongo.database());
    let Some(nginx) = Nginx::before(&ports) else { return };
    let url = redis.url();
    let mut services: Vec<Lucid> = ports
        .iter()
        .map(|port| {
            let port = port.to_string();
            let settings = [
                ("REDIS_URI", url.as_str()),
                ("MONGODB_URI", &database),
                ("NODE_MANAGEMENT_PORT", &port),
                ("REGISTRATION_APPROVAL", "auto"),
                ("RAIL", "sandbox"),
            ];
            Lucid::serve_with(&settings)
        })
        .collect();
    services[0].base = nginx.url.clone();
    let mut node = TestNode::register(&services[0], "alice", 1);
    // Challenge here, token there, each time at other ones.
    for _ in 0..2 * replicas + 1 {
        node.prove(&services[0]);
    }
    let interval = report_interval();
    // A report arrives between its sending and its answer: so long at least, and so long at most.
    let mut report = |gate: &Lucid| {
        let sent = Instant::now();
        let (status, answer) = node.report(gate, "heartbeat", &json!({}));
        assert_eq!(status, 200, "{answer}");
        (sent, Instant::now())
    };
    // The first one brings the node to life; presence is from the second on.
    report(&services[0]);
    let (first_sent, first_answered) = report(&services[0]);
    let (mut last_sent, mut last_answered) = (first_sent, first_answered);
    let (mut next, mut _port) = (Instant::now(), None);
    for reports in 3..=13 {
        next += interval;
        thread::sleep(next.saturating_duration_since(Instant::now()));
        (last_sent, last_answered) = report(&services[0]);
        if reports == 6 && replicas > 1 {
            services[replicas - 1].process.kill();
            _port = Some(keep_port(ports[replicas - 1]));
        }
    }
    let earned_s = presence_s(mongo, &database);
    let least_s = (last_sent - first_answered).as_secs_f64();
    let most_s = (last_answered - first_sent).as_secs_f64();
    println!("{replicas} replicas: {earned_s:.1} s of {least_s:.1} to {most_s:.1} s were credited");
    assert!(earned_s <= most_s + 0.1, "{replicas} replicas credit {earned_s} s of {most_s} s");
    let lost_s_max = 0.1 + if replicas > 1 { interval.as_secs_f64() } else { 0.0 };
    let least_s = least_s - lost_s_max;
    assert!(earned_s >= least_s, "{replicas} replicas credit {earned_s} s, less than {least_s} s");
}

#[test]
fn a_node_logs_in_and_earns_behind_a_proxy_whichever_replica_answers() {
    let (Some(redis), Some(mongo)) = (RedisServer::start(), MongoServer::start()) else { return };
    for replicas in [1, 2, 4] {
        works_behind(replicas, &redis, &mongo);
    }
}
