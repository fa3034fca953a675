//! Typed calls of the server's node routes.
//!
//! Owns retries: a server that restarts or is busy is asked again, a refusal is final.

use std::{collections::BTreeMap, io::SeekFrom, path::Path, time::Duration};

use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use shared::{
    JobId,
    node::{
        AttemptResult, CreateLease, CreateNodeUpload, FinishAttempt, Heartbeat, HeartbeatAnswer,
        Lease, MissingParts, NodeDelivery, NodeUpload, SaveResume,
    },
    problem::{ErrorCode, Problem},
};
use telemetry::TRACEPARENT;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use crate::{Error, Result, config::Token};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Tries of an ordinary call: about eight seconds of patience.
const TRIES: u32 = 6;
/// Tries of the call that hands over hours of work: about two minutes.
const FINISH_TRIES: u32 = 28;

/// A part of a file, or all of it.
#[derive(Clone, Copy, Debug)]
pub struct Slice<'a> {
    /// The file.
    pub file: &'a Path,
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub size_bytes: u64,
}

impl Slice<'_> {
    async fn body(self) -> Result<reqwest::Body> {
        let failed = || Error::file(self.file);
        let mut content = tokio::fs::File::open(self.file).await.map_err(failed())?;
        let start = SeekFrom::Start(self.offset);
        content.seek(start).await.map_err(failed())?;
        let stream = ReaderStream::with_capacity(content.take(self.size_bytes), 1 << 18);
        Ok(reqwest::Body::wrap_stream(stream))
    }
}

/// The server, as a node sees it.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Token,
}

impl Client {
    /// Prepares calls to `url`.
    pub fn new(url: &str, token: Token) -> Result<Self> {
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .read_timeout(Duration::from_mins(1))
            .build()
            .map_err(|error| Error::Unreachable(error.to_string()))?;
        Ok(Self {
            http,
            base: url.trim_end_matches('/').to_owned(),
            token,
        })
    }

    /// Asks for work; one try, because the loop asks again anyway.
    pub async fn lease(&self, request: &CreateLease) -> Result<Option<Lease>> {
        let response = self.call(1, "a lease", "/v1/node/leases", request).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        read(response).await.map(Some)
    }

    /// Renews the lease; one try, because the next beat is near.
    pub async fn heartbeat(&self, job: JobId, beat: &Heartbeat) -> Result<HeartbeatAnswer> {
        let path = format!("/v1/node/jobs/{job}/heartbeats");
        read(self.call(1, "a heartbeat", &path, beat).await?).await
    }

    /// Announces bytes; the answer says where to put them, if they are not there already.
    pub async fn create_upload(&self, job: JobId, upload: &CreateNodeUpload) -> Result<NodeUpload> {
        let path = format!("/v1/node/jobs/{job}/uploads");
        read(self.call(TRIES, "an upload", &path, upload).await?).await
    }

    /// Asks which parts of an upload are missing, and where they go.
    pub async fn missing_parts(&self, job: JobId, upload: &NodeDelivery) -> Result<MissingParts> {
        let path = format!("/v1/node/jobs/{job}/uploads/missing");
        read(self.call(TRIES, "missing parts", &path, upload).await?).await
    }

    /// Says that every part was sent; `false` while they are being put together.
    pub async fn complete_upload(&self, job: JobId, upload: &NodeDelivery) -> Result<bool> {
        let path = format!("/v1/node/jobs/{job}/uploads/complete");
        let answer = self.call(TRIES, "the parts' end", &path, upload).await?;
        Ok(answer.status() != StatusCode::ACCEPTED)
    }

    /// Registers an uploaded snapshot.
    pub async fn save_resume(&self, job: JobId, resume: &SaveResume) -> Result<()> {
        let path = format!("/v1/node/jobs/{job}/resume");
        self.call(TRIES, "a snapshot", &path, resume)
            .await
            .map(|_| ())
    }

