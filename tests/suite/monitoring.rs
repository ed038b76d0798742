//! What is committed for those who watch the service: rules, dashboard and runbook speak of what
//! there is.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{
    Lucid, SHORT, eventually,
    node::{TestNode, work_until},
    root,
};

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Words of a text that name a measurement.
fn measurements(text: &str) -> BTreeSet<String> {
    let words = text
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("lucid_"));
    words.map(|word| word.strip_suffix("_bucket").unwrap_or(word).to_owned()).collect()
}

/// Each file of the service's code.
fn code() -> Vec<String> {
    let (mut files, mut folders) = (Vec::new(), vec![root().join("host")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }
    files
}

/// First words in quotes after something, wherever it is in the code.
fn quoted_after(what: &str) -> BTreeSet<String> {
    let named =
        |rest: &str| rest.trim_start().strip_prefix('"')?.split('"').next().map(str::to_owned);
    code()
        .iter()
        .flat_map(|code| code.split(what).skip(1).filter_map(named).collect::<Vec<_>>())
        .collect()
}

fn told_by_the_service() -> BTreeSet<String> {
    ["counter!(", "gauge!(", "histogram!("].into_iter().flat_map(quoted_after).collect()
}

#[test]
fn rules_and_dashboard_ask_for_what_the_service_tells() {
    let told = told_by_the_service();
    for file in [
        "deploy/prometheus/rules.yaml",
        "deploy/prometheus/rules.test.yaml",
        "deploy/grafana/lucid.json",
    ] {
        let asked = measurements(&read(file));
        assert!(asked.len() > 10, "{file} asks for something: {asked:?}");
        let missing: Vec<_> = asked.difference(&told).collect();
        assert!(missing.is_empty(), "{file} asks for what nobody tells: {missing:?}");
    }
}

#[test]
fn every_alert_has_a_test_and_an_entry_in_the_runbook_and_the_other_way_round() {
    let (rules, tests, runbook) = (
        read("deploy/prometheus/rules.yaml"),
        read("deploy/prometheus/rules.test.yaml"),
        read("docs/runbook.md"),
    );
    let alerts: BTreeSet<_> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let entries: BTreeSet<_> =
        runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(alerts, entries);
    for alert in &alerts {
        assert!(
            tests.contains(&format!("  - name: from nothing, {alert}\n")),
            "{alert} is never seen to be raised by series that were absent"
        );
        assert!(
            tests.contains(&format!("alertname: {alert}\n        exp_alerts:\n")),
            "{alert} is never seen to be raised"
        );
        assert!(
            rules.contains(&format!("runbook: docs/runbook.md#{}\n", alert.to_lowercase())),
            "{alert} leads to its entry"
        );
    }
}

/// Families that an answer of `/metrics` describes (`HELP`) and has (`TYPE`).
fn families(metrics: &str, word: &str) -> BTreeSet<String> {
    let lines = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# ")?.strip_prefix(word)?.strip_prefix(' '));
    lines.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn every_measurement_is_described_and_every_counter_begins_at_zero() {
    let table = read("host/lucid/measurements.rs");
    let (_, table) = table.split_once("const FAMILIES").unwrap();
    let (table, rest) = table.split_once("];").unwrap();
    let described = measurements(table);
    assert_eq!(
        described,
        told_by_the_service(),
        "the table of measurements, and what the code measures"
    );
    let lucid = Lucid::serve_with(&SHORT);
    let metrics = lucid.metrics();
    let (helped, typed) = (families(&metrics, "HELP"), families(&metrics, "TYPE"));
    let missing: Vec<_> = typed.difference(&helped).collect();
    assert!(missing.is_empty(), "without HELP: {missing:?}");
    // Before anything happened, but what asks for the measurements.
    let counters = described.iter().filter(|name| name.ends_with("_total"));
    let absent: Vec<_> = counters.filter(|name| !typed.contains(*name)).collect();
    assert!(
        absent.iter().all(|name| name.starts_with("lucid_http_requests")),
        "they do not begin at zero: {absent:?}"
    );
    for series in [
        "lucid_policy_replaced_total{kind=\"validation\"} 0",
        "lucid_alert_raised{about=\"treasury\"} 0",
        "lucid_payout_transitions_total{state=\"manual\"} 0",
        "lucid_upstream_requests_total{service=\"payment\",outcome=\"none\"} 0",
        concat!("lucid_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
    ] {
        assert!(metrics.lines().any(|line| line == series), "{series} is not in {metrics}");
    }
    for name in [
        "lucid_disk_free_bytes",
        "lucid_store_bytes{file=\"core\"}",
        "lucid_budget_usdt",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
    ] {
        eventually(name, || (lucid.metric(name) > 0.0).then_some(()));
    }
    // 25 USDT each ten seconds of what the sandbox has.
    let (treasury, runway) =
        (lucid.metric("lucid_treasury_usdt"), lucid.metric("lucid_treasury_runway_days"));
    assert!(
        (runway - treasury / 25.0 * 10.0 / 86_400.0).abs() < 0.01,
        "{runway} days of {treasury}"
    );
    let mut node = TestNode::register(&lucid, "alice", 1);
    work_until(&lucid, &mut node, "requests to the chain", || {
        (lucid.metric("lucid_upstream_requests_total{service=\"chain\",outcome=\"2xx\"}") > 0.0)
            .then_some(())
    });
    assert!(lucid.metrics().contains("lucid_upstream_request_seconds_bucket{service=\"chain\""));
    let alerts: BTreeSet<_> = rest
        .split_once("const ALERTS")
        .unwrap()
        .1
        .split_once("];")
        .unwrap()
        .0
        .split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    let raised: BTreeSet<_> =
        [".alert(", ".clear_alert("].into_iter().flat_map(quoted_after).collect();
    let unknown: Vec<_> = raised.difference(&alerts).collect();
    assert!(unknown.is_empty(), "alerts that do not begin at zero: {unknown:?}");
}

/// Frozen payments are told, and that they go on.
#[test]
fn how_it_stands_with_money_is_measured() {
    let lucid = Lucid::serve_with(&SHORT);
    let told =
        |expected: f64| (lucid.metric("lucid_payments_frozen") - expected).abs() < f64::EPSILON;
    let frozen = |expected: f64| eventually("the measurement", || told(expected).then_some(()));
    let treasurer = lucid.token("carol", "treasurer");
    for (verb, expected) in [("freeze", 1.0), ("resume", 0.0)] {
        let body = json!({ "reason": "a test" });
        let (status, answer) =
            lucid.call("POST", &format!("/api/v1/payouts/{verb}"), Some(&treasurer), Some(&body));
        assert!([200, 202].contains(&status), "{answer}");
        frozen(expected);
    }
}
