use std::{cell::RefCell, sync::Arc};

use lucid_model::{id::Digest, policies::Bundle};
use lucid_ports::{GateReport, PolicyRuntime};

use crate::{
    support::{BUILT_IN, Rig, built_in, hostile, legacy_bundles, params_of, rig, rig_with},
    wat::bundle_of,
};

async fn report(rig: &Rig, bundle: Bundle, params: &[(&str, i64)]) -> GateReport {
    rig.engine.check(Arc::new(bundle), params_of(params)).await
}

async fn rejection(bundle: Bundle) -> String {
    report(&rig(), bundle, &[]).await.rejection().expect("the gate lets it through")
}

#[tokio::test]
async fn every_built_in_policy_passes_and_its_golden_cases_hold() {
    let rig = rig();
    for name in BUILT_IN {
        let bundle = built_in(name);
        assert!(bundle.golden.len() >= 4, "{name}");
        let report = report(&rig, bundle, &[]).await;
        assert_eq!(report.rejection(), None, "{name}");
        let names: Vec<_> = report.checks.iter().map(|(check, _)| check.as_str()).collect();
        let all = [
            "manifest",
            "signature",
            "digest",
            "component",
            "interface",
            "imports",
            "describe",
            "params",
            "golden",
            "activation params",
            "bounded",
            "deterministic",
            "row-wise",
            "seeds",
            "epochs",
            "fuel",
        ];
        assert_eq!(names, all, "{name}");
        assert_eq!(report.policy.unwrap().name, name);
    }
}

#[tokio::test]
async fn policies_built_long_ago_still_answer_as_they_did() {
    let rig = rig();
    let legacy = legacy_bundles();
    assert!(legacy.len() >= 4);
    for (place, bundle) in legacy {
        assert!(bundle.golden.len() >= 4, "{place}");
        assert_eq!(report(&rig, bundle, &[]).await.rejection(), None, "{place}");
    }
}

#[tokio::test]
async fn a_golden_case_that_differs_is_named_with_the_difference() {
    let mut bundle = built_in("observation-only");
    bundle.golden[0].1 = bundle.golden[0].1.replace("1000000", "1000001");
    let reason = rejection(bundle.clone()).await;
    let place = format!(
        "golden: golden/{}:9:5: multipliers[0]: expected 1000001, got 1000000\n",
        bundle.golden[0].0
    );
    assert!(reason.starts_with(&place), "{reason}");
}

#[tokio::test]
async fn params_are_those_of_the_activation() {
    let (rig, bundle) = (rig(), built_in("observation-weighted"));
    let refused =
        report(&rig, bundle.clone(), &[("uptime-weight", 1_000_001)]).await.rejection().unwrap();
    assert_eq!(
        refused,
        "activation params: param uptime-weight: 1000001 is not within 0..=1000000"
    );
    let refused = report(&rig, bundle, &[("uptime-weight", 900_000)]).await.rejection().unwrap();
    assert!(refused.starts_with("bounded: score: error 1: the weights sum to"), "{refused}");
}

#[tokio::test]
async fn a_wrong_digest_is_refused() {
    let mut bundle = built_in("proportional");
    bundle.component.push(0);
    let found = Digest::of(&bundle.component);
    assert!(
        rejection(bundle)
            .await
            .starts_with(&format!("digest: policy.wasm has sha256 {found}, the manifest says "))
    );
}

#[tokio::test]
async fn a_truncated_component_is_refused() {
    let mut bundle = built_in("proportional");
    let sha256 = Digest::of(&bundle.component).to_string();
    bundle.component.truncate(bundle.component.len() / 2);
    bundle.manifest = bundle.manifest.replace(&sha256, &Digest::of(&bundle.component).to_string());
    let reason = rejection(bundle).await;
    assert!(reason.starts_with("component: "), "{reason}");
}

