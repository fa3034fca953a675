//! The way to the collector: nobody waits for it, and its absence is told now and then.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response, ResponseBodyTooLarge};
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use reqwest::{Certificate, Url, redirect::Policy};
use tokio::runtime::Handle;

use crate::counts::{LOST, SENT, count};

/// A collector answers at once; it has a queue of its own.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Between two lines of the log about one that does not.
const SILENCE: Duration = Duration::from_mins(1);
/// An answer says how many spans were refused and why.
const MAX_ANSWER: usize = 64 * 1024;

/// Sends requests on the program's own runtime: the exporter's thread has none.
#[derive(Debug)]
struct Line {
    http: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Line {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let sent = self.runtime.spawn(send(http, request));
        let answer = sent.await?;
        if let Err(error) = &answer {
            tracing::debug!(%error, "the collector does not answer");
        }
        answer
    }
}

async fn send(
    http: reqwest::Client,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    let mut answer = http.execute(request.try_into()?).await?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(Box::new(ResponseBodyTooLarge::new()));
        }
        body.extend_from_slice(&chunk);
    }
    let mut whole = Response::new(Bytes::from(body));
    *whole.status_mut() = answer.status();
    *whole.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(whole)
}

/// What was lost since the log was told of it.
#[derive(Debug, Default)]
struct Losses {
    told: Option<Instant>,
    spans: usize,
}

impl Losses {
    /// How many spans to tell of, if it is time to.
    fn add(&mut self, spans: usize, now: Instant) -> Option<usize> {
        self.spans += spans;
        if self.told.is_some_and(|told| now - told < SILENCE) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.spans))
    }
}

/// What speaks to a collector, and trusts these authorities beside the well-known ones.
pub(crate) fn client(authorities: Vec<Certificate>) -> reqwest::Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(Policy::none());
    let builder = authorities
        .into_iter()
        .fold(builder, reqwest::ClientBuilder::add_root_certificate);
    builder.build()
}

/// An exporter whose failures are nobody's but the log's.
#[derive(Debug)]
pub(crate) struct Exporter {
    inner: opentelemetry_otlp::SpanExporter,
    losses: Mutex<Losses>,
}

impl Exporter {
    /// Prepares the way to a collector.
    pub(crate) fn to(url: &Url, http: reqwest::Client, runtime: &Handle) -> anyhow::Result<Self> {
        let line = Line {
            http,
            runtime: runtime.clone(),
        };
        let inner = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(line)
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(TIMEOUT)
            .with_endpoint(url.as_str())
            .build()?;
        Ok(Self {
            inner,
            losses: Mutex::default(),
        })
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.inner.export(batch).await;
        count(if result.is_ok() { &SENT } else { &LOST }, spans);
        if let Err(error) = &result {
            let mut losses = self.losses.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(spans) = losses.add(spans, Instant::now()) {
                tracing::warn!(%error, spans, "the collector takes no traces; they are lost");
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_told_once_a_minute_and_all_of_them() {
        let (mut losses, start) = (Losses::default(), Instant::now());
        assert_eq!(losses.add(3, start), Some(3));
        for second in 1..60 {
            assert_eq!(losses.add(2, start + Duration::from_secs(second)), None);
        }
        assert_eq!(losses.add(1, start + SILENCE), Some(59 * 2 + 1));
        assert_eq!(losses.add(1, start + SILENCE), None);
    }
}
