//! Requests and answers as text: the one place that calls `fetch`.

use std::marker::PhantomData;

use gloo_net::http::{Request, RequestBuilder, Response};
use serde::{Serialize, de::DeserializeOwned};
use wasm_bindgen::JsValue;
use web_sys::{AbortSignal, Blob};

use crate::api::ApiError;

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
#[derive(Clone, Copy)]
pub(crate) enum Method {
    Post,
    Put,
    Delete,
}

/// An answer that succeeded.
pub(crate) struct Answer {
    status: u16,
    request_id: String,
    text: String,
}

pub(crate) async fn send<B: Serialize, T: DeserializeOwned>(
    method: Method,
    path: &str,
    body: Option<&B>,
    idempotency_key: Option<&str>,
) -> Result<T, ApiError> {
    let body = body.map(document).transpose()?;
    let mut request = builder(method, path);
    if let Some(key) = idempotency_key {
        request = request.header("idempotency-key", key);
    }
    let answer = exchange(request, body).await?;
    decode(&answer)
}

/// A JSON body with its media type.
fn document(body: &impl Serialize) -> Result<(JsValue, String), ApiError> {
    let text = serde_json::to_string(body).map_err(|error| ApiError::Browser(error.to_string()))?;
    Ok((JsValue::from(text), "application/json".to_owned()))
}

/// Posts a document that is answered by nothing.
pub(crate) async fn tell(path: &str, body: &impl Serialize) -> Result<(), ApiError> {
    let body = Some(document(body)?);
    exchange(builder(Method::Post, path), body).await.map(drop)
}

/// Posts a file's bytes as they are, under the type that the browser gives them.
pub(crate) async fn send_file<T: DeserializeOwned>(path: &str, file: &Blob) -> Result<T, ApiError> {
    let body = Some((JsValue::from(file), file.type_()));
    let answer = exchange(Request::post(path), body).await?;
    decode(&answer)
}

pub(crate) async fn send_unit(method: Method, path: &str) -> Result<(), ApiError> {
    exchange(builder(method, path), None).await.map(drop)
}

fn builder(method: Method, path: &str) -> RequestBuilder {
    match method {
        Method::Post => Request::post(path),
        Method::Put => Request::put(path),
        Method::Delete => Request::delete(path),
    }
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
