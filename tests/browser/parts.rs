//! The dashboard's code comes in parts: a first visit loads one, and a part that does not come says so.

use anyhow::{Context, Result, ensure};
use e2e::Server;
use serde_json::json;

use crate::{journey::PASSWORD, page::Page, visit::visit};

/// Names of the files of parts that were asked for so far.
const PARTS: &str = "return performance.getEntriesByType('resource').map((entry) => entry.name)\
    .filter((name) => /[/](split_|chunk_)/.test(name))";

async fn parts(page: &Page) -> Result<Vec<String>> {
    let names = page.script(PARTS).await?;
    let names = names.as_array().context("no list")?;
    Ok(names
        .iter()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect())
}

#[tokio::test]
async fn a_part_comes_when_somebody_goes_there() -> Result<()> {
    let server = Server::start(&[])?;
    visit("parts", &server, async |page, _| walk(page).await).await
}

async fn walk(page: &Page) -> Result<()> {
    page.expect_refusals(401);
    page.goto("/").await?;
    page.find("start").await?;
    let early = parts(page).await?;
    ensure!(early.is_empty(), "the start page needs no part: {early:?}");
    lose_a_part(page).await?;
    // The address tells which parts are needed, before the first one runs.
    page.goto("/jobs").await?;
    page.find("nav-jobs").await?;
    page.find("page-title").await?;
    let asked = parts(page).await?;
    let start = asked.iter().filter(|name| name.contains("split_start-"));
    ensure!(
        start.count() >= 1 && asked.iter().all(|name| !name.contains("split_desk-")),
        "{asked:?}"
    );
    right_to_left(page).await
}

/// A part that cannot be fetched says so; what was typed meanwhile is where it was, and trying again helps.
async fn lose_a_part(page: &Page) -> Result<()> {
    page.expect("net::ERR_BLOCKED_BY_CLIENT");
    page.expect("/parts-");
    page.devtools("Network.enable", json!({})).await?;
    let block = json!({ "urls": ["*split_start*"] });
    page.devtools("Network.setBlockedURLs", block).await?;
    page.click("start").await?;
    page.fill("name", "Ada Example").await?;
    page.fill("email", "ada@example.org").await?;
    page.fill("password", PASSWORD).await?;
    page.click("submit").await?;
    page.until_path("/home").await?;
    page.find("part-missing").await?;
    page.look("part", "missing").await?;
    page.click("part-again").await?;
    page.find("part-missing").await?;
    page.devtools("Network.setBlockedURLs", json!({ "urls": [] }))
        .await?;
    page.click("part-again").await?;
    page.find("new-set").await?;
    ensure!(page.count("part-missing").await? == 0, "it is here now");
    Ok(())
}

/// Where words run from right to left nothing sticks out, and what stood at the start stands there still.
async fn right_to_left(page: &Page) -> Result<()> {
    for path in ["/home", "/sets/new", "/jobs", "/models", "/account", "/"] {
        page.goto(path).await?;
        page.find("page-title").await?;
        for width in [320, 1440] {
            let size =
                json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
            page.devtools("Emulation.setDeviceMetricsOverride", size)
                .await?;
            let found = page
                .script(
                    "document.documentElement.dir = 'rtl';
                    const brand = document.querySelector('.brand').getBoundingClientRect();
                    const root = document.documentElement;
                    return [root.scrollWidth <= innerWidth, innerWidth - brand.right < brand.left || innerWidth < 400]",
                )
                .await?;
            ensure!(
                found == json!([true, true]),
                "{path} at {width} from right to left: {found}"
            );
        }
    }
    page.devtools("Emulation.clearDeviceMetricsOverride", json!({}))
        .await?;
    page.script("document.documentElement.dir = ''").await?;
    Ok(())
}
