//! One request after the other until there is an answer that counts.
//!
//! What may be repeated without harm is: reading, replacing, deleting, and posting under an idempotency key. Anything
//! else is sent again only where it never reached the server.

use std::{sync::Arc, time::Duration};

use reqwest::{Method, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use shared::{
    OrganisationId,
    auth::{AccessToken, ShowRefreshToken},
};
use tokio::sync::Mutex;

use crate::{Credential, Error, Result, Retry, Secret, TokenPair, TokenStore};

mod attempts;
mod call;

use attempts::Attempts;
pub(crate) use attempts::{may_pass, refusal, unreachable};
pub(crate) use call::{Answer, Call};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two pieces of a body: an event stream beats every eight seconds.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// For a whole document.
const DOCUMENT_TIMEOUT: Duration = Duration::from_mins(1);
const MAX_REDIRECTS: usize = 5;
const USER_AGENT: &str = concat!("persguard-client/", env!("CARGO_PKG_VERSION"));

/// Which server, as whom, and how patiently.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address of the server, such as `https://guard.example.org`.
    pub server: String,
    /// Who asks; nobody in particular without.
    pub credential: Option<Credential>,
    /// The organisation to work in, where it is not the credential's own.
    pub organisation: Option<OrganisationId>,
    /// Whether credentials may go over plain HTTP to another machine.
    pub plain_http: bool,
    /// How patient the client is.
    pub retry: Retry,
}

impl Settings {
    /// A server, nobody in particular, and the usual patience.
    pub fn new(server: impl Into<String>) -> Self {
        Self {
            server: server.into(),
            credential: None,
            organisation: None,
            plain_http: false,
            retry: Retry::default(),
        }
    }

    /// The same with a credential.
    #[must_use]
    pub fn with(mut self, credential: Credential) -> Self {
        self.credential = Some(credential);
        self
    }
}

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    base: Url,
    settings: Settings,
    renewing: Mutex<()>,
}

/// A client of one server. Clones share connections and tokens.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

/// A text that was never used before, for an idempotency key.
pub fn fresh_key() -> Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::Tokens(std::io::Error::other(error)))?;
    Ok(hex::encode(bytes))
}

fn is_guarded(base: &Url, settings: &Settings) -> bool {
    shared::address::is_guarded(base.as_str()) || settings.plain_http
}

fn parse_address(text: &str) -> Result<Url> {
    let wrong = || Error::Address(text.to_owned());
    let url = Url::parse(text.trim().trim_end_matches('/')).map_err(|_| wrong())?;
    let web = matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
    let bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if !web || !bare {
        return Err(wrong());
    }
    Ok(url)
}

fn bare(base: &Url) -> &str {
    base.as_str().trim_end_matches('/')
}

/// An address of a server as [`Client::server`] tells it: one text for every way to write it.
pub fn server_address(text: &str) -> Result<String> {
    parse_address(text).map(|base| bare(&base).to_owned())
}

impl Client {
    /// Prepares calls; nothing is sent yet.
    pub fn new(settings: Settings) -> Result<Self> {
        let base = parse_address(&settings.server)?;
        if settings.credential.is_some() && !is_guarded(&base, &settings) {
            return Err(Error::Unprotected(base.to_string()));
        }
        let http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .redirect(reqwest::redirect::Policy::limited(MAX_REDIRECTS))
            .build()
            .map_err(|error| unreachable(&base, error))?;
        Ok(Self(Arc::new(Inner {
            http,
            base,
            settings,
            renewing: Mutex::new(()),
        })))
    }

    /// Whether credentials that the server gives may be sent back to it.
    pub fn may_carry_credentials(&self) -> Result<()> {
        if is_guarded(&self.0.base, &self.0.settings) {
            return Ok(());
        }
        Err(Error::Unprotected(self.0.base.to_string()))
    }

    /// Address of the server, without a slash at its end.
    pub fn server(&self) -> &str {
        bare(&self.0.base)
    }

    pub(crate) fn retry(&self) -> &Retry {
        &self.0.settings.retry
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.0.http
    }

    /// An address of this server, or one that the server signed elsewhere.
    pub(crate) fn url(&self, path: &str) -> Result<Url> {
        let text = if path.starts_with('/') {
            format!("{}{path}", self.server())
        } else {
            path.to_owned()
        };
        Url::parse(&text).map_err(|error| Error::Unreadable {
            path: path.to_owned(),
            cause: error.to_string(),
        })
    }

