//! Requests to an identity provider: bounded in time and size, never redirected, encrypted unless it is this machine.

use std::{error::Error as _, time::Duration};

use futures::future::BoxFuture;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse, http, url::Url};
use reqwest::{Client, redirect::Policy};

const TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The largest set of keys that a provider is known to have is a tenth of this.
const MAX_ANSWER: usize = 256 * 1024;

/// Why a request brought nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// No connection, no answer in time, or it broke off.
    #[error("no answer: {0}")]
    Unreachable(String),
    /// More than an answer may have.
    #[error("the answer has more than {MAX_ANSWER} bytes")]
    TooLarge,
    /// An address that would send secrets in plain text.
    #[error("{0} is not an https address")]
    Plain(String),
    /// A request or an answer that is none.
    #[error("not HTTP: {0}")]
    Http(#[from] http::Error),
}

impl From<reqwest::Error> for Fault {
    fn from(error: reqwest::Error) -> Self {
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        Self::Unreachable(format!("{error} {cause}"))
    }
}

/// The way to one provider.
pub(crate) struct BackChannel {
    client: Client,
    plain: bool,
}

impl BackChannel {
    /// `plain`: the provider is on this machine and may do without encryption.
    pub(crate) fn new(plain: bool) -> reqwest::Result<Self> {
        let client = Client::builder()
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("PersGuard/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, plain })
    }

    /// Refuses an address that a provider may not name.
    pub(crate) fn check(&self, url: &Url) -> Result<(), Fault> {
        let allowed = url.scheme() == "https" || (self.plain && url.scheme() == "http");
        allowed
            .then_some(())
            .ok_or_else(|| Fault::Plain(url.as_str().chars().take(200).collect()))
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Fault> {
        let request = reqwest::Request::try_from(request)?;
        self.check(request.url())?;
        let mut answer = self.client.execute(request).await?;
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await? {
            if body.len() + piece.len() > MAX_ANSWER {
                return Err(Fault::TooLarge);
            }
            body.extend_from_slice(&piece);
        }
        let mut response = http::Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            response = response.header(name, value);
        }
        Ok(response.body(body)?)
    }
}

impl<'c> AsyncHttpClient<'c> for BackChannel {
    type Error = Fault;
    type Future = BoxFuture<'c, Result<HttpResponse, Fault>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}
