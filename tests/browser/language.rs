//! Another language comes in place: nothing is loaded anew, nothing that was typed or is under way is lost, and whoever
//! chose it stays at the choice.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::Server;
use serde_json::{Value, json};

use crate::{
    german::until,
    journey::{PASSWORD, TRAINING},
    look::Extent,
    page::Page,
    visit::visit,
};

#[tokio::test]
async fn a_language_changes_in_place() -> Result<()> {
    let server = Server::start(&[])?;
    visit("language", &server, async |page, _| walk(page).await).await
}

async fn walk(page: &Page) -> Result<()> {
    page.expect_refusals(401);
    page.goto("/sign-up").await?;
    page.find("submit").await?;
    // Every load of a page would take these away.
    page.script(
        "window.stays = true; window.streams = 0;
        window.EventSource = class extends EventSource {
            constructor(...all) { super(...all); window.streams += 1; }
        };",
    )
    .await?;
    sign_up(page).await?;
    declare(page).await?;
    protect(page).await?;
    watch(page).await?;
    let stays = page.script("return window.stays === true").await?;
    ensure!(stays == true, "no page was loaded anew on this whole way");
    Ok(())
}

async fn values<const N: usize>(page: &Page, marks: [&str; N]) -> Result<[String; N]> {
    let mut found = [const { String::new() }; N];
    for (value, mark) in found.iter_mut().zip(marks) {
        let read = page.find(mark).await?.prop("value").await?;
        *value = read.with_context(|| format!("{mark} has no value"))?;
    }
    Ok(found)
}

async fn is_checked(page: &Page, mark: &str) -> Result<bool> {
    let script = format!("return document.querySelector('[data-test={mark}]').checked");
    Ok(page.script(&script).await? == true)
}

/// Chooses a language by its button and waits for words in it; the button keeps the focus and its place.
async fn choose(page: &Page, tag: &str, mark: &str, words: &str, title: &str) -> Result<()> {
    let button = format!("document.querySelector('[data-test=language-{tag}]')");
    page.script(&format!(
        "{button}.scrollIntoView({{ block: 'center' }}); window.top_ = {button}.getBoundingClientRect().top"
    ))
    .await?;
    page.find(&format!("language-{tag}")).await?.click().await?;
    until(page, tag, mark, words).await?;
    let found = page
        .script_later(&format!(
            "const done = arguments[0];
            requestAnimationFrame(() => requestAnimationFrame(() => done({{
                focus: document.activeElement.dataset.test,
                pressed: {button}.ariaPressed,
                moved: Math.abs({button}.getBoundingClientRect().top - window.top_) > 2,
                title: document.title,
                direction: document.documentElement.dir,
                cookie: /(?:^|; )persguard_language=([a-z]+)/.exec(document.cookie)?.[1],
            }})))"
        ))
        .await?;
    let wanted = json!({
        "focus": format!("language-{tag}"), "pressed": "true", "moved": false,
        "title": format!("{title} \u{b7} PersGuard"), "direction": "ltr", "cookie": tag,
    });
    ensure!(found == wanted, "{found} instead of {wanted}");
    Ok(())
}

/// What the button for German says of itself, and what is shown.
const STATE: &str = "
const button = document.querySelector('[data-test=language-de]');
return [button.ariaBusy, button.ariaPressed, document.documentElement.lang, document.cookie.includes('persguard_language=de')];
";

async fn until_state(page: &Page, busy: &str) -> Result<()> {
    let wanted = json!([busy, "false", "en", false]);
    page.until(
        &format!("English, busy: {busy}"),
        Duration::from_secs(5),
        || async { Ok(page.script(STATE).await? == wanted) },
    )
    .await
}

/// Texts that do not come change nothing, and of two choices the last one counts.
async fn hesitate(page: &Page) -> Result<()> {
    page.expect("net::ERR_BLOCKED_BY_CLIENT");
    page.devtools("Network.enable", json!({})).await?;
    let block = json!({ "urls": ["*/languages/*"] });
    page.devtools("Network.setBlockedURLs", block).await?;
    page.click("language-de").await?;
    page.find("language-missing").await?;
    until_state(page, "false").await?;
    page.look_at("sign-up", "language-missing", Extent::Brief)
        .await?;
    page.devtools("Network.setBlockedURLs", json!({ "urls": [] }))
        .await?;
    let patterns = json!({ "patterns": [{ "urlPattern": "*/languages/*" }] });
    page.devtools("Fetch.enable", patterns).await?;
    page.click("language-de").await?;
    until_state(page, "true").await?;
    ensure!(page.count("language-missing").await? == 0, "a new attempt");
    page.click("language-en").await?;
    until_state(page, "false").await?;
    page.devtools("Fetch.disable", json!({})).await?;
    page.until(
        "the texts that nobody waits for",
        Duration::from_secs(5),
        || async {
            let script = "return performance.getEntriesByType('resource').some((entry) => entry.name.includes('/languages/') && entry.decodedBodySize > 0)";
            Ok(page.script(script).await? == true)
        },
    )
    .await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    until_state(page, "false").await
}

async fn sign_up(page: &Page) -> Result<()> {
    const FIELDS: [&str; 3] = ["name", "email", "password"];
    let typed = ["Ada Example", "ada@example.org", PASSWORD];
    for (mark, text) in FIELDS.into_iter().zip(typed) {
        page.fill(mark, text).await?;
    }
    hesitate(page).await?;
    choose(page, "de", "submit", "Konto erstellen", "Konto erstellen").await?;
    ensure!(values(page, FIELDS).await? == typed, "all of it is there");
    page.look_at("sign-up", "german-typed", Extent::Brief)
        .await?;
    choose(
        page,
        "en",
        "submit",
        "Create account",
        "Create your account",
    )
    .await?;
    ensure!(values(page, FIELDS).await? == typed, "and back");
    choose(page, "de", "submit", "Konto erstellen", "Konto erstellen").await?;
    // No storage ever gets a secret, not even for this.
    let stored = page
        .script("return JSON.stringify([{ ...sessionStorage }, { ...localStorage }])")
        .await?;
    ensure!(
        !stored.as_str().context("a text")?.contains(PASSWORD),
        "the password is in {stored}"
    );
    page.click("submit").await?;
    page.until_path("/home").await?;
    until(page, "de", "nav-home", "\u{dc}bersicht").await
}

