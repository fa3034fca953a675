//! One identity provider: what it publishes of itself, the way to it, and what its word on a person proves.
//!
//! The protocol is crate `openidconnect`'s; here is what we ask beyond it: algorithms with public keys alone, `azp`
//! (`OpenID` Connect Core, 3.1.3.7) and `iss` beside the code (RFC 9207).

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use openidconnect::{
    AdditionalProviderMetadata, AuthType, AuthorizationCode, ClaimsVerificationError, CsrfToken,
    DiscoveryError, EndpointMaybeSet, EndpointNotSet, EndpointSet, JwsSigningAlgorithm, Nonce,
    OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, ProviderMetadata, RedirectUrl,
    RequestTokenError, Scope, SignatureVerificationError, TokenResponse,
    core::{
        CoreAuthDisplay, CoreAuthenticationFlow, CoreClaimName, CoreClaimType, CoreClient,
        CoreClientAuthMethod, CoreGrantType, CoreIdToken, CoreIdTokenClaims, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm,
        CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType, CoreTokenResponse,
        CoreUserInfoClaims,
    },
};
use serde::{Deserialize, Serialize};
use shared::{Timestamp, identity::IdentityProvider};
use tokio::sync::Mutex;

use super::back_channel::{BackChannel, Fault};
use crate::config::providers::ProviderConfig;

/// What a provider publishes is asked for again after an hour.
const KEPT_MILLISECONDS: i64 = 3_600_000;
/// A token with an unknown key asks again, once a minute.
const RENEWED_MILLISECONDS: i64 = 60_000;
/// Who did not answer is left alone for a while.
const FAILED_MILLISECONDS: i64 = 10_000;
/// What two clocks may differ by.
const SKEW_SECONDS: i64 = 60;
/// `OpenID` Connect Core, section 2.
const MAX_SUBJECT: usize = 255;
const MAX_CAUSE: usize = 500;

/// What the library's metadata lacks.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Extra {
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for Extra {}

type Metadata = ProviderMetadata<
    Extra,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Why a provider's word is not taken; the texts are for the log.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// It does not answer.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// It answers what it should not.
    #[error("invalid: {0}")]
    Invalid(String),
}

impl Refusal {
    fn invalid(cause: impl Into<String>) -> Self {
        Self::Invalid(cause.into())
    }

    /// An error with its causes, as far as a line of the log reaches.
    fn of(error: &(dyn Error + 'static)) -> Self {
        let causes = std::iter::successors(Some(error), |error| (*error).source());
        let texts: Vec<String> = causes.map(ToString::to_string).collect();
        Self::Invalid(texts.join(": ").chars().take(MAX_CAUSE).collect())
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unreachable(cause) => Self::Unreachable(cause),
            other => Self::of(&other),
        }
    }
}

impl From<DiscoveryError<Fault>> for Refusal {
    fn from(error: DiscoveryError<Fault>) -> Self {
        match error {
            DiscoveryError::Request(fault) => fault.into(),
            DiscoveryError::Response(status, _, cause) if status.is_server_error() => {
                Self::Unreachable(cause)
            }
            other => Self::of(&other),
        }
    }
}

/// What a way to the provider carries.
pub(crate) struct Ticket {
    pub(crate) state: String,
    pub(crate) nonce: String,
    pub(crate) verifier: String,
}

/// What comes back beside the state.
pub(crate) struct Returned {
    pub(crate) code: String,
    pub(crate) issuer: Option<String>,
}

/// What a provider told of a person, and proved.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) subject: String,
    pub(crate) email: Option<String>,
    pub(crate) email_verified: bool,
    pub(crate) name: Option<String>,
}

/// When a provider was asked, and what it published or why it did not.
type Published = (Timestamp, Result<Arc<Metadata>, Refusal>);

/// A provider.
pub(crate) struct Provider {
    config: ProviderConfig,
    redirect_uri: RedirectUrl,
    back_channel: BackChannel,
    /// One asks for all who wait.
    published: Mutex<Option<Published>>,
}

