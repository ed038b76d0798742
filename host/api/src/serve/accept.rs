//! The loop that takes connections in; nothing but the shutdown ends it.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use tokio::{
    net::TcpListener,
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{Edge, connection::Connections};

/// Pause after an error that is the machine's (no file descriptors, no memory), so that it does not
/// spin.
const ERROR_PAUSE: Duration = Duration::from_millis(100);
/// A full house and an error are said again after this time: who floods us does not write our log.
const SAID_AGAIN_AFTER: Duration = Duration::from_secs(300);

/// Serves until `stopping`, then finishes what was taken in, within the grace.
pub async fn run(listener: TcpListener, routes: Router, edge: Edge, stopping: CancellationToken) {
    let (limits, certificate) = (edge.connections, edge.certificate.clone());
    let connections = Arc::new(Connections::new(routes, edge));
    let places = Arc::new(Semaphore::new(limits.connections_max.min(Semaphore::MAX_PERMITS)));
    let open = metrics::gauge!("lucid_http_connections");
    let mut running = JoinSet::new();
    if let Some(certificate) = certificate {
        running.spawn(certificate.watch(stopping.clone()));
    }
    let mut trouble = Trouble::default();
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => break,
            accepted = listener.accept() => accepted,
            Some(_) = running.join_next() => continue,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_the_peers(&error) => continue,
            Err(error) => {
                trouble.accept_failed(&error);
                tokio::select! {
                    () = stopping.cancelled() => break,
                    () = sleep(ERROR_PAUSE) => continue,
                }
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            trouble.full(limits.connections_max);
            continue;
        };
        open.increment(1.0);
        let (connections, stopping, open) =
            (Arc::clone(&connections), stopping.clone(), open.clone());
        running.spawn(async move {
            connections.serve(stream, peer.ip(), stopping).await;
            open.decrement(1.0);
            drop(place);
        });
    }
    // New connections are refused from here on.
    drop(listener);
    let finished = async { while running.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.shutdown_grace, finished).await.is_err() {
        tracing::warn!(
            grace_s = limits.shutdown_grace.as_secs(),
            connections = running.len(),
            "requests were still open at shutdown and are cut off"
        );
    }
}

/// Whether it was only this one connection.
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::ConnectionRefused
            | Kind::Interrupted
    )
}

/// What is in the way of new connections: counted each time, said now and then.
#[derive(Default)]
struct Trouble {
    full_said: Option<Instant>,
    failed_said: Option<Instant>,
}

impl Trouble {
    fn full(&mut self, connections_max: usize) {
        metrics::counter!("lucid_http_connections_refused_total").increment(1);
        if is_due(&mut self.full_said) {
            tracing::warn!(
                connections_max,
                "as many connections as server.connections_max allows are open; more are closed at once"
            );
        }
    }

    fn accept_failed(&mut self, error: &io::Error) {
        metrics::counter!("lucid_http_accept_errors_total").increment(1);
        if is_due(&mut self.failed_said) {
            tracing::error!(%error, "no connection can be accepted; it is tried again");
        }
    }
}

/// Whether something was not said for long enough; it is said now.
fn is_due(said: &mut Option<Instant>) -> bool {
    let due = said.is_none_or(|at| at.elapsed() >= SAID_AGAIN_AFTER);
    if due {
        *said = Some(Instant::now());
    }
    due
}
