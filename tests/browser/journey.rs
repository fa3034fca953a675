//! Sign up, upload, declare, protect, watch, compare, see the gates; and a second job, canceled.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use e2e::Server;

use crate::{
    closely, folders, german, letters, look::tell, page::Page, sharing, shell, visit::visit,
};

pub(crate) const PASSWORD: &str = "correct horse battery staple";
/// Two trainings and twice two arms of pictures, on a busy machine.
pub(crate) const TRAINING: Duration = Duration::from_mins(4);

#[tokio::test]
async fn a_person_protects_images_and_sees_what_an_attacker_gets() -> Result<()> {
    // Ada runs the server, too: its pages are among those that are looked at.
    let server = Server::start(&[("PERSGUARD_ADMINISTRATORS", "ada@example.org")])?;
    visit("journey", &server, async |page, folder| {
        walk(page, &server, folder).await
    })
    .await
}

async fn walk(page: &Page, server: &Server, folder: &Path) -> Result<()> {
    land(page).await?;
    sign_up(page).await?;
    letters::confirm_address(page, server).await?;
    sign_out(page).await?;
    sign_in(page, server).await?;
    let set = upload(page, folder).await?;
    declare(page).await?;
    page.look("protect", "first").await?;
    launch(page, "6").await?;
    watch(page).await?;
    compare(page).await?;
    release(page).await?;
    let gallery = page.path().await?;
    sharing::share(page, folder).await?;
    page.goto(&format!("{set}/protect")).await?;
    let job = cancel(page).await?;
    look_around(page, &set, &job).await?;
    page.goto("/nodes").await?;
    shell::nodes(page, folder).await?;
    page.goto("/models").await?;
    shell::import(page).await?;
    german::choose(page, &set, &job, &gallery).await?;
    german::arrive(page).await
}

async fn land(page: &Page) -> Result<()> {
    // Who is not signed in is told so by this answer.
    page.expect_refusals(401);
    page.goto("/").await?;
    page.find("start").await?;
    page.find("shipped-verdict").await?;
    tell(&format!(
        "size: first_route_bytes={}",
        page.transferred().await?
    ));
    page.look("landing", "no-demo").await?;
    page.look_while_loading("/", "/v1/demo", "landing").await?;
    page.look_while_unreachable("/", "/v1/demo", "landing")
        .await?;
    // The report that came with this version is a page of its own, outside the dashboard.
    page.goto("/").await?;
    page.click("open-report").await?;
    page.until_path("/demo/evaluation/report.html").await?;
    let title = page.script("return document.title").await?;
    ensure!(
        title.as_str() == Some("Violet the dog, under attack"),
        "the report is not shown: {title}"
    );
    page.look_beside_policy("/demo/evaluation/report.html", "report", "shipped")
        .await?;
    page.goto("/no-such-page").await?;
    page.find("not-found").await?;
    page.look("not-found", "address").await?;
    page.goto("/").await
}

async fn sign_up(page: &Page) -> Result<()> {
    page.click("start").await?;
    page.until_path("/sign-up").await?;
    page.look("sign-up", "empty").await?;
    page.click("submit").await?;
    page.find("field-error").await?;
    page.look("sign-up", "errors").await?;
    page.fill("name", "Ada Example").await?;
    page.fill("email", "ada@example.org").await?;
    page.fill("password", PASSWORD).await?;
    page.click("submit").await?;
    page.until_path("/home").await?;
    page.find("new-set").await?;
    page.find("sample-violet-dog").await?;
    page.look("home", "unconfirmed").await
}

async fn sign_out(page: &Page) -> Result<()> {
    page.click("account").await?;
    page.look("menu", "open").await?;
    // Signing out loads the start page anew; until then the old page still answers.
    page.script("window.signedIn = true").await?;
    page.click("sign-out").await?;
    page.until("a fresh start page", Duration::from_mins(1), || async {
        Ok(page
            .script("return window.signedIn === undefined")
            .await?
            .as_bool()
            == Some(true))
    })
    .await
}

async fn sign_in(page: &Page, server: &Server) -> Result<()> {
    page.click("nav-sign-in").await?;
    page.fill("email", "ada@example.org").await?;
    page.fill("password", "not the password").await?;
    page.click("submit").await?;
    page.find("error").await?;
    page.look("sign-in", "refused").await?;
    letters::reset_password(page, server, "ada@example.org", PASSWORD).await?;
    page.fill("email", "ada@example.org").await?;
    page.fill("password", PASSWORD).await?;
    page.click("submit").await?;
    page.until_path("/home").await?;
    page.find("sample-violet-dog").await?;
    page.look("home", "empty").await
}

