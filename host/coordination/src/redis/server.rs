//! A Redis of a test's own.

use std::{
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Longest wait for its start.
const PATIENCE: Duration = Duration::from_secs(20);
/// Tests that could not be run here.
static SKIPPED: AtomicU32 = AtomicU32::new(0);

/// A `redis-server` process that keeps nothing; killed when dropped.
pub(super) struct RedisServer {
    child: Child,
    port: u16,
    dir: TempDir,
    arguments: Vec<String>,
}

impl RedisServer {
    /// Starts one, if there is one to start.
    pub(super) fn start() -> Option<Self> {
        Self::start_with(|_| Vec::new())
    }

    /// The same with more arguments, some of which may name files in its folder.
    pub(super) fn start_with(arguments: impl FnOnce(&Path) -> Vec<String>) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let arguments = arguments(dir.path());
        let Some(child) = spawn(port, &dir, &arguments) else {
            let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
            println!("skipped: a test over Redis ({count} so far); there is no redis-server");
            return None;
        };
        let server = Self { child, port, dir, arguments };
        server.wait();
        Some(server)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Tells it something, as its operator.
    pub(super) fn tell(&self, words: &[&str]) {
        self.tell_as("", words);
    }

    /// The same as a user, `name:password@`.
    pub(super) fn tell_as(&self, user: &str, words: &[&str]) {
        let mut connection = redis::Client::open(format!("redis://{user}127.0.0.1:{}/", self.port))
            .unwrap()
            .get_connection()
            .unwrap();
        let (name, rest) = words.split_first().unwrap();
        redis::cmd(name).arg(rest).query::<redis::Value>(&mut connection).unwrap();
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// SIGKILL: what it knew is gone.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The same place, nothing remembered.
    pub(super) fn start_again(&mut self) {
        self.child = spawn(self.port, &self.dir, &self.arguments).unwrap();
        self.wait();
    }

    /// SIGSTOP or SIGCONT.
    pub(super) fn signal(&self, signal: &str) {
        let status =
            Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    fn wait(&self) {
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(started.elapsed() < PATIENCE, "Redis does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody uses.
pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn spawn(port: u16, dir: &TempDir, arguments: &[String]) -> Option<Child> {
    let mut command = Command::new("redis-server");
    command
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ])
        .args(arguments)
        .current_dir(dir.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
}
