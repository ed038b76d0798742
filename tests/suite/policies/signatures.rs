//! Policies that somebody has to stand for.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ed25519_dalek::{Signer as _, SigningKey};
use lucid_model::{
    fleet::node::PublicKey,
    policies::{Bundle, BundleSignature, KeyId},
};
use serde_json::{Value, json};

use crate::support::{
    Lucid, Process,
    bundle::{as_json, other_version},
    copy_dir, eventually, root,
};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> String {
    hex::encode(key(seed).verifying_key().to_bytes())
}

fn sign(bundle: &mut Bundle, seed: u8) {
    let id = KeyId::of(PublicKey(key(seed).verifying_key().to_bytes()));
    let signature = key(seed).sign(&bundle.statement()).to_bytes();
    bundle.add_signatures(&[BundleSignature { key: id, signature }]);
}

fn upload(lucid: &Lucid, bundle: &Bundle) -> (u16, Value) {
    lucid.call(
        "POST",
        "/api/v1/policies",
        Some(&lucid.token("author", "policy-author")),
        Some(&as_json(bundle)),
    )
}

fn signed_by(lucid: &Lucid, version: &str) -> Value {
    let versions = lucid.get("/api/v1/policies");
    let found = versions["policies"]
        .as_array()
        .unwrap()
        .iter()
        .find(|v| v["policy"]["version"] == version)
        .unwrap()
        .clone();
    found["signed_by"].clone()
}

#[test]
fn only_signed_policies_are_taken_and_what_nobody_trusts_any_more_is_not_loaded() {
    let keys = json!({ "alice": public(1), "bob": public(2) }).to_string();
    let mut lucid = Lucid::serve_with(&[
        ("RAIL", "sandbox"),
        ("REQUIRE_SIGNED", "true"),
        ("LUCID_POLICIES_TRUSTED_KEYS", &keys),
    ]);
    let mut bundle = other_version("observation-only", "2.0.0");
    let refused = |bundle: &_, reason: &str| {
        let (status, refusal) = upload(&lucid, bundle);
        let details = &refusal["error"]["details"];
        assert_eq!(
            (status, refusal["error"]["code"].as_str()),
            (400, Some("LUCID_ERR_4001")),
            "{refusal}"
        );
        assert_eq!(details["report"]["checks"][1]["check"], "signature", "{refusal}");
        assert!(
            details["report"]["checks"][1]["reason"].as_str().unwrap().contains(reason),
            "{refusal}"
        );
        assert!(details["reason"].as_str().unwrap().contains(reason), "{refusal}");
    };
    refused(&bundle, "lucid policy sign");
    sign(&mut bundle, 9);
    refused(&bundle, "have it signed by alice or bob");
    sign(&mut bundle, 1);
    let (status, report) = upload(&lucid, &bundle);
    assert_eq!((status, &report["signed_by"]), (201, &json!(["alice"])), "{report}");
    assert!(report["notes"][0].as_str().unwrap().contains("not trusted here"), "{report}");
    assert_eq!(signed_by(&lucid, "2.0.0"), json!(["alice"]));
    // Another signature over the same bundle is added to the first.
    bundle.signatures.clear();
    sign(&mut bundle, 2);
    assert_eq!(upload(&lucid, &bundle).0, 201);
    assert_eq!(signed_by(&lucid, "2.0.0"), json!(["alice", "bob"]));
    let mut wrong = bundle.clone();
    wrong.golden.clear();
    refused(&wrong, "the signature of bob");
    let admin = lucid.token("root", "admin");
    let activate = |lucid: &Lucid| {
        lucid.call(
            "POST",
            "/api/v1/policies/scoring/observation-only/2.0.0/activate",
            Some(&admin),
            Some(&json!({})),
        )
    };
    assert_eq!(activate(&lucid).0, 200);
    lucid.crash_and_restart();
    // Both keys are withdrawn: the service says so and does no work with a policy that nobody
    // stands for.
    lucid.process.kill();
    let data = lucid.data();
    let settings = [
        ("JWT_SECRET", crate::support::SECRET),
        ("NODE_MANAGEMENT_PORT", "0"),
        ("RAIL", "sandbox"),
    ];
    let mut process = Process::start(&["serve", "--data", data.to_str().unwrap()], &settings, true);
    let line = process.wait_for(|line| line.starts_with("lucid:").then(|| line.to_owned()));
    assert!(line.contains("observation-only@2.0.0") && line.contains("not trusted here"), "{line}");
    assert_eq!(process.output_code(), Some(1));
}

fn put(bundle: &Bundle, dir: &Path) {
    fs::create_dir_all(dir.join("golden")).unwrap();
    for (name, text) in &bundle.golden {
        fs::write(dir.join("golden").join(name), text).unwrap();
    }
    fs::write(dir.join("policy.wasm"), &bundle.component).unwrap();
    fs::write(dir.join("policy.toml"), &bundle.manifest).unwrap();
}

#[test]
fn two_signatures_are_the_second_person_for_a_payout_policy_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let policies: PathBuf = dir.path().join("policies");
    copy_dir(&root().join("policies"), &policies);
    let trusted = dir.path().join("trusted.toml");
    fs::write(
        &trusted,
        format!("[trusted_keys]\nalice = \"{}\"\nbob = \"{}\"\n", public(1), public(2)),
    )
    .unwrap();
    let lucid = Lucid::serve_with(&[
        ("RAIL", "sandbox"),
        ("REQUIRE_SIGNED", "true"),
        ("FOUR_EYES", "true"),
        ("LUCID_POLICIES_DIR", policies.to_str().unwrap()),
        ("LUCID_POLICIES_TRUSTED_KEYS_FILE", trusted.to_str().unwrap()),
    ]);
    let payout = |lucid: &Lucid| {
        let active = lucid.get("/api/v1/policies/active");
        active["active"].as_array().unwrap().iter().find(|a| a["kind"] == "payout").unwrap()["policy"]["version"].clone()
    };
    let mut bundle = other_version("proportional", "2.0.0");
    let folder = policies.join("proportional/2.0.0");
    put(&bundle, &folder);
    let write_signatures = |bundle: &Bundle| {
        // Whole or not at all, as an author's tool would.
        fs::write(folder.join("policy.sig.new"), lucid_engine::signatures_text(&bundle.signatures))
            .unwrap();
        fs::rename(folder.join("policy.sig.new"), folder.join("policy.sig")).unwrap();
    };
    sign(&mut bundle, 1);
    write_signatures(&bundle);
    eventually("the upload", || {
        lucid.get("/api/v1/policies").to_string().contains("2.0.0").then_some(())
    });
    let active = "[[activate]]\nkind = \"payout\"\nname = \"proportional\"\nversion = \"2.0.0\"\n";
    fs::write(policies.join("active.toml"), active).unwrap();
    eventually("the alert", || {
        lucid.process.log().contains("needs a person to activate it").then_some(())
    });
    assert_eq!(payout(&lucid), "1.0.0");
    sign(&mut bundle, 2);
    write_signatures(&bundle);
    eventually("the second signature", || {
        (signed_by(&lucid, "2.0.0") == json!(["alice", "bob"])).then_some(())
    });
    // The entry waited for it.
    eventually("the activation", || (payout(&lucid) == "2.0.0").then_some(()));
}
