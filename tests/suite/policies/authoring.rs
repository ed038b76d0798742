//! What policy authors do without a server.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::support::{copy_dir, root};

/// Runs `lucid policy …` in a folder: exit code, standard output, standard error.
fn policy(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lucid"));
    command
        .arg("policy")
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn done(dir: &Path, args: &[&str]) -> String {
    let (code, out, err) = policy(dir, args);
    assert_eq!(code, Some(0), "{args:?}: {out}{err}");
    out
}

/// A copy of a built-in bundle that may be changed.
fn copied(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy_dir(&root().join("policies").join(name).join("1.0.0"), &dir.path().join("bundle"));
    dir
}

#[test]
fn a_bundle_is_packed_signed_and_checked_as_a_folder_and_as_an_archive() {
    let dir = copied("observation-only");
    let dir = dir.path();
    let line = done(dir, &["keygen", "alice.key"]);
    fs::write(dir.join("trusted.toml"), format!("[trusted_keys]\n{line}")).unwrap();
    assert_eq!(policy(dir, &["keygen", "alice.key"]).0, Some(2), "a key is never overwritten");
    // The checked manifest is compiled in, and needs no signature: another description is not.
    let manifest = fs::read_to_string(dir.join("bundle/policy.toml"))
        .unwrap()
        .replace("Lucid Network", "Somebody");
    fs::write(dir.join("bundle/policy.toml"), manifest).unwrap();
    let required = |path: &str| {
        policy(
            dir,
            &[
                "check",
                path,
                "--require-signed",
                "--trusted-keys",
                "trusted.toml",
                "--output",
                "json",
            ],
        )
    };
    let (code, out, _) = required("bundle");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &report["passed"], &report["checks"][1]["check"]),
        (Some(2), &json!(false), &json!("signature")),
        "{out}"
    );
    done(dir, &["pack", "bundle"]);
    done(dir, &["sign", "observation-only-1.0.0.tar", "--key", "alice.key"]);
    done(dir, &["sign", "bundle", "--key", "alice.key"]);
    for path in ["bundle", "observation-only-1.0.0.tar"] {
        let (code, out, _) = required(path);
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, &report["signed_by"]), (Some(0), &json!(["alice"])), "{out}");
        let check = |name: &str| {
            report["checks"]
                .as_array()
                .unwrap()
                .iter()
                .find(|check| check["check"] == name)
                .unwrap()
                .clone()
        };
        assert!(
            check("row-wise")["fuel"].as_u64().unwrap() > 0
                && check("row-wise")["micros"].as_u64().unwrap() > 0
        );
    }
    // The same folder gives the same bytes.
    done(dir, &["pack", "bundle", "--out", "again.tar"]);
    assert_eq!(
        fs::read(dir.join("again.tar")).unwrap(),
        fs::read(dir.join("observation-only-1.0.0.tar")).unwrap()
    );
}

#[test]
fn golden_cases_are_tested_and_updated() {
    let dir = copied("observation-only");
    let case = dir.path().join("bundle/golden/one-node.json");
    let good = fs::read_to_string(&case).unwrap();
    assert!(done(dir.path(), &["test", "bundle"]).contains("4 of 4 cases hold"));
    fs::write(&case, good.replace("1000000", "1000001")).unwrap();
    let (code, out, _) = policy(dir.path(), &["test", "bundle"]);
    assert_eq!(code, Some(2));
    assert!(
        out.contains("golden/one-node.json:")
            && out.contains("multipliers[0]: expected 1000001, got 1000000"),
        "{out}"
    );
    let out = done(dir.path(), &["test", "bundle", "--update"]);
    assert!(out.contains("updated") && out.contains("4 of 4 cases hold"), "{out}");
    done(dir.path(), &["test", "bundle"]);
}

#[test]
fn a_table_of_nodes_is_scored() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = root().join("policies/proportional/1.0.0");
    let bundle = bundle.to_str().unwrap();
    fs::write(dir.path().join("nodes.csv"), "score-seconds,eligible\n5,1\n7,0\n").unwrap();
    let out = done(dir.path(), &["run", bundle, "nodes.csv"]);
    assert!(out.contains("not eligible in this period") && out.contains("2 rows"), "{out}");
    let out = done(dir.path(), &["run", bundle, "nodes.csv", "--output", "json"]);
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(answer["answer"]["weights"], json!(["5", "0"]), "{out}");
    assert!(answer["fuel"].as_u64().unwrap() > 0);
    fs::write(dir.path().join("nodes.csv"), "score-second,eligible\n5,1\n").unwrap();
    let (code, _, err) = policy(dir.path(), &["run", bundle, "nodes.csv"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("did you mean score-seconds?"), "{err}");
}

