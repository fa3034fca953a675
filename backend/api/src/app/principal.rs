//! Who is asking, in which organisation, and what they may do there.

use std::net::IpAddr;

use shared::{
    NodeId, OrganisationId, Timestamp, UserId,
    api_key::{AddressBlock, Scope},
    role::{Need, Role},
};
use store::ApiKeyRecord;

use super::{App, api_keys, nodes, sessions, tokens::Audience};
use crate::{error::Error, secret};

/// What a request proves itself with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A browser session: the hash of its token.
    Session(String),
    /// A short-lived access token.
    Token,
    /// An API key, as it was then.
    Key(Box<ApiKeyRecord>),
}

/// An authenticated caller in one organisation.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The person, or the person who made the key.
    pub user: UserId,
    /// The organisation that the request works in.
    pub organisation: OrganisationId,
    /// What the person is in it.
    pub role: Role,
    /// What the request proved itself with.
    pub credential: Credential,
}

/// What a request shows of its caller.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// What follows `Authorization: Bearer`.
    pub bearer: Option<&'a str>,
    /// The session cookie.
    pub cookie: Option<&'a str>,
    /// The organisation that the request names, by path or header.
    pub organisation: Option<OrganisationId>,
    /// Where it comes from.
    pub address: IpAddr,
}

impl Principal {
    /// Refuses a role that does not satisfy a need.
    pub fn require(&self, need: Need) -> Result<(), Error> {
        if self.role.may(need) {
            return Ok(());
        }
        let role = self.role.as_str();
        Err(Error::Forbidden(format!(
            "Your role here is {role}, which may not do this. Ask an administrator of the organisation."
        )))
    }

    /// Refuses a key without a scope.
    pub fn require_scope(&self, scope: Scope) -> Result<(), Error> {
        match &self.credential {
            Credential::Key(key) if !key.scopes.contains(&scope) => Err(Error::MissingScope(scope)),
            _ => Ok(()),
        }
    }

    /// Whose room for requests and streams it is: a key has its own beside the person who made it.
    pub(crate) fn room(&self) -> String {
        match &self.credential {
            Credential::Key(_) => format!("key {} {}", self.user, self.organisation),
            _ => self.user.to_string(),
        }
    }

    /// Refuses keys.
    pub fn require_person(&self) -> Result<(), Error> {
        match self.credential {
            Credential::Key(_) => Err(Error::Forbidden(
                "An API key cannot do this. Sign in, or use an access token.".into(),
            )),
            _ => Ok(()),
        }
    }
}

/// Refuses whom the configuration does not name as administrator, by an address that is proven theirs: anyone can make
/// an account with an address.
pub async fn require_operator(app: &App, caller: &Principal) -> Result<(), Error> {
    let email = sessions::proven_email(app, caller.user).await?;
    if sessions::is_administrator(app, email.as_deref()) {
        return Ok(());
    }
    Err(Error::Forbidden(
        "This is for the administrators of this server. Are you one? Then confirm your e-mail address by its letter."
            .into(),
    ))
}

/// Finds out who shows this; anything invalid is `Unauthenticated`, an organisation to which they do
/// not belong is not there.
pub async fn authenticate(app: &App, shown: Shown<'_>) -> Result<Principal, Error> {
    let (user, home, credential) = match shown.bearer {
        Some(secret) if api_keys::looks_like_one(secret) => key(app, secret, &shown).await?,
        Some(token) => {
            let (user, home) = app.tokens().verify_person(token, app.now())?;
            (user, home, Credential::Token)
        }
        None => {
            let cookie = shown.cookie.ok_or(Error::Unauthenticated)?;
            let session = sessions::find(app, cookie).await?;
            let home = session.organisation_id;
            (
                session.user_id,
                home,
                Credential::Session(session.token_hash),
            )
        }
    };
    let organisation = shown.organisation.unwrap_or(home);
    let bound = matches!(credential, Credential::Key(_));
    if bound && organisation != home {
        return Err(Error::NotFound);
    }
    let Some(role) = app.store().find_role(user, organisation).await? else {
        let named = shown.organisation.is_some();
        return Err(if named {
            Error::NotFound
        } else {
            Error::Unauthenticated
        });
    };
    Ok(Principal {
        user,
        organisation,
        role,
        credential,
    })
}

async fn key(
    app: &App,
    secret: &str,
    shown: &Shown<'_>,
) -> Result<(UserId, OrganisationId, Credential), Error> {
    let key = api_keys::open(app, secret).await?;
    if !is_allowed(&key.allowed_addresses, shown.address) {
        return Err(Error::Forbidden(
            "This API key may not be used from your address.".into(),
        ));
    }
    app.store().touch_api_key(&key, app.now()).await?;
    Ok((
        key.user_id,
        key.organisation_id,
        Credential::Key(Box::new(key)),
    ))
}

/// Whether whoever asked at a moment could ask the same now: what is answered for long looks again. The secret is not
/// kept, so that a key that was changed meanwhile counts as another one.
pub(crate) async fn still_holds(
    app: &App,
    caller: &Principal,
    since: Timestamp,
) -> Result<bool, Error> {
    let now = app.now();
    let valid = match &caller.credential {
        Credential::Session(token_hash) => {
            let found = app.store().find_session(token_hash, now).await?;
            found.is_some_and(|session| session.user_id == caller.user)
        }
        // It expires so long after it was made, which was no later than it was shown.
        Credential::Token => {
            now.milliseconds() - since.milliseconds() < Audience::Api.lifetime_seconds() * 1000
        }
        Credential::Key(key) => {
            let found = app.store().find_api_key(caller.organisation, key.id);
            found.await?.is_some_and(|found| {
                found.revoked_at.is_none()
                    && found.expires_at > now
                    && found.hint == key.hint
                    && found.allowed_addresses == key.allowed_addresses
            })
        }
    };
    let role = app.store().find_role(caller.user, caller.organisation);
    Ok(valid && role.await? == Some(caller.role))
}

fn is_allowed(blocks: &[String], address: IpAddr) -> bool {
    let holds = |block: &String| {
        block
            .parse::<AddressBlock>()
            .is_ok_and(|block| block.contains(address))
    };
    blocks.is_empty() || blocks.iter().any(holds)
}

/// The node behind a bearer token: one that joined, or `None` for the server's own, which names itself.
pub async fn authenticate_node(app: &App, bearer: Option<&str>) -> Result<Option<NodeId>, Error> {
    let token = bearer.ok_or(Error::Unauthenticated)?;
    if nodes::looks_like_credential(token) {
        let hash = secret::digest(token);
        let found = app.store().find_node_by_credential(&hash).await?;
        return found.map(Some).ok_or(Error::Unauthenticated);
    }
    app.tokens().verify(Audience::Node, token, app.now())?;
    Ok(None)
}
