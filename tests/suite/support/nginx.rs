//! An nginx of a test's own, which sends each request to the next of several services.

use std::{
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::{eventually, free_port};

/// Killed when dropped.
pub struct Nginx {
    child: Child,
    pub url: String,
    _dir: TempDir,
}

impl Nginx {
    /// Starts one before services at these ports; says that a test is skipped if there is none to
    /// start.
    pub fn before(ports: &[u16]) -> Option<Self> {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let services: String = ports
            .iter()
            .map(|port| format!("server 127.0.0.1:{port} max_fails=1 fail_timeout=1s; "))
            .collect();
        let place = dir.path().display();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {place}/{name};"))
            .join(" ");
        // One worker, so that the turn is everybody's. What was sent to a service that is gone is
        // sent to the next: reports are numbered.
        let configuration = format!(
            "user root; worker_processes 1; daemon off; pid {place}/pid; error_log {place}/error.log;\nevents {{}}\nhttp {{ {temporary} access_log off;\n\
             upstream lucid {{ {services} }}\n\
             server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://lucid; proxy_next_upstream error timeout http_502 non_idempotent; }} }} }}\n"
        );
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let mut command = Command::new("nginx");
        command
            .arg("-c")
            .arg(&file)
            .arg("-p")
            .arg(dir.path())
            .arg("-e")
            .arg(dir.path().join("error.log"));
        let Ok(child) =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
        else {
            println!("skipped: a test behind a proxy; there is no nginx");
            return None;
        };
        let nginx = Self { child, url: format!("http://127.0.0.1:{port}"), _dir: dir };
        eventually("nginx", || TcpStream::connect(("127.0.0.1", port)).ok());
        Some(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM, since a master that is killed leaves its worker.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}
