//! Signing in by identity providers: who gets in, who does not, and what providers may not do.

use reqwest::{Response, StatusCode, Url};
use serde_json::{Value, json};
use shared::{
    account_data::DeletionReceipt,
    audit::AuditEvent,
    auth::User,
    identity::{Authorization, Identity, IdentityProvider},
    page::Page,
};

use crate::{
    scripted_provider::{Fault, Provider, SECRET, Signed},
    second_factors::{code, set_up},
    support::{Person, Server, body, refused},
};

const PASSWORD: &str = "correct horse battery";

/// A server that knows these providers.
async fn server(providers: &[(&str, &Provider)], create_accounts: bool) -> Server {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file = folder.path().join("providers.toml");
    let lines = providers
        .iter()
        .map(|(slug, provider)| provider.lines(slug, create_accounts));
    std::fs::write(&file, lines.collect::<String>()).expect("written");
    std::fs::write(folder.path().join("secret"), format!("{SECRET}\n")).expect("written");
    let server = Server::start_with(|config| config.identity_providers = Some(file)).await;
    for (_, provider) in providers {
        provider.script().clock = server.clock.clone();
    }
    server
}

/// A provider and a server that opens accounts by its word.
pub(crate) async fn open() -> (Provider, Server) {
    let provider = Provider::start().await;
    let server = server(&[("example", &provider)], true).await;
    (provider, server)
}

fn location(response: &Response) -> String {
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let place = response.headers()["location"].to_str().expect("text");
    place.to_owned()
}

/// The provider's page that a browser is sent to.
async fn depart(person: &Person<'_>, slug: &str, return_to: Option<&str>) -> String {
    let path = format!("/v1/identity-providers/{slug}/authorizations");
    let request = return_to.map_or_else(|| json!({}), |page| json!({ "return_to": page }));
    let begun = person.post(&path, &request).await;
    let begun: Authorization = body(begun, StatusCode::CREATED).await;
    assert_eq!(begun.expires_in_seconds, 600);
    begun.url
}

/// Where the provider sends the browser back to.
async fn visit(person: &Person<'_>, url: &str) -> String {
    location(&person.get(url).await)
}

/// All the way; the page at its end.
async fn sign_in(person: &Person<'_>, slug: &str) -> String {
    let page = depart(person, slug, None).await;
    let back = visit(person, &page).await;
    location(&person.get(&back).await)
}

async fn signed_in(person: &Person<'_>) -> bool {
    person.get("/v1/me").await.status() == StatusCode::OK
}

/// Comes back with nothing but a reason.
#[track_caller]
fn assert_problem(page: &str, problem: &str) {
    let start = format!("/sign-in?problem={problem}&provider=");
    assert!(page.starts_with(&start), "{page} instead of {problem}");
}

pub(crate) async fn link(person: &Person<'_>, slug: &str) -> String {
    let request = json!({ "provider": slug, "password": PASSWORD });
    let begun = person.post("/v1/me/identities", &request).await;
    let begun: Authorization = body(begun, StatusCode::CREATED).await;
    let back = visit(person, &begun.url).await;
    location(&person.get(&back).await)
}

async fn identities(person: &Person<'_>) -> Vec<Identity> {
    person
        .read::<Page<Identity>>("/v1/me/identities")
        .await
        .data
}

#[tokio::test]
async fn server_without_providers_has_none_of_it() {
    let server = Server::start().await;
    let stranger = server.stranger();
    let listed: Page<IdentityProvider> = stranger.read("/v1/identity-providers").await;
    assert!(listed.data.is_empty());
    let begin = "/v1/identity-providers/example/authorizations";
    refused(stranger.post(begin, &json!({})).await, 404, "not_found").await;
    let back = "/v1/identity-providers/example/callback?code=a&state=b";
    refused(stranger.get(back).await, 404, "not_found").await;
    let ada = server.confirmed("ada").await;
    let request = json!({ "provider": "example", "password": PASSWORD });
    refused(
        ada.post("/v1/me/identities", &request).await,
        404,
        "not_found",
    )
    .await;
    assert!(identities(&ada).await.is_empty());
}