/// A form whose choices no storage keeps.
async fn declare(page: &Page) -> Result<()> {
    page.click("sample-violet-dog").await?;
    page.until_path("/sets/set_").await?;
    page.find("seal").await?;
    page.click("basis-represent").await?;
    page.click("depicts-person").await?;
    page.fill("rights-name", "Ada E.").await?;
    page.fill("rights-jurisdiction", "Austria").await?;
    page.click("rights-confirm").await?;
    let title = page.text("page-title").await?;
    choose(page, "en", "seal", "Sign and seal the set", &title).await?;
    let found = values(page, ["rights-name", "rights-jurisdiction"]).await?;
    ensure!(found == ["Ada E.", "Austria"], "{found:?}");
    for mark in ["basis-represent", "depicts-person", "rights-confirm"] {
        ensure!(is_checked(page, mark).await?, "{mark} stays chosen");
    }
    ensure!(!is_checked(page, "basis-own").await?, "one basis alone");
    page.click("basis-own").await?;
    page.click("depicts-person").await?;
    page.click("seal").await?;
    page.find("sealed").await?;
    page.click("to-protect").await?;
    page.find("advanced").await?;
    Ok(())
}

/// The specification that the form stands for.
async fn specification(page: &Page) -> Result<Value> {
    let script = "return document.querySelector('[data-test=spec-json]').textContent";
    let text = page.script(script).await?;
    Ok(serde_json::from_str(text.as_str().context("a text")?)?)
}

async fn protect(page: &Page) -> Result<()> {
    page.fill("class-name", "dog").await?;
    page.fill("identifier", demo::IDENTIFIER).await?;
    page.click("objective-erasure").await?;
    page.fill("erasure-prompt", "a photo of an empty street")
        .await?;
    page.script("document.querySelector('[data-test=advanced] summary').click()")
        .await?;
    for (field, value) in [
        ("learning-rate", "0.00050"),
        ("steps", "2000"),
        ("batch-size", "2"),
        ("class-images", "4"),
        ("target-images", "4"),
        ("checkpoints", "0, 4"),
        ("images-per-arm", "4"),
    ] {
        page.fill(field, value).await?;
    }
    page.click("universal").await?;
    let (before, universal) = (
        specification(page).await?,
        is_checked(page, "universal").await?,
    );
    let title = page.text("page-title").await?;
    let name = title
        .strip_prefix("Protect \u{201c}")
        .and_then(|rest| rest.strip_suffix('\u{201d}'))
        .context("a title with the set's name")?;
    let german = format!("\u{201e}{name}\u{201c} sch\u{fc}tzen");
    choose(page, "de", "launch", "Schutz starten", &german).await?;
    let after = specification(page).await?;
    ensure!(after == before, "{after} instead of {before}");
    // Numbers are typed as the reader writes them.
    let fields = ["learning-rate", "checkpoints", "erasure-prompt"];
    let found = values(page, fields).await?;
    ensure!(
        found == ["0,00050", "0, 4", "a photo of an empty street"],
        "{found:?}"
    );
    ensure!(is_checked(page, "objective-erasure").await?, "the choice");
    ensure!(is_checked(page, "universal").await? == universal, "another");
    let open = page
        .script("return document.querySelector('[data-test=advanced]').open")
        .await?;
    ensure!(open == true, "what was unfolded stays so");
    page.until("a passed preflight", Duration::from_secs(20), || async {
        Ok(page.attribute("preflight", "data-ready").await? == "true")
    })
    .await?;
    page.look_at("protect", "german-typed", Extent::Brief)
        .await?;
    page.click("launch").await?;
    page.until_path("/jobs/job_").await
}

async fn points(page: &Page) -> Result<u32> {
    Ok(page.attribute("loss-chart", "data-points").await?.parse()?)
}

/// A stream goes on over the change: it is the same one, and what it told before is there.
async fn watch(page: &Page) -> Result<()> {
    page.until("the first losses", TRAINING, || async {
        Ok(points(page).await? >= 2)
    })
    .await?;
    page.fill("log-search", "step").await?;
    let (before, title) = (points(page).await?, "Protecting \u{201c}");
    let streams = page.script("return window.streams").await?;
    let words = page.text("page-title").await?;
    let quoted = words
        .split_once('\u{201e}')
        .and_then(|(_, rest)| rest.split_once('\u{201c}'))
        .context("a title with the subject")?;
    let english = format!("{title}{}\u{201d}", quoted.0);
    choose(page, "en", "nav-home", "Home", &english).await?;
    ensure!(points(page).await? >= before, "no loss is forgotten");
    ensure!(
        page.script("return window.streams").await? == streams && streams.as_u64() >= Some(1),
        "the stream is the one that was open: {streams}"
    );
    ensure!(values(page, ["log-search"]).await? == ["step"], "the word");
    let then = points(page).await?;
    page.until("further losses", TRAINING, || async {
        Ok(points(page).await? > then)
    })
    .await?;
    page.click("cancel").await?;
    page.click("confirm-cancel").await?;
    page.until("the end of the job", Duration::from_secs(30), || async {
        Ok(page.attribute("job-status", "data-status").await? == "canceled")
    })
    .await
}
