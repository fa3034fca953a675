//! Signing in by identity providers (`OpenID` Connect), and the identities of an account.
//!
//! The way back from a provider is a page that a browser opens: it answers with another page, never with a document.

use axum::{
    Json as Body,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use serde::Deserialize;
use shared::{
    IdentityId,
    auth::User,
    identity::{
        Authorization, CreateAuthorization, CreateIdentity, Identity, IdentityProvider,
        ShowSecondFactor,
    },
    page::Page,
};
use utoipa::IntoParams;

use super::{accounts, location, tokens::UNSTORED};
use crate::{
    app::{
        App,
        identities::{self, Answer, Departure, Grant, Traveller, WAY_SECONDS},
        principal::Principal,
        sessions,
    },
    error::Error,
    extract::{CurrentUser, Id, Json, Spoken, identity},
    layers::client::ClientAddress,
};

/// What a browser keeps while it is at a provider; followed by the label of its way.
const WAY_COOKIE: &str = "persguard_way_";
const WAY_PATH: &str = "/v1/identity-providers";
/// What it keeps until it shows a second factor.
const HALF_COOKIE: &str = "persguard_half";
const HALF_PATH: &str = "/v1/sessions";

/// What a provider sends the browser back with.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Returned {
    /// What this server gave the browser along.
    #[serde(default)]
    state: String,
    /// What the provider exchanges for its word on the person.
    code: Option<String>,
    /// The provider (RFC 9207).
    iss: Option<String>,
    /// Why it sends nobody.
    error: Option<String>,
}

fn one_page<T>(data: Vec<T>) -> Body<Page<T>> {
    Body(Page {
        data,
        has_more: false,
        next_cursor: None,
    })
}

fn departed(app: &App, departure: Departure) -> impl IntoResponse + use<> {
    let name = format!("{WAY_COOKIE}{}", departure.label);
    let kept = identity::set_cookie(app, (&name, WAY_PATH), &departure.key, WAY_SECONDS);
    (
        StatusCode::CREATED,
        UNSTORED,
        [(header::SET_COOKIE, kept)],
        Body(departure.authorization),
    )
}

/// The providers that people may sign in by; none unless the server's operator named some.
#[utoipa::path(get, path = "/v1/identity-providers", tag = "accounts",
    responses((status = 200, body = Page<IdentityProvider>)))]
pub(crate) async fn list_providers(State(app): State<App>) -> Body<Page<IdentityProvider>> {
    one_page(identities::list_providers(&app))
}

/// Begins to sign in: the browser opens the address in the answer, and comes back signed in within ten minutes.
#[utoipa::path(post, path = "/v1/identity-providers/{slug}/authorizations", tag = "accounts",
    params(("slug" = String, Path)), request_body = CreateAuthorization,
    responses((status = 201, body = Authorization)))]
pub(crate) async fn create_authorization(
    State(app): State<App>,
    Path(slug): Path<String>,
    Json(request): Json<CreateAuthorization>,
) -> Result<impl IntoResponse, Error> {
    let departure = identities::begin(&app, &slug, request).await?;
    Ok(departed(&app, departure))
}

/// Where a provider sends the browser back: its address is what is registered there. Leads to a page of the dashboard,
/// which says what happened.
#[utoipa::path(get, path = "/v1/identity-providers/{slug}/callback", tag = "accounts",
    params(("slug" = String, Path), Returned), responses((status = 303)))]