    /// Ends the attempt.
    pub async fn finish(&self, job: JobId, finish: &FinishAttempt) -> Result<()> {
        let path = format!("/v1/node/jobs/{job}/finish");
        // Whoever gives a job back is about to go; without a word the lease runs out by itself.
        let leaving = finish.outcome == AttemptResult::Released;
        let tries = if leaving { 2 } else { FINISH_TRIES };
        self.call(tries, "the result", &path, finish)
            .await
            .map(|_| ())
    }

    /// Starts a download from a signed URL.
    pub async fn get(&self, url: &str) -> Result<Response> {
        let place = self.absolute(url);
        retry(TRIES, "a download", || async {
            Ok(named(url, self.http.get(&place)))
        })
        .await
    }

    /// Sends bytes of a file to a signed URL.
    pub async fn put(
        &self,
        url: &str,
        headers: &BTreeMap<String, String>,
        slice: Slice<'_>,
    ) -> Result<()> {
        let place = self.absolute(url);
        let request = || async {
            let body = slice.body().await?;
            let mut request = named(url, self.http.put(&place));
            for (name, value) in headers {
                request = request.header(name, value);
            }
            Ok(request
                .header(header::CONTENT_LENGTH, slice.size_bytes)
                .body(body))
        };
        retry(TRIES, "an upload's bytes", request).await.map(|_| ())
    }

    /// Signed URLs of an embedded store are paths.
    fn absolute(&self, url: &str) -> String {
        if url.starts_with('/') {
            format!("{}{url}", self.base)
        } else {
            url.to_owned()
        }
    }

    async fn call(
        &self,
        tries: u32,
        what: &'static str,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Response> {
        let url = format!("{}{path}", self.base);
        retry(tries, what, || async {
            let request = named(path, self.http.request(Method::POST, &url));
            // A beat that hangs is worse than one that is lost.
            Ok(request
                .timeout(Duration::from_secs(15))
                .bearer_auth(self.token.reveal())
                .json(body))
        })
        .await
    }
}

/// Says to the server, and to no store of somebody else, what the request is part of.
fn named(place: &str, request: RequestBuilder) -> RequestBuilder {
    match telemetry::here() {
        Some(here) if place.starts_with('/') => request.header(TRACEPARENT, here),
        _ => request,
    }
}

/// Sends until an answer that another try cannot change.
async fn retry<F, R>(tries: u32, what: &'static str, request: F) -> Result<Response>
where
    F: Fn() -> R,
    R: Future<Output = Result<RequestBuilder>>,
{
    let mut pause = FIRST_PAUSE;
    let mut left = tries;
    loop {
        left -= 1;
        let outcome = match request().await?.send().await {
            Ok(response) if response.status().is_success() => return Ok(response),
            Ok(response) => refusal(what, response).await,
            // The URL may be signed: it stays out of the log.
            Err(error) => Error::Unreachable(chain(&error.without_url())),
        };
        if left == 0 || !is_passing(&outcome) {
            return Err(outcome);
        }
        tracing::debug!(error = %outcome, "asking again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn is_passing(error: &Error) -> bool {
    match error {
        Error::Unreachable(_) => true,
        Error::Refused { status, .. } => *status >= 500 || *status == 429,
        _ => false,
    }
}

pub(crate) async fn refusal(what: &'static str, response: Response) -> Error {
    let status = response.status().as_u16();
    let (code, detail) = match response.json::<Problem>().await {
        Ok(problem) => (problem.code, problem.detail),
        Err(_) => (ErrorCode::Unknown, "no problem document".to_owned()),
    };
    if code == ErrorCode::Fenced {
        return Error::Fenced;
    }
    Error::Refused {
        what,
        status,
        code,
        detail,
    }
}

pub(crate) async fn read<T: DeserializeOwned>(response: Response) -> Result<T> {
    let body = response.json().await;
    body.map_err(|error| {
        Error::Unreachable(format!(
            "unreadable answer: {}",
            chain(&error.without_url())
        ))
    })
}

/// An error with its causes: reqwest alone says only "error sending request".
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
