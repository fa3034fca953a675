//! Back from a provider: whose account its word opens, if any, and the page that says so.

use std::time::Duration;

use openidconnect::url::form_urlencoded;
use shared::{
    UserId,
    audit::AuditActor,
    auth::{User, is_plausible_email},
    identity::{ShowSecondFactor, SignInProblem},
    language::Language,
};
use store::{Aim, NewIdentity, WayKey, WayRecord};

use super::{
    ACCOUNT, HOME,
    provider::{Provider, Refusal, Returned, Told},
    ticket, way_end, way_key,
};
use crate::{
    app::{
        App, letters, second_factors,
        sessions::{self, Browser},
    },
    error::Error,
    secret,
};

/// All questions to the provider together; requests of ours end after thirty seconds.
const PATIENCE: Duration = Duration::from_secs(20);
const MAX_NAME: usize = 100;

/// What the provider had the browser bring.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) state: String,
    pub(crate) code: Option<String>,
    pub(crate) issuer: Option<String>,
    /// The provider says no.
    pub(crate) error: Option<String>,
}

/// A browser on its way back.
pub(crate) struct Traveller {
    pub(crate) browser: Browser,
    /// What it kept to itself.
    pub(crate) key: Option<String>,
    /// The token of its session, if it is signed in.
    pub(crate) session: Option<String>,
}

/// What a browser keeps from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    /// Nothing.
    Nothing,
    /// The token of a session.
    Session(String),
    /// A token that a second factor turns into a session.
    Half(String),
}

/// Where a browser goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) page: String,
    pub(crate) grant: Grant,
}

impl From<Error> for SignInProblem {
    fn from(error: Error) -> Self {
        if let Error::RateLimited { .. } = error {
            return Self::RateLimited;
        }
        tracing::error!(cause = error.cause(), %error, "a way back from a provider failed");
        Self::Internal
    }
}

/// Ends a way; whatever happens, the browser gets a page. Only a provider that there is not is an error.
pub(crate) async fn finish(
    app: &App,
    slug: &str,
    traveller: Traveller,
    answer: Answer,
) -> Result<Arrival, Error> {
    let provider = app.providers().named(slug)?;
    let way = match end_way(app, provider, &traveller, &answer).await {
        Ok(way) => way,
        Err(problem) => return Ok(refused(provider, None, problem)),
    };
    let arrived = arrive(app, provider, &way, traveller, answer).await;
    Ok(arrived.unwrap_or_else(|problem| refused(provider, Some(&way), problem)))
}

/// The way that this answer ends, in this browser and at this provider, once.
async fn end_way(
    app: &App,
    provider: &Provider,
    traveller: &Traveller,
    answer: &Answer,
) -> Result<WayRecord, SignInProblem> {
    let address = traveller.browser.address.to_string();
    app.limits().addresses.take(&address, app.now())?;
    let key = traveller.key.as_deref().ok_or(SignInProblem::Expired)?;
    let names = way_key(provider, &answer.state, key);
    let way = app.store().end_way(&names, app.now()).await;
    way.map_err(Error::from)?.ok_or(SignInProblem::Expired)
}

async fn arrive(
    app: &App,
    provider: &Provider,
    way: &WayRecord,
    traveller: Traveller,
    answer: Answer,
) -> Result<Arrival, SignInProblem> {
    let key = traveller.key.as_deref().unwrap_or_default();
    let told = ask(app, provider, key, answer).await?;
    match way.aim {
        Aim::SignIn => sign_in(app, provider, told, traveller.browser, &way.return_to).await,
        Aim::Link(user) => {
            let session = traveller.session.ok_or(SignInProblem::Expired)?;
            let language = traveller.browser.language;
            link(app, language, provider, told, (user, &session)).await?;
            Ok(Arrival {
                page: way.return_to.clone(),
                grant: Grant::Nothing,
            })
        }
        Aim::SecondFactor(_) => Err(SignInProblem::Expired),
    }
}