pub(crate) async fn finish_authorization(
    State(app): State<App>,
    Path(slug): Path<String>,
    address: ClientAddress,
    headers: HeaderMap,
    returned: Result<Query<Returned>, QueryRejection>,
) -> Result<Response, Error> {
    // A parameter that comes twice makes the whole answer one that nobody gave.
    let returned = returned.map(|Query(it)| it).unwrap_or_default();
    let name = format!("{WAY_COOKIE}{}", identities::label(&returned.state));
    let traveller = Traveller {
        browser: accounts::browser(address, &headers),
        key: identity::cookie(&headers, &name).map(str::to_owned),
        session: identity::session_cookie(&headers).map(str::to_owned),
    };
    let answer = Answer {
        state: returned.state,
        code: returned.code,
        issuer: returned.iss,
        error: returned.error,
    };
    let arrival = identities::finish(&app, &slug, traveller, answer).await?;
    // What the browser kept opens nothing any more, and ends by itself.
    let kept = match arrival.grant {
        Grant::Nothing => None,
        Grant::Session(token) => {
            let [(_, kept)] = accounts::cookie(&app, &token, sessions::SESSION_SECONDS);
            Some(kept)
        }
        Grant::Half(token) => {
            let half = (HALF_COOKIE, HALF_PATH);
            Some(identity::set_cookie(&app, half, &token, WAY_SECONDS))
        }
    };
    let place: [(HeaderName, String); 2] = [
        (header::LOCATION, arrival.page),
        // The address of this page holds a code that was used.
        (header::REFERRER_POLICY, "no-referrer".into()),
    ];
    let kept = AppendHeaders(kept.map(|kept| (header::SET_COOKIE, kept)));
    Ok((StatusCode::SEE_OTHER, UNSTORED, place, kept).into_response())
}

/// Ends a provider's sign-in to an account with a second factor of its own.
#[utoipa::path(post, path = "/v1/sessions/second-factor", tag = "accounts",
    request_body = ShowSecondFactor, responses((status = 201, body = User)))]
pub(crate) async fn show_second_factor(
    State(app): State<App>,
    address: ClientAddress,
    headers: HeaderMap,
    Json(request): Json<ShowSecondFactor>,
) -> Result<impl IntoResponse, Error> {
    let half = identity::cookie(&headers, HALF_COOKIE).ok_or(Error::Unauthenticated)?;
    let browser = accounts::browser(address, &headers);
    let (user, token) = identities::show_second_factor(&app, browser, half, &request).await?;
    let [(_, session)] = accounts::cookie(&app, &token, sessions::SESSION_SECONDS);
    let used = identity::set_cookie(&app, (HALF_COOKIE, HALF_PATH), "", 0);
    Ok((
        StatusCode::CREATED,
        AppendHeaders([(header::SET_COOKIE, session), (header::SET_COOKIE, used)]),
        location("/v1/me".into()),
        Body(user),
    ))
}

/// Begins to link an identity to the account that is asking; the browser opens the address in the answer. Takes a browser
/// session, a confirmed e-mail address and the password.
#[utoipa::path(post, path = "/v1/me/identities", tag = "accounts", request_body = CreateIdentity,
    responses((status = 201, body = Authorization)))]
pub(crate) async fn create_identity(
    State(app): State<App>,
    caller: Principal,
    Json(request): Json<CreateIdentity>,
) -> Result<impl IntoResponse, Error> {
    let departure = identities::begin_link(&app, &caller, request).await?;
    Ok(departed(&app, departure))
}

/// The identities at providers that sign in to the account that is asking, oldest first.
#[utoipa::path(get, path = "/v1/me/identities", tag = "accounts",
    responses((status = 200, body = Page<Identity>)))]
pub(crate) async fn list_identities(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
) -> Result<Body<Page<Identity>>, Error> {
    identities::list(&app, user).await.map(one_page)
}

/// Removes an identity; the last way into an account stays.
#[utoipa::path(delete, path = "/v1/me/identities/{id}", tag = "accounts",
    params(("id" = IdentityId, Path)), responses((status = 204)))]
pub(crate) async fn delete_identity(
    State(app): State<App>,
    Spoken(language): Spoken,
    CurrentUser(user): CurrentUser,
    Id(id): Id<IdentityId>,
) -> Result<StatusCode, Error> {
    identities::unlink(&app, language, user, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
