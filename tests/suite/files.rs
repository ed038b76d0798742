//! What the service leaves on disk, and what its commands print of what others wrote.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use serde_json::json;

use crate::support::{Lucid, Process, SHORT, eventually, node::TestNode, now_ms};

/// Every file and folder below a folder, itself included, with its permissions.
fn modes(path: &Path) -> Vec<(String, u32)> {
    let found = fs::symlink_metadata(path).unwrap();
    let own = (path.display().to_string(), found.permissions().mode() & 0o7777);
    let inside = found
        .is_dir()
        .then(|| fs::read_dir(path).unwrap().flat_map(|entry| modes(&entry.unwrap().path())));
    std::iter::once(own).chain(inside.into_iter().flatten()).collect()
}

fn assert_private(path: &Path) {
    for (name, mode) in modes(path) {
        assert_eq!(mode & 0o077, 0, "{name} has mode {mode:04o}");
    }
}

fn holds(dir: &Path, text: &str) -> Vec<String> {
    let files =
        modes(dir).into_iter().map(|(name, _)| name).filter(|name| Path::new(name).is_file());
    files
        .filter(|name| {
            fs::read(name).unwrap().windows(text.len()).any(|bytes| bytes == text.as_bytes())
        })
        .collect()
}

fn run(args: &[&str]) -> (Option<i32>, String) {
    let output = Process::start(args, &[], false).output();
    assert_ne!(output.0, None, "{args:?}: {}", output.1);
    output
}

#[test]
fn a_service_keeps_its_files_to_itself_and_its_webhook_secrets_sealed() {
    let mut settings = SHORT.to_vec();
    settings.extend([("LUCID_WEBHOOKS_INSIDE", "true")]);
    let mut lucid = Lucid::serve_with(&settings);
    let data = lucid.data();
    let root = lucid.token("root", "super_admin");
    let webhook = json!({ "url": "http://127.0.0.1:9/", "events": ["node.registered"] });
    let (status, made) = lucid.call("POST", "/api/v1/webhooks", Some(&root), Some(&webhook));
    assert_eq!(status, 201, "{made}");
    let secret = made["secret"].as_str().unwrap().to_owned();
    TestNode::register(&lucid, "alice", 1);
    assert!(data.join("core.db-wal").exists() && data.join("secrets/seal.key").exists());
    assert_private(&data);
    assert_eq!(holds(&data, &secret), Vec::<String>::new());

    let (data_text, dir) = (data.to_str().unwrap().to_owned(), lucid.dir().path().to_owned());
    let (backup, copy) = (dir.join("backup"), dir.join("copy"));
    let (code, said) = run(&["store", "backup", "--data", &data_text, backup.to_str().unwrap()]);
    assert!(code == Some(0) && said.contains("secrets/ is not in it"), "{said}");
    assert_private(&backup);
    let mut copied = String::new();
    let key = fs::read_to_string(data.join("secrets/seal.key")).unwrap();
    lucid.stop_for_a_while(|| {
        let (from, to) = (format!("sqlite://{data_text}"), format!("sqlite://{}", copy.display()));
        let (code, said) = run(&["store", "copy", &from, &to]);
        assert_eq!(code, Some(0), "{said}");
        copied = said;
        assert_private(&copy);
        assert_eq!(holds(&copy, &secret), Vec::<String>::new());
        // As an older version left it; and a folder that others may read.
        let core = rusqlite::Connection::open(data.join("core.db")).unwrap();
        assert_eq!(core.execute("UPDATE webhooks SET sealed_secret = ?", [&secret]).unwrap(), 1);
        drop(core);
        assert_eq!(holds(&data, &secret).len(), 1, "in clear");
        fs::set_permissions(data.join("core.db"), fs::Permissions::from_mode(0o644)).unwrap();
    });
    assert!(
        copied.contains("webhook secrets are sealed with key ")
            && copied.contains("take secrets/seal.key"),
        "{copied}"
    );
    let log = lucid.process.log();
    assert!(
        log.contains("(mode 0644): run chmod -R go-rwx ")
            && log.contains("webhook secrets were sealed"),
        "{log}"
    );
    lucid.stop_for_a_while(|| {
        assert_eq!(
            holds(&data, &secret),
            Vec::<String>::new(),
            "sealed at the start, and nothing is left of it"
        );
        fs::remove_file(data.join("secrets/seal.key")).unwrap();
    });
    // Without its key: said, nothing is signed wrongly, and nothing is sealed that another replica
    // could not open.
    eventually("the alert", || {
        lucid.process.log().contains("restore secrets/seal.key").then_some(())
    });
    let (status, told) = lucid.call("POST", "/api/v1/webhooks", Some(&root), Some(&webhook));
    assert!(
        status == 503 && told.to_string().contains("restore secrets/seal.key"),
        "{status} {told}"
    );
    lucid.stop_for_a_while(|| fs::write(data.join("secrets/seal.key"), &key).unwrap());
    assert_eq!(lucid.call("POST", "/api/v1/webhooks", Some(&root), Some(&webhook)).0, 201);
}

#[test]
fn what_others_wrote_stays_within_its_line() {
    let mut lucid = Lucid::serve();
    let forged = format!("mallory\n{}  root  payout.resolve  forged\u{1b}[1A\u{202e}", now_ms());
    let token = lucid.token(&forged, "super_admin");
    let reason = json!({ "reason": "a breach\u{202e}\u{2066}" });
    let (status, answer) =
        lucid.call("POST", "/api/v1/payouts/freeze", Some(&token), Some(&reason));
    assert!(status == 200 || status == 202, "{status} {answer}");
    let file = lucid.dir().path().join("token");
    fs::write(&file, lucid.token("root", "super_admin")).unwrap();
    let remote = ["--server", &lucid.base.clone(), "--token-file", file.to_str().unwrap()];
    let mut said = Vec::new();
    for command in [&["audit", "list"][..], &["audit", "list", "--output", "json"], &["status"]] {
        said.push(run(&[command, &remote].concat()).1);
    }
    said.push(lucid.process.log());
    lucid.process.stop();
    let store = format!("sqlite://{}", lucid.data().display());
    said.push(run(&["audit", "list", "--store", &store]).1);
    for text in &said {
        assert!(
            text.chars().all(|c| c == '\n' || !(c.is_control() || "\u{202e}\u{2066}".contains(c))),
            "{text:?}"
        );
        assert!(
            !text.lines().any(|line| line.contains("forged") && !line.contains("mallory")),
            "{text}"
        );
    }
    assert!(
        said[0].contains(r"mallory\n")
            && said[0].contains(r"forged\u001b[1A\u202e")
            && said[0].contains(r"a breach\u202e\u2066"),
        "{}",
        said[0]
    );
}
