//! Every hostile policy: where it is found out, what is said of it, and that a good one beside it
//! notices nothing.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use lucid_engine::PolicyEngine;
use lucid_model::{
    epochs::score::Ppm,
    policies::{Bundle, Revision, Scope, Scores},
};
use lucid_ports::{CallError, PolicyRuntime, ScoringPolicy};

use crate::{
    support::{
        Rig, activation, built_in, call, hostile, hostile_names, params_of, policy_of, pool, rig,
        stored,
    },
    wat::{Wat, answer, bundle_of},
};

/// Rows of a call that is expected to fail.
const ROWS: usize = 8;
const NOTHING: &str = "(i32.const 0)";
/// What wasmtime says when an answer has more bytes than the host takes.
const TOO_MUCH: &str = "too much data is being copied";

/// What becomes of a call.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    /// It is not even loaded, for this reason.
    NotLoaded(&'static str),
    /// The policy's fault, in these words.
    Policy(&'static str),
    /// The host could not, in these words.
    Host(&'static str),
    /// An answer, which this many millionths are in every row of.
    Answers(u32),
    /// No scoring policy: only the gate is tried.
    NotTried,
}

struct Case {
    name: &'static str,
    bundle: Bundle,
    params: &'static [(&'static str, i64)],
    /// How the gate's refusal begins; none if it lets it through.
    gate: Option<&'static str>,
    outcome: Outcome,
}

fn case(name: &'static str, gate: Option<&'static str>, outcome: Outcome) -> Case {
    Case { name, bundle: hostile(name), params: &[], gate, outcome }
}

/// The committed bundles.
fn built() -> Vec<Case> {
    use Outcome::{Answers, Host, NotLoaded, NotTried, Policy};
    let fuel = Some("bounded: score: used up its fuel of 3280000");
    vec![
        case(
            "bad-reason",
            Some("bounded: score: reason "),
            Policy("reason 7 of row 0 is not in its table of 1"),
        ),
        case("bomb-on-a-claim", None, NotTried),
        // Its fuse is a value that the gate does not try.
        case("bomb-on-a-fact", None, Answers(250_000)),
        case("bomb-on-a-share", None, NotTried),
        case("call-counter", None, Answers(1)),
        case(
            "deep-stack",
            Some("bounded: score: used up its native stack"),
            Host("used up its native stack of 524288 bytes"),
        ),
        case(
            "favourite-row",
            Some("row-wise: score: another order changed the result of row 0"),
            NotTried,
        ),
        case("log-flood", fuel, Policy("used up its fuel")),
        case("loop-forever", fuel, Policy("used up its fuel")),
        case("loop-late", fuel, Policy("used up its fuel")),
        // With the usual fuel it ends before its memory does.
        Case {
            bundle: with_fuel(&hostile("memory-hog"), 1_000_000_000),
            ..case("memory-hog", Some("bounded: score: "), Policy("trap"))
        },
        case(
            "out-of-bounds",
            Some("bounded: score: multiplier "),
            Policy("multiplier 4294967295 of row 0 is larger than 10000000"),
        ),
        case(
            "slow-describe",
            Some("describe: used up its fuel of 2000000"),
            NotLoaded("describe: used up its fuel of 2000000"),
        ),
        case(
            "time-bomb",
            Some("epochs: score: being asked 1 periods later changed the result of row 0"),
            NotTried,
        ),
        Case {
            params: &[("fuse", 2)],
            ..case("time-bomb", Some("epochs: score: being asked 10 periods later"), NotTried)
        },
        Case {
            params: &[("fuse", 999)],
            ..case("time-bomb", Some("epochs: score: being asked 1000 periods later"), NotTried)
        },
        // Later than anybody tries: then it gives nothing, which is within its bounds.
        Case { params: &[("fuse", 1_001)], ..case("time-bomb", None, Answers(1_000_000)) },
        case(
            "too-few-results",
            Some("bounded: score: answered 63 multipliers for 64 rows"),
            Policy("answered 7 multipliers for 8 rows"),
        ),
        case(
            "trap",
            Some("bounded: score: wasm trap: wasm `unreachable` instruction executed"),
            Policy("unreachable"),
        ),
        case(
            "undeclared-import",
            Some("imports: the component imports hostile:env/secrets"),
            NotLoaded("imports: "),
        ),
    ]
}

