//! Rates: many connections that ask at once, against the service or a bare axum route.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    service::{ms, percentile},
    wire::{Wire, request},
};

/// Connections that ask at once.
pub const CONNECTIONS: u32 = 64;
/// How long a rate is measured.
pub const MEASURED_FOR: Duration = Duration::from_secs(8);

/// Rates and times of one kind of request.
pub struct Measured {
    pub rate: f64,
    pub times: Vec<Duration>,
}

impl Measured {
    pub fn told(&self) -> String {
        format!(
            "{:.0}/s, p50 {:.2} ms, p99 {:.2} ms",
            self.rate,
            ms(percentile(&self.times, 0.5)),
            ms(percentile(&self.times, 0.99))
        )
    }
}

/// Lets all connections ask until told otherwise; `next` makes a connection's next request, or ends
/// it.
pub async fn measure(
    address: SocketAddr,
    connections: u32,
    expected: u16,
    next: impl Fn(u32) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> Measured {
    let next = Arc::new(next);
    let mut asking = tokio::task::JoinSet::new();
    let started = Instant::now();
    for connection in 0..connections {
        let next = Arc::clone(&next);
        asking.spawn(async move {
            let (mut wire, mut times) = (Wire::connect(address).await, Vec::new());
            while let Some(bytes) = next(connection) {
                let asked = Instant::now();
                let answer = wire.ask(&bytes).await;
                assert_eq!(answer.status, expected, "{}", String::from_utf8_lossy(answer.body));
                times.push(asked.elapsed());
            }
            times
        });
    }
    let mut times: Vec<_> = asking.join_all().await.into_iter().flatten().collect();
    let rate = f64::from(u32::try_from(times.len()).unwrap()) / started.elapsed().as_secs_f64();
    times.sort_unstable();
    Measured { rate, times }
}

/// A process of its own that answers a constant of a node's size: the most that axum does here.
pub fn serve_bare() {
    let body = "x".repeat(900);
    let answer = axum::Json(json!({ "node": body }));
    let route =
        axum::Router::new().route("/", axum::routing::get(move || async move { answer.clone() }));
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        axum::serve(listener, route).await.unwrap();
    });
}

pub async fn bare() -> Measured {
    use std::io::BufRead;
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .arg("--bare")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let until = Instant::now() + MEASURED_FOR;
    let bytes = request("GET", "/", "none", "");
    let measured = measure(line.trim().parse().unwrap(), CONNECTIONS, 200, move |_| {
        (Instant::now() < until).then(|| bytes.clone())
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
    measured
}
