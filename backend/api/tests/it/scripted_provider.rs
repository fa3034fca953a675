//! An identity provider for one test: it knows one person, keeps to the protocol, and lies where it is told to.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use api::clock::{Clock, ShiftedClock};
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Form, Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey};
use futures::{StreamExt, stream};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

pub(crate) const CLIENT: &str = "guard";
pub(crate) const SECRET: &str = "a secret of both";

/// How tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signed {
    /// By the key that is published.
    Well,
    /// By a key that nobody knows, under the published one's name.
    ByAnother,
    /// With the client's secret, which the client knows, too.
    WithSecret,
    /// Not at all.
    Not,
}

/// How one path is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// An error of the server.
    Error,
    /// Not before anybody would wait for it.
    Slow,
    /// The right answer, and more than anybody would keep.
    Huge,
    /// Something that is no JSON.
    Noise,
    /// To another place.
    Elsewhere,
}

struct Way {
    nonce: Value,
    challenge: String,
    redirect_uri: String,
}

/// What it does and what it saw.
pub(crate) struct Script {
    /// Replaces claims of the next tokens; `null` takes one out.
    pub(crate) claims: Value,
    /// What the user info endpoint tells; nothing unless told.
    pub(crate) user_info: Option<Value>,
    /// Replaces fields of the published document.
    pub(crate) document: Value,
    pub(crate) signed: Signed,
    pub(crate) fault: Option<(&'static str, Fault)>,
    /// The number of the key in use.
    pub(crate) key: u8,
    /// What comes back instead of a code.
    pub(crate) error: Option<&'static str>,
    /// What comes back as `iss`.
    pub(crate) iss: Option<String>,
    /// Whose time its tokens are of.
    pub(crate) clock: ShiftedClock,
    /// Paths in the order of their requests.
    pub(crate) seen: Vec<String>,
    /// The last page that somebody was sent to, by its parameters.
    pub(crate) asked: HashMap<String, String>,
    ways: HashMap<String, Way>,
}

/// A running provider.
#[derive(Clone)]
pub(crate) struct Provider {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

impl Provider {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let script = Script {
            claims: json!({}),
            user_info: None,
            document: json!({}),
            signed: Signed::Well,
            fault: None,
            key: 1,
            error: None,
            iss: None,
            clock: ShiftedClock::default(),
            seen: Vec::new(),
            asked: HashMap::new(),
            ways: HashMap::new(),
        };
        let provider = Self {
            address: listener.local_addr().expect("bound"),
            script: Arc::new(Mutex::new(script)),
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(describe))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/userinfo", get(user_info))
            .layer(from_fn_with_state(provider.clone(), watch))
            .with_state(provider.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        provider
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("no panic before")
    }

    /// Another person, or the same one changed, from the next token on.
    pub(crate) fn tells(&self, claims: Value) {
        self.script().claims = claims;
    }

    /// How often a path was asked for.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.script()
            .seen
            .iter()
            .filter(|seen| *seen == path)
            .count()
    }

    /// The lines of a configuration that name it.
    pub(crate) fn lines(&self, slug: &str, create_accounts: bool) -> String {
        format!(
            "[[provider]]\nslug = \"{slug}\"\nname = \"Example {slug}\"\nissuer = \"{}\"\nclient_id = \"{CLIENT}\"\n\
             client_secret_file = \"secret\"\ncreate_accounts = {create_accounts}\n",
            self.issuer()
        )
    }

    fn signing_key(number: u8) -> SigningKey {
        SigningKey::from_bytes(&[number; 32])
    }

