//! Guests of tools that insist on a WASI get an empty one.

use std::{path::PathBuf, sync::Arc};

use lucid_model::policies::{Batch, CallContext, PolicyKind, Scope};
use lucid_ports::{CallError, PolicyRuntime};

use crate::{
    support::{call, context, params_of, publish, rig},
    wat::{Wat, answer, bundle_of},
};

/// What it may see of a world: a clock, chance, something to wait for, and a network that is not
/// there.
const IMPORTS: &str = r#"
(import "wasi:io/poll@0.2.3" (instance $poll
    (export "pollable" (type $p (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $p))))))
(alias export $poll "pollable" (type $pollable))
(import "wasi:clocks/monotonic-clock@0.2.3" (instance $clock
    (alias outer 1 $pollable (type $outer))
    (export "pollable" (type $p (eq $outer)))
    (export "now" (func (result u64)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
(import "wasi:random/random@0.2.6" (instance $random (export "get-random-u64" (func (result u64)))))
(import "wasi:sockets/network@0.2.0" (instance $sockets (export "network" (type (sub resource)))))
(alias export $sockets "network" (type $network))
(import "wasi:sockets/instance-network@0.2.0" (instance $net
    (alias outer 1 $network (type $outer))
    (export "network" (type $n (eq $outer)))
    (export "instance-network" (func (result (own $n))))))
(core func $now (canon lower (func $clock "now")))
(core func $subscribe (canon lower (func $clock "subscribe-duration")))
(core func $block (canon lower (func $poll "[method]pollable.block")))
(core func $chance (canon lower (func $random "get-random-u64")))
(core func $connect (canon lower (func $net "instance-network")))
"#;

fn worldly(value: &str) -> Wat {
    let filled = format!(
        "(call $filled (local.get $count) (i32.wrap_i64 (i64.rem_u {value} (i64.const 10000000))))"
    );
    Wat {
        before: IMPORTS.into(),
        module: r#"
            (import "wasi" "now" (func $now (result i64)))
            (import "wasi" "subscribe" (func $subscribe (param i64) (result i32)))
            (import "wasi" "block" (func $block (param i32)))
            (import "wasi" "chance" (func $chance (result i64)))
            (import "wasi" "connect" (func $connect (result i32)))"#
            .into(),
        with: r#"(with "wasi" (instance
            (export "now" (func $now)) (export "subscribe" (func $subscribe)) (export "block" (func $block))
            (export "chance" (func $chance)) (export "connect" (func $connect))))"#
            .into(),
        score: answer(&filled, "(local.get $count)", "(i32.const 0)", "(i32.const 0)", "(i32.const 0)", "(i32.const 0)"),
        ..Wat::default()
    }
}

async fn rejection(wat: &Wat) -> Option<String> {
    rig().engine.check(Arc::new(wat.bundle("worldly")), params_of(&[])).await.rejection()
}

/// Multipliers of two rows with an epoch and a seed.
async fn multipliers(wat: &Wat, epoch_start_s: i64, seed: u64) -> Result<Vec<u32>, CallError> {
    let rig = rig();
    publish(&rig.engine, 1, &[(&wat.bundle("worldly"), Scope::Default)]).await.unwrap();
    let policy = rig.engine.snapshot().scoring(Scope::Default, 0).unwrap();
    let context = CallContext { epoch_start_s, seed, ..context(vec![2]) };
    let scores = policy.score(context, Batch { count: 2, columns: vec![[1, 1].into()] }).await?;
    Ok(scores.multipliers.iter().map(|multiplier| multiplier.0).collect())
}

#[tokio::test]
async fn its_clock_stands_at_the_start_of_the_epoch_and_the_gate_sees_who_looks_at_it() {
    let wat = worldly("(i64.div_u (call $now) (i64.const 1000000000))");
    assert_eq!(multipliers(&wat, 1_760_000_400, 1).await.unwrap(), [400; 2]);
    assert_eq!(multipliers(&wat, 1_760_007_600, 1).await.unwrap(), [7_600; 2]);
    let reason = rejection(&wat).await.unwrap();
    assert!(
        reason.starts_with("epochs: score: being asked 1 periods later changed the result"),
        "{reason}"
    );
}

#[tokio::test]
async fn its_chance_follows_from_the_seed() {
    let wat = worldly("(call $chance)");
    assert_eq!(rejection(&wat).await, None);
    let of_one = multipliers(&wat, 1_760_000_400, 1).await.unwrap();
    assert_eq!(multipliers(&wat, 1_760_000_400, 1).await.unwrap(), of_one);
    assert_ne!(multipliers(&wat, 1_760_000_400, 2).await.unwrap(), of_one);
}

#[tokio::test]
async fn it_sleeps_for_no_time_at_all() {
    // An hour, in the first of two calls.
    let wat = worldly("(i64.const 7)");
    let sleeping = Wat {
        score: format!("(call $block (call $subscribe (i64.const 3600000000000))) {}", wat.score),
        ..wat
    };
    assert_eq!(multipliers(&sleeping, 1_760_000_400, 1).await.unwrap(), [7; 2]);
    assert_eq!(rejection(&sleeping).await, None);
}

#[tokio::test]
async fn a_network_that_it_looks_for_is_its_own_fault() {
    let wat = worldly("(i64.extend_i32_u (call $connect))");
    let error = multipliers(&wat, 1_760_000_400, 1).await.unwrap_err();
    assert!(
        matches!(&error, CallError::Policy { detail, .. } if detail.contains("wasi:sockets/instance-network@0.2.0#instance-network")),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_not_of_an_empty_world_is_named_and_refused() {
    for import in [
        "wasi:http/types@0.2.0",
        "wasi:keyvalue/store@0.2.0",
        "wasi:cli/environment@0.3.0",
        "wasi:cli/environment",
        "lucid:policy/log@1.1.0",
    ] {
        let before =
            format!(r#"(import "{import}" (instance (export "reach" (func (result u32)))))"#);
        let reason = rejection(&Wat { before, ..Wat::default() }).await.unwrap();
        assert!(
            reason.starts_with(&format!(
                "imports: the component imports {import}, which no host offers"
            )),
            "{reason}"
        );
    }
}

/// Where `scripts/build-samples.sh` leaves what it could build.
fn samples() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| {
        PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache")
    });
    cache.join("lucid/samples")
}

#[tokio::test]
async fn a_policy_in_another_language_passes_the_gate_and_scores() {
    let Ok(component) = std::fs::read(samples().join("python/policy.wasm")) else {
        println!("skipped: no Python sample; scripts/build-samples.sh builds it");
        return;
    };
    let mut bundle = bundle_of("python", component);
    for (from, to) in [
        ("16777216", "67108864"),
        ("fuel_base = 20000000", "fuel_base = 4000000000"),
        ("fuel_per_node = 20000", "fuel_per_node = 4000000"),
    ] {
        bundle.manifest = bundle.manifest.replace(from, to);
    }
    // An interpreter is slow where nothing is optimised and others want the processor too; it is
    // compiled once for all runs.
    let config = lucid_engine::EngineConfig {
        deadline: std::time::Duration::from_secs(60),
        cache_dir: samples().join("compiled"),
        ..rig().config
    };
    let engine = lucid_engine::PolicyEngine::new(config).unwrap();
    let report = engine.check(Arc::new(bundle.clone()), params_of(&[])).await;
    assert_eq!(report.rejection(), None);
    publish(&engine, 1, &[(&bundle, Scope::Default)]).await.unwrap();
    let policy = engine.direct(PolicyKind::Scoring, Scope::Default, 0).unwrap();
    let (context, batch) = call(policy.identity(), 3);
    let scores = policy.score(&context, &batch).unwrap();
    assert_eq!(scores.multipliers.len(), 3);
    assert_eq!(
        policy.score(&context, &batch).unwrap(),
        scores,
        "an interpreter's dictionaries are in the same order each time"
    );
}
