//! The life of a version: handed in, checked, scheduled, active, rolled back, retired.

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::support::{
    Lucid,
    bundle::{as_json, other_version},
    copy_dir, eventually, root,
};

const BY_HAND: &[(&str, &str)] =
    &[("RAIL", "sandbox"), ("FOUR_EYES", "true"), ("REQUIRE_SIGNED", "false")];

fn bundle(name: &str, version: &str) -> Value {
    as_json(&other_version(name, version))
}

struct Operator<'l> {
    lucid: &'l Lucid,
    token: String,
}

impl<'l> Operator<'l> {
    fn named(lucid: &'l Lucid, subject: &str) -> Self {
        Self { lucid, token: lucid.token(subject, "admin") }
    }
    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.lucid.call("POST", &format!("/api/v1/policies{path}"), Some(&self.token), Some(body))
    }
    fn get(&self, path: &str) -> Value {
        let (status, answer) =
            self.lucid.call("GET", &format!("/api/v1/policies{path}"), Some(&self.token), None);
        assert_eq!(status, 200, "{answer}");
        answer
    }
    fn upload(&self, name: &str, version: &str) {
        let (status, report) = self.post("", &bundle(name, version));
        assert_eq!(status, 201, "{report}");
    }
    /// Names and starts of what is active of a kind.
    fn active(&self, kind: &str) -> Vec<String> {
        let active = self.get("/active");
        let of = active["active"].as_array().unwrap().iter().filter(|a| a["kind"] == kind);
        of.map(|a| {
            format!(
                "{}@{}",
                a["policy"]["name"].as_str().unwrap(),
                a["policy"]["version"].as_str().unwrap()
            )
        })
        .collect()
    }
    fn state(&self, path: &str) -> String {
        self.get(path)["state"].as_str().unwrap().to_owned()
    }
}

#[test]
fn a_scheduled_version_scores_the_next_epoch_and_not_the_one_that_runs() {
    let short = [("LUCID_SCORING_EPOCH_S", "5"), ("LUCID_SCORING_CLOSE_DELAY_S", "0")];
    let lucid = Lucid::serve_with(&[BY_HAND, &short].concat());
    let operator = Operator::named(&lucid, "root");
    let (status, active) = operator.post(
        "/scoring/observation-only/1.0.0/activate",
        &json!({ "start": "next_period", "reason": "trial" }),
    );
    assert_eq!(status, 200, "{active}");
    // Epochs of five seconds: it is in force before or after we look, so what was written down is
    // looked at.
    let newest = operator.get("/activations?limit=1")["activations"][0].clone();
    let (at, starts) = (
        newest["activated_at"].as_str().unwrap().to_owned(),
        newest["starts_at"].as_str().unwrap().to_owned(),
    );
    let ms = |text: &str| text.parse::<lucid_model::time::TimeMs>().unwrap().0;
    assert!((1..=5_000).contains(&(ms(&starts) - ms(&at))) && ms(&starts) % 5_000 == 0, "{newest}");
    let mut node = crate::support::node::TestNode::register(&lucid, "alice", 1);
    eventually("an epoch after the first that it scores", || {
        node.work(&lucid);
        let newest = lucid.get("/api/v1/poot/epochs?limit=1")["epochs"][0]["epoch"].as_i64()?;
        (newest * 1_000 > ms(&starts)).then_some(())
    });
    let scores = lucid.get(&format!("/api/v1/poot/scores?node_id={}&limit=100", node.id))["scores"]
        .as_array()
        .unwrap()
        .clone();
    assert!(scores.len() > 1, "{scores:?}");
    for score in scores {
        let later = score["epoch"].as_i64().unwrap() * 1_000 >= ms(&starts);
        let expected = if later { "observation-only" } else { "observation-weighted" };
        assert_eq!(score["policy"]["name"], expected, "{score}");
    }
    assert_eq!(operator.state("/scoring/observation-only/1.0.0"), "active");
}

