//! Accounts, sessions, tokens.

use api::app::tokens::{Audience, Tokens};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Method, StatusCode};
use serde_json::json;
use shared::auth::{AccessToken, User};

use crate::{
    keys::{holder, make},
    second_factors::set_up,
    support::{Person, Server, body, refused},
};

const PASSWORD: &str = "correct horse battery";

#[tokio::test]
async fn session_lives_from_sign_up_to_sign_out() {
    let server = Server::start().await;
    let person = server.stranger();
    refused(person.get("/v1/me").await, 401, "unauthenticated").await;
    let account = json!({ "email": " Ada@Example.org ", "password": PASSWORD, "name": "Ada" });
    let response = person.post("/v1/users", &account).await;
    assert_eq!(response.headers()["location"], "/v1/me");
    let cookie = response.headers()["set-cookie"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        cookie.contains("HttpOnly; SameSite=Lax; Path=/; Max-Age=2592000"),
        "{cookie}"
    );
    assert!(!cookie.contains("Secure"), "plain http: {cookie}");
    let user: User = body(response, StatusCode::CREATED).await;
    assert_eq!(person.read::<User>("/v1/me").await, user);
    assert_eq!(
        person.delete("/v1/sessions/current").await.status(),
        StatusCode::NO_CONTENT
    );
    refused(person.get("/v1/me").await, 401, "unauthenticated").await;
    // The stolen cookie is dead too, not only forgotten by the browser.
    let value = cookie.split(';').next().unwrap().to_owned();
    let again = server
        .stranger()
        .request(Method::GET, "/v1/me")
        .header("cookie", value);
    refused(again.send().await.unwrap(), 401, "unauthenticated").await;
    let session = json!({ "email": "ada@example.org", "password": PASSWORD });
    let response = person.post("/v1/sessions", &session).await;
    assert_eq!(body::<User>(response, StatusCode::CREATED).await, user);
    assert_eq!(person.read::<User>("/v1/me").await.id, user.id);
    server.stop().await;
}

#[tokio::test]
async fn session_expires_after_thirty_days() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    server.clock.advance(29 * 24 * 3600 * 1000);
    assert_eq!(person.get("/v1/me").await.status(), StatusCode::OK);
    server.clock.advance(24 * 3600 * 1000);
    refused(person.get("/v1/me").await, 401, "unauthenticated").await;
}

#[tokio::test]
async fn bad_accounts_are_refused_field_by_field() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let twin = json!({ "email": "ADA@example.org", "password": PASSWORD, "name": "A" });
    refused(person.post("/v1/users", &twin).await, 409, "email_taken").await;
    let poor = json!({ "email": "x", "password": "short", "name": " " });
    let problem = refused(person.post("/v1/users", &poor).await, 422, "invalid").await;
    let pointers: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["pointer"])
        .collect();
    assert_eq!(pointers, ["#/email", "#/password", "#/name"]);
    // Accounts of the server's own have such addresses.
    for email in ["demo@persguard.invalid", " Demo@PersGuard.Invalid"] {
        let squatter = json!({ "email": email, "password": PASSWORD, "name": "Eve" });
        let problem = refused(person.post("/v1/users", &squatter).await, 422, "invalid").await;
        assert_eq!(problem["errors"][0]["pointer"], "#/email");
    }
    let admin =
        json!({ "email": "b@example.org", "password": PASSWORD, "name": "B", "admin": true });
    let problem = refused(person.post("/v1/users", &admin).await, 422, "invalid").await;
    assert_eq!(problem["errors"][0]["pointer"], "#/admin");
}

#[tokio::test]
async fn unknown_account_and_wrong_password_look_the_same() {
    let server = Server::start().await;
    server.person("ada").await;
    let stranger = server.stranger();
    for route in ["/v1/sessions", "/v1/tokens"] {
        let mut details = Vec::new();
        for email in ["ada@example.org", "nobody@example.org"] {
            let session = json!({ "email": email, "password": "wrong wrong wrong" });
            let response = stranger.post(route, &session).await;
            assert!(response.headers().contains_key("www-authenticate"));
            details.push(refused(response, 401, "invalid_credentials").await["detail"].clone());
        }
        assert_eq!(details[0], details[1]);
    }
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let server = Server::start().await;
    let stranger = server.stranger();
    let session = json!({ "email": "ada@example.org", "password": "wrong wrong wrong" });
    for _ in 0..20 {
        let response = stranger.post("/v1/sessions", &session).await;
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            let wait: u64 = response.headers()["retry-after"]
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            assert!((1..=60).contains(&wait));
            refused(response, 429, "rate_limited").await;
            let other = json!({ "email": "eve@example.org", "password": "wrong wrong wrong" });
            let response = stranger.post("/v1/sessions", &other).await;
            refused(response, 401, "invalid_credentials").await;
            return;
        }
    }
    panic!("twenty guesses went through");
}