#[test]
fn a_bundle_is_looked_at_and_compared() {
    let dir = tempfile::tempdir().unwrap();
    let built_in =
        |name: &str| root().join("policies").join(name).join("1.0.0").to_str().unwrap().to_owned();
    let out = done(dir.path(), &["inspect", &built_in("observation-weighted")]);
    assert!(
        out.contains("lucid:policy/scoring@1.0.0")
            && out.contains("uptime-ppm")
            && out.contains("0..=1000000"),
        "{out}"
    );
    let out =
        done(dir.path(), &["inspect", &built_in("hardware-and-identity"), "--output", "json"]);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert!(
        found["facts"]
            .as_array()
            .unwrap()
            .iter()
            .any(|fact| fact["of"] == "registration" && fact["name"] == "cores"),
        "{out}"
    );
    // What no host would run can be looked at.
    let hostile = root().join("plugins/hostile/bundles/undeclared-import/1.0.0");
    let (code, out, _) = policy(dir.path(), &["inspect", hostile.to_str().unwrap()]);
    assert_eq!(code, Some(2));
    assert!(out.contains("hostile:env/secrets") && out.contains("no host would run it"), "{out}");
    let same = done(dir.path(), &["diff", &built_in("proportional"), &built_in("proportional")]);
    assert!(same.contains("answer alike"), "{same}");
    let (code, out, _) = policy(
        dir.path(),
        &["diff", &built_in("observation-weighted"), &built_in("observation-only")],
    );
    assert_eq!(code, Some(1));
    assert!(
        out.contains("param uptime-weight")
            && out.contains("reads uptime-ppm of a node")
            && out.contains("multipliers[0]"),
        "{out}"
    );
    let (code, out, _) = policy(
        dir.path(),
        &[
            "diff",
            &built_in("observation-only"),
            &built_in("observation-weighted"),
            "--output",
            "json",
        ],
    );
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (
            code,
            told["manifest"][0]["field"].as_str(),
            told["component"]["before"]["bytes"].is_u64()
        ),
        (Some(1), Some("name"), true),
        "{out}"
    );
    let new = |what: &Value| {
        what.as_array()
            .unwrap()
            .iter()
            .any(|one| one["name"] == "uptime-weight" && one.get("before").is_none())
    };
    assert!(
        new(&told["params"])
            && told["facts"]["added"].to_string().contains("uptime-ppm")
            && told["answers"][0]["before"].is_string(),
        "{out}"
    );
    let out = done(dir.path(), &["bench", &built_in("observation-only"), "--output", "json"]);
    let figures: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(figures["calls"].as_array().unwrap().len(), 4, "{out}");
    assert!(
        figures["calls"][3]["node_ns"].as_u64() < figures["calls"][0]["node_ns"].as_u64(),
        "{out}"
    );
}

#[test]
fn a_new_policy_is_made_once_and_names_its_sdk() {
    let dir = tempfile::tempdir().unwrap();
    for kind in ["scoring", "validation", "payout"] {
        let name = format!("my-{kind}");
        done(dir.path(), &["new", kind, &name]);
        let manifest = fs::read_to_string(dir.path().join(&name).join("Cargo.toml")).unwrap();
        assert!(
            manifest.contains("plugins/sdk\"") && manifest.contains(&format!("kind = \"{kind}\"")),
            "{manifest}"
        );
    }
    assert_eq!(
        policy(dir.path(), &["new", "payout", "my-payout"]).0,
        Some(2),
        "nothing is overwritten"
    );
    assert_eq!(policy(dir.path(), &["new", "payout", "My Payout"]).0, Some(2));
    assert_eq!(policy(dir.path(), &["new", "payout", "other", "--sdk", "/"]).0, Some(2));
    let (code, _, err) = policy(dir.path(), &["build", "nowhere"]);
    assert_eq!(code, Some(2), "{err}");
}