async fn ask(
    app: &App,
    provider: &Provider,
    key: &str,
    answer: Answer,
) -> Result<Told, SignInProblem> {
    let code = match (answer.error, answer.code) {
        (None, Some(code)) => code,
        (Some(error), _) if error == "access_denied" => return Err(SignInProblem::Denied),
        _ => return Err(SignInProblem::Invalid),
    };
    let ticket = ticket(answer.state, key);
    let returned = Returned {
        code,
        issuer: answer.issuer,
    };
    let asked = tokio::time::timeout(PATIENCE, provider.ask(&ticket, returned, app.now())).await;
    asked
        .unwrap_or_else(|_| Err(Refusal::Unreachable("it took too long".into())))
        .map_err(|refusal| {
            tracing::warn!(provider = provider.slug(), %refusal, "an identity was not accepted");
            match refusal {
                Refusal::Unreachable(_) => SignInProblem::Unreachable,
                Refusal::Invalid(_) => SignInProblem::Invalid,
            }
        })
}

fn identity(provider: &Provider, told: &Told) -> NewIdentity {
    let email = told.email.clone().filter(|email| is_plausible_email(email));
    NewIdentity {
        issuer: provider.issuer().to_owned(),
        subject: told.subject.clone(),
        email,
    }
}

async fn sign_in(
    app: &App,
    provider: &Provider,
    told: Told,
    browser: Browser,
    return_to: &str,
) -> Result<Arrival, SignInProblem> {
    let store = app.store();
    let known = store
        .find_identity_any(provider.issuer(), &told.subject)
        .await;
    let user = match known.map_err(Error::from)? {
        Some(known) => {
            let touched = store.touch_identity(known.id, app.now()).await;
            touched.map_err(Error::from)?;
            known.user_id
        }
        None => open_account(app, provider, &told).await?,
    };
    if second_factors::is_on(app, user).await? {
        return half_way(app, user, return_to).await;
    }
    let token = sessions::start_session(app, user, browser).await?;
    Ok(Arrival {
        page: return_to.to_owned(),
        grant: Grant::Session(token),
    })
}

/// An account for somebody whom nobody knows, by their name and the address that the provider vouches for.
async fn open_account(
    app: &App,
    provider: &Provider,
    told: &Told,
) -> Result<UserId, SignInProblem> {
    let email = told.email.as_deref().map(str::trim);
    let email = email.filter(|email| told.email_verified && is_plausible_email(email));
    // Before this line nothing depends on whether an address has an account: a stranger learns nothing.
    let email = email.ok_or(SignInProblem::Unverified)?;
    let owner = app.store().find_user_by_email(email).await;
    if owner.map_err(Error::from)?.is_some() {
        return Err(SignInProblem::AccountExists);
    }
    if !provider.creates_accounts() {
        return Err(SignInProblem::NoAccount);
    }
    let account = (email.to_owned(), name(told, email));
    let made = app
        .store()
        .create_user_of_identity(account, identity(provider, told), app.now())
        .await;
    match made {
        Ok(made) => Ok(made.id),
        Err(store::Error::EmailTaken) => Err(SignInProblem::AccountExists),
        // Two tabs at once: the other one was first.
        Err(store::Error::IdentityTaken) => Err(SignInProblem::Expired),
        Err(other) => Err(Error::from(other).into()),
    }
}

fn name(told: &Told, email: &str) -> String {
    let local = email.split('@').next().unwrap_or(email);
    let given = told.name.as_deref().unwrap_or_default();
    let plain: String = given.chars().filter(|c| !c.is_control()).collect();
    let name = if plain.trim().is_empty() {
        local
    } else {
        plain.trim()
    };
    name.chars().take(MAX_NAME).collect()
}