#[tokio::test]
async fn stranger_gets_an_account_and_comes_back_to_it() {
    let (provider, server) = open().await;
    let ada = server.stranger();
    let listed: Page<IdentityProvider> = ada.read("/v1/identity-providers").await;
    assert_eq!(listed.data[0].name, "Example example");
    let page = depart(&ada, "example", Some("/jobs?a=b")).await;
    let url = Url::parse(&page).unwrap();
    assert!(url.as_str().starts_with(&provider.issuer()));
    assert!(!signed_in(&ada).await, "not before the way back");
    let back = visit(&ada, &page).await;
    let response = ada.get(&back).await;
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["referrer-policy"], "no-referrer");
    assert_eq!(location(&response), "/jobs?a=b");
    let asked = provider.script().asked.clone();
    assert_eq!(asked["scope"], "openid email profile");
    assert_eq!(
        asked["redirect_uri"],
        server.url("/v1/identity-providers/example/callback")
    );
    let me: User = ada.read("/v1/me").await;
    assert_eq!(
        (me.email.as_str(), me.name.as_str()),
        ("ada@example.org", "Ada Lovelace")
    );
    assert!(me.email_verified && !me.has_password && !me.second_factor);
    let log: Page<AuditEvent> = ada.read("/v1/audit-events").await;
    let actions: Vec<_> = log
        .data
        .iter()
        .map(|event| event.entry.action.as_str())
        .collect();
    assert_eq!(
        actions,
        ["session.created", "identity.linked", "user.created"]
    );
    let mine = identities(&ada).await;
    assert_eq!(mine[0].provider.as_ref().unwrap().slug, "example");
    assert_eq!(mine[0].email.as_deref(), Some("ada@example.org"));

    // Who it is hangs on the provider's own name for the person, whatever else it tells.
    provider
        .tells(json!({ "email": "other@example.org", "name": "Other", "email_verified": false }));
    let phone = server.stranger();
    assert_eq!(sign_in(&phone, "example").await, "/home");
    assert_eq!(phone.read::<User>("/v1/me").await, me);
    assert_eq!(
        provider.count("/.well-known/openid-configuration"),
        1,
        "it is kept"
    );
    assert_eq!(provider.count("/keys"), 1);
    server.clock.advance(3_601_000);
    depart(&phone, "example", None).await;
    assert_eq!(provider.count("/keys"), 2, "for an hour");
}

#[tokio::test]
async fn address_with_an_account_is_never_linked_by_itself() {
    let (provider, server) = open().await;
    let ada = server.confirmed("ada").await;
    let stranger = server.stranger();
    assert_problem(&sign_in(&stranger, "example").await, "account_exists");
    provider.tells(json!({ "email": " ADA@Example.org " }));
    assert_problem(&sign_in(&stranger, "example").await, "account_exists");
    // Whoever has not proved the address learns nothing of accounts.
    for (email, verified) in [
        (json!("ada@example.org"), json!(false)),
        (json!("ada@example.org"), json!(null)),
        (json!("nobody@example.org"), json!(false)),
        (json!("not an address"), json!(true)),
        (json!(null), json!(true)),
    ] {
        provider.tells(json!({ "email": email, "email_verified": verified }));
        assert_problem(&sign_in(&stranger, "example").await, "unverified");
    }
    assert!(!signed_in(&stranger).await);
    assert!(identities(&ada).await.is_empty());
}

#[tokio::test]
async fn accounts_are_opened_only_where_the_configuration_allows_it() {
    let provider = Provider::start().await;
    let server = server(&[("example", &provider)], false).await;
    let stranger = server.stranger();
    assert_problem(&sign_in(&stranger, "example").await, "no_account");
    assert!(!signed_in(&stranger).await);
    let ada = server.confirmed("ada").await;
    assert_eq!(link(&ada, "example").await, "/account?linked=example");
    assert_eq!(sign_in(&stranger, "example").await, "/home");
    assert_eq!(stranger.read::<User>("/v1/me").await.name, "ada");
}