fn with_fuel(bundle: &Bundle, base: u64) -> Bundle {
    Bundle {
        manifest: bundle
            .manifest
            .replace("fuel_base = 2000000\n", &format!("fuel_base = {base}\n")),
        ..bundle.clone()
    }
}

fn by_hand(name: &'static str, wat: &Wat, gate: Option<&'static str>, outcome: Outcome) -> Case {
    Case { name, bundle: wat.bundle(name), params: &[], gate, outcome }
}

fn scores(score: &str) -> Wat {
    Wat { score: score.to_owned(), ..Wat::default() }
}

fn module(module: &str) -> Wat {
    Wat { module: module.to_owned(), ..Wat::default() }
}

/// Answers no compiler would emit.
fn answers() -> Vec<Case> {
    use Outcome::Policy;
    let ones = "(call $ones (local.get $count))";
    let with_table = |table: &str, sentences: &str| {
        scores(&answer(ones, "(local.get $count)", NOTHING, NOTHING, table, sentences))
    };
    let many = "(call $ones (i32.add (local.get $count) (i32.const 1)))";
    let past_the_table = "(call $filled (local.get $count) (i32.const -1))";
    let one_more = answer(
        many,
        "(i32.add (local.get $count) (i32.const 1))",
        NOTHING,
        NOTHING,
        NOTHING,
        NOTHING,
    );
    let bad_index =
        answer(ones, "(local.get $count)", past_the_table, "(local.get $count)", NOTHING, NOTHING);
    let too_much = TOO_MUCH;
    vec![
        by_hand(
            "too-many-results",
            &scores(&one_more),
            Some("bounded: score: answered 65 multipliers"),
            Policy("answered 9 multipliers for 8 rows"),
        ),
        by_hand(
            "index-out-of-range",
            &scores(&bad_index),
            Some("bounded: score: reason 4294967295 of row 0"),
            Policy("is not in its table of 0"),
        ),
        // 8 MB of numbers that are really there.
        by_hand(
            "number-flood",
            &Wat {
                pages: 160,
                ..scores(&answer(
                    "(i32.const 65536)",
                    "(i32.const 2000000)",
                    NOTHING,
                    NOTHING,
                    NOTHING,
                    NOTHING,
                ))
            },
            Some("bounded: score: "),
            Policy(too_much),
        ),
        // 100 MB out of 500 bytes: every sentence is the same one.
        by_hand(
            "sentence-flood",
            &Wat {
                pages: 64,
                ..with_table(
                    "(call $aliases (i32.const 200000) (i32.const 2048) (i32.const 500))",
                    "(i32.const 200000)",
                )
            },
            Some("bounded: score: "),
            Policy(too_much),
        ),
        by_hand(
            "table-too-long",
            &with_table(
                "(call $aliases (i32.const 257) (i32.const 1024) (i32.const 10))",
                "(i32.const 257)",
            ),
            Some("bounded: score: its reason table has 257 sentences"),
            Policy("its reason table has 257 sentences, more than 256"),
        ),
        by_hand(
            "sentence-too-long",
            &with_table(
                "(call $aliases (i32.const 1) (i32.const 2048) (i32.const 201))",
                "(i32.const 1)",
            ),
            Some("bounded: score: a reason has 201 bytes"),
            Policy("a reason has 201 bytes, more than 200"),
        ),
        by_hand(
            "not-utf-8",
            &Wat {
                module: r#"(data (i32.const 2048) "\ff\fe\fd")"#.into(),
                ..with_table(
                    "(call $aliases (i32.const 1) (i32.const 2048) (i32.const 3))",
                    "(i32.const 1)",
                )
            },
            Some("bounded: score: "),
            Policy("utf-8"),
        ),
        by_hand(
            "answer-outside-memory",
            &scores(&answer("(i32.const -8)", "(i32.const 8)", NOTHING, NOTHING, NOTHING, NOTHING)),
            Some("bounded: score: "),
            Policy("out of bounds"),
        ),
        by_hand(
            "answer-unaligned",
            &scores("(i32.const 66)"),
            Some("bounded: score: "),
            Policy("aligned"),
        ),
        by_hand(
            "answer-beyond-memory",
            &scores("(i32.const -4)"),
            Some("bounded: score: "),
            Policy("out of bounds"),
        ),
        by_hand(
            "neither-ok-nor-error",
            &scores("(i32.store8 (i32.const 64) (i32.const 7)) (i32.const 64)"),
            Some("bounded: score: "),
            Policy("discriminant"),
        ),
        by_hand(
            "error-that-never-ends",
            &Wat {
                pages: 200,
                ..scores(
                    "(i32.store8 (i32.const 64) (i32.const 1)) (i32.store (i32.const 72) (i32.const 65536)) (i32.store (i32.const 76) (i32.const 10000000)) (i32.const 64)",
                )
            },
            Some("bounded: score: "),
            Policy(too_much),
        ),
        by_hand(
            "room-outside-memory",
            &Wat { realloc: "(i32.const -16)".into(), ..Wat::default() },
            Some("bounded: score: "),
            Policy("beyond end of memory"),
        ),
        by_hand(
            "room-unaligned",
            &Wat { realloc: "(i32.const 4097)".into(), ..Wat::default() },
            Some("bounded: score: "),
            Policy("aligned"),
        ),
        by_hand(
            "no-room",
            &Wat { realloc: "(unreachable)".into(), ..Wat::default() },
            Some("bounded: score: wasm trap: wasm `unreachable`"),
            Policy("unreachable"),
        ),
    ]
}

