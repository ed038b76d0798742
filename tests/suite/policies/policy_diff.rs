//! What is another in a version, as the API tells it.

use ed25519_dalek::{Signer as _, SigningKey};
use lucid_model::{
    fleet::node::PublicKey,
    policies::{Bundle, BundleSignature, KeyId},
};
use serde_json::{Value, json};

use crate::support::{
    Lucid,
    bundle::{as_json, other_version},
};

fn diff(lucid: &Lucid, path: &str) -> (u16, Value) {
    // Whoever may read a version may compare it.
    lucid.call(
        "GET",
        &format!("/api/v1/policies/{path}"),
        Some(&lucid.token("alice", "user")),
        None,
    )
}

fn upload(lucid: &Lucid, bundle: &Bundle) {
    let (status, report) = lucid.call(
        "POST",
        "/api/v1/policies",
        Some(&lucid.token("author", "policy-author")),
        Some(&as_json(bundle)),
    );
    assert_eq!(status, 201, "{report}");
}

/// Another version with other limits, another author and another default.
fn changed(version: &str) -> Bundle {
    let mut bundle = other_version("observation-weighted", version);
    let manifest = bundle
        .manifest
        .replace("fuel_base = 2000000", "fuel_base = 3000000")
        .replace("Lucid Network", "Somebody Else");
    bundle.manifest = manifest.replace("[params]", "[params]\nuptime-weight = 150000\n");
    // What was expected of the other defaults is expected no more.
    bundle.golden.clear();
    bundle
}

#[test]
fn a_version_is_compared_with_another_of_its_name() {
    let lucid = Lucid::serve();
    let bundle = changed("1.1.0");
    upload(&lucid, &bundle);
    let (status, found) = diff(&lucid, "scoring/observation-weighted/1.1.0/diff?against=1.0.0");
    assert_eq!(status, 200, "{found}");
    let fields: Vec<_> = found["manifest"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["field"].as_str(), f["after"].as_str()))
        .collect();
    assert_eq!(
        fields,
        [(Some("version"), Some("1.1.0")), (Some("author"), Some("Somebody Else"))],
        "{found}"
    );
    assert_eq!(
        found["limits"],
        json!([{ "limit": "fuel_base", "before": 2_000_000, "after": 3_000_000 }])
    );
    assert_eq!(found["component"]["after"]["bytes"], json!(bundle.component.len()));
    assert_eq!(found["component"]["before"]["digest"], found["before"]["digest"]);
    assert_ne!(found["component"]["before"]["digest"], found["component"]["after"]["digest"]);
    assert_eq!(
        (&found["imports"]["added"], &found["facts"]["removed"]),
        (&json!([]), &json!([])),
        "the code is the same"
    );
    let params = found["params"].as_array().unwrap();
    let defaults =
        (params[0]["before"]["default"].as_i64(), params[0]["after"]["default"].as_i64());
    assert_eq!(
        (params.len(), params[0]["name"].as_str(), defaults),
        (1, Some("uptime-weight"), (Some(200_000), Some(150_000))),
        "{found}"
    );
    // The other way round.
    let (_, back) = diff(&lucid, "scoring/observation-weighted/1.0.0/diff?against=1.1.0");
    assert_eq!(
        (&back["before"], &back["params"][0]["after"]),
        (&found["after"], &params[0]["before"])
    );
}

