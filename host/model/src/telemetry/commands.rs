//! What callers ask for, checked field by field: read by the API, taken by the service.

use crate::{
    epochs::score::Ppm,
    id::SessionId,
    telemetry::{credit::Interval, metric::Usage},
    time::TimeMs,
};

/// A sample as the node sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewSample {
    /// When it was measured; none = now.
    pub at: Option<TimeMs>,
    pub usage: Usage,
    /// Open sessions.
    pub active_sessions: u32,
    /// Seconds since the machine started.
    pub uptime_s: u64,
}

/// A session as it was claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    pub session: SessionId,
    /// From when to when.
    pub span: Interval,
    /// Claimed quality.
    pub quality: Ppm,
    /// Claimed usage.
    pub usage: Option<Usage>,
}