/// What happens before the first call, and what is taken from the host.
fn beginnings() -> Vec<Case> {
    use Outcome::{Answers, NotLoaded};
    let core = |count: usize, what: &str| Wat {
        before: (0..count).map(|i| what.replace('#', &i.to_string())).collect(),
        ..Wat::default()
    };
    vec![
        by_hand(
            "slow-start",
            &module("(func $start (loop $again (br $again))) (start $start)"),
            Some("describe: used up its fuel"),
            NotLoaded("describe: used up its fuel of 20000000"),
        ),
        by_hand(
            "start-that-traps",
            &module("(func $start (unreachable)) (start $start)"),
            Some("describe: wasm trap"),
            NotLoaded("describe: wasm trap"),
        ),
        by_hand(
            "more-memory-than-promised",
            &Wat { pages: 300, ..Wat::default() },
            Some("describe: needs more memory"),
            NotLoaded("describe: needs more memory"),
        ),
        by_hand(
            "more-memory-than-there-is",
            &Wat { pages: 65_536, ..Wat::default() },
            Some("component: "),
            NotLoaded("component: "),
        ),
        by_hand(
            "huge-table",
            &module("(table 10000000 funcref)"),
            Some("component: "),
            NotLoaded("component: "),
        ),
        by_hand(
            "growing-table",
            &Wat {
                module: "(table $t 1 funcref)".into(),
                // What is refused is told to the guest, and costs the host nothing.
                score: format!(
                    "(if (i32.ne (table.grow $t (ref.null func) (i32.const 100000)) (i32.const -1)) (then (unreachable))) {}",
                    Wat::default().score
                ),
                ..Wat::default()
            },
            None,
            Answers(1_000_000),
        ),
        by_hand(
            "many-tables",
            &module(&"(table 1 funcref)".repeat(40)),
            Some("component: "),
            NotLoaded("component: "),
        ),
        by_hand(
            "many-memories",
            &core(6, "(core module $a# (memory 1)) (core instance (instantiate $a#))"),
            Some("component: "),
            NotLoaded("component: "),
        ),
        by_hand(
            "many-instances",
            &core(80, "(core module $a#) (core instance (instantiate $a#))"),
            Some("component: "),
            NotLoaded("component: "),
        ),
        by_hand(
            "shared-memory",
            &module("(memory 1 1 shared)"),
            Some("component: "),
            NotLoaded("component: "),
        ),
    ]
}

