//! The tries of one call, and what ends them.

use std::time::Duration;

use reqwest::{
    Method, Response, StatusCode, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue},
};
use shared::problem::Problem;

use super::{Call, Client};
use crate::{
    Credential, Error, Result, Secret,
    error::chain,
    retry::{asked, chance},
};

static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
static ORGANISATION: HeaderName = HeaderName::from_static("organisation");

pub(crate) fn unreachable(url: &Url, error: reqwest::Error) -> Error {
    Error::Unreachable {
        host: url.authority().to_owned(),
        cause: chain(&error.without_url()),
    }
}

/// What an answer refuses with.
pub(crate) async fn refusal(response: Response, method: &Method, path: &str) -> Error {
    let status = response.status();
    let bytes = response.bytes().await.unwrap_or_default();
    match serde_json::from_slice::<Problem>(&bytes) {
        Ok(problem) => Error::Refused(Box::new(problem)),
        Err(_) => Error::Unexplained {
            method: method.clone(),
            path: path.split('?').next().unwrap_or_default().to_owned(),
            status,
        },
    }
}

/// Whether the same request may be answered differently later.
pub(crate) fn may_pass(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// The tries of one call.
pub(super) struct Attempts<'a> {
    client: &'a Client,
    call: &'a Call,
    made: u32,
    /// A try whose answer never came: the server may still be at it.
    answer_lost: bool,
    renewed: bool,
}

impl<'a> Attempts<'a> {
    pub(super) const fn new(client: &'a Client, call: &'a Call) -> Self {
        Self {
            client,
            call,
            made: 0,
            answer_lost: false,
            renewed: false,
        }
    }

    /// Sends once; the answer if it is a success, nothing if another try is worth it, by now.
    pub(super) async fn response(&mut self, limit: Option<Duration>) -> Result<Option<Response>> {
        self.made += 1;
        let bearer = self.bearer()?;
        let response = match self.send(bearer.as_ref(), limit).await? {
            Ok(response) => response,
            Err(error) => {
                self.lost(error).await?;
                return Ok(None);
            }
        };
        let status = response.status();
        if status.is_success() {
            return Ok(Some(response));
        }
        if let (StatusCode::UNAUTHORIZED, false, Some(used)) = (status, self.renewed, &bearer) {
            self.renewed = true;
            if self.client.renew(used).await? {
                return Ok(None);
            }
        }
        self.refused(response).await?;
        Ok(None)
    }

    fn bearer(&self) -> Result<Option<Secret>> {
        let credential = self.client.0.settings.credential.as_ref();
        let bearer = credential.map(Credential::bearer);
        bearer.transpose().map_err(Error::Tokens)
    }

    async fn send(
        &self,
        bearer: Option<&Secret>,
        limit: Option<Duration>,
    ) -> Result<Result<Response, reqwest::Error>> {
        let url = self.client.url(&self.call.path)?;
        let own = self.client.is_own(&url);
        let settings = &self.client.0.settings;
        let mut request = self.client.http().request(self.call.method.clone(), url);
        request = request.header(ACCEPT, self.call.accept);
        for (name, value) in &self.call.headers {
            request = request.header(name, value);
        }
        if let Some(bearer) = bearer.filter(|_| own) {
            let text = format!("Bearer {}", bearer.expose());
            let mut value = HeaderValue::try_from(text).map_err(|_| Error::Credential)?;
            value.set_sensitive(true);
            request = request.header(reqwest::header::AUTHORIZATION, value);
        }
        if let Some(organisation) = settings.organisation.filter(|_| own) {
            request = request.header(&ORGANISATION, organisation.to_string());
        }
        if let Some(key) = &self.call.key {
            request = request.header(&IDEMPOTENCY_KEY, key);
        }
        if let Some(body) = &self.call.body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.clone());
        }
        if let Some(limit) = limit {
            request = request.timeout(limit);
        }
        Ok(request.send().await)
    }

    /// Waits after a line that broke; an error where nothing more is to be tried.
    pub(super) async fn lost(&mut self, error: reqwest::Error) -> Result<()> {
        // Nothing was sent where there was no connection.
        let harmless = self.call.is_repeatable() || error.is_connect();
        self.answer_lost |= !error.is_connect();
        let pause = self.client.retry().pause(self.made, None, chance());
        match pause.filter(|_| harmless) {
            Some(pause) => {
                tokio::time::sleep(pause).await;
                Ok(())
            }
            None => Err(unreachable(&self.client.0.base, error)),
        }
    }

    /// Waits after a refusal that may pass; else the refusal.
    async fn refused(&mut self, response: Response) -> Result<()> {
        let status = response.status();
        // The first try arrived, and its answer did not: it holds the idempotency key until it is done.
        let running = status == StatusCode::CONFLICT && self.answer_lost && self.call.key.is_some();
        let again = self.call.is_repeatable() && (may_pass(status) || running)
            || status == StatusCode::TOO_MANY_REQUESTS;
        let told = asked(response.headers());
        let pause = self.client.retry().pause(self.made, told, chance());
        match pause.filter(|_| again) {
            Some(pause) => {
                tokio::time::sleep(pause).await;
                Ok(())
            }
            None => Err(refusal(response, &self.call.method, &self.call.path).await),
        }
    }
}
