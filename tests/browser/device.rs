//! A program shows a code; its person looks at it in the browser, and lets it in or turns it away.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{Server, person::expect};
use reqwest::{Client, StatusCode};
use serde_json::json;
use shared::{
    auth::AccessToken,
    device::DeviceAuthorization,
    problem::{ErrorCode, Problem},
};

use crate::{page::Page, visit::visit};

const PASSWORD: &str = "correct horse battery staple";

/// A program without a browser.
struct Program<'a> {
    server: &'a Server,
    http: Client,
}

impl Program<'_> {
    async fn begin(&self, name: &str) -> Result<DeviceAuthorization> {
        let url = self.server.url("/v1/device-authorizations");
        let request = self.http.post(url).json(&json!({ "name": name }));
        let answer = expect(request.send().await?, StatusCode::CREATED).await?;
        Ok(answer.json().await?)
    }

    async fn collect(
        &self,
        device: &DeviceAuthorization,
        status: StatusCode,
    ) -> Result<reqwest::Response> {
        let url = self.server.url("/v1/tokens/device");
        let request = json!({ "device_code": device.device_code });
        expect(self.http.post(url).json(&request).send().await?, status).await
    }
}

#[tokio::test]
async fn a_person_lets_a_program_in_and_turns_another_away() -> Result<()> {
    let server = Server::start(&[("PERSGUARD_LOCAL_NODE", "false")])?;
    visit("device", &server, async |page, _| walk(page, &server).await).await
}

async fn walk(page: &Page, server: &Server) -> Result<()> {
    let program = Program {
        server,
        http: Client::new(),
    };
    let wanted = program.begin("persguard on ada-laptop").await?;
    for status in [400, 401, 404, 410, 422] {
        page.expect_refusals(status);
    }
    // Whoever is not signed in does that first, and comes back with the code of the link.
    page.goto(&address(&wanted)?).await?;
    page.until_path("/sign-in").await?;
    page.click("to-sign-up").await?;
    page.fill("name", "Ada Example").await?;
    page.fill("email", "ada@example.org").await?;
    page.fill("password", PASSWORD).await?;
    page.click("submit").await?;
    page.until_path("/device").await?;
    page.find("user-code").await?;
    is_filled(page, &wanted).await?;

    page.fill("user-code", "AAAA").await?;
    page.click("find-device").await?;
    page.find("field-error").await?;
    page.fill("user-code", "BBBB-BBBB").await?;
    page.click("find-device").await?;
    page.find("error").await?;
    page.look("device", "unknown-code").await?;

    open(page, &wanted).await?;
    let shown = page.text("pending-device").await?;
    ensure!(
        shown.contains("persguard on ada-laptop") && shown.contains("127.0.0.1"),
        "{shown}"
    );
    ensure!(shown.contains("ada@example.org"), "{shown}");
    page.look("device", "who-waits").await?;
    page.click("approve-device").await?;
    page.find("device-approved").await?;
    page.look("device", "let-in").await?;
    let token: AccessToken = program
        .collect(&wanted, StatusCode::CREATED)
        .await?
        .json()
        .await?;
    ensure!(token.refresh_token.starts_with("pgr_"));

    let unwanted = program.begin("somebody else's").await?;
    open(page, &unwanted).await?;
    page.click("deny-device").await?;
    page.find("device-denied").await?;
    page.look("device", "turned-away").await?;
    let answer = program.collect(&unwanted, StatusCode::BAD_REQUEST).await?;
    let problem: Problem = answer.json().await?;
    assert_eq!(problem.code, ErrorCode::AccessDenied);
    Ok(())
}

/// The program's link without its origin.
fn address(device: &DeviceAuthorization) -> Result<String> {
    let (_, path) = device
        .verification_uri_complete
        .split_once("/device")
        .context("no page")?;
    Ok(format!("/device{path}"))
}

async fn is_filled(page: &Page, device: &DeviceAuthorization) -> Result<()> {
    let filled = page
        .script("return document.querySelector('[data-test=user-code]').value")
        .await?;
    assert_eq!(filled.as_str(), Some(device.user_code.as_str()));
    Ok(())
}

/// Follows the program's link, whose code fills the field and leaves the address.
async fn open(page: &Page, device: &DeviceAuthorization) -> Result<()> {
    // A page that is open already would not be loaded again for another fragment.
    page.goto("/home").await?;
    page.until_path("/home").await?;
    page.goto(&address(device)?).await?;
    page.until(
        "the code to leave the address",
        Duration::from_secs(20),
        || async {
            let hash = page.script("return location.hash").await?;
            Ok(hash.as_str() == Some("") && page.count("user-code").await? == 1)
        },
    )
    .await?;
    is_filled(page, device).await?;
    page.click("find-device").await?;
    page.find("pending-device").await?;
    Ok(())
}
