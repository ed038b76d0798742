//! Every point at which the service can be killed while it pays: strace kills the real binary at
//! its k-th sync of the store, or at its k-th talk to anybody, for each k until it gets to the end;
//! and the payment service answers in every way. What was paid is what the sandbox, a process of
//! its own, says.
//!
//! `CRASH_POINTS=all cargo test --test suite crash_points` tries every one; without it a few of
//! each kind.

use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use lucid_model::money::payout::{Payout, PayoutState};
use lucid_ports::{Environment, PayoutFilter, PayoutSort, Stamp};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    money::payers::{FAMILY, a_payout_to_send},
    support::{Lucid, PATIENCE, SHORT, SandboxProcess, block_on, eventually},
};

/// Payouts of one try.
const PAYOUTS: u128 = 2;

/// What really happens to a request, and what is answered.
fn answers() -> Vec<(&'static str, Value)> {
    let of = |effect: Value, answer: Value| json!({ "payout": [{ "effect": effect, "answer": answer, "times": 2 }] });
    vec![
        ("ok", json!({})),
        ("500, paid", of(json!("once"), json!({ "status": { "code": 500 } }))),
        ("cut, paid", of(json!("once"), json!("cut"))),
        ("reset, not paid", of(json!("none"), json!("reset"))),
        ("reset, paid", of(json!("once"), json!("reset"))),
        ("HTML, paid", of(json!("once"), json!("html"))),
        ("wrong amount, paid", of(json!("once"), json!("wrong_amount"))),
        ("wrong id, paid", of(json!("once"), json!("wrong_id"))),
        ("redirect, not paid", of(json!("none"), json!("redirect"))),
        ("another's reply, paid", of(json!("once"), json!("anothers_reply"))),
        ("huge, paid", of(json!("once"), json!({ "huge": { "bytes": 200_000 } }))),
        ("slow, paid", of(json!("once"), json!({ "hang": { "ms": 400 } }))),
        ("late, paid", of(json!({ "late": { "ms": 700 } }), json!({ "status": { "code": 503 } }))),
        (
            "rejected",
            of(
                json!("none"),
                json!({ "status": { "code": 400, "error_code": "INVALID_ADDRESS" } }),
            ),
        ),
        ("fails", of(json!("fails"), json!("ok"))),
    ]
}

fn has_strace() -> bool {
    let found =
        Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: there is no strace");
    }
    found
}

/// A store with payouts that may be sent, made by the library: the service starts on it, and pays.
fn to_be_paid(numbers: std::ops::Range<u128>) -> (Arc<TempDir>, Vec<Payout>) {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let url = format!("sqlite://{}", dir.path().join("data").display());
    let payouts = block_on(async {
        let store = lucid_testkit::STORES.open(&url).await.unwrap();
        let stamp = Stamp {
            environment: Environment::Sandbox,
            network: "sandbox".into(),
            rail: "sandbox".into(),
            family: FAMILY,
        };
        store.stamp_or(stamp).await.unwrap();
        let mut payouts = Vec::new();
        for number in numbers {
            payouts.push(a_payout_to_send(store.as_ref(), number).await);
        }
        payouts
    });
    (dir, payouts)
}

fn settings(sandbox: &SandboxProcess) -> Vec<(&str, &str)> {
    let mut settings = SHORT.to_vec();
    settings.extend([
        ("TRON_PAYMENT_URL", sandbox.url.as_str()),
        ("BLOCKCHAIN_URL", sandbox.url.as_str()),
    ]);
    settings
}

fn owned(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn transfers_of(sandbox: &SandboxProcess, payout: &Payout) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), json!(0));
    loop {
        let page = sandbox.get(&format!("/api/v1/sandbox/transfers?limit=1000&after={after}"));
        all.extend(
            page["transfers"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|t| t["payout_id"] == payout.id.to_string())
                .cloned(),
        );
        if page["next_after"].is_null() {
            return all;
        }
        after = page["next_after"].clone();
    }
}

