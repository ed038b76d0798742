//! A MongoDB server of a measurement's own.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdin, Command, Stdio},
};

/// Ends with the measurement: the script ends its server when its standard input does.
pub struct MongoServer {
    uri: String,
    input: Option<ChildStdin>,
    script: Child,
}

impl MongoServer {
    /// Starts one; says that the measurement is skipped if none can be had.
    pub fn start() -> Option<Self> {
        let path = crate::root().join("scripts/mongo-server.sh");
        let mut script =
            Command::new(path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(script.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let input = script.stdin.take();
        if line.starts_with("mongodb") {
            return Some(Self { uri: line.trim().to_owned(), input, script });
        }
        println!("{}", line.trim());
        script.wait().unwrap();
        None
    }

    /// The URL of a database.
    pub fn database(&self, name: &str) -> String {
        let (place, options) = self
            .uri
            .split_once('?')
            .map_or((self.uri.as_str(), String::new()), |(place, options)| {
                (place, format!("?{options}"))
            });
        let (scheme, rest) = place.split_once("://").unwrap();
        format!("{scheme}://{}/lucid-bench-{name}{options}", rest.split('/').next().unwrap())
    }
}

impl Drop for MongoServer {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.script.wait();
    }
}