#[tokio::test]
async fn identity_is_linked_by_who_knows_the_password_and_confirmed_the_address() {
    let (provider, server) = open().await;
    let ada = server.person("ada").await;
    let begin = async |password: &str| {
        let request = json!({ "provider": "example", "password": password });
        ada.post("/v1/me/identities", &request).await
    };
    refused(begin(PASSWORD).await, 409, "conflict").await;
    server.confirm(&ada, "ada").await;
    refused(begin("wrong wrong wrong").await, 403, "invalid_credentials").await;
    assert_eq!(provider.script().seen.len(), 0, "nobody was asked");
    assert_eq!(link(&ada, "example").await, "/account?linked=example");
    assert_eq!(
        link(&ada, "example").await,
        "/account?linked=example",
        "again"
    );
    let mine = identities(&ada).await;
    assert_eq!(mine.len(), 1);
    server
        .letter("ada@example.org", "identity was linked")
        .await;

    let bob = server.confirmed("bob").await;
    let taken = link(&bob, "example").await;
    assert_eq!(taken, "/account?problem=taken&provider=example");
    let path = format!("/v1/me/identities/{}", mine[0].id);
    refused(bob.delete(&path).await, 404, "not_found").await;
    assert_eq!(ada.delete(&path).await.status(), StatusCode::NO_CONTENT);
    refused(ada.delete(&path).await, 404, "not_found").await;
    server
        .letter("ada@example.org", "identity was removed")
        .await;
    assert_problem(
        &sign_in(&server.stranger(), "example").await,
        "account_exists",
    );
    let log: Page<AuditEvent> = ada.read("/v1/audit-events").await;
    let of = |action: &str| {
        log.data
            .iter()
            .filter(|it| it.entry.action == action)
            .count()
    };
    assert_eq!((of("identity.linked"), of("identity.unlinked")), (1, 1));
}

#[tokio::test]
async fn link_ends_in_the_session_that_began_it() {
    let (_provider, server) = open().await;
    let (ada, eve) = (server.confirmed("ada").await, server.confirmed("eve").await);
    let begin = async |person: &Person<'_>| {
        let request = json!({ "provider": "example", "password": PASSWORD });
        let begun = person.post("/v1/me/identities", &request).await;
        body::<Authorization>(begun, StatusCode::CREATED).await.url
    };
    // Eve has Ada's browser open her own link: it would lead Eve's identity to Ada's account, or Ada's to Eve's.
    let url = begin(&eve).await;
    let back = visit(&ada, &url).await;
    assert_problem(&location(&ada.get(&back).await), "expired");
    // The same browser, but somebody else is signed in by now.
    let url = begin(&ada).await;
    let back = visit(&ada, &url).await;
    let session = json!({ "email": "eve@example.org", "password": PASSWORD });
    assert_eq!(
        ada.post("/v1/sessions", &session).await.status(),
        StatusCode::CREATED
    );
    let page = location(&ada.get(&back).await);
    assert_eq!(page, "/account?problem=expired&provider=example");
    assert!(identities(&ada).await.is_empty() && identities(&eve).await.is_empty());
    // A script has no browser to go on with.
    let token = json!({ "email": "eve@example.org", "password": PASSWORD });
    let token = server.stranger().post("/v1/tokens", &token).await;
    let token: Value = body(token, StatusCode::CREATED).await;
    let mut script = server.stranger();
    script.bearer = token["access_token"].as_str().map(str::to_owned);
    let request = json!({ "provider": "example", "password": PASSWORD });
    refused(
        script.post("/v1/me/identities", &request).await,
        409,
        "conflict",
    )
    .await;
}