async fn link(
    app: &App,
    language: Language,
    provider: &Provider,
    told: Told,
    (user, session): (UserId, &str),
) -> Result<(), SignInProblem> {
    // Only the browser in which the person asked for it is signed in as them.
    let signed_in = sessions::find(app, session).await;
    let same = signed_in.is_ok_and(|session| session.user_id == user);
    if !same {
        return Err(SignInProblem::Expired);
    }
    store::identify(AuditActor::User { user_id: user });
    let store = app.store();
    let identity = identity(provider, &told);
    match store.create_identity(user, identity, app.now()).await {
        Ok(()) => Ok(letters::tell(app, language, user, letters::Notice::IdentityLinked).await?),
        Err(store::Error::TooManyIdentities) => Err(SignInProblem::TooMany),
        Err(store::Error::IdentityTaken) => {
            let known = store
                .find_identity_any(provider.issuer(), &told.subject)
                .await;
            let own = known
                .map_err(Error::from)?
                .is_some_and(|known| known.user_id == user);
            own.then_some(()).ok_or(SignInProblem::Taken)
        }
        Err(other) => Err(Error::from(other).into()),
    }
}

/// What names a way whose provider lies behind.
fn half_key(token: &str) -> WayKey {
    WayKey {
        token_hash: secret::digest(token),
        browser_hash: String::new(),
        issuer: String::new(),
    }
}

async fn half_way(app: &App, user: UserId, return_to: &str) -> Result<Arrival, SignInProblem> {
    let token = secret::random_text();
    let way = WayRecord {
        aim: Aim::SecondFactor(user),
        return_to: return_to.to_owned(),
    };
    app.store()
        .begin_way(half_key(&token), way, app.now(), way_end(app))
        .await
        .map_err(Error::from)?;
    Ok(Arrival {
        page: page("/sign-in", &[("step", "code"), ("next", return_to)]),
        grant: Grant::Half(token),
    })
}

/// Turns half a sign-in into a session by the account's own second factor; gives the session's token.
pub(crate) async fn show_second_factor(
    app: &App,
    browser: Browser,
    half: &str,
    request: &ShowSecondFactor,
) -> Result<(User, String), Error> {
    let key = half_key(half);
    let way = app.store().find_way_any(&key, app.now()).await?;
    let Some(Aim::SecondFactor(user)) = way.map(|way| way.aim) else {
        return Err(Error::Unauthenticated);
    };
    second_factors::require(app, user, Some(&request.code)).await?;
    let ended = app.store().end_way(&key, app.now()).await?;
    ended.ok_or(Error::Unauthenticated)?;
    let token = sessions::start_session(app, user, browser).await?;
    Ok((sessions::find_account(app, user).await?, token))
}

/// The page that says why nobody is signed in, or nothing linked; its address holds a name and no secret.
fn refused(provider: &Provider, way: Option<&WayRecord>, problem: SignInProblem) -> Arrival {
    let mut pairs = vec![("problem", problem.as_str()), ("provider", provider.slug())];
    let place = match way {
        Some(WayRecord {
            aim: Aim::Link(_), ..
        }) => ACCOUNT,
        Some(way) if way.return_to != HOME => {
            pairs.push(("next", &way.return_to));
            "/sign-in"
        }
        _ => "/sign-in",
    };
    Arrival {
        page: page(place, &pairs),
        grant: Grant::Nothing,
    }
}

fn page(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    format!("{path}?{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: Option<&str>) -> Told {
        Told {
            subject: "1".into(),
            email: None,
            email_verified: false,
            name: name.map(str::to_owned),
        }
    }

    #[test]
    fn account_is_called_as_its_person_or_as_the_address() {
        let email = "ada@example.org";
        assert_eq!(name(&told(Some(" Ada\u{7} L. ")), email), "Ada L.");
        assert_eq!(name(&told(Some(" \n ")), email), "ada");
        assert_eq!(name(&told(None), email), "ada");
        assert_eq!(name(&told(Some(&"x".repeat(1000))), email).len(), MAX_NAME);
    }

    #[test]
    fn pages_carry_their_pairs_escaped() {
        let page = page("/sign-in", &[("step", "code"), ("next", "/jobs?a=b&c")]);
        assert_eq!(page, "/sign-in?step=code&next=%2Fjobs%3Fa%3Db%26c");
    }
}
