//! The main path by keyboard alone: every stop of the Tab key is seen, and each action is a key.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{Server, letters::link};
use fantoccini::key::Key;

use crate::{
    journey::{PASSWORD, TRAINING},
    page::Page,
    visit::visit,
};

/// More stops than any page has: the wanted one is not among them.
const STOPS: u32 = 150;

/// Where the keyboard stands, and what a person sees of it.
const STOP: &str = "
const element = document.activeElement;
if (!element || element === document.body) return { name: 'nothing', seen: true };
const outlined = (one) => {
  const style = getComputedStyle(one);
  return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
};
let shown = false;
for (let one = element; one && one !== document.body && !shown; one = one.parentElement) shown = outlined(one);
const box = element.getBoundingClientRect();
const places = [[0.5, 0.5], [0.1, 0.2], [0.9, 0.2], [0.1, 0.8], [0.9, 0.8]]
  .map(([x, y]) => [box.left + box.width * x, box.top + box.height * y]);
const own = (hit) => hit && (hit === element || element.contains(hit) || hit.contains(element)
  || (element.labels && [...element.labels].some((label) => label.contains(hit))));
const uncovered = places.some(([x, y]) => x >= 0 && y >= 0 && x < innerWidth && y < innerHeight
  && own(document.elementFromPoint(x, y)));
return {
  name: `${element.tagName.toLowerCase()} ${element.dataset.test ?? element.className} \"${element.innerText?.slice(0, 40) ?? ''}\"`,
  seen: shown && uncovered, why: shown ? 'it is covered or out of sight' : 'nothing marks it',
};
";

#[tokio::test]
async fn a_person_without_a_mouse_gets_as_far() -> Result<()> {
    let server = Server::start(&[])?;
    visit("keyboard", &server, async |page, _| {
        walk(page, &server).await
    })
    .await
}

async fn walk(page: &Page, server: &Server) -> Result<()> {
    // Who is not signed in is told so by this answer.
    page.expect_refusals(401);
    page.goto("/").await?;
    page.find("start").await?;
    skip(page).await?;
    sign_up(page).await?;
    page.goto(&link(server, "verify-email").await?).await?;
    press_on(page, "confirm-email").await?;
    page.find("email-confirmed").await?;
    page.goto("/home").await?;
    press_on(page, "sample-violet-dog").await?;
    declare(page).await?;
    launch(page).await?;
    watch(page).await?;
    compare_and_share(page).await
}

/// Goes on with Tab until the keyboard stands on a mark.
async fn tab_to(page: &Page, mark: &str) -> Result<()> {
    tab_to_any(page, &format!("[data-test=\"{mark}\"]")).await
}

async fn tab_to_any(page: &Page, selector: &str) -> Result<()> {
    for _ in 0..STOPS {
        page.press(&[Key::Tab.into()]).await?;
        see(page).await?;
        let script = format!("return document.activeElement.matches('{selector}')");
        if page.script(&script).await?.as_bool() == Some(true) {
            return Ok(());
        }
    }
    anyhow::bail!("no stop of the Tab key is {selector}")
}

/// What has the focus is marked, and in sight.
async fn see(page: &Page) -> Result<()> {
    let stop = page.script(STOP).await?;
    let path = page.path().await?;
    ensure!(
        stop["seen"] == true,
        "on {path}, {} has the focus and is not seen: {}",
        stop["name"],
        stop["why"]
    );
    Ok(())
}

/// Waits for a control, goes there, and presses it.
async fn press_on(page: &Page, mark: &str) -> Result<()> {
    page.find(mark).await?;
    tab_to(page, mark).await?;
    page.press(&[Key::Enter.into()]).await
}

/// Types over what is in the field that has the focus.
async fn write(page: &Page, mark: &str, text: &str) -> Result<()> {
    page.find(mark).await?;
    tab_to(page, mark).await?;
    page.press_with(Key::Control.into(), 'a').await?;
    page.press(&text.chars().collect::<Vec<_>>()).await
}

/// The first stop leads past the header.
async fn skip(page: &Page) -> Result<()> {
    page.press(&[Key::Tab.into()]).await?;
    see(page).await?;
    page.look("landing", "skip-link").await?;
    page.press(&[Key::Enter.into()]).await?;
    let focused = page.script("return document.activeElement.id").await?;
    ensure!(focused == "main", "the skip link leads to {focused}");
    Ok(())
}