/// Attempts at another answer in another call or on another machine.
fn chances() -> Vec<Case> {
    use Outcome::Answers;
    let kept = |value: &str| {
        answer(
            &format!("(call $filled (local.get $count) {value})"),
            "(local.get $count)",
            NOTHING,
            NOTHING,
            NOTHING,
            NOTHING,
        )
    };
    let dirty = kept("(i32.load (i32.const 500000))");
    vec![
        // Whatever a call leaves behind, the next finds zeros.
        by_hand(
            "dirty-memory",
            &scores(&format!(
                "{dirty} (memory.fill (i32.const 400000) (i32.const 1) (i32.const 600000))"
            )),
            None,
            Answers(0),
        ),
        by_hand(
            "memory-left-grown",
            &scores(&format!("{} (drop (memory.grow (i32.const 32)))", kept("(memory.size)"))),
            None,
            Answers(16),
        ),
        // A NaN's payload depends on the processor unless it is made canonical, whose lower half is
        // zero.
        by_hand(
            "nan-payload",
            &scores(&kept(
                "(i32.wrap_i64 (i64.reinterpret_f64 (f64.add (f64.reinterpret_i64 (i64.or (i64.const 0x7ff8000000abcdef) (local.get $seed))) (f64.const 1))))",
            )),
            None,
            Answers(0),
        ),
        by_hand(
            "nan-sign",
            &scores(&kept(
                "(i32.shr_u (i32.reinterpret_f32 (f32.div (f32.convert_i32_u (i32.and (local.get $count) (i32.const 0))) (f32.const 0))) (i32.const 31))",
            )),
            None,
            Answers(0),
        ),
        // Fused or not, rounded so or so: the deterministic variant is asked for.
        by_hand(
            "relaxed-simd",
            &scores(&kept(
                "(i32x4.extract_lane 0 (i8x16.relaxed_swizzle (v128.const i32x4 0x01020304 0 0 0) (i8x16.splat (i32.const 0x7f))))",
            )),
            None,
            Answers(0),
        ),
    ]
}

#[test]
fn every_hostile_bundle_has_its_case() {
    let cases: BTreeSet<_> = built().iter().map(|case| case.name.to_owned()).collect();
    assert_eq!(cases, hostile_names());
}

