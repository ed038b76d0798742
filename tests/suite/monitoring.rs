//! What is committed for those who watch the service: rules, dashboard and runbook speak of what there is.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{Lucid, SHORT, eventually, root};

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Words of a text that name a measurement.
fn measurements(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("lucid_"));
    words.map(|word| word.strip_suffix("_bucket").unwrap_or(word).to_owned()).collect()
}

/// Of all code of the service.
fn told_by_the_service() -> BTreeSet<String> {
    let (mut told, mut folders) = (BTreeSet::new(), vec![root().join("host")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let code = std::fs::read_to_string(path).unwrap();
                for kind in ["counter!(\"", "gauge!(\"", "histogram!(\""] {
                    told.extend(code.split(kind).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
                }
            }
        }
    }
    told
}

#[test]
fn rules_and_dashboard_ask_for_what_the_service_tells() {
    let told = told_by_the_service();
    for file in ["deploy/prometheus/rules.yaml", "deploy/prometheus/rules.test.yaml", "deploy/grafana/lucid.json"] {
        let asked = measurements(&read(file));
        assert!(asked.len() > 10, "{file} asks for something: {asked:?}");
        let missing: Vec<_> = asked.difference(&told).collect();
        assert!(missing.is_empty(), "{file} asks for what nobody tells: {missing:?}");
    }
}

#[test]
fn every_alert_has_a_test_and_an_entry_in_the_runbook_and_the_other_way_round() {
    let (rules, tests, runbook) = (read("deploy/prometheus/rules.yaml"), read("deploy/prometheus/rules.test.yaml"), read("docs/runbook.md"));
    let alerts: BTreeSet<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let entries: BTreeSet<_> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(alerts, entries);
    for alert in alerts {
        assert!(tests.contains(&format!("alertname: {alert}\n        exp_alerts:\n")), "{alert} is never seen to be raised");
        assert!(rules.contains(&format!("runbook: docs/runbook.md#{}\n", alert.to_lowercase())), "{alert} leads to its entry");
    }
}

/// Frozen payments are told, and that they go on.
#[test]
fn how_it_stands_with_money_is_measured() {
    let lucid = Lucid::serve_with(&SHORT);
    let told = |expected: f64| (lucid.metric("lucid_payments_frozen") - expected).abs() < f64::EPSILON;
    let frozen = |expected: f64| eventually("the measurement", || told(expected).then_some(()));
    let treasurer = lucid.token("carol", "treasurer");
    for (verb, expected) in [("freeze", 1.0), ("resume", 0.0)] {
        let body = json!({ "reason": "a test" });
        assert_eq!(lucid.call("POST", &format!("/api/v1/payouts/{verb}"), Some(&treasurer), Some(&body)).0, 200);
        frozen(expected);
    }
}
