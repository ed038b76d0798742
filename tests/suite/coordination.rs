//! The service with Redis beside it, and without it in the middle.

use serde_json::Value;

use crate::support::{Lucid, SHORT, eventually, node::TestNode, redis::RedisServer};

fn health(lucid: &Lucid) -> Value {
    lucid.call("GET", "/health", None, None).1
}

/// Whether `/health` says that Redis is lost.
fn is_degraded(lucid: &Lucid) -> bool {
    let health = health(lucid);
    let named = health["checks"]["alerts"].as_str().unwrap().contains("coordination");
    assert!(!named || health["status"] == "degraded", "{health}");
    named
}

fn epochs(lucid: &Lucid) -> u64 {
    lucid.get("/api/v1/poot/epochs")["pagination"]["total"].as_u64().unwrap()
}

#[test]
fn a_redis_that_is_killed_degrades_the_service_and_stops_who_needs_a_lease_until_it_is_back() {
    let Some(mut redis) = RedisServer::start() else { return };
    let url = redis.url();
    let mut settings = SHORT.to_vec();
    settings.extend([
        ("REDIS_URI", url.as_str()),
        ("LUCID_COORDINATION_LEASE_MS", "1500"),
        ("LUCID_PAYOUTS_SANDBOX_FUNDS_USDT", "100000"),
    ]);
    let lucid = Lucid::serve_with(&settings);
    let mut node = TestNode::register(&lucid, "alice", 1);
    eventually("an epoch that is closed under a lease", || {
        node.work(&lucid);
        (epochs(&lucid) > 0).then_some(())
    });
    assert_eq!(lucid.metric(r#"lucid_lease_held{name="payer"}"#), 1.0);
    assert!(!is_degraded(&lucid));
    redis.kill();
    eventually("the alert", || is_degraded(&lucid).then_some(()));
    assert_eq!(lucid.metric("lucid_coordination_up"), 0.0);
    eventually("every lease to be over", || {
        let names = ["epochs", "votes", "settlement", "payer", "audit"];
        names
            .iter()
            .all(|name| lucid.metric(&format!("lucid_lease_held{{name=\"{name}\"}}")) == 0.0)
            .then_some(())
    });
    let closed = epochs(&lucid);
    // The API goes on, and counts requests by itself.
    for _ in 0..20 {
        assert_eq!(
            lucid.call("GET", "/api/v1/nodes", Some(&lucid.token("admin", "super_admin")), None).0,
            200
        );
        node.work(&lucid);
    }
    assert!(lucid.metric("lucid_rate_limit_alone_total") >= 20.0);
    assert_eq!(lucid.call("GET", "/readyz", None, None).0, 200, "it can be sent requests");
    assert_eq!(epochs(&lucid), closed, "nobody may close one");
    redis.start_again();
    eventually("the alert to be gone", || (!is_degraded(&lucid)).then_some(()));
    eventually("the lease of the payer", || {
        (lucid.metric(r#"lucid_lease_held{name="payer"}"#) == 1.0).then_some(())
    });
    eventually("another epoch", || {
        node.work(&lucid);
        (epochs(&lucid) > closed).then_some(())
    });
    assert_eq!(lucid.metric("lucid_coordination_up"), 1.0);
}

#[test]
fn the_service_starts_without_the_redis_that_it_is_told_of_and_finds_it_later() {
    let Some(mut redis) = RedisServer::start() else { return };
    redis.kill();
    let url = redis.url();
    let lucid = Lucid::serve_with(&[
        ("RAIL", "sandbox"),
        ("REDIS_URL", url.as_str()),
        ("LUCID_COORDINATION_LEASE_MS", "1500"),
    ]);
    eventually("the alert", || is_degraded(&lucid).then_some(()));
    assert_eq!(lucid.get("/api/v1/nodes")["pagination"]["total"], 0);
    assert_eq!(lucid.metric(r#"lucid_lease_held{name="payer"}"#), 0.0);
    redis.start_again();
    eventually("the alert to be gone", || (!is_degraded(&lucid)).then_some(()));
    eventually("the lease of the payer", || {
        (lucid.metric(r#"lucid_lease_held{name="payer"}"#) == 1.0).then_some(())
    });
}
