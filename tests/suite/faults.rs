//! Faults of the machine: a log that nobody takes, a disk that is full, files that are gone, locked
//! or damaged, another store. The service says so within ten seconds, in words that tell one from
//! the other, and that it is over within ten seconds after it is.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{Seek as _, SeekFrom, Write as _},
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Lucid, Process, SHORT, eventually,
    mongo::MongoServer,
    node::{TestNode, work_until},
};

/// So long a fault may go unnoticed, and so long after its end it may still be told.
const NOTICED_WITHIN: Duration = Duration::from_secs(10);
/// The user of a service that is not root's.
const NOBODY: u32 = 65_534;

/// Waits until `/readyz` says so.
fn turns(lucid: &Lucid, status: u16, word: &str) {
    let since = Instant::now();
    loop {
        let found = lucid.readiness();
        if found.as_ref().is_some_and(|(found, words)| *found == status && words.contains(word)) {
            return;
        }
        assert!(
            since.elapsed() < NOTICED_WITHIN,
            "not {status} {word:?} within {NOTICED_WITHIN:?}: {found:?}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn is_ready(lucid: &mut Lucid) {
    eventually("a ready service", || {
        assert!(!lucid.process.has_ended(), "{}", lucid.process.log());
        lucid.readiness().filter(|(status, _)| *status == 200)
    });
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n")
}

fn health(lucid: &Lucid) -> Value {
    lucid.call("GET", "/health", None, None).1
}

/// While its log goes nowhere the service does all that it did before, counts what is lost, and
/// says that a person should look.
fn works_without_a_log(lucid: &mut Lucid) {
    eventually("lines that are dropped", || {
        (lucid.metric("lucid_log_lines_dropped_total") > 0.0).then_some(())
    });
    eventually("the alert", || {
        health(lucid)["checks"]["alerts"].as_str()?.contains("logs").then_some(())
    });
    assert_eq!(health(lucid)["status"], "degraded");
    let mut node = TestNode::register(lucid, "alice", 1);
    let paid = |payouts: &Value| {
        payouts["payouts"].as_array().unwrap().iter().any(|payout| payout["status"] == "completed")
    };
    work_until(lucid, &mut node, "epochs, a settlement and a payout", || {
        paid(&lucid.get("/api/v1/payouts")).then_some(())
    });
    assert_eq!(
        lucid.readiness().unwrap().0,
        200,
        "every task goes on: whoever takes the service out of service gains nothing"
    );
    let standing = lucid.get("/api/v1/payouts/status");
    let tasks = standing["tasks"].as_array().unwrap();
    assert!(tasks.len() > 15 && tasks.iter().all(|task| task["trouble"].is_null()), "{standing}");
    assert!(tasks.iter().all(|task| task["success_age_seconds"].is_u64()), "{standing}");
    assert!(!lucid.process.has_ended());
    assert_eq!(lucid.process.stop(), Some(0), "it ends as ever");
}

fn talkative() -> Vec<(&'static str, &'static str)> {
    [&SHORT[..], &[("RUST_LOG", "debug"), ("LUCID_PAYOUTS_SANDBOX_FUNDS_USDT", "1000")]].concat()
}

#[test]
fn a_log_reader_that_ends_stops_nothing() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let (reader, writer) = std::io::pipe().unwrap();
    let mut lucid = Lucid::begin_to(writer.into(), None, &dir, &talkative());
    let reading = std::thread::spawn(move || {
        std::io::copy(&mut std::io::Read::take(reader, 4_096), &mut std::io::sink())
    });
    reading.join().unwrap().unwrap();
    is_ready(&mut lucid);
    works_without_a_log(&mut lucid);
}

#[test]
fn a_log_reader_that_hangs_stops_nothing() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let (_reader, writer) = std::io::pipe().unwrap();
    let mut lucid = Lucid::begin_to(writer.into(), None, &dir, &talkative());
    is_ready(&mut lucid);
    works_without_a_log(&mut lucid);
}

#[test]
fn a_full_disk_under_the_log_stops_nothing() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut lucid = Lucid::begin_to(full.into(), None, &dir, &talkative());
    is_ready(&mut lucid);
    works_without_a_log(&mut lucid);
}

/// A file system of a few MiB, for as long as this lives.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf, mib: u32) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"])
            .arg(&at)
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(at));
        }
        println!("skipped: a test on a full disk; this user mounts nothing");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Takes room until so many bytes are left, at most.
