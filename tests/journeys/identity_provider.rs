//! Signing in by a certified `OpenID` Connect provider, as a browser walks it: every redirect, cookie and form.

use anyhow::{Context, Result, ensure};
use e2e::{
    Server,
    person::expect,
    provider::{Plan, Provider},
};
use reqwest::{Client, Response, StatusCode, Url, header::LOCATION, redirect::Policy};
use serde_json::{Value, json};
use shared::{
    auth::User,
    identity::{Authorization, Identity},
    page::Page,
};

const PASSWORD: &str = "correct horse battery staple";

/// A browser that shows where it is.
struct Browser<'a> {
    http: Client,
    server: &'a Server,
}

/// What the person does on the provider's pages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act<'a> {
    /// Gives this name and says yes to everything.
    SignIn(&'a str),
    /// Says no.
    Abort,
    /// Is known there, and asked for nothing.
    Nothing,
}

fn start() -> Result<(Server, Provider)> {
    let plan = Plan::new()?;
    let file = plan.file();
    let settings = [
        ("PERSGUARD_LOCAL_NODE", "false"),
        ("PERSGUARD_IDENTITY_PROVIDERS", file.as_str()),
    ];
    let server = Server::start(&settings)?;
    let provider = plan.start(&server)?;
    Ok((server, provider))
}

