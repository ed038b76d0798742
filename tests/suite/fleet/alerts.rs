//! Alerts about nodes: raised and cleared by what nodes report, kept over a crash, by limits of
//! their own and of pools.

use serde_json::{Value, json};

use crate::support::{Lucid, eventually, node::TestNode};

fn report(lucid: &Lucid, node: &mut TestNode, cpu: u32, times: u32) {
    for _ in 0..times {
        let sample = json!({ "cpu_usage": cpu, "memory_usage": 40, "disk_usage": 10,
            "network_usage": { "bytes_sent": 7, "bytes_received": 5, "packets_sent": 1, "packets_received": 1 } });
        let (status, answer) = node.report(lucid, "metrics", &sample);
        assert_eq!(status, 200, "{answer}");
    }
}

fn alerts(lucid: &Lucid, node: &TestNode) -> Value {
    lucid.get(&format!("/api/v1/nodes/{}/alerts", node.id))
}

/// The active alerts about something.
fn active(lucid: &Lucid, node: &TestNode, about: &str) -> Vec<Value> {
    let found = alerts(lucid, node);
    found["active_alerts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|alert| alert["about"] == about)
        .cloned()
        .collect()
}

fn configure_pool(lucid: &Lucid, pool: &str, configuration: &Value) -> (u16, Value) {
    let body = json!({ "configuration": configuration });
    lucid.call(
        "PUT",
        &format!("/api/v1/pools/{pool}"),
        Some(&lucid.token("root", "super_admin")),
        Some(&body),
    )
}

#[test]
fn an_alert_is_raised_by_three_samples_kept_over_a_crash_and_cleared_once() {
    let mut lucid = Lucid::serve();
    let mut node = TestNode::register(&lucid, "alice", 1);
    report(&lucid, &mut node, 99, 2);
    report(&lucid, &mut node, 50, 1);
    report(&lucid, &mut node, 99, 2);
    assert_eq!(active(&lucid, &node, "cpu").len(), 0, "spikes are no alert");
    report(&lucid, &mut node, 99, 1);
    let raised = active(&lucid, &node, "cpu");
    assert_eq!(
        (raised.len(), &raised[0]["value"], &raised[0]["limit"]),
        (1, &json!(99), &json!(80)),
        "{raised:?}"
    );

    lucid.crash_and_restart();
    assert_eq!(active(&lucid, &node, "cpu"), raised);
    report(&lucid, &mut node, 99, 4);
    assert_eq!(active(&lucid, &node, "cpu"), raised, "the same alert, not another");
    report(&lucid, &mut node, 78, 4);
    assert_eq!(active(&lucid, &node, "cpu"), raised, "not far enough under the limit");
    report(&lucid, &mut node, 75, 3);
    assert_eq!(active(&lucid, &node, "cpu").len(), 0);
    let history = alerts(&lucid, &node)["alert_history"].clone();
    assert_eq!(history.as_array().unwrap().len(), 1, "{history}");
    assert_eq!(
        (&history[0]["about"], &history[0]["raised_at"]),
        (&json!("cpu"), &raised[0]["since"]),
        "{history}"
    );
    assert!(
        history[0]["cleared_at"].is_string() && history[0]["action"] == "node.alert_cleared",
        "{history}"
    );

    lucid.crash_and_restart();
    report(&lucid, &mut node, 99, 3);
    let history = alerts(&lucid, &node)["alert_history"].clone();
    assert_eq!(history.as_array().unwrap().len(), 2, "it comes again as another: {history}");
    assert!(
        history[0].get("cleared_at").is_none() && history[1]["cleared_at"].is_string(),
        "newest first: {history}"
    );
}

#[test]
fn a_pools_limits_hold_for_members_without_their_own_and_nothing_is_raised_where_nobody_watches() {
    let lucid = Lucid::serve();
    let root = lucid.token("root", "super_admin");
    let pool = lucid.create_pool("first");
    assert!(
        lucid.get(&format!("/api/v1/pools/{pool}"))["configuration"]
            .get("alert_thresholds")
            .is_none()
    );
    let (status, changed) =
        configure_pool(&lucid, &pool, &json!({ "alert_thresholds": { "cpu_usage": 40.5 } }));
    assert_eq!(
        (status, &changed["configuration"]["alert_thresholds"]),
        (200, &json!({ "cpu_usage": 40.5 })),
        "{changed}"
    );
    for (thresholds, field) in [
        (json!({ "cpu_usage": 101 }), "configuration.alert_thresholds.cpu_usage"),
        (json!({ "memory_usage": "80" }), "configuration.alert_thresholds.memory_usage"),
        (json!({ "missed_heartbeat_s": 29 }), "configuration.alert_thresholds.missed_heartbeat_s"),
        (
            json!({ "missed_heartbeat_s": 86_401 }),
            "configuration.alert_thresholds.missed_heartbeat_s",
        ),
        (json!([]), "configuration.alert_thresholds"),
    ] {
        let (status, answer) =
            configure_pool(&lucid, &pool, &json!({ "alert_thresholds": thresholds }));
        assert_eq!(
            (status, answer["error"]["details"]["field"].as_str()),
            (400, Some(field)),
            "{answer}"
        );
    }

    let mut nodes: Vec<_> =
        (1..=3).map(|number| TestNode::register(&lucid, "alice", number)).collect();
    for (node, configuration) in nodes.iter().zip([
        json!({}),
        json!({ "resource_limits": { "max_cpu_usage": 60 } }),
        json!({ "monitoring_enabled": false }),
    ]) {
        let path = format!("/api/v1/nodes/{}", node.id);
        let (status, answer) =
            lucid.call("PUT", &path, Some(&root), Some(&json!({ "configuration": configuration })));
        assert_eq!(status, 200, "{answer}");
        let (status, answer) = lucid.call(
            "PUT",
            &format!("{path}/pool"),
            Some(&root),
            Some(&json!({ "pool_id": pool })),
        );
        assert_eq!(status, 200, "{answer}");
    }
    let [member, own, unwatched] = nodes.as_mut_slice() else { unreachable!() };
    for node in [&mut *member, &mut *own, &mut *unwatched] {
        report(&lucid, node, 50, 3);
    }
    let raised = active(&lucid, member, "cpu");
    assert_eq!(raised.len(), 1);
    assert_eq!(lucid.digits(&format!("/api/v1/nodes/{}/alerts", member.id), "limit"), "40.5");
    assert_eq!(active(&lucid, own, "cpu").len(), 0, "its own limit is 60");
    for node in [&mut *own, &mut *unwatched] {
        report(&lucid, node, 90, 3);
    }
    assert_eq!((active(&lucid, own, "cpu").len(), active(&lucid, unwatched, "cpu").len()), (1, 0));

    let off = json!({ "configuration": { "monitoring_enabled": false } });
    let (status, answer) =
        lucid.call("PUT", &format!("/api/v1/nodes/{}", own.id), Some(&root), Some(&off));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(active(&lucid, own, "cpu").len(), 0, "nobody watches it any more");
}

#[test]
fn silence_and_suspension_are_alerts_with_a_beginning_and_an_end() {
    let mut lucid = Lucid::serve_with(&[("RAIL", "sandbox"), ("LUCID_SCORING_SILENCE_S", "2")]);
    let root = lucid.token("root", "super_admin");
    let pool = lucid.create_pool("patient");
    assert_eq!(
        configure_pool(
            &lucid,
            &pool,
            &json!({ "alert_thresholds": { "missed_heartbeat_s": 3_600 } })
        )
        .0,
        200
    );
    let (mut node, mut patient) =
        (TestNode::register(&lucid, "alice", 1), TestNode::register(&lucid, "alice", 2));
    for (node, pool) in [(&node, None), (&patient, Some(&pool))] {
        let path = format!("/api/v1/nodes/{}/pool", node.id);
        let (status, answer) = match pool {
            Some(pool) => lucid.call("PUT", &path, Some(&root), Some(&json!({ "pool_id": pool }))),
            None => lucid.call("DELETE", &path, Some(&root), None),
        };
        assert_eq!(status, 200, "{answer}");
    }
    // Who is a member is looked up every ten seconds, and at the start.
    lucid.crash_and_restart();
    report(&lucid, &mut patient, 10, 1);
    report(&lucid, &mut node, 10, 1);
    let raised = eventually("the alert", || {
        active(&lucid, &node, "silent").first().filter(|alert| alert["limit"] == 2).cloned()
    });
    assert!(raised["value"].as_u64().unwrap() >= 2, "{raised}");
    assert_eq!(active(&lucid, &patient, "silent").len(), 0, "its pool waits for an hour");
    report(&lucid, &mut node, 10, 1);
    assert_eq!(active(&lucid, &node, "silent").len(), 0);

    let path = format!("/api/v1/nodes/{}", patient.id);
    assert_eq!(
        lucid
            .call(
                "POST",
                &format!("{path}/suspend"),
                Some(&root),
                Some(&json!({ "reason": "abuse" }))
            )
            .0,
        200
    );
    assert_eq!(active(&lucid, &patient, "suspended").len(), 1);
    assert_eq!(lucid.call("POST", &format!("{path}/lift-suspension"), Some(&root), None).0, 200);
    assert_eq!(active(&lucid, &patient, "suspended").len(), 0);
    let told = |node: &TestNode, about: &str| {
        let history = alerts(&lucid, node)["alert_history"].clone();
        history
            .as_array()
            .unwrap()
            .iter()
            .filter(|alert| alert["about"] == about && alert["cleared_at"].is_string())
            .count()
    };
    assert_eq!((told(&node, "silent") > 0, told(&patient, "suspended")), (true, 1));
}
