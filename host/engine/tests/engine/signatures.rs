use std::sync::Arc;

use ed25519_dalek::{Signer, SigningKey};
use lucid_engine::{EngineConfig, PolicyEngine};
use lucid_model::{
    fleet::node::PublicKey,
    id::Digest,
    policies::{Bundle, BundleSignature, KeyId, ParamValues, Scope, TrustList, TrustedKey},
};
use lucid_ports::{PolicyRuntime, StoredBundle};
use tempfile::TempDir;

use crate::support::{activation, built_in, publish, stored};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> PublicKey {
    PublicKey(key(seed).verifying_key().to_bytes())
}

fn signed(mut bundle: Bundle, seed: u8) -> Bundle {
    let signature = key(seed).sign(&bundle.statement()).to_bytes();
    bundle.add_signatures(&[BundleSignature { key: KeyId::of(public(seed)), signature }]);
    bundle
}

fn engine(trust: TrustList) -> (Arc<PolicyEngine>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (
        PolicyEngine::new(EngineConfig {
            guest_threads: 1,
            trust,
            ..EngineConfig::new(dir.path().join("cache"))
        })
        .unwrap(),
        dir,
    )
}

fn trusting(seeds: &[(&str, u8)]) -> TrustList {
    let keys = seeds
        .iter()
        .map(|(name, seed)| TrustedKey { name: (*name).into(), key: public(*seed) })
        .collect();
    TrustList { keys, required: true, built_in: Vec::new() }
}

#[tokio::test]
async fn a_bundle_is_taken_with_a_trusted_signature_and_nothing_is_compiled_without() {
    let (engine, _dir) = engine(trusting(&[("alice", 1)]));
    let check = async |bundle: Bundle| engine.check(Arc::new(bundle), ParamValues::new()).await;
    let refused = check(built_in("observation-only")).await;
    assert!(
        refused.rejection().unwrap().starts_with("signature: the bundle is not signed"),
        "{refused:?}"
    );
    assert_eq!((refused.checks.len(), engine.load_counts().compiled), (2, 0));
    let stranger = check(signed(built_in("observation-only"), 2)).await.rejection().unwrap();
    assert!(
        stranger.contains(&KeyId::of(public(2)).to_string())
            && stranger.contains("policies.trusted_keys"),
        "{stranger}"
    );
    let report = check(signed(signed(built_in("observation-only"), 1), 2)).await;
    assert_eq!((report.rejection(), report.signed_by), (None, vec!["alice".to_owned()]));
    assert!(report.notes[0].contains("not trusted here"), "{:?}", report.notes);
    assert_eq!(report.costs.len(), report.checks.len());
    let of = |name: &str| {
        report
            .checks
            .iter()
            .position(|(check, _)| check == name)
            .map(|place| report.costs[place])
            .unwrap()
    };
    assert!(of("bounded").fuel > 0 && of("signature").fuel == 0);
}

#[tokio::test]
async fn what_comes_from_the_store_is_verified_when_it_is_loaded() {
    let bundle = signed(built_in("observation-only"), 1);
    let (engine, _dir) = engine(trusting(&[("alice", 1)]));
    publish(&engine, 1, &[(&bundle, Scope::Default)]).await.unwrap();
    // Somebody changed the limits in the database.
    let changed = Bundle {
        manifest: bundle.manifest.replace("fuel_per_node = 20000", "fuel_per_node = 30000"),
        ..bundle.clone()
    };
    let refused = publish(&engine, 2, &[(&changed, Scope::Default)]).await.unwrap_err().to_string();
    assert!(refused.contains("signature: the signature of alice"), "{refused}");
    assert_eq!(engine.snapshot().revision().0, 1, "what was in force stays");
    // Nobody trusts the key any more.
    let (engine, _dir) = self::engine(trusting(&[("bob", 3)]));
    let refused = publish(&engine, 1, &[(&bundle, Scope::Default)]).await.unwrap_err().to_string();
    assert!(refused.contains("not trusted here"), "{refused}");
}

#[tokio::test]
async fn a_manifest_that_is_compiled_in_needs_no_signature() {
    let bundle = built_in("proportional");
    let trust =
        TrustList { built_in: vec![Digest::of(bundle.manifest.as_bytes())], ..trusting(&[]) };
    let (engine, _dir) = engine(trust);
    publish(&engine, 1, &[(&bundle, Scope::Default)]).await.unwrap();
    // The manifest alone is not enough: it names its component.
    let mut other = bundle.clone();
    other.component = built_in("observation-only").component;
    let (digest, _) = stored(&bundle);
    let version = stored(&bundle).1.version.clone();
    let swapped = Arc::new(StoredBundle { version, bundle: other });
    let refused = engine
        .publish(
            lucid_model::policies::Revision(2),
            vec![activation(&bundle, 2, Scope::Default, &[])],
            vec![(digest, swapped)],
        )
        .await;
    assert!(refused.unwrap_err().to_string().contains("digest: policy.wasm has sha256"));
}