impl Provider {
    /// Nothing is asked before somebody wants to sign in.
    pub(crate) fn new(config: ProviderConfig, public_url: &str) -> anyhow::Result<Self> {
        let origin = public_url.trim_end_matches('/');
        let callback = format!("{origin}/v1/identity-providers/{}/callback", config.slug);
        Ok(Self {
            redirect_uri: RedirectUrl::new(callback)?,
            back_channel: BackChannel::new(config.issuer.url().scheme() == "http")?,
            published: Mutex::new(None),
            config,
        })
    }

    pub(crate) fn slug(&self) -> &str {
        &self.config.slug
    }

    pub(crate) fn issuer(&self) -> &str {
        self.config.issuer.as_str()
    }

    pub(crate) const fn creates_accounts(&self) -> bool {
        self.config.create_accounts
    }

    /// The provider as people see it.
    pub(crate) fn view(&self) -> IdentityProvider {
        IdentityProvider {
            slug: self.config.slug.clone(),
            name: self.config.name.clone(),
        }
    }

    /// What it publishes, no older than told.
    async fn metadata(&self, now: Timestamp, kept: i64) -> Result<Arc<Metadata>, Refusal> {
        let mut published = self.published.lock().await;
        if let Some((at, known)) = published.as_ref() {
            let limit = if known.is_ok() {
                kept
            } else {
                FAILED_MILLISECONDS
            };
            if now.milliseconds() - at.milliseconds() < limit {
                return known.clone();
            }
        }
        let asked = self.discover().await.map(Arc::new);
        *published = Some((now, asked.clone()));
        asked
    }

    async fn discover(&self) -> Result<Metadata, Refusal> {
        let issuer = self.config.issuer.clone();
        let found = Metadata::discover_async(issuer, &self.back_channel).await?;
        self.back_channel
            .check(found.authorization_endpoint().url())?;
        Ok(found)
    }

    fn client(&self, metadata: &Metadata) -> Client {
        let id = self.config.client_id.clone();
        let secret = Some(self.config.client_secret.clone());
        let methods = metadata.token_endpoint_auth_methods_supported();
        let only_post = methods.is_some_and(|methods| {
            !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
                && methods.contains(&CoreClientAuthMethod::ClientSecretPost)
        });
        let kind = if only_post {
            AuthType::RequestBody
        } else {
            AuthType::BasicAuth
        };
        Client::from_provider_metadata(metadata.clone(), id, secret)
            .set_redirect_uri(self.redirect_uri.clone())
            .set_auth_type(kind)
    }