/// After a restart everything ends, each payout is one transfer of its amount or none, and the
/// books are in order.
fn ends_well(dir: &Arc<TempDir>, sandbox: &SandboxProcess, payouts: &[Payout], what: &str) {
    let mut service = Lucid::serve_on(dir, &settings(sandbox));
    for payout in payouts {
        let ended = eventually(what, || {
            let now = service.get(&format!("/api/v1/payouts/{}", payout.id));
            ["confirmed", "failed", "cancelled", "manual"]
                .contains(&now["state"].as_str().unwrap())
                .then_some(now)
        });
        let made: Vec<_> = transfers_of(sandbox, payout);
        let moved: Vec<_> = made.iter().filter(|transfer| transfer["status"] != "failed").collect();
        assert!(made.len() <= 1, "{what}: I6: {made:?}");
        match ended["state"].as_str().unwrap() {
            "confirmed" => assert!(
                moved.len() == 1 && moved[0]["amount"] == "10.000000",
                "{what}: I9: {ended} {made:?}"
            ),
            "failed" | "cancelled" => assert!(moved.is_empty(), "{what}: I8: {ended} {made:?}"),
            _ => {}
        }
    }
    assert_eq!(service.process.stop(), Some(0));
    let books = Command::new(env!("CARGO_BIN_EXE_lucid"))
        .args(["ledger", "verify", "--data"])
        .arg(dir.path().join("data"))
        .output()
        .unwrap();
    assert!(books.status.success(), "{what}: {}", String::from_utf8_lossy(&books.stdout));
}

