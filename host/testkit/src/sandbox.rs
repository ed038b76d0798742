//! The sandbox as a process of its own, for measuring what goes through it.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

/// A process that ends with the measurement, however that ends.
pub struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The sandbox and its address. What it says after that goes nowhere: a pipe that nobody reads
/// would hold it up.
pub fn start(lucid: &str, data: &Path, more: &[&str]) -> (Ended, String) {
    let mut child = Command::new(lucid)
        .args(["sandbox", "--listen", "127.0.0.1:0"])
        .args(more)
        .arg("--data")
        .arg(data)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("sandbox: ").unwrap().to_owned();
    (Ended(child), url)
}
