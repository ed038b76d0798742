//! Policies swapped under a running service.

pub(crate) mod authoring;
pub(crate) mod failures;
mod file;
pub(crate) mod policy_diff;
pub(crate) mod policy_life;
pub(crate) mod signatures;

use std::{fs, path::PathBuf, time::Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Lucid, copy_dir, eventually, node::TestNode, now_ms, root};

/// A service that watches a folder of the test's own.
fn watching() -> (Lucid, PathBuf, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let policies = dir.path().join("policies");
    copy_dir(&root().join("policies"), &policies);
    let lucid = Lucid::serve_with(&[
        ("RAIL", "sandbox"),
        ("FOUR_EYES", "false"),
        ("LUCID_POLICIES_DIR", policies.to_str().unwrap()),
    ]);
    (lucid, policies, dir)
}

fn scoring(lucid: &Lucid) -> Value {
    lucid.get("/api/v1/policies/active")["active"]
        .as_array()
        .unwrap()
        .iter()
        .find(|a| a["kind"] == "scoring")
        .unwrap()
        .clone()
}

fn activate(policies: &std::path::Path, name: &str, version: &str) {
    fs::write(
        policies.join("active.toml"),
        format!("[[activate]]\nkind = \"scoring\"\nname = \"{name}\"\nversion = \"{version}\"\n"),
    )
    .unwrap();
}

fn score_on_demand(lucid: &Lucid, node: &TestNode) -> Value {
    let at = |minutes: i64| lucid_model::time::TimeMs(now_ms() - minutes * 60_000).to_string();
    let session = json!({ "session_id": uuid::Uuid::now_v7().to_string(), "start_time": at(30), "end_time": at(0), "quality_score": 0.5 });
    let request = json!({ "node_id": node.id.to_string(), "observation_data": [session] });
    let (status, score) = lucid.call(
        "POST",
        "/api/v1/poot/calculate",
        Some(&lucid.token("alice", "node_operator")),
        Some(&request),
    );
    assert_eq!(status, 200, "{score}");
    score
}

#[test]
fn a_changed_active_toml_swaps_the_policy_within_a_second() {
    let (lucid, policies, _dir) = watching();
    let node = TestNode::register(&lucid, "alice", 1);
    assert_eq!(score_on_demand(&lucid, &node)["policy"]["name"], "observation-weighted");
    // The best of several: what else runs on the machine's cores is not the swap's time. Changing
    // back to an earlier content is a change like any other.
    let swaps = ["observation-only", "observation-weighted", "observation-only"].map(|name| {
        let changed = Instant::now();
        activate(&policies, name, "1.0.0");
        // What the store says is loaded a moment later; the swap is over when it scores.
        eventually("the swap", || {
            (score_on_demand(&lucid, &node)["policy"]["name"] == name).then_some(())
        });
        let took = changed.elapsed();
        assert_eq!(scoring(&lucid)["policy"]["name"], name);
        took
    });
    assert!(swaps.iter().min().is_some_and(|best| best.as_millis() < 1_000), "took {swaps:?}");
}

#[test]
fn a_later_change_by_the_api_is_not_undone_at_the_next_start() {
    let (mut lucid, _policies, _dir) = watching();
    let admin = lucid.token("root", "admin");
    let (status, active) = lucid.call(
        "POST",
        "/api/v1/policies/scoring/observation-only/1.0.0/activate",
        Some(&admin),
        Some(&json!({ "reason": "trial" })),
    );
    assert_eq!(status, 200, "{active}");
    lucid.crash_and_restart();
    assert_eq!(scoring(&lucid)["policy"]["name"], "observation-only");
    let (status, _) = lucid.call("POST", "/api/v1/policies/scoring/rollback", Some(&admin), None);
    assert_eq!(
        (status, scoring(&lucid)["policy"]["name"].as_str()),
        (200, Some("observation-weighted"))
    );
}