    /// The credential goes to this server alone, never to a store behind a signed address.
    fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.0.base.origin()
    }

    /// Sends a call until it has a whole answer.
    pub(crate) async fn answer(&self, call: &Call) -> Result<Answer> {
        let mut attempts = Attempts::new(self, call);
        loop {
            let Some(response) = attempts.response(Some(DOCUMENT_TIMEOUT)).await? else {
                continue;
            };
            let headers = response.headers().clone();
            match response.bytes().await {
                Ok(body) => {
                    return Ok(Answer {
                        headers,
                        body,
                        path: call.path.clone(),
                    });
                }
                Err(error) => attempts.lost(error).await?,
            }
        }
    }

    /// Sends a call and reads its answer.
    pub(crate) async fn read<T: DeserializeOwned>(&self, call: &Call) -> Result<T> {
        self.answer(call).await?.read()
    }

    /// Sends a call until somebody answers; the body is the caller's.
    pub(crate) async fn open(&self, call: &Call) -> Result<Response> {
        let mut attempts = Attempts::new(self, call);
        loop {
            if let Some(response) = attempts.response(None).await? {
                return Ok(response);
            }
        }
    }

    /// Gets the next pair of tokens, unless somebody else did meanwhile; false where the sign-in is over.
    async fn renew(&self, used: &Secret) -> Result<bool> {
        let Some(Credential::Tokens(store)) = &self.0.settings.credential else {
            return Ok(false);
        };
        let _here = self.0.renewing.lock().await;
        let _everywhere = store.lock().map_err(Error::Tokens)?;
        let pair = store.load().map_err(Error::Tokens)?;
        if pair.access_token != *used {
            return Ok(true);
        }
        self.exchange(store.as_ref(), &pair).await
    }

    /// Once: a refresh token whose answer got lost is used up, and showing it again would only end the rest.
    async fn exchange(&self, store: &dyn TokenStore, pair: &TokenPair) -> Result<bool> {
        let url = self.url("/v1/tokens/refresh")?;
        let shown = ShowRefreshToken {
            refresh_token: pair.refresh_token.expose().to_owned(),
        };
        let request = self.0.http.post(url).timeout(DOCUMENT_TIMEOUT).json(&shown);
        let sent = request.send().await;
        let response = sent.map_err(|error| unreachable(&self.0.base, error))?;
        if response.status() == StatusCode::UNAUTHORIZED {
            return Ok(false);
        }
        if !response.status().is_success() {
            return Err(refusal(response, &Method::POST, "/v1/tokens/refresh").await);
        }
        let read = response.json::<AccessToken>().await;
        let token = read.map_err(|error| unreachable(&self.0.base, error))?;
        store.save(&token.into()).map_err(Error::Tokens)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_before_anything_is_sent() {
        for wrong in [
            "",
            "guard.example.org",
            "ftp://x",
            "https://",
            "https://a:b@c",
            "https://c?x",
        ] {
            let made = Client::new(Settings::new(wrong));
            assert!(matches!(made, Err(Error::Address(_))), "{wrong}");
        }
        let client = Client::new(Settings::new("https://guard.example.org/base/")).unwrap();
        assert_eq!(client.server(), "https://guard.example.org/base");
        assert_eq!(
            client.url("/v1/me").unwrap().as_str(),
            "https://guard.example.org/base/v1/me"
        );
    }

    #[test]
    fn an_address_has_one_form() {
        let form = |text: &str| server_address(text).unwrap();
        for same in [
            "https://guard.example.org",
            "https://Guard.Example.org/",
            " https://guard.example.org:443//",
        ] {
            assert_eq!(form(same), "https://guard.example.org");
        }
        assert_eq!(form("https://a.example/Base/"), "https://a.example/Base");
        assert_eq!(form("http://localhost:7740"), "http://localhost:7740");
        assert!(server_address("guard.example.org").is_err());
    }

    #[test]
    fn credentials_never_cross_a_network_in_the_clear() {
        let with = |server: &str| {
            let key = Credential::Key(Secret::new("pg_live_x"));
            Client::new(Settings::new(server).with(key))
        };
        for open in ["http://guard.example.org", "http://192.0.2.1:7740"] {
            assert!(matches!(with(open), Err(Error::Unprotected(_))), "{open}");
            assert!(Client::new(Settings::new(open)).is_ok(), "nothing to lose");
        }
        for fine in [
            "https://guard.example.org",
            "http://127.0.0.1:7740",
            "http://[::1]:1",
            "http://localhost",
        ] {
            assert!(with(fine).is_ok(), "{fine}");
        }
    }

    #[test]
    fn credentials_stay_with_their_server() {
        let client = Client::new(Settings::new("https://guard.example.org")).unwrap();
        let own = |url: &str| client.is_own(&client.url(url).unwrap());
        assert!(own("/v1/me"));
        assert!(own("https://guard.example.org/blobs/x"));
        for other in [
            "https://bucket.example.org/x",
            "http://guard.example.org/",
            "https://guard.example.org:444/",
        ] {
            assert!(!own(other), "{other}");
        }
    }
}