async fn sign_up(page: &Page) -> Result<()> {
    press_on(page, "start").await?;
    page.until_path("/sign-up").await?;
    write(page, "name", "Ada Example").await?;
    write(page, "email", "ada@example.org").await?;
    write(page, "password", PASSWORD).await?;
    page.press(&[Key::Enter.into()]).await?;
    page.until_path("/home").await?;
    page.find("new-set").await?;
    // The menu opens by a key, and closes by another.
    press_on(page, "account").await?;
    let open = "return document.querySelector('#account-menu:popover-open') !== null";
    ensure!(page.script(open).await? == true, "the menu opens");
    tab_to(page, "to-account").await?;
    page.press(&[Key::Escape.into()]).await?;
    ensure!(page.script(open).await? == false, "the menu closes");
    Ok(())
}

async fn declare(page: &Page) -> Result<()> {
    page.until_path("/sets/set_").await?;
    page.until("five images", Duration::from_mins(1), || async {
        Ok(page.text("image-count").await?.starts_with("5 of"))
    })
    .await?;
    page.find("seal").await?;
    tab_to(page, "basis-own").await?;
    page.press(&[Key::Down.into()]).await?;
    see(page).await?;
    page.press(&[Key::Up.into()]).await?;
    write(page, "rights-jurisdiction", "Austria").await?;
    tab_to(page, "rights-confirm").await?;
    page.press(&[' ']).await?;
    press_on(page, "seal").await?;
    page.find("sealed").await?;
    // The next step has the focus by itself.
    page.until("the next step", Duration::from_secs(5), || async {
        let script = "return document.activeElement.dataset.test";
        Ok(page.script(script).await? == "to-protect")
    })
    .await?;
    see(page).await?;
    page.press(&[Key::Enter.into()]).await
}

async fn launch(page: &Page) -> Result<()> {
    write(page, "class-name", "dog").await?;
    write(page, "identifier", demo::IDENTIFIER).await?;
    // The advanced part is a fold.
    tab_to_any(page, "[data-test=\"advanced\"] > summary").await?;
    page.press(&[Key::Enter.into()]).await?;
    for (field, value) in [
        ("steps", "4"),
        ("batch-size", "2"),
        ("class-images", "4"),
        ("target-images", "4"),
        ("checkpoints", "0, 4"),
        ("images-per-arm", "4"),
    ] {
        write(page, field, value).await?;
    }
    page.until("a passed preflight", Duration::from_secs(20), || async {
        Ok(page.attribute("preflight", "data-ready").await? == "true")
    })
    .await?;
    press_on(page, "launch").await?;
    page.until_path("/jobs/job_").await
}

async fn watch(page: &Page) -> Result<()> {
    press_on(page, "cancel").await?;
    let open = "return document.querySelector('dialog[open]') !== null";
    ensure!(page.script(open).await? == true, "the question opens");
    see(page).await?;
    page.press(&[Key::Escape.into()]).await?;
    ensure!(page.script(open).await? == false, "Escape is no");
    let back = page
        .script("return document.activeElement.dataset.test")
        .await?;
    ensure!(
        back == "cancel",
        "the focus returns to the button, not to {back}"
    );
    page.until("the gallery, which opens by itself", TRAINING, || async {
        Ok(page.path().await?.starts_with("/galleries/gal_"))
    })
    .await
}

async fn compare_and_share(page: &Page) -> Result<()> {
    page.find("verdict-sentence").await?;
    tab_to(page, "compare-range").await?;
    let value = page.find("compare-range").await?.prop("value").await?;
    page.press(&[Key::Left.into(), Key::Left.into()]).await?;
    let moved = page.find("compare-range").await?.prop("value").await?;
    ensure!(moved != value, "the slider follows the arrows");
    let before = page.text("selected").await?;
    press_on(page, "next-pair").await?;
    page.until("another pair", Duration::from_secs(5), || async {
        Ok(page.text("selected").await? != before)
    })
    .await?;
    press_on(page, "share-create").await?;
    let shown = page.find("share-url").await?.prop("value").await?;
    let shown = shown.context("an address")?;
    let (_, token) = shown.split_once("/s/").context("the address of a page")?;
    page.goto(&format!("/s/{token}")).await?;
    tab_to_any(page, ".steps a").await?;
    page.press(&[Key::Enter.into()]).await?;
    // Everything that scrolls is reached, too.
    tab_to_any(page, "[role=region]").await
}