#[test]
fn a_bad_bundle_is_refused_with_its_reason_and_the_last_good_one_stays() {
    let (lucid, policies, _dir) = watching();
    let node = TestNode::register(&lucid, "alice", 1);
    let component = fs::read(policies.join("observation-only/1.0.0/policy.wasm")).unwrap();
    let manifest = fs::read_to_string(policies.join("observation-only/1.0.0/policy.toml")).unwrap();
    let drop_in = |version: &str, manifest: &str, component: &[u8]| {
        let dir = policies.join("observation-only").join(version);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("policy.wasm"), component).unwrap();
        fs::write(
            dir.join("policy.toml"),
            manifest.replace("version = \"1.0.0\"", &format!("version = \"{version}\"")),
        )
        .unwrap();
        activate(&policies, "observation-only", version);
    };
    let digest_of = |bytes: &[u8]| lucid_model::id::Digest::of(bytes).to_string();
    let named = digest_of(&component);
    let cut = &component[..component.len() / 2];
    for (version, manifest, component, reason) in [
        ("2.0.0", manifest.replace(&named, &"0".repeat(64)), &component[..], "digest"),
        ("2.0.1", manifest.replace(&named, &digest_of(cut)), cut, "component"),
        ("2.0.2", format!("{manifest}\nsurprise = 1\n"), &component[..], "surprise"),
    ] {
        drop_in(version, &manifest, component);
        let refused = eventually("the refusal", || {
            lucid
                .process
                .log()
                .lines()
                .find(|l| l.contains("policy bundle refused") && l.contains(version))
                .map(str::to_owned)
        });
        assert!(refused.contains(reason), "{version}: {refused}");
        assert_eq!(score_on_demand(&lucid, &node)["policy"]["name"], "observation-weighted");
    }
}

#[test]
fn hostile_policies_are_refused_one_by_one() {
    let (lucid, policies, _dir) = watching();
    let versions = || lucid.get("/api/v1/policies")["policies"].as_array().unwrap().len();
    let before = versions();
    let node = TestNode::register(&lucid, "alice", 1);
    for (name, reason) in [
        ("loop-forever", "fuel"),
        ("memory-hog", ""),
        ("trap", ""),
        ("too-few-results", ""),
        ("out-of-bounds", ""),
        ("bad-reason", ""),
        ("undeclared-import", "import"),
        ("loop-late", "fuel"),
    ] {
        copy_dir(&root().join("plugins/hostile/bundles").join(name), &policies.join(name));
        let refused = eventually(name, || {
            lucid
                .process
                .log()
                .lines()
                .find(|l| l.contains("policy bundle refused") && l.contains(name))
                .map(str::to_owned)
        });
        assert!(refused.contains(reason), "{name}: {refused}");
        assert_eq!(score_on_demand(&lucid, &node)["policy"]["name"], "observation-weighted");
    }
    assert_eq!(versions(), before, "only what was there was kept");
}

#[test]
fn the_gate_is_the_same_without_a_server() {
    let check = |dir: PathBuf| {
        crate::support::Process::start(&["policy", "check", dir.to_str().unwrap()], &[], false)
            .output()
    };
    let (code, said) = check(root().join("policies/observation-weighted/1.0.0"));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("golden"), "{said}");
    let (code, said) = check(root().join("plugins/hostile/bundles/loop-forever/1.0.0"));
    assert_eq!(code, Some(2), "{said}");
}

/// `observation-only` under another version.
fn second_version() -> lucid_model::policies::Bundle {
    let mut bundle =
        lucid_engine::read_bundle(&root().join("policies/observation-only/1.0.0")).unwrap();
    bundle.manifest = bundle
        .manifest
        .replace("version = \"1.0.0\"", "version = \"1.1.0\"")
        .replace("Lucid Network", "Somebody else");
    let before = lucid_model::id::Digest::of(&bundle.component).to_string();
    bundle.component.extend([0, 2, 1, b'x']);
    bundle.manifest = bundle
        .manifest
        .replace(&before, &lucid_model::id::Digest::of(&bundle.component).to_string());
    bundle
}