/// What the walk has not come by: lists, and every page before its answer and without one.
async fn look_around(page: &Page, set: &str, job: &str) -> Result<()> {
    for (path, mark, screen) in [
        ("/home", "nav-home", "home"),
        ("/jobs", "nav-jobs", "jobs"),
        ("/models", "nav-models", "models"),
        ("/account", "account", "account"),
        ("/storage", "storage-verdict", "storage"),
        ("/nodes", "node-create", "nodes"),
    ] {
        page.goto(path).await?;
        page.find(mark).await?;
        page.until("all of the page", Duration::from_mins(1), || async {
            let script = "return document.querySelectorAll('.skeleton').length === 0 && document.querySelector('h1') !== null";
            Ok(page.script(script).await?.as_bool() == Some(true))
        })
        .await?;
        page.look(screen, "filled").await?;
    }
    for (path, urls, screen) in [
        ("/home", "/v1/protected-sets*", "home"),
        ("/jobs", "/v1/jobs*", "jobs"),
        ("/models", "/v1/base-model*", "models"),
        ("/storage", "/v1/admin/storage-checks", "storage"),
        ("/nodes", "/v1/nodes*", "nodes"),
        (set, "/v1/protected-sets/*", "set"),
        (job, "/v1/jobs/*", "job"),
    ] {
        page.look_while_loading(path, urls, screen).await?;
        page.look_while_unreachable(path, urls, screen).await?;
    }
    Ok(())
}

/// Gives the path of the new set.
async fn upload(page: &Page, folder: &Path) -> Result<String> {
    page.click("new-set").await?;
    page.find("set-name").await?;
    page.find("sample-violet-dog").await?;
    page.look("new-set", "empty").await?;
    page.click("create-set").await?;
    page.find("field-error").await?;
    page.look("new-set", "errors").await?;
    page.fill("set-name", "Violet").await?;
    // A reload takes nothing that was typed.
    page.goto("/sets/new").await?;
    let kept = page.find("set-name").await?.prop("value").await?;
    ensure!(kept.as_deref() == Some("Violet"), "{kept:?} is left");
    shell::create_set(page, folder, "Violet").await?;
    page.click("create-set").await?;
    page.until_path("/sets/set_").await?;
    let set = page.path().await?;
    page.find("file-input").await?;
    page.look("set", "empty").await?;
    let sample = demo::sample_sets()
        .iter()
        .find(|set| set.name == demo::SUBJECT);
    let images = sample.context("the subject is bundled")?.images;
    let (first, others) = images.split_first().context("it has images")?;
    shell::upload(page, folder, first.1).await?;
    page.goto(&set).await?;
    folders::choose(page, folder).await?;
    folders::drop(page, folder, others).await?;
    page.expect_refusals(415);
    let liar = folder.join("holiday.png");
    fs::write(&liar, "This is no picture, whatever its name says.")?;
    page.find("file-input")
        .await?
        .send_keys(&liar.display().to_string())
        .await?;
    page.until("five images", Duration::from_mins(1), || async {
        Ok(page.text("image-count").await?.starts_with("5 of"))
    })
    .await?;
    let refusal = page.text("file-error").await?;
    ensure!(!refusal.is_empty(), "a bad file is refused with a reason");
    assert_eq!(page.count("file-error").await?, 1);
    page.look("set", "one-refused").await?;
    page.click("file-dismiss").await?;
    Ok(set)
}

async fn declare(page: &Page) -> Result<()> {
    page.click("seal").await?;
    page.find("field-error").await?;
    page.look("set", "undeclared").await?;
    page.fill("rights-jurisdiction", "Austria").await?;
    page.click("rights-confirm").await?;
    page.click("seal").await?;
    page.find("sealed").await?;
    page.look("set", "sealed").await?;
    page.click("to-protect").await?;
    page.until_path("/sets/set_").await
}

