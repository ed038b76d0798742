//! What the serving edge is told: who may connect, how, and how much.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tower_http::cors::CorsLayer;

use super::{
    cors,
    tls::{self, Certificate},
};
use crate::Network;

/// What of a setting cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct EdgeError {
    /// The setting, as the configuration names it.
    pub setting: &'static str,
    /// What is wrong, with the file or the value.
    pub problem: String,
}

/// Limits of what comes before a body.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// Longest URL.
    pub url_bytes_max: usize,
    /// Most header lines.
    pub headers_max: usize,
    /// All header lines together.
    pub header_bytes_max: usize,
}

/// Limits of connections.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Most open ones; what comes beyond is closed at once.
    pub connections_max: usize,
    /// Longest wait for a request's head: from the connection's begin, or from the end of the
    /// answer before.
    pub head_time_max: Duration,
    /// Longest wait for the next request on a connection that had one.
    pub idle_time_max: Duration,
    /// Longest time in which a client takes nothing of an answer that is waiting for it.
    pub stall_time_max: Duration,
    /// Longest TLS handshake.
    pub handshake_time_max: Duration,
    /// Requests that one HTTP/2 connection may have open at a time.
    pub http2_streams_max: u32,
    /// How long requests in flight may take to finish at shutdown.
    pub shutdown_grace: Duration,
}

/// A certificate chain and its key, as PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What the edge is made of.
#[derive(Debug, Clone)]
pub struct EdgeSettings {
    /// Limits of heads.
    pub head: HeadLimits,
    /// Limits of connections.
    pub connections: ConnectionLimits,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Web origins whose pages may call; none = CORS is off.
    pub cors_origins: Vec<String>,
    /// With these, only TLS is spoken.
    pub tls: Option<TlsFiles>,
}

/// The checked settings, with the certificate loaded.
#[derive(Clone)]
pub struct Edge {
    pub(super) head: HeadLimits,
    pub(super) connections: ConnectionLimits,
    pub(super) trusted_proxies: Arc<[Network]>,
    pub(super) cors: Option<CorsLayer>,
    pub(super) certificate: Option<Arc<Certificate>>,
}

impl Edge {
    /// Checks the settings and reads the certificate.
    ///
    /// # Errors
    /// [`EdgeError`] names the setting, and the file or the value.
    pub fn new(settings: EdgeSettings) -> Result<Self, EdgeError> {
        let certificate =
            settings.tls.map(|files| Certificate::load(files).map(Arc::new)).transpose();
        let certificate = certificate
            .map_err(|error| EdgeError { setting: error.setting(), problem: error.to_string() })?;
        let cors = cors::layer(&settings.cors_origins)
            .map_err(|problem| EdgeError { setting: "server.cors_origins", problem })?;
        Ok(Self {
            head: settings.head,
            connections: settings.connections,
            trusted_proxies: settings.trusted_proxies.into(),
            cors,
            certificate,
        })
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.certificate.is_some() { tls::SCHEME } else { "http" }
    }
}