/// Runs the service until strace kills it or everything is paid. Whether it was killed.
fn killed_at(
    dir: &Arc<TempDir>,
    sandbox: &SandboxProcess,
    inject: &str,
    path: Option<&str>,
) -> bool {
    let (set, _) = inject.split_once(':').unwrap();
    let (trace, inject) = (format!("trace={set}"), format!("inject={inject}"));
    let mut under = vec!["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    under.extend(path.iter().flat_map(|path| ["-P", path]));
    let mut service = Lucid::begin_under(&under, dir, &owned(&settings(sandbox)));
    let mut base = None;
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if service.has_ended() {
            return true;
        }
        base = base.or_else(|| {
            let log = service.log();
            let line = log
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok())
                .find(|log| log["fields"]["message"] == "lucid serves")?;
            Some(line["fields"]["url"].as_str().unwrap().to_owned())
        });
        if let Some(base) = &base {
            let token = lucid_api::issue_token(
                crate::support::SECRET,
                "admin",
                "super_admin",
                3600,
                lucid_model::time::TimeMs(crate::support::now_ms()),
            )
            .unwrap();
            let open = crate::support::attempt(
                "GET",
                &format!("{base}/api/v1/payouts/status"),
                &token,
                None,
            );
            if open.is_some_and(|open| open["open_payouts"].as_array().is_some_and(Vec::is_empty)) {
                service.kill();
                return false;
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("neither killed nor done: {}", service.log());
}

/// Kills at every `step`-th point of a kind, for one way to answer; how many points there were.
fn at_every_point(
    kind: (&str, bool),
    step: usize,
    (name, faults): &(&str, Value),
    sandbox: &SandboxProcess,
    next: &mut u128,
) -> usize {
    let mut point = step;
    loop {
        let (dir, payouts) = to_be_paid(*next..*next + PAYOUTS);
        *next += PAYOUTS;
        sandbox.set_faults(faults);
        let wal = dir.path().join("data/core.db-wal");
        let inject = format!("{}:signal=KILL:when={point}", kind.0);
        let killed = killed_at(&dir, sandbox, &inject, kind.1.then(|| wal.to_str().unwrap()));
        sandbox.set_faults(&json!({}));
        ends_well(&dir, sandbox, &payouts, &format!("{name}, {inject}"));
        if !killed {
            return point;
        }
        point += step;
    }
}

#[test]
fn no_point_of_a_payment_is_a_bad_one_to_be_killed_at() {
    if !has_strace() {
        return;
    }
    let all = std::env::var("CRASH_POINTS").is_ok_and(|which| which == "all");
    let (sandbox, mut next) = (SandboxProcess::start(), 1_u128);
    let (answers, steps) = if all {
        (answers(), (1, 1))
    } else {
        (answers().into_iter().step_by(7).collect(), (7, 9))
    };
    for answer in &answers {
        let syncs = at_every_point(("fsync,fdatasync", true), steps.0, answer, &sandbox, &mut next);
        let talks =
            at_every_point(("sendto,writev,connect", false), steps.1, answer, &sandbox, &mut next);
        println!(
            "{}: killed at {} of {syncs} syncs and {} of {talks} talks",
            answer.0,
            syncs / steps.0 - 1,
            talks / steps.1 - 1
        );
    }
}

/// I10, as the kernel saw it: what says that a payout is on its way was synced before the request
/// left.
#[test]
fn a_payment_is_synced_before_it_leaves() {
    if !has_strace() {
        return;
    }
    let (sandbox, trace) = (SandboxProcess::start(), tempfile::NamedTempFile::new().unwrap());
    let (dir, payouts) = to_be_paid(1..4);
    let under = [
        "strace",
        "-f",
        "-qq",
        "-y",
        "-s",
        "8192",
        "-o",
        trace.path().to_str().unwrap(),
        "-e",
        "trace=pwrite64,fsync,fdatasync,sendto,writev",
    ];
    let service = Lucid::start_under(&under, Arc::clone(&dir), owned(&settings(&sandbox)));
    for payout in &payouts {
        eventually("a payout to be paid", || {
            (service.get(&format!("/api/v1/payouts/{}", payout.id))["status"] == "completed")
                .then_some(())
        });
    }
    drop(service);
    let text = std::fs::read_to_string(trace.path()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for payout in &payouts {
        // The request as it is stored, quoted as strace writes it.
        let bytes = format!("\\\"payout_id\\\":\\\"{}\\\"", payout.id);
        // Our own answers to who asks for the payout have them, too.
        let leaves = |line: &str| {
            (line.contains("sendto(") || line.contains("writev(")) && !line.contains("\"HTTP/1.1 ")
        };
        let sent = lines.iter().position(|line| leaves(line) && line.contains(&bytes)).unwrap();
        let written = lines
            .iter()
            .position(|line| {
                line.contains("pwrite64(") && line.contains("core.db-wal") && line.contains(&bytes)
            })
            .unwrap();
        let between: Vec<String> = lines[written.min(sent)..=sent]
            .iter()
            .map(|line| line.chars().take(160).collect())
            .collect();
        assert!(
            written < sent && is_synced(&lines[written..sent]),
            "payout {}: written at line {written}, sent at {sent}:\n{}",
            payout.id,
            between.join("\n")
        );
    }
}

/// Whether a sync of the store's log began and ended well among these lines; another thread's may
/// stand between the two.
fn is_synced(lines: &[&str]) -> bool {
    let begins = |line: &str| {
        (line.contains("fsync(") || line.contains("fdatasync(")) && line.contains("core.db-wal")
    };
    lines.iter().enumerate().filter(|(_, line)| begins(line)).any(|(place, line)| {
        let thread = line.split(' ').next().unwrap();
        let resumed = |line: &&&str| line.starts_with(thread) && line.contains("sync resumed>");
        if line.contains("<unfinished") {
            lines[place..].iter().find(resumed).is_some_and(|line| line.ends_with("= 0"))
        } else {
            line.ends_with("= 0")
        }
    })
}

/// A full disk stops payments, and nothing else goes wrong: they go on once there is room.
#[test]
fn a_full_disk_stops_payments_cleanly() {
    if !has_strace() {
        return;
    }
    let (sandbox, mut next) = (SandboxProcess::start(), 1_u128);
    for (what, inject) in [
        ("no room", "pwrite64:error=ENOSPC:when=40+"),
        ("read-only", "pwrite64:error=EROFS:when=40+"),
        ("a broken sync", "fsync,fdatasync:error=EIO:when=12+"),
    ] {
        let (dir, payouts) = to_be_paid(next..next + PAYOUTS);
        let wal = dir.path().join("data/core.db-wal");
        let (set, _) = inject.split_once(':').unwrap();
        let (trace, injected) = (format!("trace={set}"), format!("inject={inject}"));
        let under = [
            "strace",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            &trace,
            "-e",
            &injected,
            "-P",
            wal.to_str().unwrap(),
        ];
        let mut service = Lucid::begin_under(&under, &dir, &owned(&settings(&sandbox)));
        // It may not even come to serve: whatever it does, it must not pay what it cannot write.
        std::thread::sleep(Duration::from_secs(6));
        let made: usize = payouts.iter().map(|payout| transfers_of(&sandbox, payout).len()).sum();
        let log = service.log();
        service.kill();
        println!("{what}: {made} transfers before it stopped");
        assert!(!log.contains("panicked"), "{what}: {log}");
        ends_well(&dir, &sandbox, &payouts, what);
        let store = format!("sqlite://{}", dir.path().join("data").display());
        let all = block_on(async {
            let page = lucid_ports::PageRequest {
                page: 1,
                limit: 100,
                sort: PayoutSort::CreatedAt,
                order: lucid_ports::Order::Ascending,
            };
            lucid_testkit::STORES
                .open(&store)
                .await
                .unwrap()
                .payouts(&PayoutFilter::default(), page)
                .await
                .unwrap()
                .items
        });
        assert!(all.iter().all(|payout| payout.state == PayoutState::Confirmed), "{what}: {all:?}");
        next += PAYOUTS;
    }
}
