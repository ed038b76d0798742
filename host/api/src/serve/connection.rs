//! One connection, from the handshake to its end.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{
    Edge,
    activity::{Activity, AnswerBody},
    forwarded, unread,
};

/// How much higher the HTTP library's limits of heads are than ours.
const ROOM: usize = 4;
/// The least buffer that the HTTP library can work with.
const BUFFER_BYTES_MIN: usize = 8 * 1024;
/// How often an HTTP/2 connection is asked whether it is still there, and how long the answer may
/// take.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIME_MAX: Duration = Duration::from_secs(10);
/// Streams of an HTTP/2 connection that were opened and cancelled at once and wait to be forgotten;
/// one that has more is closed. The second limit is of streams that we cancelled because of what
/// was sent on them.
const RESET_STREAMS_MAX: usize = 20;
const FAULTY_STREAMS_MAX: usize = 100;
/// What an HTTP/2 stream may have waiting to be sent.
const STREAM_SEND_BYTES_MAX: usize = 64 * 1024;
/// How long a connection that was told to end may take for it while nothing is open on it.
const ENDING_TIME_MAX: Duration = Duration::from_secs(1);

type Http = auto::Builder<TokioExecutor>;

/// What all connections share.
pub struct Connections {
    http: Http,
    routes: Router,
    edge: Edge,
}

impl Connections {
    /// Prepares what is the same for all.
    pub fn new(routes: Router, edge: Edge) -> Self {
        let head_bytes = (edge.head.url_bytes_max + edge.head.header_bytes_max)
            .saturating_mul(ROOM)
            .max(BUFFER_BYTES_MIN);
        let mut http = Http::new(TokioExecutor::new());
        // HTTP/1 gets no timer: waiting for a head is limited here, the same way for both versions.
        http.http1()
            .max_buf_size(head_bytes)
            .max_headers(edge.head.headers_max.saturating_mul(ROOM));
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(edge.connections.http2_streams_max)
            .max_header_list_size(u32::try_from(head_bytes).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(RESET_STREAMS_MAX)
            .max_local_error_reset_streams(FAULTY_STREAMS_MAX)
            .max_send_buf_size(STREAM_SEND_BYTES_MAX)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIME_MAX);
        Self { http, routes, edge }
    }

    /// Serves a connection to its end: its own, or when it is told to stop and nothing is open any
    /// more.
    pub async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        peer: IpAddr,
        stopping: CancellationToken,
    ) {
        // An answer is written at once; waiting for more of it only delays it.
        let _ = stream.set_nodelay(true);
        let Some(certificate) = &self.edge.certificate else {
            return self.speak(stream, peer, &stopping).await;
        };
        let handshake = timeout(
            self.edge.connections.handshake_time_max,
            certificate.acceptor().accept(stream),
        );
        let shaken = tokio::select! {
            shaken = handshake => shaken,
            () = stopping.cancelled() => return,
        };
        match shaken {
            Ok(Ok(stream)) => self.speak(stream, peer, &stopping).await,
            Ok(Err(error)) => {
                metrics::counter!("lucid_tls_handshake_failures_total").increment(1);
                tracing::debug!(%error, %peer, "a TLS handshake failed");
            }
            Err(_) => {
                metrics::counter!("lucid_tls_handshake_failures_total").increment(1);
                tracing::debug!(%peer, "a TLS handshake took too long");
            }
        }
    }

    async fn speak(
        &self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: IpAddr,
        stopping: &CancellationToken,
    ) {
        let activity = Activity::new();
        let service = service_fn(|request: Request<Incoming>| {
            let open = activity.begin();
            let (mut request, unread): (Request<Body>, _) = unread::watched(request);
            let client = forwarded::client(peer, request.headers(), &self.edge.trusted_proxies);
            request.extensions_mut().insert(client);
            let answered = self.routes.clone().oneshot(request);
            async move {
                let mut response = answered.await?;
                if let Some(unread) = unread {
                    unread.settle(&mut response).await;
                }
                Ok::<_, Infallible>(response.map(|body| AnswerBody::new(body, open)))
            }
        });
        let connection = self.http.serve_connection(TokioIo::new(io), service);
        tokio::pin!(connection);
        let limits = self.edge.connections;
        let mut ending = false;
        let check = sleep_until(Instant::now() + limits.head_time_max.min(limits.stall_time_max));
        tokio::pin!(check);
        loop {
            tokio::select! {
                // What a client does wrong is the client's business: the library has answered it if
                // it can be.
                _ = connection.as_mut() => return,
                () = stopping.cancelled(), if !ending => {}
                () = check.as_mut() => {
                    let now = Instant::now();
                    if activity.untaken_since().is_some_and(|since| since + limits.stall_time_max <= now) {
                        tracing::debug!(%peer, "a client takes nothing of its answer");
                        return;
                    }
                    let patience = match (ending, activity.had_requests()) {
                        (true, _) => ENDING_TIME_MAX,
                        (false, true) => limits.idle_time_max,
                        (false, false) => limits.head_time_max,
                    };
                    let due = activity.quiet_since().unwrap_or(now) + patience;
                    if due > now {
                        check.as_mut().reset(due.min(now + limits.stall_time_max));
                        continue;
                    }
                    if ending {
                        return;
                    }
                }
            }
            ending = true;
            connection.as_mut().graceful_shutdown();
            check.as_mut().reset(Instant::now() + ENDING_TIME_MAX);
        }
    }
}
