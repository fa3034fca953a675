//! The commands that pages show beside their buttons, run by a shell as they stand.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use fantoccini::key::Key;
use serde_json::Value;

use crate::{journey::PASSWORD, page::Page};

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

/// An access token of whoever is signed in, for what no key may do.
async fn token(page: &Page) -> Result<String> {
    let made = page
        .script(&format!(
            "return fetch('/v1/tokens', {{
                method: 'POST',
                headers: {{ 'content-type': 'application/json' }},
                body: JSON.stringify({{ email: 'ada@example.org', password: '{PASSWORD}' }}),
            }}).then((answer) => answer.json())"
        ))
        .await?;
    let token = made["access_token"].as_str();
    Ok(token
        .with_context(|| format!("no token: {made}"))?
        .to_owned())
}

/// Opens the fold with this mark, and reads what is in it.
async fn text(page: &Page, mark: &str) -> Result<String> {
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
    Ok(commands.as_str().context("no commands")?.to_owned())
}

/// Runs what is in the fold with this mark.
async fn run(page: &Page, mark: &str, folder: &Path, password: &str) -> Result<Value> {
    let commands = text(page, mark).await?;
    let key = key(page).await?;
    let token = if commands.contains("PERSGUARD_ACCESS_TOKEN") {
        token(page).await?
    } else {
        String::new()
    };
    ensure!(
        !commands.contains("pgk_") && (password.is_empty() || !commands.contains(password)),
        "a secret is shown: {commands}"
    );
    let output = Command::new("sh")
        .args(["-euc", &commands])
        .current_dir(folder)
        .env("PERSGUARD_API_KEY", key)
        .env("PERSGUARD_ACCESS_TOKEN", token)
        .env("SHARE_PASSWORD", password)
        .output()?;
    let (answer, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    ensure!(output.status.success(), "{commands}\n{answer}\n{errors}");
    // The last answer of several; removals have none.
    let answers = serde_json::Deserializer::from_str(&answer).into_iter::<Value>();
    answers
        .last()
        .unwrap_or(Ok(Value::Null))
        .map_err(Into::into)
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

/// On the page of a gallery whose newest link works.
pub(crate) async fn revoke(page: &Page, folder: &Path) -> Result<()> {
    let before = page.count("share-revoke").await?;
    page.click("share-revoke").await?;
    run(page, "curl-share-revoke-yes", folder, "").await?;
    page.press(&[Key::Escape.into()]).await?;
    let gallery = page.path().await?;
    page.goto(&gallery).await?;
    page.find("share-links").await?;
    ensure!(
        page.count("share-revoke").await? + 1 == before,
        "one link less works"
    );
    Ok(())
}

/// On the page of nodes, with a name typed: made, held, and removed.
pub(crate) async fn nodes(page: &Page, folder: &Path) -> Result<()> {
    page.fill("node-name", "Attic").await?;
    let made = run(page, "curl-node-create", folder, "").await?;
    ensure!(
        made["node"]["name"] == "Attic" && made["command"].is_string(),
        "no node: {made}"
    );
    page.goto("/nodes").await?;
    let device = page.text("node-device").await?;
    ensure!(device.starts_with("cpu"), "the node works on {device:?}");
    page.find("node-remove").await?;
    let held = run(page, "curl-node-pause", folder, "").await?;
    ensure!(held["intake"] == "paused", "not paused: {held}");
    page.find("curl-node-resume").await?;
    run(page, "curl-node-resume", folder, "").await?;
    page.click("node-remove").await?;
    run(page, "curl-node-remove-yes", folder, "").await?;
    page.press(&[Key::Escape.into()]).await
}

/// On the page of models: what an import by S3 would take, without its keys.
pub(crate) async fn import(page: &Page) -> Result<()> {
    page.click("import-model").await?;
    page.find("import-form").await?;
    page.fill("import-name", "It's mine").await?;
    let shown = text(page, "curl-import").await?;
    ensure!(
        shown.contains("It'\\''s mine") && shown.contains("/complete"),
        "{shown}"
    );
    page.press(&[Key::Escape.into()]).await
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
