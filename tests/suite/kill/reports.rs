//! Reports that come while the service is killed: whatever was acknowledged is there, and nothing
//! is there twice.

use std::{
    collections::BTreeSet,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use lucid_model::time::TimeMs;
use serde_json::{Value, json};

use super::kills;
use crate::support::{Lucid, mongo::MongoServer, node::TestNode, now_ms};

const NODES: u8 = 4;
/// Between two samples of a node, by its own clock.
const STEP_MS: i64 = 2_000;
/// Samples of the busiest node, which one question may ask for.
const SAMPLES_MAX: u64 = 5_000;

/// A node that reports and remembers what was acknowledged.
struct Reporter {
    node: TestNode,
    start_ms: i64,
    /// Numbers of reports that were answered with 200.
    acknowledged: BTreeSet<u64>,
}

impl Reporter {
    fn body(&self, sequence: u64) -> Value {
        let at = TimeMs(self.start_ms + STEP_MS * i64::try_from(sequence).unwrap());
        json!({ "timestamp": at.to_string(), "cpu_usage": sequence % 100 })
    }

    /// Reports, one after the other, until nobody answers.
    fn report_until_cut_off(&mut self, lucid: &Lucid) {
        while self.node.sequence < SAMPLES_MAX {
            let sequence = self.node.sequence + 1;
            let Some(status) = self.node.try_report(lucid, sequence, &self.body(sequence)) else {
                return;
            };
            assert_eq!(status, 200);
            self.acknowledged.insert(sequence);
            self.node.sequence = sequence;
        }
    }

    /// Sends the report whose answer did not come again, as an agent does.
    fn go_on(&mut self, lucid: &Lucid) {
        self.node.prove(lucid);
        let last = self.node.sequence.max(1);
        if self.acknowledged.contains(&last) {
            let (status, answer) = self.node.report_as(lucid, "metrics", last, &self.body(last));
            // The report after it may have been stored, though its answer was lost.
            assert!(
                status == 409 || (status == 200 && answer["repeated"] == true),
                "{status} {answer}"
            );
        }
        let next = self.node.sequence + 1;
        let (status, answer) = self.node.report_as(lucid, "metrics", next, &self.body(next));
        assert_eq!(status, 200, "{answer}");
        self.acknowledged.insert(next);
        self.node.sequence = next;
    }

    /// Everything that was acknowledged is in the history, once, as it was sent.
    fn check(&self, lucid: &Lucid) {
        let end = TimeMs(self.start_ms + STEP_MS * i64::try_from(self.node.sequence + 2).unwrap());
        let range = format!("from={}&to={end}", TimeMs(self.start_ms));
        let history = lucid.get(&format!(
            "/api/v1/resources/nodes/{}/history?metric=cpu&resolution=raw&{range}",
            self.node.id
        ));
        let kept: Vec<_> = history["points"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| (p["time"].as_str().unwrap().to_owned(), p["cpu"]["mean"].as_f64()))
            .collect();
        let sent = |sequence: &u64| {
            let body = self.body(*sequence);
            (body["timestamp"].as_str().unwrap().to_owned(), body["cpu_usage"].as_f64())
        };
        let expected: Vec<_> = self.acknowledged.iter().map(sent).collect();
        assert_eq!(kept, expected, "node {}", self.node.id);
    }
}

#[test]
fn no_acknowledged_report_is_lost_when_the_service_is_killed_at_any_moment() {
    reports_survive(&[], kills());
}

#[test]
fn no_acknowledged_report_is_lost_when_the_service_is_killed_at_any_moment_over_mongodb() {
    let Some(server) = MongoServer::start() else { return };
    reports_survive(&[("MONGODB_URI", &server.database())], kills().div_ceil(4));
}

fn reports_survive(store: &[(&str, &str)], kills: u32) {
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| now_ms().unsigned_abs());
    println!("SEED={seed} repeats the moments of the kills");
    let mut settings = vec![("RAIL", "sandbox"), ("LUCID_LIMITS_OTHER_PER_MIN", "0")];
    settings.extend(store);
    let mut lucid = Lucid::serve_with(&settings);
    let start_ms = now_ms() - 3 * 3_600_000;
    let reporter = |number| Reporter {
        node: TestNode::register(&lucid, "alice", number),
        start_ms,
        acknowledged: BTreeSet::new(),
    };
    let mut reporters: Vec<_> = (1..=NODES).map(reporter).collect();
    let mut moment = seed | 1;
    for _ in 0..kills {
        moment =
            moment.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let after = Duration::from_micros((moment >> 33) % 150_000);
        thread::scope(|scope| {
            for reporter in &mut reporters {
                scope.spawn(|| reporter.report_until_cut_off(&lucid));
            }
            let begun = Instant::now();
            thread::sleep(after.saturating_sub(begun.elapsed()));
            assert!(
                Command::new("kill")
                    .args(["-KILL", &lucid.process.id().to_string()])
                    .status()
                    .unwrap()
                    .success()
            );
        });
        lucid.crash_and_restart();
        reporters.iter_mut().for_each(|reporter| reporter.go_on(&lucid));
    }
    let reports: usize = reporters.iter().map(|reporter| reporter.acknowledged.len()).sum();
    println!("{kills} kills, {reports} reports acknowledged");
    reporters.iter().for_each(|reporter| reporter.check(&lucid));
}
