//! `active.toml` counts by what its entries mean, for a replica that starts, restarts, or is
//! another.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{activate, scoring, watching};
use crate::support::{Lucid, copy_dir, eventually, root};

/// Waits for a look at the folder that began after this: a bundle that cannot be read is complained
/// of.
fn look_again(lucid: &Lucid, policies: &Path, mark: &str) {
    fs::write(policies.join(format!("{mark}.tar")), b"not an archive").unwrap();
    eventually("a look at the folder", || {
        lucid.process.log().contains(&format!("{mark}.tar")).then_some(())
    });
}

fn by_api(lucid: &Lucid, name: &str) {
    let path = format!("/api/v1/policies/scoring/{name}/1.0.0/activate");
    let (status, active) = lucid.call(
        "POST",
        &path,
        Some(&lucid.token("root", "admin")),
        Some(&json!({ "reason": "trial" })),
    );
    assert_eq!(status, 200, "{active}");
}

fn name(scoring: &Value) -> &str {
    scoring["policy"]["name"].as_str().unwrap()
}

#[test]
fn an_entry_that_means_the_same_does_not_undo_what_the_api_did() {
    let (mut lucid, policies, _dir) = watching();
    activate(&policies, "observation-only", "1.0.0");
    eventually("the file's policy", || {
        (name(&scoring(&lucid)) == "observation-only").then_some(())
    });
    by_api(&lucid, "observation-weighted");
    // Written anew, with a comment, with another order, and with another entry.
    let entry = "# why\n[[activate]]\nversion = '1.0.0'\nkind = \"scoring\"\nname = \"observation-only\"\nscope = \"default\"\nstart = \"now\"\n";
    fs::write(policies.join("active.toml"), entry).unwrap();
    look_again(&lucid, &policies, "first");
    assert_eq!(name(&scoring(&lucid)), "observation-weighted");
    let other = "[[activate]]\nkind = \"validation\"\nname = \"hardware-and-identity\"\nversion = \"1.0.0\"\n";
    fs::write(policies.join("active.toml"), format!("{other}{entry}")).unwrap();
    look_again(&lucid, &policies, "second");
    assert_eq!(name(&scoring(&lucid)), "observation-weighted");
    lucid.crash_and_restart();
    look_again(&lucid, &policies, "third");
    assert_eq!(name(&scoring(&lucid)), "observation-weighted");
    // A changed entry counts, and so does one that was changed while the service was stopped.
    fs::write(policies.join("active.toml"), format!("{entry}params = {{ x = 1 }}\n")).unwrap();
    eventually("the complaint", || lucid.process.log().contains("has no such param").then_some(()));
    fs::write(policies.join("active.toml"), "").unwrap();
    look_again(&lucid, &policies, "fourth");
    activate(&policies, "observation-only", "1.0.0");
    eventually("the entry that came back", || {
        (name(&scoring(&lucid)) == "observation-only").then_some(())
    });
    lucid.stop_for_a_while(|| activate(&policies, "observation-weighted", "1.0.0"));
    assert_eq!(name(&scoring(&lucid)), "observation-weighted");
}

#[test]
fn replicas_with_different_files_do_not_undo_each_other() {
    let (mut lucid, first, dir) = watching();
    let second = dir.path().join("second");
    copy_dir(&root().join("policies"), &second);
    activate(&first, "observation-only", "1.0.0");
    let new = "[[activate]]\nkind = \"scoring\"\nname = \"capacity-tier\"\nversion = \"1.0.0\"\n";
    fs::write(second.join("active.toml"), new).unwrap();
    eventually("the first file's policy", || {
        (name(&scoring(&lucid)) == "observation-only").then_some(())
    });
    // One after the other at the same store: as replicas that are replaced. What nobody applied yet
    // is new.
    lucid.set("LUCID_POLICIES_DIR", second.to_str().unwrap());
    lucid.crash_and_restart();
    assert_eq!(name(&scoring(&lucid)), "capacity-tier");
    for dir in [&first, &second, &first] {
        lucid.set("LUCID_POLICIES_DIR", dir.to_str().unwrap());
        lucid.crash_and_restart();
        look_again(&lucid, dir, "again");
        fs::remove_file(dir.join("again.tar")).unwrap();
        assert_eq!(name(&scoring(&lucid)), "capacity-tier", "{}", dir.display());
    }
    // Its own change counts.
    fs::write(first.join("active.toml"), new).unwrap();
    look_again(&lucid, &first, "same");
    activate(&first, "observation-only", "1.0.0");
    eventually("the changed file's policy", || {
        (name(&scoring(&lucid)) == "observation-only").then_some(())
    });
}

#[test]
fn the_folder_is_looked_at_without_a_watch_and_that_is_told() {
    let policies = tempfile::tempdir().unwrap();
    copy_dir(&root().join("policies"), policies.path());
    let settings = [
        ("RAIL", "sandbox"),
        ("FOUR_EYES", "false"),
        ("LUCID_POLICIES_DIR", policies.path().to_str().unwrap()),
    ];
    // In a user namespace of its own, the process has no inotify instances to use.
    let without_inotify = [
        "unshare",
        "-Ur",
        "sh",
        "-c",
        "echo 0 > /proc/sys/user/max_inotify_instances && \"$0\" \"$@\"; exit $?",
    ];
    let dir = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let lucid = Lucid::start_under(&without_inotify, dir, settings);
    let alerts = || lucid.send("GET", "/health", None, None, &[]).1["checks"]["alerts"].to_string();
    eventually("the alert", || alerts().contains("policies-folder").then_some(()));
    activate(policies.path(), "observation-only", "1.0.0");
    eventually("the look anyway", || (name(&scoring(&lucid)) == "observation-only").then_some(()));
}