fn fill(dir: &Path, left: u64) {
    let mut ballast = fs::File::create(dir.join("ballast")).unwrap();
    let free = || {
        let out = Command::new("df").args(["--output=avail", "-B1"]).arg(dir).output().unwrap();
        String::from_utf8(out.stdout)
            .unwrap()
            .lines()
            .nth(1)
            .unwrap()
            .trim()
            .parse::<u64>()
            .unwrap()
    };
    let block = vec![0; 1 << 20];
    while free() > left && ballast.write_all(&block).is_ok() {}
    if left == 0 {
        while ballast.write_all(&[0; 512]).is_ok() {}
    }
}

#[test]
fn a_full_disk_is_told_as_no_space_and_not_after_there_is_room() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let Some(disk) = SmallDisk::mount(dir.path().join("data"), 128) else { return };
    let mut lucid = Lucid::serve_on(&dir, &[("RAIL", "sandbox")]);
    turns(&lucid, 200, "ready");
    for (left, words) in [(16 << 20, "MiB left on its disk, 32 needed"), (0, "no space left")] {
        fill(&disk.0, left);
        turns(&lucid, 503, words);
        assert!(!lucid.readiness().unwrap().1.contains("damaged"));
        let reasons = lucid.get("/api/v1/payouts/status")["reasons"].to_string();
        assert!(reasons.contains("alert store: the store has no space left"), "{reasons}");
        fs::remove_file(disk.0.join("ballast")).unwrap();
        turns(&lucid, 200, "ready");
    }
    assert_eq!(lucid.process.stop(), Some(0));
    // Nor does it start where nothing can be written, and it says why.
    fill(&disk.0, 0);
    let mut again = Lucid::begin_under(&[], &dir, &[("RAIL".into(), "sandbox".into())]);
    let line = again.wait_for(|line| {
        (line.starts_with("lucid:") || line.contains("lucid serves")).then(|| line.to_owned())
    });
    assert!(
        line.to_lowercase().contains("no space left") || line.contains("lucid serves"),
        "{line}"
    );
    assert!(!line.contains("damaged"), "{line}");
    drop(again);
    drop(lucid);
    drop(disk);
}

#[test]
fn a_folder_that_is_removed_makes_the_service_acknowledge_nothing() {
    let mut lucid = Lucid::serve();
    turns(&lucid, 200, "ready");
    let (data, away) = (lucid.data(), lucid.data().with_extension("away"));
    fs::rename(&data, &away).unwrap();
    let pool = |name: &str| {
        lucid
            .call(
                "POST",
                "/api/v1/pools",
                Some(&lucid.token("admin", "admin")),
                Some(&serde_json::json!({ "name": name })),
            )
            .0
    };
    assert_eq!(pool("into-a-file-that-is-gone"), 503, "at once");
    turns(&lucid, 503, "core.db was removed or replaced");
    fs::rename(&away, &data).unwrap();
    turns(&lucid, 200, "ready");
    assert_eq!(pool("into-the-file-that-is-back"), 201);
    // What is left of a folder that somebody removed: nothing may be taken for it.
    fs::remove_dir_all(&data).unwrap();
    turns(&lucid, 503, "was removed or replaced");
    assert!(!lucid.process.has_ended());
    lucid.process.kill();
}

fn chown_all(path: &Path) {
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| chown_all(&entry.unwrap().path()));
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn files_that_may_not_be_used_are_told_as_no_permission() {
    if !is_root() {
        println!("skipped: a test of a service of another user; this user is not root");
        return;
    }
    let dir = Arc::new(tempfile::tempdir().unwrap());
    fs::create_dir_all(dir.path().join("data")).unwrap();
    chown_all(dir.path());
    let mut lucid = Lucid::begin_to(Stdio::null(), Some(NOBODY), &dir, &[("RAIL", "sandbox")]);
    is_ready(&mut lucid);
    let file = lucid.data().join("core.db");
    for (path, mode, usual) in [
        (file.clone(), 0o400, 0o644),
        (file.clone(), 0, 0o644),
        (lucid.data().join("telemetry.db"), 0o400, 0o644),
    ] {
        set_mode(&path, mode);
        turns(&lucid, 503, "no permission to use the store");
        assert!(!lucid.readiness().unwrap().1.contains("damaged"));
        set_mode(&path, usual);
        turns(&lucid, 200, "ready");
    }
    assert_eq!(lucid.process.stop(), Some(0));
    // And what a start says.
    for (path, mode, usual) in
        [(file.clone(), 0o400, 0o644), (file, 0, 0o644), (lucid.data(), 0o500, 0o755)]
    {
        set_mode(&path, mode);
        let log = dir.path().join("log");
        let to = fs::File::create(&log).unwrap();
        let mut refused = Lucid::begin_to(to.into(), Some(NOBODY), &dir, &[("RAIL", "sandbox")]);
        assert_eq!(refused.process.output_code(), Some(1));
        let said = fs::read_to_string(&log).unwrap();
        assert!(
            said.contains("no permission to read and write") && !said.contains("damaged"),
            "{said}"
        );
        set_mode(&path, usual);
    }
}

