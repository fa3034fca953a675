//! How many spans there were, and what became of them.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};

static ENDED: AtomicU64 = AtomicU64::new(0);
pub(crate) static SENT: AtomicU64 = AtomicU64::new(0);
pub(crate) static LOST: AtomicU64 = AtomicU64::new(0);

pub(crate) fn count(of: &AtomicU64, spans: usize) {
    of.fetch_add(spans as u64, Ordering::Relaxed);
}

/// Spans of this program since its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Over, and to be kept. What is neither sent nor lost waits, or found the queue full.
    pub ended: u64,
    /// Taken by the collector.
    pub sent: u64,
    /// Not taken by it.
    pub lost: u64,
}

/// The spans of this program.
pub fn counts() -> Counts {
    let read = |of: &AtomicU64| of.load(Ordering::Relaxed);
    Counts {
        ended: read(&ENDED),
        sent: read(&SENT),
        lost: read(&LOST),
    }
}

/// Counts what ends, before the queue drops any of it.
#[derive(Debug)]
pub(crate) struct Counting<P>(pub(crate) P);

impl<P: SpanProcessor> SpanProcessor for Counting<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.0.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            count(&ENDED, 1);
        }
        self.0.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}
