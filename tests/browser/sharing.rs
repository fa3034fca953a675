//! A gallery is shown to somebody without an account, until its owner takes it back.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};

use crate::{lighthouse, look::tell, page::Page, shell, visit::pictures_folder};

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
        .script("return document.scripts.length === 0 && document.body.scrollWidth <= innerWidth")
        .await?;
    ensure!(
        sound.as_bool() == Some(true),
        "no script, and nothing beside the page"
    );
    page.look("shared-page", "open").await?;
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
    shell::share(page, folder, "between us two").await
}