    fn encode(&self, claims: &Value) -> String {
        let script = self.script();
        let number = match script.signed {
            Signed::ByAnother => script.key + 100,
            _ => script.key,
        };
        let der = Self::signing_key(number).to_pkcs8_der().expect("a key");
        let mut head = Header::new(Algorithm::EdDSA);
        head.kid = Some(format!("key-{}", script.key));
        let key = EncodingKey::from_ed_der(der.as_bytes());
        let encoded = match script.signed {
            Signed::Well | Signed::ByAnother => jsonwebtoken::encode(&head, claims, &key),
            Signed::WithSecret => {
                head.alg = Algorithm::HS256;
                jsonwebtoken::encode(&head, claims, &EncodingKey::from_secret(SECRET.as_bytes()))
            }
            Signed::Not => {
                let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
                let head = part(&json!({ "alg": "none" }));
                Ok(format!("{head}.{}.", part(claims)))
            }
        };
        encoded.expect("a token")
    }
}

fn change(document: &mut Value, changes: &Value) {
    for (name, value) in changes.as_object().expect("an object") {
        document[name] = value.clone();
    }
    let fields = document.as_object_mut().expect("an object");
    fields.retain(|_, value| !value.is_null());
}

/// Notes every request, and spoils what it is told to.
async fn watch(State(provider): State<Provider>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let fault = {
        let mut script = provider.script();
        script.seen.push(path.clone());
        script.fault.filter(|(place, _)| *place == path)
    };
    match fault.map(|(_, fault)| fault) {
        None => next.run(request).await,
        Some(Fault::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Some(Fault::Slow) => {
            tokio::time::sleep(Duration::from_mins(1)).await;
            next.run(request).await
        }
        Some(Fault::Huge) => {
            // All of it would be right.
            let (parts, body) = next.run(request).await.into_parts();
            let rest = (0..64).map(|_| Ok(Bytes::from(" ".repeat(64 * 1024))));
            let all = body.into_data_stream().chain(stream::iter(rest));
            let mut response = Response::from_parts(parts, Body::from_stream(all));
            response.headers_mut().remove(header::CONTENT_LENGTH);
            response
        }
        Some(Fault::Noise) => ([(header::CONTENT_TYPE, "application/json")], "{").into_response(),
        Some(Fault::Elsewhere) => Redirect::temporary("/elsewhere").into_response(),
    }
}

async fn describe(State(provider): State<Provider>) -> Json<Value> {
    let issuer = provider.issuer();
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA", "HS256", "none"],
    });
    change(&mut document, &provider.script().document);
    Json(document)
}

async fn keys(State(provider): State<Provider>) -> Json<Value> {
    let number = provider.script().key;
    let public = Provider::signing_key(number).verifying_key().to_bytes();
    Json(json!({ "keys": [{
        "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
        "kid": format!("key-{number}"), "x": URL_SAFE_NO_PAD.encode(public),
    }] }))
}

/// The person is signed in there already and says yes.
async fn authorize(
    State(provider): State<Provider>,
    Query(asked): Query<HashMap<String, String>>,
) -> Redirect {
    let mut script = provider.script();
    assert_eq!(asked["client_id"], CLIENT);
    assert_eq!(asked["response_type"], "code");
    assert_eq!(asked["code_challenge_method"], "S256");
    let code = format!("code-{}", script.seen.len());
    let way = Way {
        nonce: json!(asked["nonce"]),
        challenge: asked["code_challenge"].clone(),
        redirect_uri: asked["redirect_uri"].clone(),
    };
    script.ways.insert(code.clone(), way);
    let (uri, state) = (&asked["redirect_uri"], &asked["state"]);
    let mut place = match script.error {
        Some(error) => format!("{uri}?error={error}&state={state}"),
        None => format!("{uri}?code={code}&state={state}"),
    };
    if let Some(iss) = &script.iss {
        place = format!("{place}&iss={iss}");
    }
    script.asked = asked;
    Redirect::to(&place)
}

async fn token(
    State(provider): State<Provider>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let refuse = |why: &str| {
        let body = Json(json!({ "error": "invalid_grant", "error_description": why }));
        (StatusCode::BAD_REQUEST, body).into_response()
    };
    let secret = SECRET.replace(' ', "+");
    let basic = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{secret}")));
    if headers
        .get(header::AUTHORIZATION)
        .and_then(|it| it.to_str().ok())
        != Some(&basic)
    {
        return refuse("another client");
    }
    let Some(way) = provider.script().ways.remove(&form["code"]) else {
        return refuse("no such code");
    };
    let verifier = URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
    if verifier != way.challenge || form["redirect_uri"] != way.redirect_uri {
        return refuse("another way");
    }
    let now = provider.script().clock.now().milliseconds() / 1000;
    let mut claims = json!({
        "iss": provider.issuer(), "sub": "person-1", "aud": CLIENT, "iat": now, "exp": now + 300,
        "nonce": way.nonce, "email": "ada@example.org", "email_verified": true, "name": "Ada Lovelace",
    });
    change(&mut claims, &provider.script().claims);
    let token = provider.encode(&claims);
    let mut answer = json!({
        "access_token": "access", "token_type": "Bearer", "expires_in": 300, "id_token": token,
    });
    if claims["no_token"] == true {
        change(&mut answer, &json!({ "id_token": null }));
    }
    Json(answer).into_response()
}

async fn user_info(State(provider): State<Provider>, headers: HeaderMap) -> Response {
    let shown = headers
        .get(header::AUTHORIZATION)
        .map(|it| it.as_bytes().to_vec());
    assert_eq!(shown.as_deref(), Some(&b"Bearer access"[..]));
    match provider.script().user_info.clone() {
        Some(told) => Json(told).into_response(),
        None => StatusCode::FORBIDDEN.into_response(),
    }
}
