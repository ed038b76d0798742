//! A MongoDB server of a test's own, and a database in it.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdin, Command, Stdio},
};

/// Ends with the test: the script ends its server when its standard input does.
pub struct MongoServer {
    uri: String,
    input: Option<ChildStdin>,
    script: Child,
}

impl MongoServer {
    /// Starts one; says that a test is skipped if none can be had.
    pub fn start() -> Option<Self> {
        let mut script = Command::new(super::root().join("scripts/mongo-server.sh")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(script.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let input = script.stdin.take();
        if line.starts_with("mongodb") {
            return Some(Self { uri: line.trim().to_owned(), input, script });
        }
        println!("skipped: a test over MongoDB; {}", line.trim());
        script.wait().unwrap();
        None
    }

    /// The URL of a database that nobody has used.
    pub fn database(&self) -> String {
        let (place, options) = self.uri.split_once('?').map_or((self.uri.as_str(), String::new()), |(place, options)| (place, format!("?{options}")));
        let (scheme, rest) = place.split_once("://").unwrap();
        format!("{scheme}://{}/lucid-suite-{}{options}", rest.split('/').next().unwrap(), uuid::Uuid::now_v7().simple())
    }
}

impl Drop for MongoServer {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.script.wait();
    }
}
