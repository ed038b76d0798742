//! The real binary as a process, and what its machine can do.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use lucid_model::time::TimeMs;
use serde_json::Value;

const SECRET: &str = "measurements only, 32 bytes or more";

pub struct Service {
    pub child: Child,
    pub base: String,
    pub dir: tempfile::TempDir,
    pub ready_in: Duration,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the service with every limit and cap off.
pub fn start_with(lucid: &Path, dir: tempfile::TempDir, more: &[(&str, &str)]) -> Service {
    let off = ["OWNER", "IP", "IPV4_24", "IPV6_64", "WALLET"]
        .map(|what| format!("LUCID_AUTH_NODES_PER_{what}_MAX"));
    let unlimited = ["ADMIN", "PAYOUTS", "POOT", "REGISTRATIONS", "OTHER"]
        .map(|class| format!("LUCID_LIMITS_{class}_PER_MIN"));
    let settings = [
        ("JWT_SECRET", SECRET),
        ("RAIL", "sandbox"),
        ("NODE_MANAGEMENT_PORT", "0"),
        ("LUCID_SERVER_BIND", "127.0.0.1"),
    ];
    let started = Instant::now();
    let mut command = Command::new(lucid);
    command
        .args(["serve", "--data"])
        .arg(dir.path().join("data"))
        .env_clear()
        .envs(settings)
        .envs(more.iter().copied());
    command.envs(off.iter().chain(&unlimited).map(|name| (name.as_str(), "0")));
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let base = loop {
        let line = lines.next().unwrap_or_else(|| panic!("the service ended")).unwrap();
        let log: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        if log["fields"]["message"] == "lucid serves" {
            break format!("http://{}", log["fields"]["address"].as_str().unwrap());
        }
    };
    let ready_in = started.elapsed();
    std::thread::spawn(move || lines.for_each(drop));
    Service { child, base, dir, ready_in }
}

impl Service {
    /// kill -9, and the same store again.
    pub fn restart(mut self, lucid: &Path) -> Self {
        let moved = tempfile::tempdir().unwrap();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::fs::rename(self.dir.path().join("data"), moved.path().join("data")).unwrap();
        start_with(lucid, moved, &[])
    }

    pub fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let kib: f64 = status
            .lines()
            .find_map(|l| l.strip_prefix("VmRSS:"))
            .unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap();
        kib / 1024.0
    }
}

pub fn now() -> TimeMs {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    TimeMs(i64::try_from(since.as_millis()).unwrap())
}

pub fn token(subject: &str, role: &str) -> String {
    lucid_api::issue_token(SECRET, subject, role, 3600, now()).unwrap()
}

/// Appends and syncs as often as it can for a second: what one durable write at a time can do here.
pub fn fsyncs_a_second(dir: &Path) -> f64 {
    let mut file = std::fs::File::create(dir.join("fsync")).unwrap();
    let (started, mut count) = (Instant::now(), 0_u32);
    while started.elapsed() < Duration::from_secs(1) {
        file.write_all(&[0; 512]).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    f64::from(count) / started.elapsed().as_secs_f64()
}

pub fn percentile(sorted: &[Duration], part: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a list of thousands"
    )]
    let place = (last as f64 * part).round() as usize;
    sorted.get(place).copied().unwrap_or_default()
}

pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
