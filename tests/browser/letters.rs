//! What letters lead to: the address is confirmed, a forgotten password set anew, a program let in.

use anyhow::{Context, Result};
use e2e::{Server, letters::link};

use crate::page::Page;

/// The person is signed in, and nobody has opened the first letter yet.
pub(crate) async fn confirm_address(page: &Page, server: &Server) -> Result<()> {
    page.find("unconfirmed").await?;
    page.goto("/verify-email").await?;
    page.find("no-token").await?;
    page.look("verify-email", "no-letter").await?;
    let link = link(server, "verify-email").await?;
    page.goto(&link).await?;
    page.find("confirm-email").await?;
    let hash = page.script("return window.location.hash").await?;
    assert_eq!(hash, "", "the token has left the address");
    page.look("verify-email", "asked").await?;
    page.click("confirm-email").await?;
    page.find("email-confirmed").await?;
    page.goto("/home").await?;
    page.find("new-set").await?;
    assert_eq!(page.count("unconfirmed").await?, 0);
    // Used once: the same link says so.
    page.expect_refusals(410);
    page.goto(&link).await?;
    page.click("confirm-email").await?;
    let refused = page.text("error").await?;
    assert!(refused.contains("was used"), "{refused}");
    page.look("verify-email", "used").await?;
    page.goto("/home").await
}

/// From the page to sign in, and back to it with a new password.
pub(crate) async fn reset_password(
    page: &Page,
    server: &Server,
    email: &str,
    password: &str,
) -> Result<()> {
    page.click("to-forgot-password").await?;
    page.fill("email", email).await?;
    page.look("forgot-password", "filled").await?;
    page.click("submit").await?;
    page.find("reset-sent").await?;
    page.look("forgot-password", "sent").await?;
    let link = link(server, "reset-password").await?;
    page.goto(&link).await?;
    page.fill("password", "short").await?;
    page.click("submit").await?;
    page.find("field-error").await.context("a short password")?;
    page.look("reset-password", "errors").await?;
    page.fill("password", password).await?;
    page.click("submit").await?;
    page.find("password-set").await?;
    page.look("reset-password", "set").await?;
    page.click("to-sign-in").await
}
