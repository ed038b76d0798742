//! Nodes on real machines: their address and hardware change, their folders are copied.

use serde_json::{Value, json};

use crate::support::{Lucid, eventually, node::TestNode};

fn change(lucid: &Lucid, node: &TestNode, token: &str, machine: &Value) -> (u16, Value) {
    lucid.call("PUT", &format!("/api/v1/nodes/{}/machine", node.id), Some(token), Some(machine))
}

#[test]
fn a_node_tells_what_its_machine_became_and_is_judged_as_if_it_registered() {
    let lucid = Lucid::serve_with(&[("RAIL", "sandbox"), ("LUCID_AUTH_NODES_PER_IP_MAX", "2")]);
    let first = TestNode::register(&lucid, "alice", 1);
    let second =
        TestNode::register_with(&lucid, "alice", 2, |body| body["ip_address"] = json!("192.0.2.8"));
    let hardware = json!({ "cpu_cores": 8, "memory_bytes": 16_000_000_000_u64, "storage_bytes": 200_000_000_000_u64 });
    let (status, node) = change(&lucid, &first, &first.token, &json!({ "hardware": hardware }));
    assert_eq!(
        (status, &node["hardware"], node["ip_address"].as_str()),
        (200, &hardware, Some("192.0.2.7")),
        "{node}"
    );
    let (status, node) =
        change(&lucid, &first, &first.token, &json!({ "ip_address": "192.0.2.9", "port": 9500 }));
    assert_eq!(
        (status, &node["hardware"], node["port"].as_u64()),
        (200, &hardware, Some(9500)),
        "{node}"
    );
    let changed_at = node["updated_at"].clone();
    let (status, node) = change(
        &lucid,
        &first,
        &first.token,
        &json!({ "ip_address": "192.0.2.9", "port": 9500, "hardware": hardware }),
    );
    assert_eq!(
        (status, &node["updated_at"]),
        (200, &changed_at),
        "told again, it changes nothing: {node}"
    );
    let (status, node) = change(&lucid, &first, &first.token, &json!({ "port": 9501 }));
    assert_eq!((status, node["ip_address"].as_str()), (200, Some("192.0.2.9")), "{node}");
    // What a registration would be refused for.
    let refused = |token: &str, node: &TestNode, machine: &Value| {
        let (status, error) = change(&lucid, node, token, machine);
        (status, error["error"]["message"].as_str().unwrap_or_default().to_owned())
    };
    let taken =
        refused(&second.token, &second, &json!({ "ip_address": "192.0.2.9", "port": 9501 }));
    assert_eq!(
        taken,
        (409, "a live node is already registered with this ip_address and port".into())
    );
    let hollow = refused(
        &second.token,
        &second,
        &json!({ "hardware": { "cpu_cores": 0, "memory_bytes": 1, "storage_bytes": 1 } }),
    );
    assert_eq!(hollow.0, 400, "{hollow:?}");
    TestNode::register_with(&lucid, "bob", 3, |body| body["ip_address"] = json!("192.0.2.9"));
    let (status, error) =
        change(&lucid, &second, &second.token, &json!({ "ip_address": "192.0.2.9", "port": 9502 }));
    assert_eq!((status, error["error"]["details"]["limit"].as_u64()), (429, Some(2)), "{error}");
    for (token, whose) in [
        (first.token.clone(), "another node's"),
        (lucid.token("bob", "node_operator"), "another owner's"),
    ] {
        assert_eq!(
            change(&lucid, &second, &token, &json!({ "port": 9503, "ip_address": "192.0.2.8" })).0,
            403,
            "{whose}"
        );
    }
    let node = lucid.get(&format!("/api/v1/nodes/{}", second.id));
    assert_eq!(
        (node["ip_address"].as_str(), node["port"].as_u64()),
        (Some("192.0.2.8"), Some(9002)),
        "nothing of it was taken: {node}"
    );
}

#[test]
fn two_agents_of_one_folder_are_told_with_both_addresses() {
    let lucid =
        Lucid::serve_with(&[("RAIL", "sandbox"), ("LUCID_SERVER_TRUSTED_PROXIES", "127.0.0.1")]);
    let mut node = TestNode::register(&lucid, "alice", 1);
    // Both begin with the numbers that the folder had, and go on after the highest that they are
    // told.
    let mut report = |from: &str, sample: u64, sequence: u64| {
        let body = json!({ "cpu_usage": sample, "memory_usage": 40, "disk_usage": 10, "active_sessions": 1, "uptime": sample, "network_usage": {} });
        let (bytes, headers) = node.signed("metrics", sequence, &body);
        let headers: Vec<_> =
            headers.into_iter().chain([("x-forwarded-for", from.to_owned())]).collect();
        node.sequence = sequence;
        lucid.send(
            "POST",
            &format!("/api/v1/nodes/{}/metrics", node.id),
            Some(&node.token),
            Some(bytes),
            &headers,
        )
    };
    let alerts =
        |id: &str| lucid.get(&format!("/api/v1/nodes/{id}/alerts"))["active_alerts"].to_string();
    let (mut next, mut collisions) = ([1, 1], 0);
    for round in 0..8_usize {
        let (who, from) = (round % 2, ["203.0.113.7", "198.51.100.9"][round % 2]);
        let (status, answer) = report(from, u64::try_from(round).unwrap() + 1, next[who]);
        if status == 409 {
            collisions += 1;
            next[who] = answer["error"]["details"]["highest_sequence"].as_u64().unwrap() + 1;
            assert_eq!(report(from, u64::try_from(round).unwrap() + 1, next[who]).0, 200);
        }
        next[who] += 1;
    }
    assert!(collisions >= 3, "{collisions}");
    let id = node.id.to_string();
    let told = eventually("the alert", || Some(alerts(&id)).filter(|told| told.contains("cloned")));
    assert!(told.contains("198.51.100.9 and 203.0.113.7"), "{told}");
}
