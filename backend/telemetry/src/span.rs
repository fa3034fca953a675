//! Spans: what took how long, below what.

use std::{borrow::Cow, fmt};

use opentelemetry::{
    Context, KeyValue, Value,
    trace::{FutureExt, SpanKind, Status, TraceContextExt, Tracer as _, WithContext},
};

use crate::{Tracer, traceparent, tracer};

/// Something under way, or nothing where there are no traces. It ends when this is dropped.
#[derive(Debug, Default)]
#[must_use = "a span that is dropped has ended"]
pub struct Span(Option<Context>);

impl Tracer {
    /// A request that came in: below what its caller named, or a trace of its own.
    pub fn request(&self, name: String, caller: Option<&str>) -> Span {
        self.remote(name, SpanKind::Server, caller)
    }

    fn remote(
        &self,
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
        caller: Option<&str>,
    ) -> Span {
        let parent = match caller.and_then(traceparent::parse) {
            Some(caller) => Context::new().with_remote_span_context(caller),
            None => Context::new(),
        };
        self.start(name, kind, &parent)
    }

    fn start(&self, name: impl Into<Cow<'static, str>>, kind: SpanKind, parent: &Context) -> Span {
        let builder = self.0.span_builder(name).with_kind(kind);
        let span = self.0.build_with_context(builder, parent);
        Span(Some(parent.with_span(span)))
    }
}

impl Span {
    /// Work that somebody handed over some time ago, and said below what it belongs.
    pub fn handed_over(name: &'static str, by: Option<&str>) -> Self {
        tracer().map_or_else(Self::default, |tracer| {
            tracer.remote(name, SpanKind::Consumer, by)
        })
    }

    /// A step of what is under way here.
    pub fn step(name: &'static str) -> Self {
        tracer().map_or_else(Self::default, |tracer| {
            tracer.start(name, SpanKind::Internal, &Context::current())
        })
    }

    /// Does the work as part of this.
    pub fn within<F: Future>(&self, work: F) -> WithContext<F> {
        work.with_context(self.0.clone().unwrap_or_default())
    }

    /// The same for work that can fail.
    pub async fn attempt<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let result = self.within(work).await;
        if result.is_err() {
            self.fail("error");
        }
        result
    }

    /// Says something about it; nothing that a person wrote, and no secret.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new(key, value));
        }
    }

    /// Says that it failed, and as what.
    pub fn fail(&self, kind: impl Into<Value>) {
        if let Some(context) = &self.0 {
            fail_in(context, kind.into());
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(context) = &self.0 {
            context.span().end();
        }
    }
}

fn fail_in(context: &Context, kind: Value) {
    let span = context.span();
    span.set_attribute(KeyValue::new("error.type", kind));
    span.set_status(Status::error(""));
}

/// Says something about what is under way here.
pub fn note(key: &'static str, value: impl fmt::Display) {
    if tracer().is_some() {
        Context::map_current(|here| {
            let value = KeyValue::new(key, value.to_string());
            here.span().set_attribute(value);
        });
    }
}

/// Says that what is under way here failed, and as what.
pub fn failed(kind: &'static str) {
    if tracer().is_some() {
        Context::map_current(|here| fail_in(here, kind.into()));
    }
}

/// How others are told of what is under way here: the value of [`crate::TRACEPARENT`].
pub fn here() -> Option<String> {
    tracer()?;
    Context::map_current(|here| {
        let span = here.span();
        let context = span.span_context();
        context.is_valid().then(|| traceparent::write(context))
    })
}

/// The trace that is under way here, for the log.
pub fn trace_id() -> Option<String> {
    tracer()?;
    Context::map_current(|here| {
        let span = here.span();
        let context = span.span_context();
        context.is_valid().then(|| context.trace_id().to_string())
    })
}

/// Work that is done elsewhere as part of what is under way here.
pub fn carried<F: Future>(work: F) -> WithContext<F> {
    work.with_context(Context::current())
}
