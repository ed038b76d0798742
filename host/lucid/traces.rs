//! Traces: what a request or a step of work consists of, told to a collector over OTLP.

use std::time::Duration;

use anyhow::Context as _;
use lucid_ports::TRACE;
use opentelemetry::{KeyValue, global, trace::TracerProvider as _};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracerProvider},
};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

use crate::config::Tracing;

/// For one batch of spans.
const EXPORT_TIME_MAX: Duration = Duration::from_secs(5);

/// Sends what is left when it goes.
pub struct Traces(Option<SdkTracerProvider>);

impl Drop for Traces {
    fn drop(&mut self) {
        // A collector that is away keeps nobody from stopping.
        if let Some(Err(error)) =
            self.0.as_ref().map(|provider| provider.shutdown_with_timeout(EXPORT_TIME_MAX))
        {
            tracing::debug!(%error, "the last spans were not sent");
        }
    }
}

/// Nothing is traced.
pub fn none() -> Traces {
    Traces(None)
}

/// What takes spans and sends them, if a collector is configured.
///
/// # Errors
/// The client cannot be built.
pub fn layer<S>(config: &Tracing) -> anyhow::Result<Option<(impl Layer<S> + use<S>, Traces)>>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    let Some(url) = &config.otlp_url else { return Ok(None) };
    let provider = provider(url, config.sample_ppm)
        .with_context(|| format!("tracing.otlp_url (OTEL_EXPORTER_OTLP_ENDPOINT): {url}"))?;
    global::set_text_map_propagator(TraceContextPropagator::new());
    let spans = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("lucid"))
        .with_location(false)
        .with_threads(false);
    let ours = Targets::new().with_target(TRACE, LevelFilter::TRACE);
    Ok(Some((spans.with_filter(ours), Traces(Some(provider)))))
}

fn provider(url: &str, sample_ppm: u32) -> anyhow::Result<SdkTracerProvider> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::blocking::Client::builder().timeout(EXPORT_TIME_MAX).no_proxy();
    // Plain HTTP inside a network needs no certificates of the machine, which may have none.
    let builder = if url.starts_with("http://") { builder.tls_certs_only([]) } else { builder };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(builder.build()?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", url.trim_end_matches('/')))
        .build()?;
    // A caller that samples decides for what it calls, too.
    let sampler =
        Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(f64::from(sample_ppm) / 1e6)));
    let resource = Resource::builder()
        .with_service_name("lucid-node-management")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", uuid::Uuid::now_v7().to_string()))
        .build();
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(sampler)
        .with_resource(resource)
        .build())
}