#[test]
fn what_is_scheduled_is_shown_and_taken_back_by_a_roll_back() {
    let lucid = Lucid::serve_with(BY_HAND);
    let operator = Operator::named(&lucid, "root");
    assert_eq!(
        operator
            .post("/scoring/observation-only/1.0.0/activate", &json!({ "start": "next_period" }))
            .0,
        200
    );
    assert_eq!(
        operator.active("scoring"),
        ["observation-weighted@1.0.0", "observation-only@1.0.0"]
    );
    assert_eq!(operator.state("/scoring/observation-only/1.0.0"), "scheduled");
    assert_eq!(operator.state("/scoring/observation-weighted/1.0.0"), "active");
    let listed =
        operator.get("?kind=scoring&state=scheduled")["policies"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["in_force"][0]["scope"], "default");
    let (status, refusal) =
        operator.post("/scoring/observation-only/1.0.0/retire", &json!({ "reason": "x" }));
    assert_eq!(status, 409, "{refusal}");
    assert_eq!(operator.post("/scoring/rollback", &json!({})).0, 200);
    assert_eq!(operator.active("scoring"), ["observation-weighted@1.0.0"]);
    assert_eq!(operator.state("/scoring/observation-only/1.0.0"), "checked");
}

#[test]
fn a_retired_version_is_kept_and_never_active_again() {
    let lucid = Lucid::serve_with(BY_HAND);
    let operator = Operator::named(&lucid, "root");
    operator.upload("observation-only", "1.1.0");
    for version in ["1.0.0", "1.1.0"] {
        assert_eq!(
            operator.post(&format!("/scoring/observation-only/{version}/activate"), &json!({})).0,
            200
        );
    }
    let (status, refusal) =
        operator.post("/scoring/observation-only/1.1.0/retire", &json!({ "reason": "wrong" }));
    assert_eq!(status, 409, "{refusal}");
    assert!(
        refusal["error"]["message"].as_str().unwrap().contains("active for default"),
        "{refusal}"
    );
    let (status, retired) =
        operator.post("/scoring/observation-only/1.0.0/retire", &json!({ "reason": "wrong" }));
    assert_eq!(
        (status, retired["state"].as_str(), retired["reason"].as_str()),
        (200, Some("retired"), Some("wrong")),
        "{retired}"
    );
    let (status, again) =
        operator.post("/scoring/observation-only/1.0.0/retire", &json!({ "reason": "other" }));
    assert_eq!((status, again["reason"].as_str()), (200, Some("wrong")), "the first reason stays");
    let (status, refusal) = operator.post("/scoring/observation-only/1.0.0/activate", &json!({}));
    assert_eq!(status, 409, "{refusal}");
    assert!(refusal["error"]["message"].as_str().unwrap().contains("retired: wrong"), "{refusal}");
    // What was active before the current one is retired: the one before that is taken.
    assert_eq!(operator.post("/scoring/rollback", &json!({})).0, 200);
    assert_eq!(operator.active("scoring"), ["observation-weighted@1.0.0"]);
    let actions: Vec<_> = operator.get("/audit?limit=100")["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["action"].clone())
        .collect();
    assert!(
        actions.iter().all(|action| action.as_str().unwrap().starts_with("policy.")),
        "{actions:?}"
    );
    for action in ["policy.upload", "policy.activate", "policy.retire"] {
        assert!(actions.iter().any(|found| found == action), "{action} in {actions:?}");
    }
}

#[test]
fn who_uploads_a_payout_policy_cannot_alone_activate_it_and_can_go_back_to_it() {
    let lucid = Lucid::serve_with(BY_HAND);
    let (anna, ben) = (Operator::named(&lucid, "anna"), Operator::named(&lucid, "ben"));
    anna.upload("proportional", "1.1.0");
    let (status, refusal) = anna.post("/payout/proportional/1.1.0/activate", &json!({}));
    assert_eq!(status, 403, "{refusal}");
    assert_eq!(ben.post("/payout/proportional/1.1.0/activate", &json!({})).0, 200);
    assert_eq!(ben.post("/payout/proportional/1.0.0/activate", &json!({})).0, 200);
    assert_eq!(anna.post("/payout/rollback", &json!({})).0, 200, "ben has seen it");
    assert_eq!(anna.active("payout"), ["proportional@1.1.0"]);
}

#[test]
fn a_roll_back_that_says_something_else_rolls_nothing_back() {
    let lucid = Lucid::serve_with(BY_HAND);
    let operator = Operator::named(&lucid, "root");
    assert_eq!(operator.post("/scoring/observation-only/1.0.0/activate", &json!({})).0, 200);
    let pool = lucid.create_pool("north");
    for (path, body, field) in [
        ("/scoring/rollback".to_owned(), json!({ "scope": pool }), "scope"),
        (format!("/scoring/rollback?scop={pool}"), json!({}), "scop"),
        ("/scoring/rollback?scope=default&scope=default".to_owned(), json!({}), "scope"),
        ("/scoring/rollback?scope=nowhere".to_owned(), json!({}), "scope"),
        ("/scoring/observation-only/1.0.0/activate".to_owned(), json!({ "scop": pool }), "scop"),
        (
            "/scoring/observation-only/1.0.0/activate".to_owned(),
            json!({ "params": {}, "start": "now", "dry_run": true }),
            "dry_run",
        ),
        (
            "/scoring/observation-only/1.0.0/retire".to_owned(),
            json!({ "reason": "x", "force": true }),
            "force",
        ),
    ] {
        let (status, refused) = operator.post(&path, &body);
        assert_eq!(
            (status, &refused["error"]["details"]["field"]),
            (400, &json!(field)),
            "{path} {body}: {refused}"
        );
    }
    assert_eq!(operator.active("scoring"), ["observation-only@1.0.0"], "nothing changed");
    assert_eq!(operator.post("/scoring/rollback?scope=default", &json!({})).0, 200);
    // What the network's services send may have fields that we do not know.
    let suspend = crate::support::node::TestNode::register(&lucid, "alice", 1).id;
    let (status, body) = lucid.call(
        "POST",
        &format!("/api/v1/nodes/{suspend}/suspend?trace=1"),
        Some(&lucid.token("root", "admin")),
        Some(&json!({ "reason": "x", "ticket": 7 })),
    );
    assert_eq!(status, 200, "{body}");
}

#[test]
fn rolling_back_twice_never_brings_back_what_was_rolled_back_from() {
    let lucid = Lucid::serve_with(BY_HAND);
    let (anna, ben) = (Operator::named(&lucid, "anna"), Operator::named(&lucid, "ben"));
    anna.upload("proportional", "1.1.0");
    assert_eq!(ben.post("/payout/proportional/1.1.0/activate", &json!({})).0, 200);
    assert_eq!(anna.post("/payout/rollback", &json!({})).0, 200);
    assert_eq!(anna.active("payout"), ["proportional@1.0.0"]);
    let (status, refusal) = anna.post("/payout/rollback", &json!({}));
    assert_eq!(status, 404, "she handed it in, and it was bad: {refusal}");
    assert_eq!(anna.active("payout"), ["proportional@1.0.0"]);
    assert_eq!(anna.post("/payout/proportional/1.1.0/activate", &json!({})).0, 403);
    assert_eq!(
        ben.post("/payout/proportional/1.1.0/activate", &json!({})).0,
        200,
        "a second person can"
    );
}

#[test]
fn a_version_is_what_it_was_when_it_came() {
    let lucid = Lucid::serve_with(BY_HAND);
    let operator = Operator::named(&lucid, "root");
    let first = bundle("observation-only", "1.1.0");
    assert_eq!(operator.post("", &first).0, 201);
    assert_eq!(operator.post("", &first).0, 201, "the same again");
    let mut other = first.clone();
    other["manifest"] = json!(
        first["manifest"].as_str().unwrap().replace("description = \"", "description = \"Now ")
    );
    let mut renamed = first.clone();
    renamed["manifest"] = json!(first["manifest"].as_str().unwrap().replace("1.1.0", "1.2.0"));
    for (changed, told) in [
        (other, "exists with another content"),
        (renamed, "policy.wasm is that of observation-only@1.1.0"),
    ] {
        let (status, refusal) = operator.post("", &changed);
        assert_eq!(status, 400, "{refusal}");
        assert!(refusal["error"]["message"].as_str().unwrap().contains(told), "{refusal}");
    }
}

#[test]
fn what_the_gate_found_is_kept() {
    let lucid = Lucid::serve_with(BY_HAND);
    let operator = Operator::named(&lucid, "root");
    let mut bad = bundle("observation-weighted", "1.1.0");
    bad["component"] = json!(STANDARD.encode(b"\0asm"));
    let (status, report) = operator.post("", &bad);
    let report = &report["error"]["details"]["report"];
    assert_eq!((status, report["passed"].as_bool()), (400, Some(false)), "{report}");
    let kept = operator.get("/reports?limit=1")["reports"][0].clone();
    assert_eq!(
        (kept["actor"].as_str(), kept["cause"].as_str(), kept["checks"].clone()),
        (Some("root"), Some("upload"), report["checks"].clone())
    );
    let path = "/scoring/observation-weighted/1.0.0";
    let params = operator
        .post(&format!("{path}/check"), &json!({ "params": { "uptime-weight": 2_000_000_000 } }));
    assert_eq!((params.0, params.1["passed"].as_bool()), (200, Some(false)), "{params:?}");
    let reports = operator.get(&format!("{path}/reports"))["reports"].as_array().unwrap().clone();
    assert_eq!(
        (reports[0]["cause"].as_str(), reports[0]["params"]["uptime-weight"].as_i64()),
        (Some("check"), Some(2_000_000_000))
    );
    assert!(
        reports.iter().any(|report| report["cause"] == "activation" && report["passed"] == true),
        "{reports:?}"
    );
    let (status, refusal) =
        lucid.call("GET", "/api/v1/policies/reports?limit=0", Some(&operator.token), None);
    assert_eq!((status, refusal["error"]["details"]["field"].as_str()), (400, Some("limit")));
    let (status, refusal) =
        lucid.call("GET", "/api/v1/policies?name=%C2%84", Some(&operator.token), None);
    assert_eq!((status, refusal["error"]["details"]["field"].as_str()), (400, Some("name")));
}

fn drop_in(policies: &Path, folder: &str, version: &str) -> std::path::PathBuf {
    let content = bundle("observation-only", version);
    let dir = policies.join(folder).join(version);
    fs::create_dir_all(&dir).unwrap();
    fs::write(
        dir.join("policy.wasm"),
        STANDARD.decode(content["component"].as_str().unwrap()).unwrap(),
    )
    .unwrap();
    fs::write(dir.join("policy.toml"), content["manifest"].as_str().unwrap()).unwrap();
    dir
}

#[test]
fn files_that_come_in_pieces_or_go_away_harm_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (policies, elsewhere) = (dir.path().join("policies"), dir.path().join("elsewhere"));
    copy_dir(&root().join("policies"), &policies);
    let mut lucid = Lucid::serve_with(
        &[BY_HAND, &[("LUCID_POLICIES_DIR", policies.to_str().unwrap())]].concat(),
    );
    let versions = |lucid: &Lucid| {
        let listed = Operator::named(lucid, "root").get("?name=observation-only")["policies"]
            .as_array()
            .unwrap()
            .clone();
        let mut versions: Vec<_> =
            listed.iter().map(|v| v["policy"]["version"].as_str().unwrap().to_owned()).collect();
        versions.sort();
        versions
    };
    // In pieces, the manifest first, with pauses longer than the importer waits for silence.
    let content = bundle("observation-only", "2.0.0");
    let component = STANDARD.decode(content["component"].as_str().unwrap()).unwrap();
    let slow = policies.join("observation-only/2.0.0");
    fs::create_dir_all(&slow).unwrap();
    fs::write(slow.join("policy.toml"), content["manifest"].as_str().unwrap()).unwrap();
    eventually("the missing component to be told", || {
        lucid.process.log().contains("policy.wasm").then_some(())
    });
    let (head, _) = component.split_at(component.len() / 2);
    fs::write(slow.join("policy.wasm"), head).unwrap();
    eventually("the half component to be refused", || {
        lucid.process.log().contains("policy.wasm has sha256").then_some(())
    });
    fs::write(slow.join("policy.wasm"), &component).unwrap();
    eventually("the whole one", || (versions(&lucid) == ["1.0.0", "2.0.0"]).then_some(()));
    // Renamed, and gone: what was taken in stays.
    fs::rename(&slow, policies.join("observation-only/renamed")).unwrap();
    fs::remove_dir_all(policies.join("observation-only/1.0.0")).unwrap();
    // A link out of the folder is no bundle, nor is a bundle whose component is one.
    let outside = drop_in(&elsewhere, "observation-only", "3.0.0");
    std::os::unix::fs::symlink(&outside, policies.join("observation-only/3.0.0")).unwrap();
    let linked = drop_in(&policies, "observation-only", "4.0.0");
    fs::remove_file(linked.join("policy.wasm")).unwrap();
    let stranger = drop_in(&elsewhere, "observation-only", "4.0.0");
    std::os::unix::fs::symlink(stranger.join("policy.wasm"), linked.join("policy.wasm")).unwrap();
    drop_in(&policies, "observation-only", "5.0.0");
    eventually("the one after the links", || {
        versions(&lucid).contains(&"5.0.0".to_owned()).then_some(())
    });
    assert_eq!(versions(&lucid), ["1.0.0", "2.0.0", "5.0.0"]);
    assert!(lucid.process.log().contains("4.0.0"), "{}", lucid.process.log());
    lucid.crash_and_restart();
    assert_eq!(versions(&lucid), ["1.0.0", "2.0.0", "5.0.0"]);
    assert_eq!(Operator::named(&lucid, "root").active("scoring"), ["observation-weighted@1.0.0"]);
}
