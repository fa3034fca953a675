//! Identities at providers (`OpenID` Connect, authorization code flow with PKCE): signing in by one, linking and removing.
//!
//! `provider` knows the protocol, `back_channel` bounds its requests, `arrival` decides what a provider's word opens.
//! An identity opens the account that it is linked to, and no other: an e-mail address alone links nothing.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use shared::{
    IdentityId, Timestamp, UserId,
    identity::{Authorization, CreateAuthorization, CreateIdentity, Identity, IdentityProvider},
    language::Language,
};
use store::{Aim, IdentityRecord, WayKey, WayRecord};

use super::{
    App, letters,
    principal::{Credential, Principal},
    second_factors, sessions,
};
use crate::{
    config::{Config, providers},
    error::Error,
    secret,
};

mod arrival;
mod back_channel;
mod provider;

pub(crate) use arrival::{Answer, Grant, Traveller, finish, show_second_factor};
use provider::{Provider, Refusal, Ticket};

/// How long the way to a provider and back may take: ten minutes.
pub(crate) const WAY_SECONDS: i64 = 600;
const HOME: &str = "/home";
/// The page of an account.
const ACCOUNT: &str = "/account";

/// Every provider that the configuration names.
pub(crate) struct Providers(Vec<Provider>);

impl Providers {
    pub(crate) fn open(config: &Config, public_url: &str) -> anyhow::Result<Self> {
        let read = config.identity_providers.as_deref().map(providers::read);
        let providers = read.transpose()?.unwrap_or_default().into_iter();
        let providers = providers.map(|provider| Provider::new(provider, public_url));
        Ok(Self(providers.collect::<anyhow::Result<_>>()?))
    }

    fn named(&self, slug: &str) -> Result<&Provider, Error> {
        let found = self.0.iter().find(|provider| provider.slug() == slug);
        found.ok_or(Error::NotFound)
    }
}

/// What a browser takes along: where to go, and what it keeps to itself until it is back.
pub(crate) struct Departure {
    pub(crate) authorization: Authorization,
    /// Names what it keeps.
    pub(crate) label: String,
    pub(crate) key: String,
}

/// The providers, as the configuration lists them.
pub(crate) fn list_providers(app: &App) -> Vec<IdentityProvider> {
    app.providers().0.iter().map(Provider::view).collect()
}

/// Begins to sign in.
pub(crate) async fn begin(
    app: &App,
    slug: &str,
    request: CreateAuthorization,
) -> Result<Departure, Error> {
    Error::unless_valid(request.validate())?;
    let provider = app.providers().named(slug)?;
    let way = WayRecord {
        aim: Aim::SignIn,
        return_to: request.return_to.unwrap_or_else(|| HOME.into()),
    };
    depart(app, provider, way).await
}

/// Begins to link an identity to the account of somebody who knows its password.
pub(crate) async fn begin_link(
    app: &App,
    caller: &Principal,
    request: CreateIdentity,
) -> Result<Departure, Error> {
    let provider = app.providers().named(&request.provider)?;
    if !matches!(caller.credential, Credential::Session(_)) {
        return Err(Error::Conflict(
            "Only a browser can go to the provider. Sign in with one.".into(),
        ));
    }
    // Whoever made an account with another's address must not keep a way into it once its owner comes.
    if sessions::proven_email(app, caller.user).await?.is_none() {
        return Err(Error::Conflict(
            "Confirm your e-mail address by its letter first.".into(),
        ));
    }
    second_factors::require_password(app, caller.user, request.password).await?;
    let way = WayRecord {
        aim: Aim::Link(caller.user),
        return_to: format!("{ACCOUNT}?linked={}", provider.slug()),
    };
    depart(app, provider, way).await
}

async fn depart(app: &App, provider: &Provider, way: WayRecord) -> Result<Departure, Error> {
    let key = secret::random_text();
    let ticket = ticket(secret::random_text(), &key);
    let url = provider
        .page(&ticket, app.now())
        .await
        .map_err(|refusal| unavailable(provider, &refusal))?;
    let names = way_key(provider, &ticket.state, &key);
    let label = label(&ticket.state);
    app.store()
        .begin_way(names, way, app.now(), way_end(app))
        .await?;
    Ok(Departure {
        authorization: Authorization {
            url,
            expires_in_seconds: WAY_SECONDS.unsigned_abs(),
        },
        label,
        key,
    })
}

fn unavailable(provider: &Provider, refusal: &Refusal) -> Error {
    let name = provider.view().name;
    tracing::warn!(provider = provider.slug(), %refusal, "an identity provider cannot be used");
    Error::ProviderUnavailable(name)
}

/// Nonce and PKCE verifier come from what the browser alone keeps: the database holds neither.
fn ticket(state: String, key: &str) -> Ticket {
    let derive = |purpose: &str| {
        URL_SAFE_NO_PAD.encode(Sha256::digest(format!("persguard {purpose} {state} {key}")))
    };
    Ticket {
        nonce: derive("nonce"),
        verifier: derive("verifier"),
        state,
    }
}

fn way_key(provider: &Provider, state: &str, key: &str) -> WayKey {
    WayKey {
        token_hash: secret::digest(state),
        browser_hash: secret::digest(key),
        issuer: provider.issuer().to_owned(),
    }
}

/// Tells ways apart that one browser is on at once.
pub(crate) fn label(state: &str) -> String {
    secret::digest(state)[..16].to_owned()
}

fn way_end(app: &App) -> Timestamp {
    app.later(WAY_SECONDS * 1000)
}

/// The ways into a person's account by providers, oldest first.
pub(crate) async fn list(app: &App, user: UserId) -> Result<Vec<Identity>, Error> {
    let view = |record: IdentityRecord| {
        let mut known = app.providers().0.iter();
        let provider = known.find(|provider| provider.issuer() == record.issuer);
        Identity {
            id: record.id,
            provider: provider.map(Provider::view),
            issuer: record.issuer,
            subject: record.subject,
            email: record.email,
            created_at: record.created_at,
            used_at: record.used_at,
        }
    };
    let records = app.store().list_identities(user).await?;
    Ok(records.into_iter().map(view).collect())
}

/// Removes a way into a person's account; the last one stays.
pub(crate) async fn unlink(
    app: &App,
    language: Language,
    user: UserId,
    id: IdentityId,
) -> Result<(), Error> {
    let issuers: Vec<&str> = app.providers().0.iter().map(Provider::issuer).collect();
    let store = app.store();
    if !store.delete_identity(user, id, &issuers, app.now()).await? {
        return Err(Error::NotFound);
    }
    letters::tell(app, language, user, letters::Notice::IdentityUnlinked).await
}
