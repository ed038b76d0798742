use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use lucid_api::Network;
use serde::{Deserialize, Serialize};

/// `[server]`: the HTTP API.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSection {
    /// Address to listen on.
    pub bind: IpAddr,
    /// `NODE_MANAGEMENT_PORT`.
    pub port: u16,
    /// Longest request body.
    pub body_bytes_max: usize,
    /// Longest URL.
    pub url_bytes_max: usize,
    /// Most headers of a request.
    pub headers_max: usize,
    /// Longest headers of a request, all together.
    pub header_bytes_max: usize,
    /// Longest time a request may take, its body's arrival included.
    pub request_time_max_s: u64,
    /// Longest wait for the head of a connection's first request.
    pub head_time_max_s: u64,
    /// Longest wait for the next request, its head included, on a connection that is kept open:
    /// more than twice the 30 s after which agents report again.
    pub idle_time_max_s: u64,
    /// Longest time in which a client takes nothing of an answer that waits for it.
    pub stall_time_max_s: u64,
    /// Longest TLS handshake.
    pub tls_handshake_time_max_s: u64,
    /// How long requests in flight may take to finish at shutdown: less than the 10 s after which
    /// containers are killed.
    pub shutdown_grace_s: u64,
    /// Most open connections; more are closed at once. Less, if the limit of open files does not
    /// allow for it.
    pub connections_max: usize,
    /// Most requests that one HTTP/2 connection may have open at a time.
    pub http2_streams_max: u32,
    /// Proxies, by address or block (`10.0.0.0/8`, `fd00::/8`), whose `X-Forwarded-For` says who
    /// the client is.
    pub trusted_proxies: Vec<Network>,
    /// Web origins (`https://console.example.org`) whose pages may call the API; none = CORS is
    /// off.
    pub cors_origins: Vec<String>,
    /// A file with a token that `GET /metrics` takes, besides those of callers who see all records.
    pub metrics_token_file: Option<PathBuf>,
    /// Whether `GET /metrics` takes no token at all. `lucid up` does so.
    pub metrics_open: bool,
    /// A port that has nothing but `GET /metrics`, without a token; 0 = none. For a network that
    /// only the monitoring is in.
    pub metrics_port: u16,
    /// Certificate chain, PEM; with it and the key, only HTTPS is spoken. Read again when it
    /// changes.
    pub tls_cert_file: Option<PathBuf>,
    /// The certificate's private key, PEM.
    pub tls_key_file: Option<PathBuf>,
    /// Threads that answer requests; 0 = one a core.
    pub threads: usize,
}

impl Default for ServerSection {
    fn default() -> Self {
        Self {
            bind: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: 8095,
            body_bytes_max: 1024 * 1024,
            url_bytes_max: 4 * 1024,
            headers_max: 64,
            header_bytes_max: 16 * 1024,
            request_time_max_s: 30,
            head_time_max_s: 20,
            idle_time_max_s: 75,
            stall_time_max_s: 30,
            tls_handshake_time_max_s: 10,
            shutdown_grace_s: 7,
            connections_max: 16_384,
            http2_streams_max: 100,
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            metrics_token_file: None,
            metrics_open: false,
            metrics_port: 0,
            tls_cert_file: None,
            tls_key_file: None,
            threads: 0,
        }
    }
}
