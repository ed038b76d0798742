//! Nodes that fall silent: alone, or so many at once that it is probably us.

use serde_json::json;

use crate::support::{Lucid, SHORT, eventually, node::TestNode};

const NODES: u8 = 12;
/// Fewer than half of them.
const GONE: usize = 4;

fn status(lucid: &Lucid, node: &TestNode) -> String {
    lucid.get(&format!("/api/v1/nodes/{}", node.id))["status"].as_str().unwrap().to_owned()
}

fn heartbeat(lucid: &Lucid, nodes: &mut [TestNode]) {
    for node in nodes {
        let (status, answer) = node.report(lucid, "heartbeat", &json!({}));
        assert_eq!(status, 200, "{answer}");
    }
}

fn alert_ended(lucid: &Lucid) -> bool {
    lucid
        .process
        .log()
        .lines()
        .any(|line| line.contains("alert cleared") && line.contains("\"mass-outage\""))
}

#[test]
fn a_fleet_that_falls_silent_at_once_is_left_as_it_is_and_a_few_nodes_are_not() {
    let mut settings = SHORT.to_vec();
    settings.extend([
        ("LUCID_SCORING_SILENCE_S", "8"),
        ("LUCID_AUTH_NODES_PER_OWNER_MAX", "0"),
        ("LUCID_AUTH_NODES_PER_IP_MAX", "0"),
        ("LUCID_AUTH_NODES_PER_IPV4_24_MAX", "0"),
        ("LUCID_AUTH_NODES_PER_WALLET_MAX", "0"),
        ("LUCID_LIMITS_REGISTRATIONS_BURST", "100"),
    ]);
    let lucid = Lucid::serve_with(&settings);
    let mut nodes: Vec<_> =
        (1..=NODES).map(|number| TestNode::register(&lucid, "alice", number)).collect();
    heartbeat(&lucid, &mut nodes);

    let alert = eventually("the alert", || {
        let log = lucid.process.log();
        log.lines().find(|line| line.contains("\"mass-outage\"")).map(str::to_owned)
    });
    assert!(alert.contains(&format!("of {NODES} nodes are silent at once")), "{alert}");
    assert!(nodes.iter().all(|node| status(&lucid, node) == "active"), "nobody is put in error");

    // All are back: nothing is wrong any more.
    eventually("the end of the alert", || {
        heartbeat(&lucid, &mut nodes);
        alert_ended(&lucid).then_some(())
    });

    // Most of them go on: the others are gone by themselves.
    let (gone, back) = nodes.split_at_mut(GONE);
    eventually("the ones that stay away are in error", || {
        heartbeat(&lucid, back);
        gone.iter().all(|node| status(&lucid, node) == "error").then_some(())
    });
    assert!(back.iter().all(|node| status(&lucid, node) == "active"));
    let alerts = lucid.get(&format!("/api/v1/nodes/{}/alerts", gone[0].id));
    assert_eq!(alerts["active_alerts"][0]["about"], "silent", "{alerts}");

    heartbeat(&lucid, gone);
    assert!(
        gone.iter().all(|node| status(&lucid, node) == "active"),
        "a report brings a node back"
    );
    let alerts = lucid.get(&format!("/api/v1/nodes/{}/alerts", gone[0].id));
    assert!(
        alerts["active_alerts"].as_array().unwrap().iter().all(|alert| alert["about"] != "silent"),
        "{alerts}"
    );
}
