//! A gallery is shown to somebody without an account, until its owner takes it back.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;

use crate::{german, lighthouse, look::tell, page::Page, shell, visit::pictures_folder};

/// A link in three clicks, its page without any script, and its end.
pub(crate) async fn share(page: &Page, folder: &Path) -> Result<()> {
    let gallery = page.path().await?;
    page.find("share-none").await?;
    page.fill("share-recipient", "Atelier Nord").await?;
    page.click("share-create").await?;
    let shown = page.find("share-url").await?.prop("value").await?;
    let shown = shown.context("an address")?;
    page.find("share-link").await?;
    page.look("gallery", "shared").await?;
    let (_, token) = shown.split_once("/s/").context("the address of a page")?;
    let path = format!("/s/{token}");
    page.goto(&path).await?;
    tell(&format!(
        "size: share_page_bytes={}",
        page.transferred().await?
    ));
    page.until("every picture of the shared page", Duration::from_secs(10), || async {
        let script = "const images = [...document.images]; images.forEach(image => image.loading = 'eager');\
            return images.length > 1 && images.every(image => image.complete && image.naturalWidth === 384)";
        Ok(page.script(script).await?.as_bool() == Some(true))
    })
    .await?;
    let sound = page
        .script("return document.scripts.length === 1 && document.body.scrollWidth <= innerWidth")
        .await?;
    ensure!(
        sound.as_bool() == Some(true),
        "one script, and nothing beside the page"
    );
    page.look("shared-page", "open").await?;
    print(page).await?;
    german::share(page, &path).await?;
    page.goto(&path).await?;
    lighthouse::judge(&page.url(&path), &pictures_folder().join("journey")).await?;
    page.goto(&gallery).await?;
    page.click("share-revoke").await?;
    page.find("share-revoke-yes").await?;
    page.look("gallery", "revoking").await?;
    page.click("share-revoke-yes").await?;
    page.until("the end of the link", Duration::from_secs(10), || async {
        Ok(page.count("share-revoke").await? == 0 && page.count("share-link").await? == 1)
    })
    .await?;
    page.expect_refusals(410);
    page.expect_refusals(404);
    page.goto(&path).await?;
    let ended = page.script("return document.body.innerText").await?;
    let ended = ended.as_str().context("a page")?;
    ensure!(
        ended.contains("This link has ended") && !ended.contains("Nord"),
        "{ended}"
    );
    page.look("shared-page", "ended").await?;
    page.goto(&gallery).await?;
    page.find("share").await?;
    page.script("document.querySelector('[data-test=share] summary').click()")
        .await?;
    page.fill("share-recipient", "Atelier Nord").await?;
    page.fill("share-password", "between us two").await?;
    page.look("gallery", "share-options").await?;
    shell::share(page, folder, "between us two").await?;
    embed(page, folder).await
}

/// The page on paper: all pictures, no controls, dark ink whatever the screen's colours are.
async fn print(page: &Page) -> Result<()> {
    page.script("window.print = () => { window.printed = [...document.images].every((image) => image.complete) }")
        .await?;
    page.script("document.querySelector('#print button').click()")
        .await?;
    page.until("the printer's dialog", Duration::from_secs(10), || async {
        Ok(page.script("return window.printed").await? == true)
    })
    .await?;
    let dark = json!([{ "name": "prefers-color-scheme", "value": "dark" }]);
    let paper = json!({ "media": "print", "features": dark });
    page.devtools("Emulation.setEmulatedMedia", paper).await?;
    let found = page
        .script(
            "const shown = (selector) => getComputedStyle(document.querySelector(selector)).display !== 'none';
            const body = getComputedStyle(document.body);
            return [body.backgroundColor, shown('.keep'), shown('.pair'), shown('table')]",
        )
        .await?;
    ensure!(
        found == json!(["rgb(255, 255, 255)", false, true, true]),
        "on paper: {found}"
    );
    let options = json!({ "printBackground": true, "preferCSSPageSize": true });
    let printed = page.devtools("Page.printToPDF", options).await?;
    page.devtools("Emulation.setEmulatedMedia", json!({ "media": "" }))
        .await?;
    let document = BASE64_STANDARD.decode(printed["data"].as_str().context("no document")?)?;
    ensure!(document.starts_with(b"%PDF-"), "no document");
    let file = pictures_folder().join("journey/shared-page.pdf");
    Ok(fs::write(file, document)?)
}

/// What another site gets, and the page as its recipient sees it, without a visit of theirs.
async fn embed(page: &Page, folder: &Path) -> Result<()> {
    page.fill("share-password", "").await?;
    page.fill("share-sites", "https://example.org/path").await?;
    page.click("share-create").await?;
    page.find("field-error").await?;
    page.fill("share-sites", "https://example.org").await?;
    page.click("share-create").await?;
    let code = page.find("share-embed").await?.prop("value").await?;
    let code = code.context("an element")?;
    ensure!(
        code.starts_with("<iframe src=\"http") && code.contains("/s/"),
        "{code}"
    );
    page.script("document.querySelector('[data-test=share-preview] summary').click()")
        .await?;
    page.find("share-frame").await?;
    page.until("the page in its frame", Duration::from_secs(10), || async {
        let script = "const frame = document.querySelector('[data-test=share-frame]').contentDocument;\
            return frame !== null && frame.querySelector('h1') !== null && frame.querySelectorAll('.pair').length > 0";
        Ok(page.script(script).await? == true)
    })
    .await?;
    page.look("gallery", "share-preview").await?;
    shell::revoke(page, folder).await
}