/// Chooses words and numbers, reads the preflight, launches.
async fn launch(page: &Page, steps: &str) -> Result<()> {
    page.fill("class-name", "dog").await?;
    page.fill("identifier", demo::IDENTIFIER).await?;
    page.click(&format!("target-{}", demo::TARGET)).await?;
    page.find("advanced").await?;
    page.script("document.querySelector('[data-test=advanced] summary').click()")
        .await?;
    for (field, value) in [
        ("steps", steps),
        ("batch-size", "2"),
        ("class-images", "4"),
        ("target-images", "4"),
        ("checkpoints", "0, 4"),
        ("images-per-arm", "4"),
    ] {
        page.fill(field, value).await?;
    }
    page.until("a passed preflight", Duration::from_mins(1), || async {
        Ok(page.attribute("preflight", "data-ready").await? == "true")
    })
    .await?;
    page.look("protect", &format!("ready-{steps}")).await?;
    page.click("launch").await?;
    page.until_path("/jobs/job_").await
}

async fn points(page: &Page) -> Result<u32> {
    Ok(page.attribute("loss-chart", "data-points").await?.parse()?)
}

async fn watch(page: &Page) -> Result<()> {
    page.until("the first losses", TRAINING, || async {
        Ok(points(page).await? >= 1)
    })
    .await?;
    for loss in ["loss-L_BB", "loss-L_PP", "loss-L_BR"] {
        let value = page.text(loss).await?;
        ensure!(
            value.chars().any(|c| c.is_ascii_digit()),
            "{loss} shows {value:?}"
        );
    }
    let place = page.text("job-place").await?;
    ensure!(
        place.starts_with("On ") && place.ends_with(", cpu"),
        "it runs {place:?}"
    );
    page.find("log-search").await?;
    page.fill("log-search", "no line has these words").await?;
    ensure!(
        page.text("log-found").await?.starts_with("0 of"),
        "the log is searched"
    );
    page.fill("log-search", "").await?;
    page.look("job", "training").await?;
    page.until("every step's losses", TRAINING, || async {
        Ok(points(page).await? == 6)
    })
    .await?;
    page.until("the judgement", TRAINING, || async {
        Ok(page.count("job-evaluate").await? == 1)
    })
    .await?;
    page.until("the gallery", TRAINING, || async {
        Ok(page.path().await?.starts_with("/galleries/") || page.count("open-gallery").await? == 1)
    })
    .await?;
    if page.count("open-gallery").await? == 1 {
        page.click("open-gallery").await?;
    }
    page.until_path("/galleries/gal_").await
}

async fn compare(page: &Page) -> Result<()> {
    for mark in [
        "verdict-sentence",
        "clean-similarity",
        "protected-similarity",
        "results",
    ] {
        let text = page.text(mark).await?;
        ensure!(!text.trim().is_empty(), "{mark} is empty");
    }
    ensure!(
        page.text("verdict").await?.contains("n ="),
        "the verdict names n: {}",
        page.text("verdict").await?
    );
    assert_eq!(page.count("pair").await?, 4);
    let before = page.text("selected").await?;
    page.click("next-pair").await?;
    page.until("another pair", Duration::from_secs(30), || async {
        Ok(page.text("selected").await? != before)
    })
    .await?;
    let range = page.find("compare-range").await?;
    let value = range.prop("value").await?;
    range.send_keys("\u{E012}\u{E012}\u{E012}").await?;
    ensure!(
        range.prop("value").await? != value,
        "the slider follows the keyboard"
    );
    page.until("every picture", Duration::from_mins(1), || async {
        let script =
            "return [...document.images].every(image => image.complete && image.naturalWidth > 0)";
        Ok(page.script(script).await?.as_bool() == Some(true))
    })
    .await?;
    page.look("gallery", "judged").await?;
    closely::look_closely(page).await
}

/// Twenty steps protect nothing well: the model stays, and the page says why, gate by gate.
async fn release(page: &Page) -> Result<()> {
    page.find("release-gates").await?;
    let script = "const gates = document.querySelectorAll('[data-test=release-gates] li');\
        return gates.length > 1 && document.querySelector('[data-test=download]') === null;";
    let told = page.script(script).await?.as_bool() == Some(true);
    ensure!(told, "every gate is told, and no download offered");
    Ok(())
}

/// Gives the path of the job.
async fn cancel(page: &Page) -> Result<String> {
    launch(page, "2000").await?;
    page.click("cancel").await?;
    page.find("confirm-cancel").await?;
    page.look("job", "canceling").await?;
    page.click("confirm-cancel").await?;
    page.until("the end of the job", Duration::from_secs(30), || async {
        Ok(page.attribute("job-status", "data-status").await? == "canceled")
    })
    .await?;
    page.look("job", "canceled").await?;
    page.path().await
}