    /// The provider's page that a browser goes to.
    pub(crate) async fn page(&self, ticket: &Ticket, now: Timestamp) -> Result<String, Refusal> {
        let metadata = self.metadata(now, KEPT_MILLISECONDS).await?;
        let client = self.client(&metadata);
        let verifier = PkceCodeVerifier::new(ticket.verifier.clone());
        let state = CsrfToken::new(ticket.state.clone());
        let nonce = Nonce::new(ticket.nonce.clone());
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                move || state,
                move || nonce,
            )
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        for scope in &self.config.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let (url, ..) = request.url();
        Ok(url.into())
    }

    /// Exchanges what came back for the provider's word on the person.
    pub(crate) async fn ask(
        &self,
        ticket: &Ticket,
        returned: Returned,
        now: Timestamp,
    ) -> Result<Told, Refusal> {
        let metadata = self.metadata(now, KEPT_MILLISECONDS).await?;
        self.check_issuer(&metadata, returned.issuer.as_deref())?;
        let client = self.client(&metadata);
        let answer = client
            .exchange_code(AuthorizationCode::new(returned.code))
            .map_err(|error| Refusal::of(&error))?
            .set_pkce_verifier(PkceCodeVerifier::new(ticket.verifier.clone()))
            .request_async(&self.back_channel)
            .await
            .map_err(|error| match error {
                RequestTokenError::Request(fault) => fault.into(),
                other => Refusal::of(&other),
            })?;
        let token = answer
            .id_token()
            .ok_or_else(|| Refusal::invalid("no ID token"))?;
        let claims = self.verify(&metadata, token, ticket, now).await?;
        let mut told = read(&claims)?;
        if told.email.is_none() && metadata.userinfo_endpoint().is_some() {
            self.complete(&client, &answer, &claims, &mut told).await;
        }
        Ok(told)
    }

    /// The answer is this provider's own: one that another sent here is turned away before the code goes anywhere.
    fn check_issuer(&self, metadata: &Metadata, named: Option<&str>) -> Result<(), Refusal> {
        let needed = metadata
            .additional_metadata()
            .authorization_response_iss_parameter_supported;
        match named {
            Some(named) if named != self.issuer() => {
                Err(Refusal::invalid("the answer names another issuer"))
            }
            None if needed => Err(Refusal::invalid("the answer names no issuer")),
            _ => Ok(()),
        }
    }

    /// The token's claims; a key that nobody knows may be a new one.
    async fn verify(
        &self,
        metadata: &Metadata,
        token: &CoreIdToken,
        ticket: &Ticket,
        now: Timestamp,
    ) -> Result<CoreIdTokenClaims, Refusal> {
        use SignatureVerificationError::{CryptoError, NoMatchingKey};
        match self.claims(metadata, token, ticket, now) {
            Err(ClaimsVerificationError::SignatureVerification(NoMatchingKey | CryptoError(_))) => {
                let newer = self.metadata(now, RENEWED_MILLISECONDS).await?;
                self.claims(&newer, token, ticket, now)
            }
            other => other,
        }
        .map_err(|error| Refusal::of(&error))
    }

    fn claims(
        &self,
        metadata: &Metadata,
        token: &CoreIdToken,
        ticket: &Ticket,
        now: Timestamp,
    ) -> Result<CoreIdTokenClaims, ClaimsVerificationError> {
        let now = now.milliseconds() / 1000;
        let earliest = UNIX_EPOCH + Duration::from_secs((now - SKEW_SECONDS).unsigned_abs());
        let client = self.client(metadata);
        let algorithms = metadata.id_token_signing_alg_values_supported().iter();
        // With a shared secret, who verifies could sign as well; without a signature, anyone.
        let public = algorithms.filter(|algorithm| {
            **algorithm != CoreJwsSigningAlgorithm::None && !algorithm.uses_shared_secret()
        });
        let verifier = client
            .id_token_verifier()
            .set_allowed_algs(public.cloned())
            .set_time_fn(move || earliest.into())
            .set_issue_time_verifier_fn(move |issued| {
                let past = issued.timestamp() <= now + SKEW_SECONDS;
                past.then_some(())
                    .ok_or_else(|| "it is of the future".into())
            });
        let nonce = Nonce::new(ticket.nonce.clone());
        let claims = token.claims(&verifier, &nonce)?;
        let party = claims.authorized_party();
        if party.is_some_and(|party| *party != self.config.client_id) {
            return Err(ClaimsVerificationError::InvalidAudience(
                "it was made for another party".into(),
            ));
        }
        Ok(claims.clone())
    }

    /// Some providers keep the address out of the token; who it is, is proven already.
    async fn complete(
        &self,
        client: &Client,
        answer: &CoreTokenResponse,
        claims: &CoreIdTokenClaims,
        told: &mut Told,
    ) {
        let access = answer.access_token().clone();
        let Ok(request) = client.user_info(access, Some(claims.subject().clone())) else {
            return;
        };
        let more: Result<CoreUserInfoClaims, _> = request.request_async(&self.back_channel).await;
        match more {
            Ok(more) => {
                told.email = more.email().map(|email| email.to_string());
                told.email_verified = more.email_verified().unwrap_or(false);
                let name = more.name().and_then(|name| name.get(None));
                told.name = name.map(|name| name.to_string()).or(told.name.take());
            }
            Err(error) => tracing::warn!(
                provider = self.slug(),
                %error,
                "the provider tells nothing of a person"
            ),
        }
    }
}

fn read(claims: &CoreIdTokenClaims) -> Result<Told, Refusal> {
    let subject = claims.subject().as_str();
    if subject.is_empty() || subject.len() > MAX_SUBJECT {
        return Err(Refusal::invalid("the subject is empty or too long"));
    }
    let name = claims.name().and_then(|name| name.get(None));
    Ok(Told {
        subject: subject.to_owned(),
        email: claims.email().map(|email| email.to_string()),
        email_verified: claims.email_verified().unwrap_or(false),
        name: name.map(|name| name.to_string()),
    })
}