/// Writes what cannot be over the last pages of a file.
fn overwrite_pages(file: &Path, pages: u64) {
    let mut file = OpenOptions::new().read(true).write(true).open(file).unwrap();
    let end = file.seek(SeekFrom::End(0)).unwrap();
    let begin = end.saturating_sub(pages * 4_096).max(4_096);
    file.seek(SeekFrom::Start(begin)).unwrap();
    file.write_all(&vec![0x5a; usize::try_from(end - begin).unwrap()]).unwrap();
    file.sync_all().unwrap();
}

#[test]
fn damaged_pages_freeze_payments_while_it_runs_and_at_the_next_start() {
    let mut lucid = Lucid::serve_with(&SHORT);
    turns(&lucid, 200, "ready");
    eventually("the first check", || {
        let standing = lucid.get("/api/v1/payouts/status");
        (!standing["reasons"].to_string().contains("being checked")).then_some(())
    });
    // The log is folded into the file within half a second.
    std::thread::sleep(Duration::from_secs(1));
    overwrite_pages(&lucid.data().join("core.db"), 40);
    turns(&lucid, 503, "the store is damaged");
    let metrics = lucid.metrics();
    assert!(metrics.contains("lucid_alert_raised{about=\"store-damaged\"} 1"), "{metrics}");
    let admin = lucid.token("admin", "super_admin");
    let (status, standing) = lucid.call("GET", "/api/v1/payouts/status", Some(&admin), None);
    match status {
        200 => {
            assert_eq!(standing["safety"], "stopped", "{standing}");
            assert!(standing["store"]["damage"].is_string(), "{standing}");
        }
        // The page with the answer is one of those.
        _ => assert!(
            status == 503 && standing.to_string().contains("payments are stopped"),
            "{status} {standing}"
        ),
    }
    lucid.process.kill();
    let mut again = Lucid::begin_under(
        &[],
        lucid.dir(),
        &SHORT.map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let line = again.wait_for(|line| {
        (line.starts_with("lucid:") || line.contains("lucid serves")).then(|| line.to_owned())
    });
    if line.starts_with("lucid:") {
        assert!(line.contains("damaged"), "{line}");
        return;
    }
    lucid.base =
        serde_json::from_str::<Value>(&line).unwrap()["fields"]["url"].as_str().unwrap().to_owned();
    turns(&lucid, 503, "the store is damaged");
}

/// The freeze counts in memory, and is written as soon as it can be.
#[test]
fn damage_stops_payments_also_while_nothing_can_be_written() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let Some(disk) = SmallDisk::mount(dir.path().join("data"), 128) else { return };
    let mut lucid = Lucid::serve_on(&dir, &[("RAIL", "sandbox")]);
    turns(&lucid, 200, "ready");
    std::thread::sleep(Duration::from_secs(1));
    fill(&disk.0, 0);
    turns(&lucid, 503, "no space left");
    overwrite_pages(&lucid.data().join("telemetry.db"), 40);
    turns(&lucid, 503, "the store is damaged");
    let standing = lucid.get("/api/v1/payouts/status");
    assert_eq!(standing["safety"], "stopped", "{standing}");
    assert!(
        standing["reasons"].to_string().contains("the store is damaged, and nothing is paid"),
        "{standing}"
    );
    fs::remove_file(disk.0.join("ballast")).unwrap();
    let frozen = eventually("the freeze in the store", || {
        let payments = lucid.get("/api/v1/payouts/status")["payments"].clone();
        (payments["frozen"] == true).then_some(payments)
    });
    assert!(frozen["reason"].as_str().unwrap().contains("the store is damaged"), "{frozen}");
    // Nobody can resume what is damaged.
    let resumed = lucid.call(
        "POST",
        "/api/v1/payouts/resume",
        Some(&lucid.token("carol", "treasurer")),
        Some(&serde_json::json!({ "reason": "a test" })),
    );
    assert_eq!(resumed.0, 200, "{}", resumed.1);
    eventually("the next freeze", || {
        (lucid.get("/api/v1/payouts/status")["payments"]["frozen"] == true).then_some(())
    });
    lucid.process.kill();
    drop(lucid);
    drop(disk);
}

