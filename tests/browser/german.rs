//! German readers: by what their browser asks for and by their choice, on every screen of the main path.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::{look::Extent, page::Page};

/// Words that German has not, outside of what is marked as English, quoted or code.
const ENGLISH: &str = "
const shown = document.body.cloneNode(true);
for (const apart of shown.querySelectorAll('[lang=en], code, pre, q, script, svg, option, .chip')) apart.remove();
const text = shown.textContent.replaceAll(/„[^“]*“/g, '');
return [...text.matchAll(/[^.]{0,40}\\b(?:the|your|and|with|could|not|from|this)\\b[^.]{0,40}/g)].map((found) => found[0]);
";

/// The language that the page says it is in.
async fn language(page: &Page) -> Result<String> {
    let tag = page.script("return document.documentElement.lang").await?;
    Ok(tag.as_str().context("a tag")?.to_owned())
}

/// Waits for the page in this language.
pub(crate) async fn until(page: &Page, tag: &str, mark: &str, words: &str) -> Result<()> {
    page.until(words, Duration::from_secs(20), || async {
        Ok(language(page).await? == tag && page.text(mark).await? == words)
    })
    .await
}

/// Opens a page and looks at it in German.
async fn read(page: &Page, path: &str, mark: &str, screen: &str) -> Result<()> {
    page.goto(path).await?;
    page.find(mark).await?;
    page.until("all of the page", Duration::from_secs(20), || async {
        let script = "return document.querySelector('.skeleton') === null";
        Ok(page.script(script).await?.as_bool() == Some(true))
    })
    .await?;
    ensure!(language(page).await? == "de", "{path} is German");
    let english = page.script(ENGLISH).await?;
    ensure!(
        english.as_array().is_some_and(Vec::is_empty),
        "{path} has English words: {english}"
    );
    page.look_at(screen, "german", Extent::Brief).await
}

/// A date is that of the reader's clock and as German writes it; the moment itself is behind it.
const DATE: &str = "
const shown = document.querySelector('[data-test=job-card] time');
const moment = new Date(shown.dateTime);
const style = { dateStyle: 'medium', timeStyle: 'short', timeZone: 'Asia/Kolkata' };
const wanted = new Intl.DateTimeFormat('de', style).format(moment);
const named = moment.toISOString().slice(0, 19).replace('T', ' ') + ' UTC';
return shown.textContent === wanted && shown.title === named ? '' : shown.outerHTML;
";

/// Dates of somebody who is five and a half hours ahead.
async fn dates(page: &Page) -> Result<()> {
    let command = "Emulation.setTimezoneOverride";
    page.devtools(command, json!({ "timezoneId": "Asia/Kolkata" }))
        .await?;
    page.goto("/jobs").await?;
    page.find("job-card").await?;
    let wrong = page.script(DATE).await?;
    ensure!(
        wrong.as_str() == Some(""),
        "a date of the reader's: {wrong}"
    );
    page.devtools(command, json!({ "timezoneId": "" })).await?;
    Ok(())
}

/// The dashboard of somebody who chooses German and goes back.
pub(crate) async fn choose(page: &Page, set: &str, job: &str, gallery: &str) -> Result<()> {
    page.goto("/home").await?;
    page.click("language-de").await?;
    until(page, "de", "nav-home", "\u{dc}bersicht").await?;
    let protect = format!("{set}/protect");
    for (path, mark, screen) in [
        ("/home", "set-card", "home"),
        ("/sets/new", "set-name", "new-set"),
        (set, "sealed", "set"),
        (&protect, "advanced", "protect"),
        (job, "job-status", "job"),
        (gallery, "verdict-sentence", "gallery"),
        ("/jobs", "job-card", "jobs"),
        ("/models", "nav-models", "models"),
        ("/account", "account", "account"),
        ("/nodes", "node-create", "nodes"),
        ("/storage", "browser-finding", "storage"),
    ] {
        read(page, path, mark, screen).await?;
    }
    dates(page).await?;
    page.click("language-en").await?;
    until(page, "en", "nav-home", "Home").await?;
    page.goto("/jobs").await?;
    until(page, "en", "nav-home", "Home").await
}

/// The first pages of somebody who chose nothing, with a German browser.
pub(crate) async fn arrive(page: &Page) -> Result<()> {
    page.forget_cookies().await?;
    page.ask_for("de-AT,de;q=0.9,en;q=0.8").await?;
    for (path, mark, screen) in [
        ("/", "shipped-verdict", "landing"),
        ("/sign-up", "submit", "sign-up"),
        ("/sign-in", "submit", "sign-in"),
        ("/forgot-password", "submit", "forgot-password"),
    ] {
        read(page, path, mark, screen).await?;
    }
    page.click("submit").await?;
    page.find("field-error").await?;
    page.look_at("forgot-password", "german-errors", Extent::Brief)
        .await?;
    page.ask_for("en-US,en;q=0.9").await
}

/// A shared page: German for a German browser, English by its link, and so again without it.
pub(crate) async fn share(page: &Page, path: &str) -> Result<()> {
    page.ask_for("de-AT,de;q=0.9").await?;
    page.goto(path).await?;
    ensure!(language(page).await? == "de", "a German shared page");
    page.look_at("shared-page", "german", Extent::Brief).await?;
    page.script("document.querySelector('a[lang=en]').click()")
        .await?;
    page.until("the page in English", Duration::from_secs(10), || async {
        Ok(language(page).await? == "en")
    })
    .await?;
    page.goto(path).await?;
    ensure!(language(page).await? == "en", "the choice stays");
    page.ask_for("en-US,en;q=0.9").await
}
