//! A person signs in by a certified provider, links it to another account, and reads what went wrong.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::{Server, provider::Plan};

use crate::{letters, page::Page, visit::visit};

const PASSWORD: &str = "correct horse battery staple";

#[tokio::test]
async fn a_person_signs_in_by_a_provider_and_links_it() -> Result<()> {
    let plan = Plan::new()?;
    let file = plan.file();
    let settings = [
        ("PERSGUARD_LOCAL_NODE", "false"),
        ("PERSGUARD_IDENTITY_PROVIDERS", file.as_str()),
    ];
    let server = Server::start(&settings)?;
    let _provider = plan.start(&server)?;
    visit("provider", &server, async |page, _| {
        walk(page, &server).await
    })
    .await
}

async fn walk(page: &Page, server: &Server) -> Result<()> {
    for status in [401, 403] {
        page.expect_refusals(status);
    }
    // The provider's own pages have none.
    page.expect("/favicon.ico");
    // Somebody wants a page that takes an account, and gets there.
    page.goto("/models").await?;
    page.until_path("/sign-in").await?;
    page.find("continue-example").await?;
    page.look("sign-in", "providers").await?;
    page.click("continue-example").await?;
    there(page, "ada").await?;
    page.until_path("/models").await?;
    open_account(page).await?;
    page.find("identity").await?;
    page.find("no-password").await?;
    page.look("account", "identity").await?;
    sign_out(page).await?;

    // An account with a password: its address opens nothing by itself, a link does.
    page.goto("/sign-up").await?;
    page.fill("name", "Bob Example").await?;
    page.fill("email", "bob@example.org").await?;
    page.fill("password", PASSWORD).await?;
    page.click("submit").await?;
    page.until_path("/home").await?;
    letters::confirm_address(page, server).await?;
    sign_out(page).await?;
    // Nobody is signed in at the provider any more.
    page.forget_cookies().await?;
    page.goto("/sign-in").await?;
    page.click("continue-example").await?;
    there(page, "bob").await?;
    page.until_path("/sign-in").await?;
    let problem = page.attribute("problem", "data-problem").await?;
    assert_eq!(problem, "account_exists");
    page.look("sign-in", "account-exists").await?;
    page.fill("email", "bob@example.org").await?;
    page.fill("password", PASSWORD).await?;
    page.click("submit").await?;
    page.until_path("/home").await?;
    open_account(page).await?;
    page.fill("password", "wrong wrong wrong").await?;
    page.click("link-example").await?;
    page.find("field-error").await?;
    page.fill("password", PASSWORD).await?;
    page.click("link-example").await?;
    page.until_path("/account").await?;
    page.find("linked").await?;
    page.find("identity").await?;
    page.look("account", "linked").await?;
    sign_out(page).await?;
    page.goto("/sign-in").await?;
    page.click("continue-example").await?;
    page.until_path("/home").await?;
    open_account(page).await?;
    page.click("unlink").await?;
    page.click("confirm-unlink").await?;
    page.until("no identity", Duration::from_secs(20), || async {
        Ok(page.count("identity").await? == 0)
    })
    .await
}

/// The provider's own pages: a name, and yes.
async fn there(page: &Page, name: &str) -> Result<()> {
    for field in ["input[name=login]", "input[value=consent]"] {
        page.until(field, Duration::from_secs(30), || async {
            let script = format!("return document.querySelector('{field}') !== null");
            Ok(page.script(&script).await?.as_bool() == Some(true))
        })
        .await?;
        let fill = format!(
            "for (const field of document.querySelectorAll('input[required]')) field.value = '{name}';\
             document.forms[0].submit()"
        );
        page.script(&fill).await?;
    }
    Ok(())
}

async fn open_account(page: &Page) -> Result<()> {
    page.click("account").await?;
    page.click("to-account").await?;
    page.until_path("/account").await
}

async fn sign_out(page: &Page) -> Result<()> {
    page.click("account").await?;
    page.script("window.signedIn = true").await?;
    page.click("sign-out").await?;
    page.until("a fresh start page", Duration::from_secs(20), || async {
        let fresh = page.script("return window.signedIn === undefined").await?;
        ensure!(fresh.as_bool() == Some(true));
        Ok(true)
    })
    .await
}