#[test]
fn an_empty_or_another_store_is_never_begun_with_in_silence() {
    let mut lucid = Lucid::serve();
    let first = eventually("the words of a first start", || {
        lucid
            .process
            .log()
            .lines()
            .find(|line| line.contains("a new, empty store was created"))
            .map(str::to_owned)
    });
    let store = lucid.get("/api/v1/payouts/status")["store"].clone();
    let family = store["family"].as_str().unwrap().to_owned();
    assert!(first.contains(&family) && store["created_at"].is_string(), "{first} {store}");
    let pin = lucid.data().join("secrets/family");
    assert_eq!(fs::read_to_string(&pin).unwrap().trim(), family);
    let refused = |dir: &TempDir, settings: &[(&str, &str)]| {
        let settings: Vec<_> = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let mut process = Lucid::begin_under(&[], dir, &settings);
        let line = process.wait_for(|line| {
            (line.starts_with("lucid:") || line.contains("lucid serves")).then(|| line.to_owned())
        });
        assert!(line.starts_with("lucid:"), "{line}");
        (process.output_code(), line)
    };
    // It is the same at its next start, and says nothing of a new one.
    lucid.crash_and_restart();
    assert!(!lucid.process.log().contains("a new, empty store"));
    lucid.process.stop();
    let other = "01940000-0000-7000-8000-000000000001";
    let (code, line) = refused(lucid.dir(), &[("RAIL", "sandbox"), ("LUCID_STORE_FAMILY", other)]);
    assert!(code == Some(2) && line.contains("store.family is 01940000"), "{code:?} {line}");
    let begun = lucid.data().join("begun-anew");
    fs::create_dir(&begun).unwrap();
    for file in [
        "core.db",
        "core.db-wal",
        "core.db-shm",
        "telemetry.db",
        "telemetry.db-wal",
        "telemetry.db-shm",
        "boot",
    ] {
        let _ = fs::rename(lucid.data().join(file), begun.join(file));
    }
    for _ in 0..2 {
        let (code, line) = refused(lucid.dir(), &[("RAIL", "sandbox")]);
        assert!(
            code == Some(2)
                && line.contains("is empty")
                && line.contains(&family)
                && line.contains("remove"),
            "{code:?} {line}"
        );
    }
    fs::remove_file(&pin).unwrap();
    let (code, line) =
        refused(lucid.dir(), &[("RAIL", "sandbox"), ("LUCID_STORE_FAMILY", &family)]);
    assert!(code == Some(2) && line.contains("unset store.family"), "{code:?} {line}");
    // On purpose, then.
    let lucid = Lucid::serve_on(lucid.dir(), &[("RAIL", "sandbox")]);
    assert_ne!(lucid.get("/api/v1/payouts/status")["store"]["family"], family.as_str());
}

#[test]
fn so_it_is_with_another_database() {
    let Some(mongo) = MongoServer::start() else { return };
    let (first, other) = (mongo.database(), mongo.database());
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let mut lucid = Lucid::serve_on(&dir, &[("RAIL", "sandbox"), ("MONGODB_URI", &first)]);
    turns(&lucid, 200, "ready");
    lucid.process.stop();
    let settings = [("RAIL", "sandbox"), ("MONGODB_URI", other.as_str())]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut refused = Lucid::begin_under(&[], &dir, &settings);
    let line = refused.wait_for(|line| line.starts_with("lucid:").then(|| line.to_owned()));
    assert!(line.contains("is empty"), "{line}");
    assert_eq!(refused.output_code(), Some(2));
    let lucid = Lucid::serve_on(&dir, &[("RAIL", "sandbox"), ("MONGODB_URI", &first)]);
    turns(&lucid, 200, "ready");
}

#[test]
fn a_new_store_is_an_event() {
    let dir = tempfile::tempdir().unwrap();
    let run = || {
        Process::start(
            &[
                "up",
                "--data",
                dir.path().join("data").to_str().unwrap(),
                "--port",
                "0",
                "--for",
                "2s",
                "--output",
                "json",
            ],
            &[],
            false,
        )
    };
    assert!(run().output().1.contains("store.created"));
    assert!(!run().output().1.contains("store.created"), "it is there already");
}
