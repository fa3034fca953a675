//! What letters lead to: the address is confirmed, a forgotten password set anew, a program let in.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use e2e::{Server, wait::until};

use crate::page::Page;

/// Path and token of the newest link to `page` that the server sent.
async fn link(server: &Server, page: &str) -> Result<String> {
    let mark = format!("/{page}#token=");
    let outbox = server.data().join("outbox");
    until("a letter", Duration::from_mins(1), || async {
        let mut files: Vec<_> = fs::read_dir(&outbox)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|kind| kind == "eml"))
            .collect();
        files.sort();
        let mut letters = files
            .iter()
            .rev()
            .filter_map(|path| fs::read_to_string(path).ok());
        Ok(letters.find_map(|text| found(&text, &mark)))
    })
    .await
}

/// The link in a letter, whose lines may have been broken for the way (quoted-printable).
fn found(letter: &str, mark: &str) -> Option<String> {
    let text = letter
        .replace("=\r\n", "")
        .replace("=\n", "")
        .replace("=3D", "=");
    let (_, token) = text.split_once(mark)?;
    let token = token.split_whitespace().next()?;
    Some(format!("{mark}{token}"))
}

/// The person is signed in, and nobody has opened the first letter yet.
pub(crate) async fn confirm_address(page: &Page, server: &Server) -> Result<()> {
    page.find("unconfirmed").await?;
    page.goto("/verify-email").await?;
    page.find("no-token").await?;
    let link = link(server, "verify-email").await?;
    page.goto(&link).await?;
    page.find("confirm-email").await?;
    let hash = page.script("return window.location.hash").await?;
    assert_eq!(hash, "", "the token has left the address");
    page.picture("02-verify-email").await?;
    page.click("confirm-email").await?;
    page.find("email-confirmed").await?;
    page.goto("/home").await?;
    page.find("new-set").await?;
    assert_eq!(page.count("unconfirmed").await?, 0);
    // Used once: the same link says so.
    page.goto(&link).await?;
    page.click("confirm-email").await?;
    let refused = page.text("error").await?;
    assert!(refused.contains("was used"), "{refused}");
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
    page.picture("02-forgot-password").await?;
    page.click("submit").await?;
    page.find("reset-sent").await?;
    let link = link(server, "reset-password").await?;
    page.goto(&link).await?;
    page.fill("password", "short").await?;
    page.click("submit").await?;
    page.find("field-error").await.context("a short password")?;
    page.fill("password", password).await?;
    page.picture("02-reset-password").await?;
    page.click("submit").await?;
    page.find("password-set").await?;
    page.click("to-sign-in").await
}