#[test]
fn a_bundle_is_uploaded_as_an_archive() {
    let lucid = Lucid::serve();
    let admin = lucid.token("root", "admin");
    let form = [("content-type", "application/x-tar".to_owned())];
    let send = |archive: Vec<u8>| {
        lucid.send("POST", "/api/v1/policies", Some(&admin), Some(archive), &form)
    };
    let archive = lucid_engine::pack(&second_version()).unwrap();
    let (status, error) = send(archive[..archive.len() - 1024].to_vec());
    assert_eq!(status, 400, "{error}");
    assert!(error.to_string().contains("the archive is cut off"), "{error}");
    let (status, report) = send(archive);
    assert_eq!((status, &report["passed"]), (201, &json!(true)), "{report}");
    let (status, active) = lucid.call(
        "POST",
        "/api/v1/policies/scoring/observation-only/1.1.0/activate",
        Some(&admin),
        Some(&json!({})),
    );
    assert_eq!(status, 200, "{active}");
    assert_eq!(scoring(&lucid)["policy"]["version"], "1.1.0");
}

/// A version with a section of so many bytes that says nothing.
fn large_version(version: &str, padding: usize) -> lucid_model::policies::Bundle {
    let mut bundle = second_version();
    let before = lucid_model::id::Digest::of(&bundle.component).to_string();
    let size = padding + 2;
    let leb = |shift: usize, more: usize| u8::try_from(size >> shift & 0x7f | more).unwrap();
    bundle.component.extend([0, leb(0, 0x80), leb(7, 0x80), leb(14, 0x80), leb(21, 0), 1, b'x']);
    bundle.component.resize(bundle.component.len() + padding, 0);
    let after = lucid_model::id::Digest::of(&bundle.component).to_string();
    bundle.manifest = bundle
        .manifest
        .replace(&before, &after)
        .replace("version = \"1.1.0\"", &format!("version = \"{version}\""));
    bundle
}

#[test]
fn a_bundle_may_be_as_large_as_the_gate_allows() {
    let lucid = Lucid::serve();
    let admin = lucid.token("root", "admin");
    let send = |body: Vec<u8>, form: &str, key: &str| {
        let headers = [("content-type", form.to_owned()), ("idempotency-key", key.to_owned())];
        lucid.send("POST", "/api/v1/policies", Some(&admin), Some(body), &headers)
    };
    let archive = lucid_engine::pack(&large_version("1.2.0", 20 << 20)).unwrap();
    let (status, report) = send(archive, "application/x-tar", "archive");
    assert_eq!((status, &report["passed"]), (201, &json!(true)), "{report}");
    let json =
        serde_json::to_vec(&crate::support::bundle::as_json(&large_version("1.3.0", 21 << 20)))
            .unwrap();
    let (status, report) = send(json, "application/json", "json");
    assert_eq!((status, &report["passed"]), (201, &json!(true)), "{report}");
    let (status, error) = send(vec![0; (48 << 20) + 1], "application/x-tar", "too-large");
    assert_eq!((status, error["error"]["code"].as_str()), (413, Some("LUCID_ERR_4130")), "{error}");
    assert!(error["error"]["message"].as_str().unwrap().contains("50331648 bytes"), "{error}");
    let (status, error) = lucid.call("POST", "/api/v1/policies", None, Some(&json!({})));
    assert_eq!(status, 401, "{error}");
}

#[test]
fn an_archive_in_the_watched_folder_is_taken_in() {
    let (lucid, policies, _dir) = watching();
    let put = |name: &str, content: &[u8]| {
        fs::write(policies.join("half"), content).unwrap();
        fs::rename(policies.join("half"), policies.join(name)).unwrap();
    };
    put("broken-1.0.0.tar", b"not an archive");
    eventually("the complaint", || {
        lucid
            .process
            .log()
            .lines()
            .find(|line| line.contains("broken-1.0.0.tar") && line.contains("cut off"))
            .map(drop)
    });
    put("observation-only-1.1.0.tar", &lucid_engine::pack(&second_version()).unwrap());
    activate(&policies, "observation-only", "1.1.0");
    eventually("the swap", || (scoring(&lucid)["policy"]["version"] == "1.1.0").then_some(()));
}