#[tokio::test]
async fn account_without_a_password_gets_one_by_letter_alone() {
    let (_provider, server) = open().await;
    let ada = server.stranger();
    assert_eq!(sign_in(&ada, "example").await, "/home");
    for password in ["", PASSWORD] {
        let login = json!({ "email": "ada@example.org", "password": password });
        for route in ["/v1/sessions", "/v1/tokens"] {
            let tried = server.stranger().post(route, &login).await;
            refused(tried, 401, "invalid_credentials").await;
        }
    }
    for (route, request, pointer) in [
        (
            "/v1/me/password",
            json!({ "current_password": "", "new_password": "another horse" }),
            "#/current_password",
        ),
        ("/v1/me/totp", json!({ "password": "" }), "#/password"),
        (
            "/v1/deletions",
            json!({ "email": "ada@example.org", "password": "" }),
            "#/password",
        ),
        (
            "/v1/me/identities",
            json!({ "provider": "example", "password": "" }),
            "#/password",
        ),
    ] {
        let problem = refused(ada.post(route, &request).await, 403, "invalid_credentials").await;
        assert_eq!(problem["errors"][0]["code"], "no_password", "{route}");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{route}");
    }
    let mine = identities(&ada).await;
    let only = format!("/v1/me/identities/{}", mine[0].id);
    refused(ada.delete(&only).await, 409, "conflict").await;

    let request = json!({ "email": "ada@example.org" });
    ada.post("/v1/password-resets", &request).await;
    let token = server.token("ada@example.org", "reset-password").await;
    let reset = json!({ "token": token, "password": PASSWORD });
    let reset = ada.post("/v1/password-resets/confirm", &reset).await;
    assert_eq!(reset.status(), StatusCode::NO_CONTENT);
    assert!(!signed_in(&ada).await, "every session ended");
    assert_eq!(
        sign_in(&ada, "example").await,
        "/home",
        "the identity stays"
    );
    assert!(ada.read::<User>("/v1/me").await.has_password);
    let change = json!({ "current_password": PASSWORD, "new_password": "another horse" });
    assert_eq!(
        ada.post("/v1/me/password", &change).await.status(),
        StatusCode::NO_CONTENT
    );
    assert_eq!(ada.delete(&only).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn identity_outlives_the_configuration_of_its_provider() {
    let (provider, server) = open().await;
    let ada = server.stranger();
    assert_eq!(sign_in(&ada, "example").await, "/home");
    let client = ada.client.clone();
    let directory = server.stop().await;
    let server = Server::start_in(directory, |_| ()).await;
    let ada = Person {
        server: &server,
        client,
        bearer: None,
        organisation: None,
    };
    let mine = identities(&ada).await;
    assert_eq!(mine[0].provider, None);
    assert_eq!(mine[0].issuer, provider.issuer());
    let path = format!("/v1/me/identities/{}", mine[0].id);
    refused(ada.delete(&path).await, 409, "conflict").await;
}

#[tokio::test]
async fn second_factor_of_the_account_still_counts() {
    let (_provider, server) = open().await;
    let ada = server.confirmed("ada").await;
    assert_eq!(link(&ada, "example").await, "/account?linked=example");
    let (secret, _) = set_up(&server, &ada).await;
    let phone = server.stranger();
    let show = async |code: &str| {
        let request = json!({ "code": code });
        phone.post("/v1/sessions/second-factor", &request).await
    };
    refused(show("123456").await, 401, "unauthenticated").await;
    let page = depart(&phone, "example", Some("/jobs")).await;
    let back = visit(&phone, &page).await;
    let response = phone.get(&back).await;
    assert_eq!(location(&response), "/sign-in?step=code&next=%2Fjobs");
    let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
    assert!(
        cookies
            .iter()
            .all(|it| !it.to_str().unwrap().contains("persguard_session"))
    );
    assert!(!signed_in(&phone).await);
    refused(show("000000").await, 401, "second_factor_required").await;
    refused(
        show(&code(&server, &secret)).await,
        401,
        "second_factor_required",
    )
    .await;
    server.clock.advance(60_000);
    let right = code(&server, &secret);
    let user: User = body(show(&right).await, StatusCode::CREATED).await;
    assert_eq!(user.name, "ada");
    assert!(signed_in(&phone).await);
    refused(show(&right).await, 401, "unauthenticated").await;
}

#[tokio::test]
async fn half_a_sign_in_ends_with_time_and_guesses_lock_it() {
    let (_provider, server) = open().await;
    let ada = server.confirmed("ada").await;
    link(&ada, "example").await;
    let (secret, _) = set_up(&server, &ada).await;
    let phone = server.stranger();
    let show = async |code: &str| {
        let request = json!({ "code": code });
        phone.post("/v1/sessions/second-factor", &request).await
    };
    assert!(
        sign_in(&phone, "example")
            .await
            .starts_with("/sign-in?step=code")
    );
    for _ in 0..20 {
        refused(show("000000").await, 401, "second_factor_required").await;
    }
    server.clock.advance(30_000);
    refused(show(&code(&server, &secret)).await, 429, "rate_limited").await;
    server.clock.advance(600_000);
    refused(show(&code(&server, &secret)).await, 401, "unauthenticated").await;
}

#[tokio::test]
async fn state_works_once_in_time_in_its_browser_and_at_its_provider() {
    let (first, second) = (Provider::start().await, Provider::start().await);
    let server = server(&[("first", &first), ("second", &second)], true).await;
    let ada = server.stranger();
    let page = depart(&ada, "first", None).await;
    let back = visit(&ada, &page).await;

    let url = Url::parse(&back).unwrap();
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap();
    assert_eq!(state.1.len(), 43, "256 bits");

    let eve = server.stranger();
    assert_problem(&location(&eve.get(&back).await), "expired");
    let wrong = back.replace("state=", "state=x");
    assert_problem(&location(&ada.get(&wrong).await), "expired");
    let mixed_up = back.replace("/first/", "/second/");
    assert_problem(&location(&ada.get(&mixed_up).await), "expired");
    for bad in ["", "?code=a", "?state=", "?state=a&state=b", "?%ff=%ff"] {
        let path = format!("/v1/identity-providers/first/callback{bad}");
        assert_problem(&location(&ada.get(&path).await), "expired");
    }
    assert_eq!(first.count("/token") + second.count("/token"), 0);
    assert_eq!(
        location(&ada.get(&back).await),
        "/home",
        "nothing of this used it up"
    );
    assert!(signed_in(&ada).await);
    assert_problem(&location(&ada.get(&back).await), "expired");
    assert_eq!(first.count("/token"), 1, "a code goes out once");

    let page = depart(&eve, "first", None).await;
    let back = visit(&eve, &page).await;
    server.clock.advance(600_000);
    assert_problem(&location(&eve.get(&back).await), "expired");
    assert!(!signed_in(&eve).await);
}

#[tokio::test]
async fn code_of_another_way_is_of_no_use() {
    let (provider, server) = open().await;
    let (ada, eve) = (server.stranger(), server.stranger());
    let code_of = |back: &str| {
        let url = Url::parse(back).unwrap();
        let code = url.query_pairs().find(|(name, _)| name == "code").unwrap();
        code.1.into_owned()
    };
    let page = depart(&eve, "example", None).await;
    let stolen = code_of(&visit(&eve, &page).await);
    let page = depart(&ada, "example", None).await;
    let back = visit(&ada, &page).await;
    let injected = back.replace(&code_of(&back), &stolen);
    assert_problem(&location(&ada.get(&injected).await), "invalid");
    assert_eq!(
        provider.count("/token"),
        1,
        "the provider saw the wrong verifier"
    );
    assert!(!signed_in(&ada).await);
}

#[tokio::test]
async fn token_that_does_not_hold_opens_nothing() {
    let (provider, server) = open().await;
    let ada = server.stranger();
    let now = server.app.now().milliseconds() / 1000;
    let mut lies = vec![
        json!({ "nonce": "another" }),
        json!({ "nonce": null }),
        json!({ "aud": "somebody-else" }),
        json!({ "aud": ["guard", "somebody-else"] }),
        json!({ "aud": [] }),
        json!({ "azp": "somebody-else" }),
        json!({ "iss": "https://login.example.org" }),
        json!({ "iss": format!("{}/", provider.issuer()) }),
        json!({ "exp": now - 120 }),
        json!({ "iat": now + 600, "exp": now + 900 }),
        json!({ "sub": "" }),
        json!({ "sub": null }),
        json!({ "sub": "x".repeat(256) }),
        json!({ "no_token": true }),
    ];
    let truth = lies.len();
    lies.extend((0..3).map(|_| json!({})));
    let signed = [Signed::Not, Signed::WithSecret, Signed::ByAnother];
    for (index, lie) in lies.into_iter().enumerate() {
        provider.script().signed = match index.checked_sub(truth) {
            Some(way) => signed[way],
            None => Signed::Well,
        };
        provider.tells(lie.clone());
        let page = sign_in(&ada, "example").await;
        assert_problem(&page, "invalid");
        assert!(!signed_in(&ada).await, "{lie}");
    }
    provider.script().signed = Signed::Well;
    provider.tells(json!({ "azp": "guard", "aud": ["guard"] }));
    assert_eq!(
        sign_in(&ada, "example").await,
        "/home",
        "all else was right"
    );
}

#[tokio::test]
async fn new_key_is_fetched_once_a_minute() {
    let (provider, server) = open().await;
    let ada = server.stranger();
    assert_eq!(sign_in(&ada, "example").await, "/home");
    provider.script().key = 2;
    assert_problem(&sign_in(&ada, "example").await, "invalid");
    assert_problem(&sign_in(&ada, "example").await, "invalid");
    assert_eq!(provider.count("/keys"), 1, "strangers cannot make it ask");
    server.clock.advance(61_000);
    assert_eq!(sign_in(&ada, "example").await, "/home");
    assert_eq!(provider.count("/keys"), 2);
}

#[tokio::test]
async fn answer_of_another_issuer_is_turned_away_before_the_code_leaves() {
    let (provider, server) = open().await;
    let ada = server.stranger();
    provider.script().iss = Some("https://evil.example".into());
    assert_problem(&sign_in(&ada, "example").await, "invalid");
    provider.script().iss = Some(provider.issuer());
    assert_eq!(sign_in(&ada, "example").await, "/home");
    let sent = provider.count("/token");
    assert_eq!(sent, 1);

    let provider = Provider::start().await;
    provider.script().document = json!({ "authorization_response_iss_parameter_supported": true });
    let server = self::server(&[("example", &provider)], true).await;
    let ada = server.stranger();
    assert_problem(&sign_in(&ada, "example").await, "invalid");
    assert_eq!(provider.count("/token"), 0);
}

#[tokio::test]
async fn person_who_says_no_there_is_told_so_here() {
    let (provider, server) = open().await;
    let ada = server.stranger();
    for (error, problem) in [("access_denied", "denied"), ("server_error", "invalid")] {
        provider.script().error = Some(error);
        let page = depart(&ada, "example", Some("/jobs")).await;
        let back = visit(&ada, &page).await;
        let page = location(&ada.get(&back).await);
        let expected = format!("/sign-in?problem={problem}&provider=example&next=%2Fjobs");
        assert_eq!(page, expected);
    }
    assert_eq!(provider.count("/token"), 0);
}

#[tokio::test]
async fn provider_that_fails_costs_nothing_but_the_sign_in() {
    const DOCUMENT: &str = "/.well-known/openid-configuration";
    for (place, fault) in [
        (DOCUMENT, Fault::Error),
        (DOCUMENT, Fault::Huge),
        (DOCUMENT, Fault::Noise),
        (DOCUMENT, Fault::Elsewhere),
        ("/keys", Fault::Error),
        ("/keys", Fault::Huge),
    ] {
        let (provider, server) = open().await;
        provider.script().fault = Some((place, fault));
        let ada = server.stranger();
        let path = "/v1/identity-providers/example/authorizations";
        for _ in 0..3 {
            let begun = ada.post(path, &json!({})).await;
            assert_eq!(begun.headers()["retry-after"], "30");
            let problem = refused(begun, 503, "provider_unavailable").await;
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.starts_with("Example example"), "{detail}");
        }
        assert_eq!(
            provider.count(place),
            1,
            "{fault:?} is remembered for a while"
        );
        assert_eq!(
            provider.count("/elsewhere"),
            0,
            "redirects are not followed"
        );
        provider.script().fault = None;
        server.clock.advance(11_000);
        assert_eq!(sign_in(&ada, "example").await, "/home");
    }
    for (fault, problem) in [
        (Fault::Error, "invalid"),
        (Fault::Huge, "invalid"),
        (Fault::Noise, "invalid"),
        (Fault::Elsewhere, "invalid"),
        (Fault::Slow, "unreachable"),
    ] {
        let (provider, server) = open().await;
        provider.script().fault = Some(("/token", fault));
        let ada = server.stranger();
        let start = std::time::Instant::now();
        assert_problem(&sign_in(&ada, "example").await, problem);
        assert!(start.elapsed().as_secs() < 20, "{fault:?}");
        assert_eq!(provider.count("/elsewhere"), 0);
        assert!(!signed_in(&ada).await);
    }
}

#[tokio::test]
async fn provider_that_is_away_is_told_at_once_and_left_alone() {
    let (provider, server) = open().await;
    provider.script().fault = Some(("/.well-known/openid-configuration", Fault::Slow));
    let ada = server.stranger();
    let path = "/v1/identity-providers/example/authorizations";
    let start = std::time::Instant::now();
    let request = json!({});
    let all = (0..20).map(|_| ada.post(path, &request));
    for begun in futures::future::join_all(all).await {
        refused(begun, 503, "provider_unavailable").await;
    }
    assert!(start.elapsed().as_secs() < 15, "one waits for all");
    assert_eq!(provider.count("/.well-known/openid-configuration"), 1);
}

#[tokio::test]
async fn published_document_may_not_lead_elsewhere() {
    for document in [
        json!({ "issuer": "https://evil.example" }),
        json!({ "authorization_endpoint": "javascript:alert(1)" }),
        json!({ "authorization_endpoint": "file:///etc/passwd" }),
        json!({ "jwks_uri": "file:///etc/passwd" }),
    ] {
        let (provider, server) = open().await;
        provider.script().document = document.clone();
        let path = "/v1/identity-providers/example/authorizations";
        let begun = server.stranger().post(path, &json!({})).await;
        refused(begun, 503, "provider_unavailable").await;
    }
}

#[tokio::test]
async fn address_may_come_from_the_user_info_endpoint_of_the_same_person() {
    let (provider, server) = open().await;
    provider.tells(json!({ "email": null, "email_verified": null, "name": null }));
    let ada = server.stranger();
    assert_problem(&sign_in(&ada, "example").await, "unverified");
    let told = |subject: &str| json!({ "sub": subject, "email": "ada@example.org", "email_verified": true });
    provider.script().user_info = Some(told("person-2"));
    assert_problem(&sign_in(&ada, "example").await, "unverified");
    provider.script().user_info = Some(told("person-1"));
    assert_eq!(sign_in(&ada, "example").await, "/home");
    assert_eq!(ada.read::<User>("/v1/me").await.name, "ada");
}

#[tokio::test]
async fn page_to_come_back_to_is_of_this_server() {
    let (_provider, server) = open().await;
    let ada = server.stranger();
    let path = "/v1/identity-providers/example/authorizations";
    for bad in [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "home",
        "/a\nb",
        "",
    ] {
        let begun = ada.post(path, &json!({ "return_to": bad })).await;
        let problem = refused(begun, 422, "invalid").await;
        assert_eq!(problem["errors"][0]["pointer"], "#/return_to");
    }
    let elsewhere = ada.request(reqwest::Method::POST, path);
    let elsewhere = elsewhere
        .header("origin", "https://evil.example")
        .json(&json!({}));
    refused(elsewhere.send().await.unwrap(), 403, "forbidden").await;
}

#[tokio::test]
async fn way_back_is_limited_like_other_guesses_and_stays_a_page() {
    let (_provider, server) = open().await;
    let ada = server.stranger();
    let path = "/v1/identity-providers/example/callback?state=guess&code=x";
    let mut last = String::new();
    for _ in 0..110 {
        last = location(&ada.get(path).await);
    }
    assert_problem(&last, "rate_limited");
    let begin = "/v1/identity-providers/example/authorizations";
    refused(ada.post(begin, &json!({})).await, 429, "rate_limited").await;
}

#[tokio::test]
async fn identities_leave_with_the_archive_and_go_with_the_account() {
    let (_provider, server) = open().await;
    let ada = server.confirmed("ada").await;
    link(&ada, "example").await;
    let ask = ada.request(reqwest::Method::POST, "/v1/exports");
    let made = ask.header("idempotency-key", "mine").send().await.unwrap();
    let made: Value = body(made, StatusCode::ACCEPTED).await;
    let bytes = ada
        .get(made["url"].as_str().unwrap())
        .await
        .bytes()
        .await
        .unwrap();
    let mut archive = tar::Archive::new(&bytes[..]);
    let mut entries = archive.entries().unwrap().map(Result::unwrap);
    let entry = entries.find(|it| it.path().unwrap().as_os_str() == "identities.json");
    let kept: Vec<Identity> = serde_json::from_reader(entry.unwrap()).unwrap();
    assert_eq!(kept, identities(&ada).await);

    let request = json!({ "email": "ada@example.org", "password": PASSWORD });
    let receipt = ada.post("/v1/deletions", &request).await;
    let receipt: DeletionReceipt = body(receipt, StatusCode::CREATED).await;
    assert_eq!(receipt.record.rows["identities"], 1);
    let again = server.stranger();
    assert_eq!(sign_in(&again, "example").await, "/home", "a new account");
    assert_ne!(again.read::<User>("/v1/me").await.name, "ada");
}
