//! The commands that pages show beside their buttons, run by a shell as they stand.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::page::Page;

/// An API key of whoever is signed in.
async fn key(page: &Page) -> Result<String> {
    let made = page
        .script(
            "return fetch('/v1/api-keys', {
                method: 'POST',
                headers: { 'content-type': 'application/json' },
                body: JSON.stringify({ name: 'A shell', scopes: ['sets:read', 'sets:write', 'galleries:read', 'share:write'] }),
            }).then((answer) => answer.json())",
        )
        .await?;
    let secret = made["secret"].as_str();
    Ok(secret
        .with_context(|| format!("no key: {made}"))?
        .to_owned())
}

/// Opens the fold with this mark, and runs what is in it.
async fn run(page: &Page, mark: &str, folder: &Path, password: &str) -> Result<Value> {
    page.find(mark).await?;
    let fold = format!("document.querySelector('[data-test={mark}]')");
    page.script(&format!("{fold}.querySelector('summary').click()"))
        .await?;
    let shown = format!("return {fold}.querySelector('pre')?.textContent ?? null");
    let mut commands = page.script(&shown).await?;
    while commands.is_null() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        commands = page.script(&shown).await?;
    }
    let commands = commands.as_str().context("no commands")?;
    let key = key(page).await?;
    ensure!(
        !commands.contains("pgk_") && (password.is_empty() || !commands.contains(password)),
        "a secret is shown: {commands}"
    );
    let output = Command::new("sh")
        .args(["-euc", commands])
        .current_dir(folder)
        .env("PERSGUARD_API_KEY", key)
        .env("SHARE_PASSWORD", password)
        .output()?;
    let (answer, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    ensure!(output.status.success(), "{commands}\n{answer}\n{errors}");
    // The last answer of several.
    let answers = serde_json::Deserializer::from_str(&answer).into_iter::<Value>();
    answers.last().context("no answer")?.map_err(Into::into)
}

/// On the page of a new set, with the name typed.
pub(crate) async fn create_set(page: &Page, folder: &Path, name: &str) -> Result<()> {
    let set = run(page, "curl-create-set", folder, "").await?;
    ensure!(set["name"] == name, "another set: {set}");
    Ok(())
}

/// On the page of an empty set.
pub(crate) async fn upload(page: &Page, folder: &Path, image: &[u8]) -> Result<()> {
    fs::write(folder.join("image.png"), image)?;
    let upload = run(page, "curl-upload", folder, "").await?;
    ensure!(
        upload["image"]["filename"] == "image.png",
        "no image: {upload}"
    );
    Ok(())
}

/// On the page of a gallery, with a password typed.
pub(crate) async fn share(page: &Page, folder: &Path, password: &str) -> Result<()> {
    let link = run(page, "curl-share", folder, password).await?;
    ensure!(
        link["has_password"] == true && link["recipient"] == "Atelier Nord",
        "another link: {link}"
    );
    Ok(())
}