#[test]
fn without_another_it_is_compared_with_what_is_in_force_for_its_kind() {
    let lucid = Lucid::serve();
    let (status, found) = diff(&lucid, "scoring/observation-only/1.0.0/diff");
    assert_eq!(
        (status, found["before"]["name"].as_str()),
        (200, Some("observation-weighted")),
        "{found}"
    );
    let gone = |what: &str, of: &str| {
        found[what][of]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].clone())
            .collect::<Vec<_>>()
    };
    assert!(gone("facts", "removed").contains(&json!("uptime-ppm")), "{found}");
    let params = found["params"].as_array().unwrap();
    assert!(
        !params.is_empty()
            && params.iter().all(|param| param["after"].is_null() && param["before"].is_object()),
        "{found}"
    );
    let (status, same) = diff(&lucid, "scoring/observation-weighted/1.0.0/diff");
    assert_eq!(
        (status, &same["before"], &same["manifest"]),
        (200, &same["after"], &json!([])),
        "it is in force itself: {same}"
    );
    assert!(same.get("component").is_none(), "{same}");
    // What is scheduled is not in force.
    let admin = lucid.token("root", "admin");
    let path = "/api/v1/policies/scoring/observation-only/1.0.0/activate";
    assert_eq!(
        lucid.call("POST", path, Some(&admin), Some(&json!({ "start": "next_period" }))).0,
        200
    );
    assert_eq!(diff(&lucid, "scoring/observation-only/1.0.0/diff").1, found);
    assert_eq!(lucid.call("POST", path, Some(&admin), Some(&json!({}))).0, 200);
    assert_eq!(
        diff(&lucid, "scoring/observation-only/1.0.0/diff").1["before"]["name"],
        "observation-only"
    );
}

#[test]
fn what_cannot_be_compared_is_named() {
    let lucid = Lucid::serve();
    for path in [
        "scoring/observation-weighted/1.0.0/diff?against=9.9.9",
        "scoring/observation-weighted/9.9.9/diff",
        "scoring/nobody/1.0.0/diff",
        "payout/observation-weighted/1.0.0/diff",
    ] {
        let (status, refusal) = diff(&lucid, path);
        assert_eq!(
            (status, refusal["error"]["code"].as_str()),
            (404, Some("LUCID_ERR_4040")),
            "{path}: {refusal}"
        );
    }
    for against in [
        "",
        "1.0",
        "v1.0.0",
        "01.0.0",
        "1.0.0%00",
        "99999999999999999999.0.0",
        "observation-only",
        &format!("1.0.0-{}", "a".repeat(200)),
    ] {
        let (status, refusal) =
            diff(&lucid, &format!("scoring/observation-weighted/1.0.0/diff?against={against}"));
        assert_eq!(
            (status, refusal["error"]["details"]["field"].as_str()),
            (400, Some("against")),
            "{against}: {refusal}"
        );
    }
    assert_eq!(diff(&lucid, "nothing/observation-weighted/1.0.0/diff").0, 400);
    assert_eq!(
        lucid.call("GET", "/api/v1/policies/scoring/observation-weighted/1.0.0/diff", None, None).0,
        401
    );
}

#[test]
fn a_version_whose_signatures_nobody_trusts_any_more_is_not_loaded_to_be_compared() {
    let key = SigningKey::from_bytes(&[1; 32]);
    let public = key.verifying_key().to_bytes();
    let trusted = json!({ "alice": hex::encode(public) }).to_string();
    let mut lucid = Lucid::serve_with(&[
        ("RAIL", "sandbox"),
        ("REQUIRE_SIGNED", "true"),
        ("LUCID_POLICIES_TRUSTED_KEYS", &trusted),
    ]);
    let mut bundle = changed("1.1.0");
    let signature = key.sign(&bundle.statement()).to_bytes();
    bundle.add_signatures(&[BundleSignature { key: KeyId::of(PublicKey(public)), signature }]);
    upload(&lucid, &bundle);
    assert_eq!(diff(&lucid, "scoring/observation-weighted/1.1.0/diff").0, 200);
    lucid.set("LUCID_POLICIES_TRUSTED_KEYS", "{}");
    lucid.crash_and_restart();
    let (status, refusal) = diff(&lucid, "scoring/observation-weighted/1.1.0/diff");
    assert_eq!(status, 409, "{refusal}");
    assert!(
        refusal["error"]["message"]
            .as_str()
            .unwrap()
            .contains("observation-weighted@1.1.0: signature"),
        "{refusal}"
    );
}
