use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{Lucid, node::TestNode, raw::Raw};

/// Text that no metric may ever show.
const MARK: &str = "FUZZED";

fn series(metrics: &str) -> BTreeSet<&str> {
    metrics
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(series, _)| series)
        .collect()
}

/// Requests with everything a caller can choose, chosen anew each time: method, path, query,
/// headers, subject, body, status.
fn fuzz(lucid: &Lucid, from: u32, count: u32) {
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "PROPFIND"];
    let paths = [
        "nodes",
        "pools",
        "policies",
        "payouts",
        "auth/challenge",
        "webhooks",
        "payouts/runs",
        "epochs",
        "poot/votes",
    ];
    for number in from..from + count {
        let made_up =
            format!("{MARK}{number}{}", "x".repeat(if number % 5 == 0 { 7_900 } else { 10 }));
        let method = if number % 3 == 0 {
            made_up.as_str()
        } else {
            methods[number as usize % methods.len()]
        };
        let path = format!("/api/v1/{}/{MARK}{number}", paths[number as usize % paths.len()]);
        let mut raw = Raw::connect(lucid);
        raw.send_while_taken(format!(
            "{method} {path}?{MARK}{number}=1 HTTP/1.1\r\nHost: {MARK}{number}.example\r\nUser-Agent: {MARK}{number}\r\nOrigin: http://{MARK}{number}\r\n\
             Idempotency-Key: {MARK}{number}\r\nTraceparent: {MARK}{number}\r\nX-Request-Id: {MARK}{number}\r\nConnection: close\r\n\r\n"
        ));
        raw.until_closed();
        // Callers with tokens reach further.
        let owner = lucid.token(&format!("{MARK}{number}"), "node_operator");
        let body = json!({ "reason": format!("{MARK}{number}"), "name": format!("{MARK}{number}"), "url": format!("https://{MARK}{number}.example") });
        lucid.call(methods[number as usize % 5], &path, Some(&owner), Some(&body));
    }
}

#[test]
fn no_metric_grows_by_what_callers_make_up() {
    let lucid = Lucid::serve();
    let mut node = TestNode::register(&lucid, "alice", 1);
    node.prove(&lucid);
    node.work(&lucid);
    let metrics = || lucid.page("/metrics").2;
    // Each route, method and status that there is has been counted once by then, or nearly.
    fuzz(&lucid, 0, 120);
    let before = metrics();
    fuzz(&lucid, 120, 240);
    let after = metrics();
    assert!(!after.contains(MARK), "{}", after.lines().find(|line| line.contains(MARK)).unwrap());
    let new: Vec<_> =
        series(&after).difference(&series(&before)).copied().map(str::to_owned).collect();
    assert!(new.len() <= 40, "{} new series: {new:#?}", new.len());
    assert!(
        after.len() < 300_000 && after.len() < before.len() + 20_000,
        "{} bytes after {}",
        after.len(),
        before.len()
    );
    assert!(after.lines().all(|line| line.len() < 1_000));
}
