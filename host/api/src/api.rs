use std::{sync::Arc, time::Duration};

use lucid_api_types::policies::{UPLOAD_BYTES_MAX, UPLOAD_PATH};
use lucid_ports::RateLimiter;
use lucid_service::Service;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use crate::{Authenticator, Feed, Scraping, Streams, Uploads};

/// Limits of a request.
#[derive(Debug, Clone, Copy)]
pub struct ApiLimits {
    /// Longest body, in bytes.
    pub body_bytes_max: usize,
    /// Longest time a request may take, event streams apart.
    pub request_time_max: Duration,
}

impl ApiLimits {
    /// Longest body of a request, in bytes: bundles are larger than all else.
    pub fn body_bytes_max_of(&self, path: &str) -> usize {
        if path == UPLOAD_PATH { UPLOAD_BYTES_MAX } else { self.body_bytes_max }
    }
}

/// What every route sees.
pub struct Api {
    /// The use cases.
    pub service: Arc<Service>,
    /// Who may call.
    pub auth: Authenticator,
    /// How often.
    pub limiter: Arc<dyn RateLimiter>,
    /// Limits of a request.
    pub limits: ApiLimits,
    /// Renders `/metrics`.
    pub metrics: PrometheusHandle,
    /// Who may have them, besides callers who see all records.
    pub scraping: Scraping,
    /// Names this process's stream of events.
    pub stream: String,
    /// Events of this process and of other replicas, for the streams of this one.
    pub feed: Feed,
    /// How many of those each caller has open.
    pub streams: Streams,
    /// Who may hand a bundle in now: it is held in memory as a whole.
    pub uploads: Uploads,
    /// Cancelled when the process stops: streams end then, or they would keep it alive.
    pub stopping: CancellationToken,
    /// `sandbox` or `live`: shown by `/health`, so that nobody mistakes one for the other.
    pub environment: &'static str,
}

/// How routes hold it.
pub type Shared = Arc<Api>;
