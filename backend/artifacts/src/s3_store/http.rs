//! Signed requests on their way to the bucket: sent again while another try can help, and told apart when it cannot.

use std::{future::Future, time::Duration};

use reqwest::{
    Method, Response, StatusCode,
    header::{DATE, HeaderMap},
};
use s3::{AddressingStyle, Client};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use super::{keys, settings::S3Settings, xml};
use crate::Error;

/// Longest silence of the service.
const SILENCE: Duration = Duration::from_secs(30);
/// Tries of one request: with the pauses between them about ten seconds of patience.
const TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// How long a request that this process sends itself may be on its way.
const OWN_LIFETIME: Duration = Duration::from_mins(15);
/// Services accept requests whose date differs from theirs by up to 15 minutes.
const MOST_SKEW_SECONDS: i64 = 15 * 60;

/// A request about one key.
#[derive(Clone, Debug)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// Empty for the bucket itself.
    pub(super) key: &'a str,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: bytes::Bytes,
    /// What it does, for people.
    pub(super) action: &'static str,
}

impl<'a> Call<'a> {
    pub(super) fn new(method: Method, key: &'a str, action: &'static str) -> Self {
        Self {
            method,
            key,
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: bytes::Bytes::new(),
            action,
        }
    }
}

/// The bucket, over HTTP.
#[derive(Clone)]
pub(super) struct Http {
    pub(super) bucket: String,
    pub(super) client: Client,
    /// Signs for the address under which others reach the service.
    outside: Client,
    sender: reqwest::Client,
    tries: u32,
}

impl Http {
    pub(super) fn new(settings: &S3Settings) -> Result<Self, Error> {
        let public = settings.public_endpoint.as_ref();
        let sender = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .read_timeout(SILENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Error::Settings(error.to_string()))?;
        Ok(Self {
            bucket: settings.bucket.clone(),
            client: client(&settings.endpoint, settings)?,
            outside: client(public.unwrap_or(&settings.endpoint), settings)?,
            sender,
            tries: TRIES,
        })
    }

    /// The same without patience, for whoever wants to know what goes wrong.
    pub(super) fn impatient(&self) -> Self {
        Self {
            tries: 1,
            ..self.clone()
        }
    }

    /// Signs a request that somebody else sends.
    pub(super) async fn sign_for_others(
        &self,
        call: &Call<'_>,
        lifetime: Duration,
    ) -> Result<s3::types::PresignedRequest, Error> {
        self.sign(&self.outside, call, lifetime).await
    }

    async fn sign(
        &self,
        client: &Client,
        call: &Call<'_>,
        lifetime: Duration,
    ) -> Result<s3::types::PresignedRequest, Error> {
        let objects = client.objects();
        let mut request = objects.presign(call.method.clone(), &self.bucket, call.key);
        for (name, value) in &call.query {
            request = request.query_param(*name, value);
        }
        for (name, value) in &call.headers {
            request = request.header(name.clone(), value.clone());
        }
        let signed = request.expires_in(lifetime).build_async().await;
        signed.map_err(|error| failure(call.action, &error))
    }

    /// Sends a request; every answer but a success is an error.
    pub(super) async fn send(&self, call: &Call<'_>) -> Result<Response, Error> {
        self.retry(|| self.send_once(call)).await
    }

    async fn send_once(&self, call: &Call<'_>) -> Result<Response, Error> {
        tracing::trace!(target: crate::STEP, step = call.action, "asks");
        let signed = self.sign(&self.client, call, OWN_LIFETIME).await?;
        let request = self.sender.request(signed.method, signed.url);
        let mut request = request.headers(signed.headers);
        if matches!(call.method, Method::PUT | Method::POST) {
            request = request.body(call.body.clone());
        }
        let sent = request.send().await;
        // A signed address stays out of messages.
        let response = sent.map_err(|error| unreachable(call.action, &error.without_url()))?;
        tracing::trace!(target: crate::STEP, step = call.action, "answered");
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refusal(call.action, response).await)
    }

    /// Sends what the client of the bucket builds.
    pub(super) async fn ask<T, F>(
        &self,
        action: &'static str,
        request: impl Fn() -> F + Send + Sync,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, s3::Error>> + Send,
        T: Send,
    {
        self.retry(|| async {
            tracing::trace!(target: crate::STEP, step = action, "asks");
            let answer = request().await.map_err(|error| failure(action, &error));
            tracing::trace!(target: crate::STEP, step = action, "answered");
            answer
        })
        .await
    }

    async fn retry<T, F>(&self, request: impl Fn() -> F + Send + Sync) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        let mut pause = FIRST_PAUSE;
        for _ in 1..self.tries {
            match request().await {
                Err(error) if error.is_passing() => {
                    tracing::debug!(%error, "asking the object storage again");
                }
                outcome => return outcome,
            }
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        request().await
    }
}

