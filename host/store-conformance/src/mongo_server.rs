//! One server a test process, which ends with it.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use uuid::Uuid;

/// The script ends the server when its standard input ends: with this process, however that ends.
struct Server {
    uri: Option<String>,
    _script: Child,
}

static SERVER: OnceLock<Server> = OnceLock::new();

/// Where the server is; none where none can be had, which is said once.
fn uri() -> Option<&'static str> {
    SERVER.get_or_init(start).uri.as_deref()
}

#[expect(
    clippy::explicit_write,
    reason = "the test harness keeps what a test that passes says by a macro to itself"
)]
fn start() -> Server {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/mongo-server.sh");
    let mut script =
        Command::new(&path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(script.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let line = line.trim();
    let uri = line.starts_with("mongodb").then(|| line.to_owned());
    if uri.is_none() {
        writeln!(std::io::stderr(), "skipped: the MongoDB backend's tests (1): {line}").unwrap();
    }
    Server { uri, _script: script }
}

/// The URI with another database in it.
pub fn with_database(uri: &str, database: &str) -> String {
    let (place, options) = uri
        .split_once('?')
        .map_or((uri, String::new()), |(place, options)| (place, format!("?{options}")));
    let (scheme, rest) = place.split_once("://").unwrap();
    let hosts = rest.split('/').next().unwrap();
    format!("{scheme}://{hosts}/{database}{options}")
}

/// The URL of a database that nobody has used; none where no server can be had.
pub fn fresh() -> Option<String> {
    Some(with_database(uri()?, &format!("lucid-test-{}", Uuid::now_v7().simple())))
}