#[tokio::test]
async fn an_unknown_manifest_key_is_refused_with_its_line() {
    let mut bundle = built_in("proportional");
    bundle.manifest = bundle.manifest.replace("[params]", "sandbox = false\n[params]");
    let reason = rejection(bundle).await;
    assert!(
        reason.starts_with("manifest: policy.toml:19:1: unknown key `sandbox` in [limits]"),
        "{reason}"
    );
}

#[tokio::test]
async fn an_interface_of_another_kind_is_refused() {
    let mut bundle = built_in("observation-only");
    bundle.manifest = bundle.manifest.replace("scoring", "payout");
    let reason = rejection(bundle).await;
    assert!(
        reason.starts_with(
            "interface: the component exports lucid:policy/scoring@1.0.0, which is not"
        ),
        "{reason}"
    );
}

#[tokio::test]
async fn an_undeclared_import_is_refused_by_name() {
    let reason = rejection(hostile("undeclared-import")).await;
    assert!(reason.starts_with("imports: the component imports hostile:env/secrets"), "{reason}");
}

#[tokio::test]
async fn a_promise_without_head_room_is_refused() {
    let mut bundle = built_in("observation-weighted");
    bundle.golden.clear();
    bundle.manifest = bundle
        .manifest
        .replace("fuel_base = 2000000", "fuel_base = 60000")
        .replace("fuel_per_node = 20000", "fuel_per_node = 300");
    let reason = rejection(bundle).await;
    assert!(reason.starts_with("fuel: score: ") && reason.contains("at least 4 times"), "{reason}");
}

#[tokio::test]
async fn each_hostile_policy_is_rejected_for_what_it_does() {
    let rig = rig();
    for (name, start) in [
        ("loop-forever", "bounded: score: used up its fuel of 3280000"),
        ("loop-late", "bounded: score: used up its fuel of 3280000"),
        ("trap", "bounded: score: wasm trap: wasm `unreachable` instruction executed"),
        ("memory-hog", "bounded: score: "),
        ("too-few-results", "bounded: score: answered 63 multipliers for 64 rows"),
        ("out-of-bounds", "bounded: score: multiplier "),
        ("bad-reason", "bounded: score: reason "),
    ] {
        let reason = report(&rig, hostile(name), &[]).await.rejection().expect(name);
        assert!(reason.starts_with(start), "{name}: {reason}");
    }
}

/// A component that is no policy, and takes a while to find that out: everything is compiled first.
fn slow_to_compile() -> Bundle {
    let step = "(local.set $x (i64.add (i64.mul (local.get $x) (i64.const 7)) (i64.rotl (local.get $x) (local.get $x))))";
    let function =
        format!("(func (param $x i64) (result i64) {} (local.get $x))", step.repeat(600));
    let text = format!("(component (core module {}))", function.repeat(300));
    bundle_of("slow", wat::parse_str(text).unwrap())
}

#[tokio::test]
async fn a_component_that_compiles_slowly_holds_up_no_other() {
    let (rig, ended) = (rig(), RefCell::new(Vec::new()));
    let check = async |bundle: Bundle, name| {
        let rejection = report(&rig, bundle, &[]).await.rejection();
        ended.borrow_mut().push((name, rejection.is_none()));
    };
    tokio::join!(check(slow_to_compile(), "slow"), check(built_in("observation-only"), "good"));
    assert_eq!(ended.into_inner(), [("good", true), ("slow", false)]);
}

#[tokio::test]
async fn who_goes_away_while_a_component_is_compiled_makes_no_room_for_another() {
    let rig = rig_with(|config| config.gates_max = 1);
    // Polled once, which starts it, and given up.
    let slow = report(&rig, slow_to_compile(), &[]);
    tokio::select! {
        biased;
        _ = slow => panic!("it takes longer than one look"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(report(&rig, built_in("observation-only"), &[]).await.rejection(), None);
    assert_eq!(rig.engine.load_counts().compiled, 2, "the slow one was done first");
}
