//! Traces in the form of OpenTelemetry, for programs that are told where they go.
//!
//! Owns spans, their names to others (`traceparent`) and the way to the collector. Refuses logs: what a line of the log
//! says stays there, so that a span holds what is put into it here and nothing else. Without a collector there is no tracer,
//! and nothing is made.

mod config;
mod counts;
mod export;
mod span;
mod traceparent;
pub mod untrusted;

use std::{sync::OnceLock, time::Duration};

use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider},
};
use tokio::runtime::Handle;
use uuid::Uuid;

pub use config::TraceConfig;
pub use counts::{Counts, counts};
pub use span::{Span, carried, failed, here, note, trace_id};
pub use traceparent::TRACEPARENT;

/// Longest wait for the collector at the end; whoever stops a program does not wait long.
const FLUSH: Duration = Duration::from_millis(1500);

static TRACER: OnceLock<Tracer> = OnceLock::new();

/// What makes spans.
#[derive(Clone, Debug)]
pub struct Tracer(SdkTracer);

/// This program's tracer, once it was started with a collector.
pub fn tracer() -> Option<&'static Tracer> {
    TRACER.get()
}

/// Which program this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Strangers call it.
    Server,
    /// Its server alone tells it what to do.
    Node,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Server => "persguard",
            Self::Node => "persguard-node",
        }
    }

    /// Whoever calls a server may name a trace, but not have it kept: that is for the trace's id to say, alike
    /// everywhere. A node keeps what its server keeps.
    fn sampler(self, ratio: f64) -> Sampler {
        let by_id = Sampler::TraceIdRatioBased(ratio);
        match self {
            Self::Server => by_id,
            Self::Node => Sampler::ParentBased(Box::new(by_id)),
        }
    }
}

/// Traces that are made as long as this lives; the last ones are sent when it is dropped.
#[derive(Debug)]
#[must_use = "traces end with this"]
pub struct Traces(SdkTracerProvider);

/// Starts to make traces where a collector is configured; once for a program. Requests to it go out on `runtime`, which has to
/// outlive what this gives.
pub fn start(
    config: &TraceConfig,
    service: Service,
    runtime: &Handle,
) -> anyhow::Result<Option<Traces>> {
    let Some(url) = config.url()? else {
        return Ok(None);
    };
    // A queue of 2,048 spans that are sent every five seconds, unless OTEL_BSP_… say otherwise; what does not fit is dropped.
    let exporter = export::Exporter::to(&url, config.client()?, runtime)?;
    let processor = counts::Counting(BatchSpanProcessor::builder(exporter).build());
    let resource = Resource::builder()
        .with_service_name(service.name())
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", Uuid::now_v7().to_string()),
        ]);
    let provider = SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_sampler(service.sampler(config.otlp_sampling_ratio))
        .with_resource(resource.build())
        .build();
    let _ = TRACER.set(Tracer(provider.tracer(service.name())));
    Ok(Some(Traces(provider)))
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown_with_timeout(FLUSH) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::{
        Context,
        trace::{SpanKind, TraceContextExt},
    };
    use opentelemetry_sdk::trace::{SamplingDecision, ShouldSample};

    use super::*;

    fn kept(service: Service, ratio: f64, flags: &str) -> bool {
        let text = format!("00-{}-{}-{flags}", "f".repeat(32), "1".repeat(16));
        let caller = traceparent::parse(&text).unwrap();
        let trace = caller.trace_id();
        let parent = Context::new().with_remote_span_context(caller);
        let kind = SpanKind::Server;
        let sampler = service.sampler(ratio);
        let result = sampler.should_sample(Some(&parent), trace, "a request", &kind, &[], &[]);
        result.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn only_a_node_keeps_what_its_caller_keeps() {
        assert!(!kept(Service::Server, 0.5, "01"), "the id says no");
        assert!(kept(Service::Server, 1.0, "00"));
        assert!(kept(Service::Node, 0.5, "01"));
        assert!(!kept(Service::Node, 1.0, "00"));
    }
}