impl<'a> Browser<'a> {
    fn new(server: &'a Server) -> Result<Self> {
        let http = Client::builder()
            .cookie_store(true)
            .redirect(Policy::none())
            .build()?;
        Ok(Self { http, server })
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Response> {
        Ok(self
            .http
            .post(self.server.url(path))
            .json(body)
            .send()
            .await?)
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T> {
        let answer = self.http.get(self.server.url(path)).send().await?;
        Ok(expect(answer, StatusCode::OK).await?.json().await?)
    }

    async fn begin(&self) -> Result<String> {
        let path = "/v1/identity-providers/example/authorizations";
        let begun = self.post(path, &json!({ "return_to": "/jobs" })).await?;
        let begun: Authorization = expect(begun, StatusCode::CREATED).await?.json().await?;
        Ok(begun.url)
    }

    /// Walks the provider's pages up to the address that leads back.
    async fn walk(&self, from: &str, act: Act<'_>) -> Result<Url> {
        let mut place = Url::parse(from)?;
        let (back, mut forms) = (self.server.url("/v1/identity-providers/"), 0);
        for _ in 0..20 {
            if place.as_str().starts_with(&back) {
                ensure!(act != Act::Nothing || forms == 0, "it asked again");
                return Ok(place);
            }
            let answer = self.http.get(place.clone()).send().await?;
            let answer = if answer.status() == StatusCode::OK {
                forms += 1;
                self.fill_in(&place, &answer.text().await?, act).await?
            } else {
                answer
            };
            place = place.join(&location(&answer)?)?;
        }
        anyhow::bail!("the provider leads in circles: {place}")
    }

    async fn fill_in(&self, place: &Url, page: &str, act: Act<'_>) -> Result<Response> {
        let between = |start: &str, end: &str| -> Result<String> {
            let (_, rest) = page.split_once(start).with_context(|| page.to_owned())?;
            let (text, _) = rest.split_once(end).context("an end")?;
            Ok(text.to_owned())
        };
        let action = place.join(&between("action=\"", "\"")?)?;
        let Act::SignIn(name) = act else {
            let abort = format!("{}/abort", place.as_str().trim_end_matches('/'));
            return Ok(self.http.get(abort).send().await?);
        };
        let prompt = between("name=\"prompt\" value=\"", "\"")?;
        let form = [
            ("prompt", prompt.as_str()),
            ("login", name),
            ("password", "x"),
        ];
        Ok(self.http.post(action).form(&form).send().await?)
    }

    /// Opens the address that leads back; the page that it leads to.
    async fn arrive(&self, back: &Url) -> Result<String> {
        let answer = self.http.get(back.clone()).send().await?;
        ensure!(
            answer.status() == StatusCode::SEE_OTHER,
            "{}",
            answer.status()
        );
        location(&answer)
    }

    async fn sign_in(&self, act: Act<'_>) -> Result<String> {
        let back = self.walk(&self.begin().await?, act).await?;
        self.arrive(&back).await
    }
}

fn location(answer: &Response) -> Result<String> {
    let place = answer.headers().get(LOCATION);
    let place = place.with_context(|| format!("{} leads nowhere", answer.status()))?;
    Ok(place.to_str()?.to_owned())
}

#[tokio::test]
async fn a_certified_provider_signs_people_in() -> Result<()> {
    let (server, provider) = start()?;
    let ada = Browser::new(&server)?;
    assert_eq!(ada.sign_in(Act::SignIn("ada")).await?, "/jobs");
    let me: User = ada.get("/v1/me").await?;
    assert_eq!(
        (me.email.as_str(), me.name.as_str()),
        ("ada@example.org", "ada of the provider")
    );
    assert!(me.email_verified && !me.has_password);
    let signed_out = ada
        .http
        .delete(server.url("/v1/sessions/current"))
        .send()
        .await?;
    expect(signed_out, StatusCode::NO_CONTENT).await?;
    assert_eq!(
        ada.sign_in(Act::Nothing).await?,
        "/jobs",
        "she is known there"
    );
    assert_eq!(ada.get::<User>("/v1/me").await?.id, me.id);

    // The address that leads back is worth nothing a second time, or elsewhere.
    let eve = Browser::new(&server)?;
    let back = eve.walk(&eve.begin().await?, Act::SignIn("eve")).await?;
    let expired = "/sign-in?problem=expired&provider=example";
    assert_eq!(Browser::new(&server)?.arrive(&back).await?, expired);
    assert_eq!(eve.arrive(&back).await?, "/jobs");
    assert_eq!(eve.arrive(&back).await?, expired);

    let bob = Browser::new(&server)?;
    let denied = "/sign-in?problem=denied&provider=example&next=%2Fjobs";
    assert_eq!(bob.sign_in(Act::Abort).await?, denied);
    let unverified = "/sign-in?problem=unverified&provider=example&next=%2Fjobs";
    assert_eq!(bob.sign_in(Act::SignIn("unconfirmed")).await?, unverified);

    // It dies while somebody is on the way back.
    let late = Browser::new(&server)?;
    let back = late.walk(&late.begin().await?, Act::SignIn("late")).await?;
    drop(provider);
    let unreachable = "/sign-in?problem=unreachable&provider=example&next=%2Fjobs";
    assert_eq!(late.arrive(&back).await?, unreachable);
    Ok(())
}

#[tokio::test]
async fn an_account_with_a_password_links_a_certified_providers_identity() -> Result<()> {
    let (server, _provider) = start()?;
    let ada = Browser::new(&server)?;
    let account = json!({ "email": "ada@example.org", "password": PASSWORD, "name": "Ada" });
    expect(ada.post("/v1/users", &account).await?, StatusCode::CREATED).await?;
    let stranger = Browser::new(&server)?;
    let exists = "/sign-in?problem=account_exists&provider=example&next=%2Fjobs";
    assert_eq!(stranger.sign_in(Act::SignIn("ada")).await?, exists);

    let link = e2e::letters::link(&server, "verify-email").await?;
    let (_, token) = link.split_once("token=").context("a token")?;
    let shown = json!({ "token": token });
    let confirmed = ada.post("/v1/email-verifications/confirm", &shown).await?;
    expect(confirmed, StatusCode::NO_CONTENT).await?;
    let request = json!({ "provider": "example", "password": PASSWORD });
    let begun = expect(
        ada.post("/v1/me/identities", &request).await?,
        StatusCode::CREATED,
    )
    .await?;
    let begun: Authorization = begun.json().await?;
    let back = ada.walk(&begun.url, Act::SignIn("ada")).await?;
    assert_eq!(ada.arrive(&back).await?, "/account?linked=example");
    let mine: Page<Identity> = ada.get("/v1/me/identities").await?;
    assert_eq!(mine.data[0].email.as_deref(), Some("ada@example.org"));
    assert_eq!(stranger.sign_in(Act::Nothing).await?, "/jobs");
    assert_eq!(stranger.get::<User>("/v1/me").await?.name, "Ada");
    Ok(())
}