#[tokio::test]
async fn the_gate_finds_each_of_them_out() {
    let rig = rig();
    let mut wrong = Vec::new();
    for case in [built(), answers(), beginnings(), chances()].concat_all() {
        let rejection = rig
            .engine
            .check(Arc::new(case.bundle.clone()), params_of(case.params))
            .await
            .rejection();
        let as_expected = match (&rejection, case.gate) {
            (Some(reason), Some(start)) => reason.starts_with(start),
            (found, wanted) => found.is_none() && wanted.is_none(),
        };
        if !as_expected {
            wrong.push(format!("{}: {rejection:?} instead of {:?}", case.name, case.gate));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_them_fails_alone() {
    let rig = rig();
    let good = built_in("observation-only");
    let mut wrong = Vec::new();
    let cases = [built(), answers(), beginnings(), chances()]
        .concat_all()
        .into_iter()
        .filter(|case| !matches!(case.outcome, Outcome::NotTried));
    for (number, case) in (1..).zip(cases) {
        let activations = vec![
            activation(&good, number, Scope::Default, &[]),
            activation(&case.bundle, number, pool(1), case.params),
        ];
        let published = rig
            .engine
            .publish(Revision(number), activations, vec![stored(&good), stored(&case.bundle)])
            .await;
        match (&published, case.outcome) {
            (Err(error), Outcome::NotLoaded(start))
                if *error.policy == policy_of(&case.bundle) && error.detail.starts_with(start) =>
            {
                continue;
            }
            (Ok(()), Outcome::Policy(_) | Outcome::Host(_) | Outcome::Answers(_)) => {}
            other => {
                wrong.push(format!("{}: {other:?}", case.name));
                continue;
            }
        }
        let snapshot = rig.engine.snapshot();
        let (bad, good) =
            (snapshot.scoring(pool(1), 0).unwrap(), snapshot.scoring(Scope::Default, 0).unwrap());
        let alone = latencies(&good, || false).await;
        let attacks = tokio::spawn(attack(bad, case.outcome));
        let beside = latencies(&good, || !attacks.is_finished()).await;
        wrong.extend(
            attacks.await.unwrap().into_iter().map(|reason| format!("{}: {reason}", case.name)),
        );
        println!(
            "{:>26}: a good call of {ROWS} rows, p50 and p99 in µs: alone {alone:?}, beside it {beside:?}",
            case.name
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Calls it more often than there are threads, each time with the same result; says what was not as
/// expected.
async fn attack(bad: Arc<dyn ScoringPolicy>, expected: Outcome) -> Vec<String> {
    let calls = (0..6).map(|_| {
        let bad = Arc::clone(&bad);
        tokio::spawn(async move {
            let (context, batch) = call(bad.identity(), ROWS);
            bad.score(context, batch).await
        })
    });
    let mut results = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        results.push(call.await.unwrap());
    }
    let as_expected = |result: &Result<Scores, CallError>| match (result, expected) {
        (Ok(scores), Outcome::Answers(millionths)) => {
            scores.multipliers == vec![Ppm(millionths); ROWS]
        }
        (Err(CallError::Policy { detail, .. }), Outcome::Policy(words))
        | (Err(CallError::Host { detail, .. }), Outcome::Host(words)) => detail.contains(words),
        _ => false,
    };
    let same = results.windows(2).all(|pair| pair[0] == pair[1]);
    let wrong = results
        .iter()
        .filter(|result| !as_expected(result))
        .take(1)
        .map(|result| format!("{result:?} instead of {expected:?}"));
    wrong.chain((!same).then(|| "not the same each time".to_owned())).collect()
}

/// Median and 99th percentile of calls of a good policy, at least fifty and for as long as `go_on`
/// says.
async fn latencies(good: &Arc<dyn ScoringPolicy>, go_on: impl Fn() -> bool) -> (u128, u128) {
    let mut taken = Vec::new();
    while taken.len() < 50 || (go_on() && taken.len() < 5_000) {
        let (context, batch) = call(good.identity(), ROWS);
        let started = Instant::now();
        assert_eq!(
            good.score(context, batch).await.unwrap().multipliers,
            vec![Ppm(1_000_000); ROWS]
        );
        taken.push(started.elapsed().as_micros());
    }
    taken.sort_unstable();
    (taken[taken.len() / 2], taken[taken.len() * 99 / 100])
}

#[tokio::test]
async fn nobody_waits_in_the_bulkhead_of_another() {
    let rig = rig();
    let (engine, _dir) = slow_engine(&rig);
    let slow = with_fuel(&hostile("loop-forever"), 10_000_000_000);
    let good = built_in("observation-only");
    crate::support::publish(&engine, 1, &[(&good, Scope::Default), (&slow, pool(1))])
        .await
        .unwrap();
    let snapshot = engine.snapshot();
    let (slow, good) =
        (snapshot.scoring(pool(1), 0).unwrap(), snapshot.scoring(Scope::Default, 0).unwrap());
    let done = Arc::new(AtomicBool::new(false));
    let stuck: Vec<_> = (0..8)
        .map(|_| {
            let (slow, done) = (Arc::clone(&slow), Arc::clone(&done));
            tokio::spawn(async move {
                let (context, batch) = call(slow.identity(), 1);
                let result = slow.score(context, batch).await;
                done.store(true, Ordering::Relaxed);
                result
            })
        })
        .collect();
    tokio::task::yield_now().await;
    for _ in 0..20 {
        let (context, batch) = call(good.identity(), ROWS);
        good.score(context, batch).await.unwrap();
    }
    assert!(
        !done.load(Ordering::Relaxed),
        "twenty good calls were through before the first slow one"
    );
    for stuck in stuck {
        stuck.abort();
    }
}

fn slow_engine(rig: &Rig) -> (Arc<PolicyEngine>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let config = lucid_engine::EngineConfig {
        deadline: Duration::from_secs(5),
        cache_dir: dir.path().join("cache"),
        ..rig.config.clone()
    };
    (PolicyEngine::new(config).unwrap(), dir)
}

#[tokio::test]
async fn an_explanation_that_multiplies_its_own_memory_is_no_answer() {
    let rig = rig();
    let columns = |count: u32, length: u32| {
        let names = format!(
            "(call $aliases (i32.const {count}) (i32.const 1024) (i32.const 10)) (i32.const {count})"
        );
        let lists = format!(
            "(call $aliases (i32.const {count}) (i32.const 65536) (i32.const {length})) (i32.const {count})"
        );
        Wat { explain: format!("(call $explained {names} {lists})"), ..Wat::default() }
            .bundle("explained")
    };
    // 100 MB, out of 400 kB.
    for (bundle, words) in [
        (columns(1_000, 25_000), TOO_MUCH),
        (columns(65, 4), "explained 65 columns with 65 names, at most 64"),
        (columns(1, 5), "answered 5 contributions for 4 rows"),
    ] {
        crate::support::publish(&rig.engine, 1, &[(&bundle, Scope::Default)]).await.unwrap();
        let policy = rig.engine.snapshot().scoring(Scope::Default, 0).unwrap();
        let (context, batch) = call(policy.identity(), 4);
        let error = policy.explain(context, batch).await.unwrap_err();
        assert!(
            matches!(&error, CallError::Policy { detail, .. } if detail.contains(words)),
            "{error}"
        );
    }
}

#[tokio::test]
async fn malformed_components_are_refused_and_nothing_panics() {
    let rig = rig();
    let whole = built_in("observation-only").component;
    let nested = |depth: usize| {
        wat::parse_str(format!("{}{}", "(component ".repeat(depth), ")".repeat(depth))).unwrap()
    };
    let mut large = Wat::default().component();
    // A custom section of 50 MB, as large as its length says.
    large.extend([0, 0x85, 0x80, 0x80, 0x18, 4]);
    large.extend(b"bulk");
    large.resize(large.len() + 0x0300_0000, 0);
    for (name, component, start) in [
        ("nothing", Vec::new(), "component: "),
        (
            "noise",
            (0..100_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect(),
            "component: ",
        ),
        ("only-its-head", whole[..8].to_vec(), "interface: "),
        ("core-module", wat::parse_str("(module (memory 1))").unwrap(), "component: "),
        ("another-kind-of-thing", b"#!/bin/sh\n".to_vec(), "component: "),
        ("deep", nested(90), "interface: "),
        ("fifty-megabytes", large, "manifest: the bundle has "),
    ] {
        let report = rig.engine.check(Arc::new(bundle_of(name, component)), params_of(&[])).await;
        let reason = report.rejection().expect(name);
        assert!(reason.starts_with(start), "{name}: {reason}");
    }
    for cut in (0..whole.len()).step_by(whole.len() / 40) {
        let report = rig
            .engine
            .check(Arc::new(bundle_of("cut", whole[..cut].to_vec())), params_of(&[]))
            .await;
        assert!(report.rejection().is_some(), "{cut} bytes");
    }
}

/// All of several lists.
trait ConcatAll<T> {
    fn concat_all(self) -> Vec<T>;
}

impl<T, const N: usize> ConcatAll<T> for [Vec<T>; N] {
    fn concat_all(self) -> Vec<T> {
        self.into_iter().flatten().collect()
    }
}