#[tokio::test]
async fn whoever_opened_an_account_with_anothers_address_is_out_once_its_owner_resets_it() {
    let server = Server::start().await;
    let thief = server.person("ada").await;
    set_up(&server, &thief).await;
    let kept = json!({ "name": "kept", "scopes": ["sets:read"] });
    let kept = holder(&server, &make(&thief, &kept).await.secret);
    let opens = async |key: &Person<'_>| key.get("/v1/protected-sets").await.status();
    assert_eq!(opens(&kept).await, StatusCode::OK);

    let email = "ada@example.org";
    let owner = server.stranger();
    let asked = json!({ "email": email });
    owner.post("/v1/password-resets", &asked).await;
    let token = server.token(email, "reset-password").await;
    let reset = json!({ "token": token, "password": "the owner's own" });
    let reset = owner.post("/v1/password-resets/confirm", &reset).await;
    assert_eq!(reset.status(), StatusCode::NO_CONTENT);
    assert_eq!(opens(&kept).await, StatusCode::UNAUTHORIZED);
    let login = json!({ "email": email, "password": "the owner's own" });
    let signed_in = owner.post("/v1/sessions", &login).await;
    assert_eq!(signed_in.status(), StatusCode::CREATED, "no second factor");

    // Whose address is proved keeps what is theirs when they forget a password.
    let bob = server.confirmed("bob").await;
    let mine = json!({ "name": "mine", "scopes": ["sets:read"] });
    let mine = holder(&server, &make(&bob, &mine).await.secret);
    let asked = json!({ "email": "bob@example.org" });
    bob.post("/v1/password-resets", &asked).await;
    let token = server.token("bob@example.org", "reset-password").await;
    let reset = json!({ "token": token, "password": "another of mine" });
    let reset = bob.post("/v1/password-resets/confirm", &reset).await;
    assert_eq!(reset.status(), StatusCode::NO_CONTENT);
    assert_eq!(opens(&mine).await, StatusCode::OK);
}

#[tokio::test]
async fn script_token_works_until_it_expires() {
    let server = Server::start().await;
    server.person("ada").await;
    let session = json!({ "email": "ada@example.org", "password": PASSWORD });
    let response = server.stranger().post("/v1/tokens", &session).await;
    assert!(!response.headers().contains_key("set-cookie"));
    let token: AccessToken = body(response, StatusCode::CREATED).await;
    assert_eq!(
        (token.token_type.as_str(), token.expires_in_seconds),
        ("Bearer", 900)
    );
    let mut script = server.stranger();
    script.bearer = Some(token.access_token);
    assert_eq!(script.read::<User>("/v1/me").await.name, "ada");
    server.clock.advance(901_000);
    let response = script.get("/v1/me").await;
    assert!(response.headers().contains_key("www-authenticate"));
    refused(response, 401, "unauthenticated").await;
}

#[tokio::test]
async fn forged_tokens_open_nothing() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let user = person.read::<User>("/v1/me").await.id.to_string();
    let now = server.app.now();
    let own = server
        .app
        .tokens()
        .issue(Audience::Api, &user, now)
        .unwrap();
    let claims = own.split('.').nth(1).unwrap();
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let other_key = Tokens::from_seed(&[9; 32]).unwrap();
    let forged = [
        format!("{header}.{claims}."),
        other_key.issue(Audience::Api, &user, now).unwrap(),
        server
            .app
            .tokens()
            .issue(Audience::Node, &user, now)
            .unwrap(),
        server
            .app
            .tokens()
            .issue(Audience::Api, "usr_00000000000000000000000000000000", now)
            .unwrap(),
        "rubbish".into(),
    ];
    for token in forged {
        let mut forger = server.stranger();
        forger.bearer = Some(token.clone());
        refused(forger.get("/v1/me").await, 401, "unauthenticated").await;
        // A session cookie beside it does not help a bad token.
        let both = person
            .request(Method::GET, "/v1/me")
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        refused(both, 401, "unauthenticated").await;
    }
    let mut person_as_node = server.stranger();
    person_as_node.bearer = Some(own);
    let lease = json!({ "node_id": format!("nod_{:032x}", 1), "name": "n", "threads": 1, "memory_bytes": 1 });
    refused(
        person_as_node.post("/v1/node/leases", &lease).await,
        401,
        "unauthenticated",
    )
    .await;
    refused(
        person.post("/v1/node/leases", &lease).await,
        401,
        "unauthenticated",
    )
    .await;
}

#[tokio::test]
async fn other_sites_cannot_act_with_the_cookie() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let set = json!({ "name": "x" });
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1"] {
        let request = person
            .request(Method::POST, "/v1/protected-sets")
            .header("origin", origin);
        refused(request.json(&set).send().await.unwrap(), 403, "forbidden").await;
    }
    let own = format!("http://{}", server.address);
    let request = person
        .request(Method::POST, "/v1/protected-sets")
        .header("origin", own);
    assert_eq!(
        request.json(&set).send().await.unwrap().status(),
        StatusCode::CREATED
    );
    let read = person
        .request(Method::GET, "/v1/me")
        .header("origin", "https://evil.example");
    let response = read.send().await.unwrap();
    assert!(
        !response
            .headers()
            .contains_key("access-control-allow-origin")
    );
}
