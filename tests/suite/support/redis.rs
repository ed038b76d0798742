//! A Redis of a test's own, which may be killed under the service.

use std::{
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::{eventually, free_port};

/// A `redis-server` process that keeps nothing; killed when dropped.
pub struct RedisServer {
    child: Child,
    port: u16,
    dir: TempDir,
}

impl RedisServer {
    /// Starts one; says that a test is skipped if there is none to start.
    pub fn start() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let Some(child) = spawn(port, &dir) else {
            println!("skipped: a test over Redis; there is no redis-server");
            return None;
        };
        let server = Self { child, port, dir };
        server.wait();
        Some(server)
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// SIGKILL: what it knew is gone.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The same place, nothing remembered.
    pub fn start_again(&mut self) {
        self.child = spawn(self.port, &self.dir).unwrap();
        self.wait();
    }

    fn wait(&self) {
        eventually("Redis", || TcpStream::connect(("127.0.0.1", self.port)).ok());
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(port: u16, dir: &TempDir) -> Option<Child> {
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
        .current_dir(dir.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
}
