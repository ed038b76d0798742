//! What commands make of a reader that stops reading, of folders that nobody can write, and of
//! times with an offset.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::support::{Lucid, SECRET, block_on};

fn lucid(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lucid"));
    command.args(args).env("JWT_SECRET", SECRET);
    command
}

#[test]
fn a_reader_that_stops_reading_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().display());
    drop(block_on(lucid_testkit::STORES.open(&url)).unwrap());
    for args in [
        &["config", "check", "--all"][..],
        &["config", "check", "--output", "json"],
        &["token", "issue", "--role", "admin"],
        &["ledger", "verify", "--store", &url],
        &["audit", "list", "--store", &url],
        &["policy", "inspect", concat!(env!("CARGO_MANIFEST_DIR"), "/policies/proportional/1.0.0")],
        &["--help"],
    ] {
        let mut child = lucid(args)
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(0) && said.is_empty(),
            "{args:?}: {:?} {said}",
            output.status
        );
    }
}

/// Runs a command in a place of its own where nobody can write to a folder; none where that cannot
/// be had.
fn where_nobody_writes(dir: &Path, args: &[&str]) -> Option<(Option<i32>, String)> {
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
    let run = |what: &[&str]| {
        Command::new("unshare")
            .args(["-m", "sh", "-c", script])
            .arg(dir)
            .args(what)
            .env("JWT_SECRET", SECRET)
            .output()
    };
    if !run(&["true"]).is_ok_and(|output| output.status.success()) {
        println!("skipped: a test on a read-only folder; it cannot be mounted here");
        return None;
    }
    let output = run(&[&[env!("CARGO_BIN_EXE_lucid")], args].concat()).unwrap();
    Some((
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr),
    ))
}

#[test]
fn a_store_is_verified_where_nobody_can_write() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let url = format!("sqlite://{data}");
    let store = block_on(lucid_testkit::STORES.open(&url)).unwrap();
    block_on(store.begin_paying(lucid_ports::Fence(1))).unwrap();
    let verify = ["ledger", "verify", "--data", data];
    let Some((code, said)) = where_nobody_writes(dir.path(), &verify) else { return };
    assert!(code == Some(0) && said.contains("in order"), "while a service has it open: {said}");
    // As it is after a crash, and as it is without what SQLite makes beside it.
    let copy = tempfile::tempdir().unwrap();
    let copied = copy.path().to_str().unwrap();
    for file in ["core.db", "core.db-wal"] {
        std::fs::copy(dir.path().join(file), copy.path().join(file)).unwrap();
    }
    assert!(std::fs::metadata(copy.path().join("core.db-wal")).unwrap().len() > 0);
    let (code, said) =
        where_nobody_writes(copy.path(), &["ledger", "verify", "--data", copied]).unwrap();
    assert!(
        code == Some(2) && said.contains("core.db-wal") && said.contains("copy the folder"),
        "{said}"
    );
    drop(store);
    for args in [
        &verify[..],
        &["audit", "verify", "--data", data],
        &["audit", "list", "--store", &url],
        &["upgrade", "check", "--data", data],
    ] {
        let (code, said) = where_nobody_writes(dir.path(), args).unwrap();
        assert_eq!(code, Some(0), "{args:?}: {said}");
    }
}

#[test]
fn times_with_an_offset_arrive_as_they_were_typed() {
    let service = Lucid::serve();
    let (code, said) = service.treasurer(
        "carol",
        &["statement", "--from", "2026-01-01T00:00:00+01:00", "--to", "2026-02-01T00:00:00+01:00"],
    );
    assert!(code == Some(0) && said.starts_with("entry_id,"), "{said}");
    let (code, said) = service.treasurer("carol", &["statement", "--user", "x&year=2026"]);
    assert!(code == Some(1) && said.contains("user_id"), "a value stays a value: {said}");
    let (code, said) = service.treasurer("carol", &["show", "../runs"]);
    assert!(code == Some(1) && said.contains("no such payout"), "an id stays an id: {said}");
}
