use serde::{Deserialize, Serialize};

/// `[tracing]`: spans of requests and of what the service does by itself, for a collector.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tracing {
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: where a collector takes OTLP over HTTP, `http://host:4318`;
    /// none: nothing is traced.
    pub otlp_url: Option<String>,
    /// `OTEL_TRACES_SAMPLER_ARG`, as a factor: part of the traces that begin here and are kept, in
    /// millionths. What a caller decided stands.
    pub sample_ppm: u32,
}

impl Default for Tracing {
    fn default() -> Self {
        Self { otlp_url: None, sample_ppm: 50_000 }
    }
}

impl Tracing {
    /// What cannot be, by the name of the key.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.sample_ppm > 1_000_000 {
            Err("tracing.sample_ppm: must be at most 1000000".into())
        } else {
            Ok(())
        }
    }
}
