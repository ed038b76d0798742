//! Streams of events that listen while reports come.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::{
    service::{Service, ms, percentile, token},
    signed::{Node, sample},
    wire::{Wire, address, request},
};

/// Reports whose way to a stream is measured, and how far apart they are.
const TOLD_REPORTS: u32 = 500;
const TOLD_INTERVAL: Duration = Duration::from_millis(10);

/// What all streams heard together.
#[derive(Default)]
pub struct Heard {
    events: AtomicU64,
}

impl Heard {
    pub fn told(&self) -> String {
        format!("{} events told to them", self.events.load(Ordering::Relaxed))
    }
}

/// An open stream.
async fn open(service: &Service, query: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address(&service.base)).await.unwrap();
    let bytes =
        request("GET", &format!("/api/v1/events{query}"), &token("admin", "super_admin"), "");
    stream.write_all(&bytes).await.unwrap();
    let mut head = [0; 512];
    let read = stream.read(&mut head).await.unwrap();
    assert!(
        head[..read].starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&head[..read])
    );
    stream
}

/// Lets so many streams listen, each to one node, until the set is dropped.
pub async fn listen(
    service: &Service,
    nodes: &[Node],
    count: usize,
    heard: &Arc<Heard>,
) -> JoinSet<()> {
    let mut listening = JoinSet::new();
    for node in nodes.iter().cycle().take(count) {
        let mut stream = open(service, &format!("?type=metrics&node_id={}", node.id)).await;
        let heard = Arc::clone(heard);
        listening.spawn(async move {
            let mut buffer = vec![0; 8_192];
            loop {
                let read = stream.read(&mut buffer).await.unwrap();
                assert!(read > 0, "the stream ended");
                let events = buffer[..read].windows(6).filter(|six| six == b"event:").count();
                heard.events.fetch_add(events as u64, Ordering::Relaxed);
            }
        });
    }
    listening
}

/// How long after its answer a report is told, on a stream of everything.
pub async fn latency(service: &Service, nodes: &mut [Node]) {
    let mut stream = open(service, "?type=metrics").await;
    let mut wire = Wire::connect(address(&service.base)).await;
    let (told, mut telling) = tokio::sync::mpsc::unbounded_channel::<(String, Instant)>();
    let listening = tokio::spawn(async move {
        let (mut text, mut buffer) = (String::new(), vec![0; 65_536]);
        loop {
            let read = stream.read(&mut buffer).await.unwrap();
            let at = Instant::now();
            text.push_str(&String::from_utf8_lossy(&buffer[..read]));
            while let Some((event, rest)) = text.split_once("\n\n") {
                let subject = event
                    .split_once("\"subject\":\"")
                    .and_then(|(_, rest)| rest.split_once('"'))
                    .map(|(id, _)| id.to_owned());
                text = rest.to_owned();
                if let Some(subject) = subject
                    && told.send((subject, at)).is_err()
                {
                    return;
                }
            }
        }
    });
    let mut times = Vec::new();
    for place in 0..TOLD_REPORTS {
        let node = &mut nodes[place as usize];
        let report = node.report(&sample(u64::from(place)).to_string());
        assert_eq!(wire.ask(&report).await.status, 200);
        let answered = Instant::now();
        let id = node.id.to_string();
        let at = loop {
            let (subject, at) = telling.recv().await.unwrap();
            if subject == id {
                break at;
            }
        };
        times.push(at.saturating_duration_since(answered));
        tokio::time::sleep(TOLD_INTERVAL).await;
    }
    listening.abort();
    times.sort_unstable();
    println!(
        "told after its answer: p50 {:.1} ms, p99 {:.1} ms",
        ms(percentile(&times, 0.5)),
        ms(percentile(&times, 0.99))
    );
}
