//! Requests and answers as text: the one place that calls `fetch`.

use std::{future::IntoFuture, marker::PhantomData, pin::Pin};

use gloo_net::http::{Request, RequestBuilder, Response};
use serde::{Serialize, de::DeserializeOwned};
use wasm_bindgen::JsValue;
use web_sys::{AbortSignal, Blob};

use crate::api::{ApiError, curl};

/// A GET route and the type that it answers with.
pub(crate) struct Endpoint<T> {
    path: String,
    answer: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Endpoint<T> {
    pub(crate) fn new(path: String) -> Self {
        Self {
            path,
            answer: PhantomData,
        }
    }

    /// Fetches and decodes; `signal` stops it when its page is gone.
    pub(crate) async fn fetch(&self, signal: Option<&AbortSignal>) -> Result<T, ApiError> {
        decode(&get(&self.path, signal).await?)
    }

    /// Where it is.
    pub(crate) fn into_path(self) -> String {
        self.path
    }
}

/// Fetches whatever is there.
pub(crate) async fn get(path: &str, signal: Option<&AbortSignal>) -> Result<Answer, ApiError> {
    exchange(Request::get(path).abort_signal(signal), None).await
}

/// The methods that change something.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Method {
    Post,
    Put,
    /// A merge patch (RFC 7396) on what is there, whatever it is by now.
    Patch,
    Delete,
}

impl Method {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Media type of a JSON body.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Patch => "application/merge-patch+json",
            Self::Post | Self::Put | Self::Delete => "application/json",
        }
    }
}

/// A request that changes something, before it is sent.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// A JSON document.
    pub(crate) body: Option<String>,
    /// The `Idempotency-Key`.
    pub(crate) key: Option<String>,
    /// Whether it takes a person: API keys may not.
    pub(crate) by_person: bool,
}

/// A request that changes something, and how its answer is read: awaited it is sent, as `curl` it is shown.
pub(crate) struct Call<T> {
    plan: Plan,
    read: fn(&Answer) -> Result<T, ApiError>,
}

impl<T: DeserializeOwned> Call<T> {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self::answered(method, path.into(), decode)
    }
}

impl Call<()> {
    /// Is answered by nothing that is read.
    pub(crate) fn unread(method: Method, path: impl Into<String>) -> Self {
        Self::answered(method, path.into(), |_| Ok(()))
    }
}

impl<T> Call<T> {
    fn answered(method: Method, path: String, read: fn(&Answer) -> Result<T, ApiError>) -> Self {
        let plan = Plan {
            method,
            path,
            body: None,
            key: None,
            by_person: false,
        };
        Self { plan, read }
    }

    pub(crate) fn json(mut self, body: &impl Serialize) -> Self {
        self.plan.body = Some(serde_json::to_string(body).expect("wire types are plain data"));
        self
    }

    /// Sent twice with one key, it happens once.
    pub(crate) fn once(mut self, key: &str) -> Self {
        self.plan.key = Some(key.to_owned());
        self
    }

    /// No API key may do it.
    pub(crate) fn by_person(mut self) -> Self {
        self.plan.by_person = true;
        self
    }

    /// The same for a shell.
    pub(crate) fn curl(&self) -> String {
        curl::command(&curl::origin(), &self.plan)
    }
}

impl<T: 'static> IntoFuture for Call<T> {
    type Output = Result<T, ApiError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { (self.read)(&carry_out(self.plan).await?) })
    }
}

async fn carry_out(plan: Plan) -> Result<Answer, ApiError> {
    let mut request = match plan.method {
        Method::Post => Request::post(&plan.path),
        Method::Put => Request::put(&plan.path),
        Method::Patch => Request::patch(&plan.path).header("if-match", "*"),
        Method::Delete => Request::delete(&plan.path),
    };
    if let Some(key) = &plan.key {
        request = request.header("idempotency-key", key);
    }
    let body = plan
        .body
        .map(|body| (JsValue::from(body), plan.method.media_type().to_owned()));
    exchange(request, body).await
}

/// An answer that succeeded.
pub(crate) struct Answer {
    status: u16,
    request_id: String,
    text: String,
}

/// Posts a file's bytes as they are, under the type that the browser gives them.
pub(crate) async fn send_file<T: DeserializeOwned>(path: &str, file: &Blob) -> Result<T, ApiError> {
    let body = Some((JsValue::from(file), file.type_()));
    let answer = exchange(Request::post(path), body).await?;
    decode(&answer)
}

/// Sends a request; a body comes with its media type.
async fn exchange(
    request: RequestBuilder,
    body: Option<(JsValue, String)>,
) -> Result<Answer, ApiError> {
    let request = request.header("accept", "application/json, application/problem+json");
    let sent = match body {
        Some((body, media_type)) => {
            let request = request.header("content-type", &media_type);
            match request.body(body) {
                Ok(request) => request.send().await,
                Err(error) => return Err(ApiError::Browser(error.to_string())),
            }
        }
        None => request.send().await,
    };
    let response = sent.map_err(|error| unreachable_or_aborted(&error))?;
    read(response).await
}

fn unreachable_or_aborted(error: &gloo_net::Error) -> ApiError {
    match error {
        gloo_net::Error::JsError(error) if error.name == "AbortError" => ApiError::Aborted,
        _ => ApiError::Unreachable,
    }
}

async fn read(response: Response) -> Result<Answer, ApiError> {
    let answer = Answer {
        status: response.status(),
        request_id: response.headers().get("request-id").unwrap_or_default(),
        text: response
            .text()
            .await
            .map_err(|error| unreachable_or_aborted(&error))?,
    };
    if response.ok() {
        return Ok(answer);
    }
    Err(refusal(answer.status, answer.request_id, &answer.text))
}

/// Turns an unsuccessful answer into an error, whether or not it carries problem details.
pub(crate) fn refusal(status: u16, request_id: String, text: &str) -> ApiError {
    serde_json::from_str(text).map_or(ApiError::Unreadable { status, request_id }, |problem| {
        ApiError::Refused(Box::new(problem))
    })
}

/// Reads what an answer holds.
pub(crate) fn decode<T: DeserializeOwned>(answer: &Answer) -> Result<T, ApiError> {
    serde_json::from_str(&answer.text).map_err(|_| ApiError::Unreadable {
        status: answer.status,
        request_id: answer.request_id.clone(),
    })
}