fn client(endpoint: &str, settings: &S3Settings) -> Result<Client, Error> {
    let wrong = |error: s3::Error| failure("open the object storage", &error);
    let style = if settings.path_style {
        AddressingStyle::Path
    } else {
        AddressingStyle::VirtualHosted
    };
    Client::builder(endpoint)
        .map_err(wrong)?
        .region(settings.region.as_str())
        .auth(keys::auth(&settings.keys)?)
        .addressing_style(style)
        .timeout(SILENCE)
        .max_attempts(1)
        .build()
        .map_err(wrong)
}

/// Somewhere between half the pause and all of it, so that many clients do not come back at once.
fn jittered(pause: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    pause.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
}

pub(super) fn unreachable(action: &'static str, error: &dyn std::error::Error) -> Error {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    Error::Unreachable { action, reason }
}

/// What the client of the bucket could not do.
fn failure(action: &'static str, error: &s3::Error) -> Error {
    match error {
        s3::Error::InvalidConfig { message } | s3::Error::Signing { message } => {
            Error::Settings(message.clone())
        }
        s3::Error::Api { status, .. } | s3::Error::RateLimited { status, .. } => classify(
            action,
            *status,
            error.code().unwrap_or_default(),
            error.message().unwrap_or_default(),
            None,
        ),
        other => unreachable(action, other),
    }
}

async fn refusal(action: &'static str, response: Response) -> Error {
    let status = response.status();
    let date = response.headers().get(DATE).cloned();
    let text = response.text().await.unwrap_or_default();
    let skew = date.and_then(|date| skew_seconds(date.to_str().ok()?));
    let code = xml::text_of(&text, "Code").unwrap_or_default();
    let message = xml::text_of(&text, "Message").unwrap_or_default();
    classify(action, status, &code, &message, skew)
}

/// How far the service's clock is ahead of ours.
fn skew_seconds(date: &str) -> Option<i64> {
    let theirs = OffsetDateTime::parse(date, &Rfc2822).ok()?;
    Some((theirs - OffsetDateTime::now_utc()).whole_seconds())
}

fn classify(
    action: &'static str,
    status: StatusCode,
    code: &str,
    message: &str,
    skew: Option<i64>,
) -> Error {
    let far = skew.filter(|seconds| seconds.abs() > MOST_SKEW_SECONDS);
    let status = status.as_u16();
    let said = if code.is_empty() {
        format!("HTTP {status}")
    } else {
        code.to_owned()
    };
    match (status, code) {
        (_, "RequestTimeTooSkewed") => Error::ClockSkew { seconds: skew },
        (400 | 401 | 403, _) if far.is_some() => Error::ClockSkew { seconds: far },
        (_, "NoSuchBucket") => Error::NoBucket,
        (_, "NoSuchUpload") => Error::NoUpload,
        (_, "BadDigest" | "XAmzContentSHA256Mismatch" | "InvalidDigest") => {
            Error::Damaged { action }
        }
        (_, "ExpiredToken" | "InvalidToken") | (401 | 403, _) => {
            Error::Denied { action, code: said }
        }
        (408 | 429 | 500 | 502..=504, _) | (_, "RequestTimeout" | "SlowDown" | "InternalError") => {
            Error::Unreachable {
                action,
                reason: said,
            }
        }
        (507, _) => Error::NoSpace,
        (404, _) => Error::Missing { action },
        (412, _) => Error::Changed { action },
        _ => Error::Refused {
            action,
            reason: format!("{said} {message}").trim_end().to_owned(),
        },
    }
}
