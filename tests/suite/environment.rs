//! What the environment may hold: bytes of any kind, links of Kubernetes Services, secrets that
//! change.

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::Path,
    process::{Command, Output},
};

use lucid_model::time::TimeMs;

use crate::support::{Lucid, SECRET, eventually, node::TestNode, now_ms};

const LINKS: [(&str, &str); 6] = [
    ("LUCID_PORT", "tcp://10.96.0.7:8095"),
    ("LUCID_PORT_8095_TCP", "tcp://10.96.0.7:8095"),
    ("LUCID_PORT_8095_TCP_ADDR", "10.96.0.7"),
    ("LUCID_SERVICE_HOST", "10.96.0.7"),
    ("LUCID_SERVICE_PORT_HTTP", "8095"),
    ("NODE_MANAGEMENT_PORT", "tcp://10.96.0.8:8095"),
];

fn bad() -> &'static OsStr {
    OsStr::from_bytes(b"\xff\xfe")
}

fn lucid(args: &[&OsStr], variables: &[(&OsStr, &OsStr)]) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lucid"));
    command
        .args(args)
        .env_clear()
        .env("JWT_SECRET", SECRET)
        .envs(variables.iter().copied())
        .current_dir(dir.path());
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(!said.contains("panicked"), "{said}");
    (status.code(), said)
}

fn check(variables: &[(&OsStr, &OsStr)]) -> (Option<i32>, String) {
    lucid(&["config".as_ref(), "check".as_ref()], variables)
}

#[test]
fn bytes_that_are_no_text_make_nothing_panic() {
    let at = |name: &'static str| (OsStr::new(name), bad());
    assert_eq!(check(&[at("BAD"), (bad(), bad())]).0, Some(0));
    let (code, said) = check(&[at("BAD"), at("RUST_LOG"), at("NO_COLOR"), at("HTTP_PROXY")]);
    assert_eq!(code, Some(0), "{said}");
    for name in ["RAIL", "JWT_SECRET", "LUCID_SERVER_PORT", "MONGODB_URI"] {
        let (code, said) = check(&[at(name)]);
        assert!(
            code == Some(2) && said.contains(name) && said.contains("UTF-8"),
            "{name}: {code:?} {said}"
        );
    }
    let (code, said) =
        lucid(&["token", "issue", "--role", "viewer"].map(OsStr::new), &[at("JWT_SECRET")]);
    assert!(code == Some(2) && said.contains("UTF-8"), "{code:?} {said}");
    for args in [
        &["config", "check", "--data"][..],
        &["serve", "--data"],
        &["up", "--for", "1s", "--data"],
        &["doctor", "--data"],
        &["status", "--token-file"],
        &["audit", "verify", "--data"],
        &["policy", "check"],
        &["policy", "keygen"],
        &["store", "copy"],
        &[],
    ] {
        let args: Vec<_> = args.iter().copied().map(OsStr::new).chain([bad()]).collect();
        let (code, said) = lucid(&args, &[]);
        assert!(code == Some(2) || code == Some(1), "{args:?}: {code:?} {said}");
    }
}

#[test]
fn links_of_services_are_ignored_and_named() {
    let links: Vec<_> =
        LINKS.iter().map(|(name, value)| (OsStr::new(*name), OsStr::new(*value))).collect();
    let (code, said) = check(&links);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        LINKS.iter().all(|(name, _)| said.contains(name))
            && said.contains("enableServiceLinks: false"),
        "{said}"
    );
    assert!(!said.contains("10.96"), "no setting comes from them: {said}");
    let (code, said) = check(&[(OsStr::new("LUCID_PORT"), OsStr::new("8095"))]);
    assert!(code == Some(2) && said.contains("LUCID_PORT"), "a mistake is still one: {said}");
}

#[test]
fn a_secret_in_a_file_is_rotated_while_the_service_runs() {
    const NEXT: &str = "the next secret of the tests, 32 bytes or more";
    let dir = tempfile::tempdir().unwrap();
    let (first, previous) = (dir.path().join("jwt"), dir.path().join("previous"));
    let put = |file: &Path, text: &str| {
        let beside = dir.path().join("new");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, file).unwrap();
    };
    put(&first, SECRET);
    put(&previous, "");
    let files = [
        ("JWT_SECRET_FILE", first.to_str().unwrap()),
        ("JWT_SECRET_PREVIOUS_FILE", previous.to_str().unwrap()),
        ("JWT_SECRET", ""),
    ];
    let lucid = Lucid::serve_with(&files);
    let status = |secret: &str| {
        let token =
            lucid_api::issue_token(secret, "root", "super_admin", 600, TimeMs(now_ms())).unwrap();
        lucid.call("GET", "/api/v1/nodes", Some(&token), None).0
    };
    assert_eq!((status(SECRET), status(NEXT)), (200, 401));
    let node = TestNode::register(&lucid, "alice", 1);
    let [during, after] = [0, 1].map(|_| node.challenge(&lucid));
    put(&previous, NEXT);
    eventually("the new secret to count", || (status(NEXT) == 200).then_some(()));
    put(&first, NEXT);
    put(&previous, SECRET);
    assert_eq!(status(NEXT), 200, "whichever of the files was read");
    let (answered, token) = node.answer(&lucid, &during);
    assert_eq!(answered, 200, "challenges are sealed with the same secrets: {token}");
    put(&previous, "");
    eventually("the old secret to be over", || (status(SECRET) == 401).then_some(()));
    assert_eq!(node.answer(&lucid, &after).0, 401, "and so are its challenges");
    assert_eq!(node.answer(&lucid, &node.challenge(&lucid)).0, 200);
    put(&first, "short");
    eventually("the log", || {
        lucid
            .process
            .log()
            .contains("the new secret cannot be used: the old one stays")
            .then_some(())
    });
    assert_eq!(status(NEXT), 200);
}
