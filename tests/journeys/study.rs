//! The attack matrix on a protected model, from the request to a certificate that anybody can check and run again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use e2e::{Person, Server, person::expect, server::program, wait::until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::{
    job::{Job, JobStatus},
    matrix::{GateStatus, Role},
    page::Page,
    protected_set::ProtectedSet,
    study::{Study, StudyStatus, StudySummary, StudyTask},
};

async fn start(person: &Person, request: &Value, key: &str) -> Result<Study> {
    let sent = person.request(Method::POST, "/v1/studies");
    let sent = sent.header("Idempotency-Key", key).json(request).send();
    let answer = expect(sent.await?, StatusCode::ACCEPTED).await?;
    let place = answer.headers()["location"].to_str()?.to_owned();
    let study: Study = answer.json().await?;
    assert_eq!(place, format!("/v1/studies/{}", study.id));
    Ok(study)
}

async fn look(person: &Person, study: &Study) -> Result<Study> {
    person.get(&format!("/v1/studies/{}", study.id)).await
}

async fn ended(person: &Person, study: &Study) -> Result<Study> {
    let over = [
        StudyStatus::Succeeded,
        StudyStatus::Failed,
        StudyStatus::Canceled,
    ];
    until("the study's end", Duration::from_mins(15), || async {
        let study = look(person, study).await?;
        Ok(over.contains(&study.status).then_some(study))
    })
    .await
}

/// A model with one protected dog, and a cat that is not protected.
async fn protected(person: &Person) -> Result<(Job, ProtectedSet, ProtectedSet)> {
    let dog = person.sealed_set("violet-dog").await?;
    let cat = person.sealed_set("emerald-cat").await?;
    let mut spec = person.short_spec(&dog).await?;
    spec["evaluation"] = json!({"checkpoints": [0, 2], "images_per_arm": 2});
    let job = person.launch(&spec, "protect").await?;
    let job = person.wait_for(job.id, JobStatus::Succeeded, 300).await?;
    Ok((job, dog, cat))
}

#[tokio::test]
async fn a_study_ends_with_a_certificate_that_anybody_can_check() -> Result<()> {
    let server = Server::start(&[])?;
    let person = Person::sign_up(&server, "person@example.org").await?;
    let (job, dog, cat) = protected(&person).await?;
    let request = json!({
        "protect_job_id": job.id, "tier": "smoke",
        "controls": [{"protected_set_id": cat.id, "class_name": "cat"}],
    });
    let study = start(&person, &request, "study").await?;
    assert_eq!(
        start(&person, &request, "study").await?.id,
        study.id,
        "the key makes one study"
    );
    let study = ended(&person, &study).await?;
    ensure!(study.status == StudyStatus::Succeeded, "{:?}", study.jobs);
    check_study(&study)?;
    check_others(&server, &person, &study).await?;

    let list: Page<StudySummary> = person.get("/v1/studies").await?;
    assert_eq!(list.data.len(), 1);
    assert_eq!(list.data[0].title, study.title);

    let page = study.report_url.clone().context("a page")?;
    let page = String::from_utf8(person.download(&page).await?)?;
    ensure!(
        page.contains("<table") && !page.contains("<script"),
        "a page without scripts"
    );
    check_german(&person, &study).await?;
    let folder = tempfile::tempdir()?;
    check_print(&page, folder.path())?;
    check_certificate(&person, &study, folder.path()).await?;
    run_again(&server, &person, (&job, &dog), folder.path()).await
}

/// A German reader is led to a German page; the English one stays what it is.
async fn check_german(person: &Person, study: &Study) -> Result<()> {
    let asked = person.request(Method::GET, &format!("/v1/studies/{}", study.id));
    let answer = asked.header("accept-language", "de").send().await?;
    let german: Study = expect(answer, StatusCode::OK).await?.json().await?;
    let url = german.report_url.clone().context("a page")?;
    ensure!(
        german.report_url != study.report_url,
        "each language has its own page"
    );
    let asked = person.request(Method::GET, &url).send().await?;
    let answer = expect(asked, StatusCode::OK).await?;
    assert_eq!(answer.headers()["content-language"], "de");
    let page = answer.text().await?;
    ensure!(
        page.contains("<html lang=\"de\"") && !page.contains("<span lang=\"en\">"),
        "nothing of it is English"
    );
    assert_eq!(german.certificate_url, study.certificate_url);
    Ok(())
}

/// Planned first, dealt to several jobs, merged once; every kept cell is there, the innocent user too.
fn check_study(study: &Study) -> Result<()> {
    let plan = study.plan.as_ref().context("a plan")?;
    let report = study.report.as_ref().context("a report")?;
    assert_eq!(study.cells.len(), plan.kept as usize);
    assert_eq!(report.cells.len(), study.cells.len());
    assert!(report.not_tested.is_empty());
    let tasks =
        |wanted: fn(&StudyTask) -> bool| study.jobs.iter().filter(|job| wanted(&job.task)).count();
    assert_eq!(tasks(|task| *task == StudyTask::Plan), 1);
    assert_eq!(tasks(|task| *task == StudyTask::Merge), 1);
    ensure!(
        tasks(|task| matches!(task, StudyTask::Run { .. })) > 1,
        "{:?}",
        study.jobs
    );
    let roles: Vec<Role> = report.subjects.iter().map(|subject| subject.role).collect();
    assert_eq!(roles, [Role::Protected, Role::OtherClass]);
    ensure!(
        report.innocent.difference.is_some(),
        "the innocent user was measured"
    );
    ensure!(report.audit.text_alignment.is_some(), "drift was measured");
    let audit = &report.audit;
    ensure!(
        audit.trigger_rate.is_some() && audit.detection.is_some() && audit.search.is_some(),
        "whether the trigger gives itself away was measured"
    );
    // Two attack steps work on nobody: there is nothing that could break, and the report says so.
    let points = &report.breaking_points;
    ensure!(
        !points.is_empty()
            && points
                .iter()
                .all(|point| point.tests == 0 && point.median.is_none()),
        "{points:?}"
    );
    // Two attack steps personalize nothing: nobody may be told that the model resisted.
    assert_eq!(report.counts.resisted, 0, "{}", report.verdict);
    ensure!(
        report
            .gates
            .iter()
            .all(|gate| gate.name != "primary" || gate.status != GateStatus::Passed)
    );
    for cell in &study.cells {
        let name = format!("{}/protected/2/00.png", cell.key);
        ensure!(study.pictures.contains_key(&name), "{name}");
        ensure!(
            study
                .pictures
                .contains_key(&name.replace("protected", "clean")),
            "the clean twin of {name}"
        );
    }
    Ok(())
}

/// Somebody else's study does not exist, wrong requests are told what is wrong, and a study cannot ride on a job.
async fn check_others(server: &Server, person: &Person, study: &Study) -> Result<()> {
    let stranger = Person::sign_up(server, "stranger@example.org").await?;
    let path = format!("/v1/studies/{}", study.id);
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::POST, format!("{path}/cancel")),
    ] {
        let answer = stranger.request(method, &path).send().await?;
        expect(answer, StatusCode::NOT_FOUND).await?;
    }
    let protect = study.request.protect_job_id;
    let refused = [
        (
            json!({"protect_job_id": protect, "concept": 7}),
            "#/concept",
        ),
        (
            json!({"protect_job_id": protect, "budget_minutes": 0}),
            "#/budget_minutes",
        ),
        (json!({"protect_job_id": study.id}), "#/protect_job_id"),
    ];
    for (request, pointer) in refused {
        let sent = person.request(Method::POST, "/v1/studies");
        let sent = sent
            .header("Idempotency-Key", pointer)
            .json(&request)
            .send();
        let problem: Value = expect(sent.await?, StatusCode::UNPROCESSABLE_ENTITY)
            .await?
            .json()
            .await?;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let part = study.jobs.last().context("a job")?.id;
    let answer = person
        .request(Method::GET, &format!("/v1/studies/{part}"))
        .send()
        .await?;
    expect(answer, StatusCode::NOT_FOUND).await?;
    Ok(())
}

/// The page from a disk, without a network, on paper.
fn check_print(page: &str, folder: &Path) -> Result<()> {
    let (html, pdf) = (folder.join("report.html"), folder.join("report.pdf"));
    fs::write(&html, page)?;
    let printed = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ])
        .args(["--disable-background-networking", "--no-pdf-header-footer"])
        .arg(format!(
            "--user-data-dir={}",
            folder.join("profile").display()
        ))
        .arg(format!("--print-to-pdf={}", pdf.display()))
        .arg(format!("file://{}", html.display()))
        .output()
        .context("chromium does not start: `cargo xtask test --only tools` installs it")?;
    ensure!(
        printed.status.success(),
        "{}",
        String::from_utf8_lossy(&printed.stderr)
    );
    let bytes = fs::read(&pdf)?;
    let text = String::from_utf8_lossy(&bytes);
    ensure!(text.starts_with("%PDF-"), "no PDF");
    // "/Pages" is the tree, "/Page" a leaf.
    let pages = text.matches("/Type /Page\n").count();
    ensure!((2..=60).contains(&pages), "{pages} pages");
    ensure!(text.contains("/MediaBox [0 0 59"), "A4 upright");
    Ok(())
}

fn persguard(arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(program("persguard")?)
        .args(arguments)
        .output()?)
}

async fn check_certificate(person: &Person, study: &Study, folder: &Path) -> Result<()> {
    let url = study.certificate_url.clone().context("a certificate")?;
    let file = person.download(&url).await?;
    let (path, keys) = (folder.join("certificate.json"), folder.join("keys.json"));
    fs::write(&path, &file)?;
    fs::write(&keys, person.download("/v1/signing-keys").await?)?;
    let [path, keys] = [&path, &keys].map(|path| path.to_string_lossy().into_owned());
    let checked = persguard(&["verify", &path, "--key", &keys])?;
    ensure!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );

    let text = String::from_utf8(file)?;
    let changed = folder.join("changed.json");
    fs::write(
        &changed,
        text.replacen("\"resisted\":0", "\"resisted\":1", 1),
    )?;
    let checked = persguard(&["verify", &changed.to_string_lossy(), "--key", &keys])?;
    let said = [checked.stdout, checked.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    ensure!(
        !checked.status.success() && said.contains("/report/counts"),
        "{said}"
    );
    Ok(())
}

/// The first cell again, from files that their owner has.
async fn run_again(
    server: &Server,
    person: &Person,
    (job, dog): (&Job, &ProtectedSet),
    folder: &Path,
) -> Result<()> {
    let write = |name: &str, bytes: &[u8]| -> Result<PathBuf> {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().context("a folder")?)?;
        fs::write(&path, bytes)?;
        Ok(path)
    };
    for (name, bytes) in demo::model_files() {
        write(&format!("base/{name}"), bytes)?;
    }
    let encoder = write("encoder.safetensors", demo::encoder())?;
    let set: ProtectedSet = person
        .get(&format!("/v1/protected-sets/{}", dog.id))
        .await?;
    for (at, image) in set.images.iter().enumerate() {
        write(
            &format!("images/{at:03}.png"),
            &person.download(&image.url).await?,
        )?;
    }
    let files: Page<shared::artifact::Artifact> = person
        .get(&format!("{}?limit=100", job.urls.artifacts))
        .await?;
    let mut files = files.data.iter();
    let weights = files.find(|file| file.kind == shared::artifact::ArtifactKind::ProtectedUnet);
    // A model of a few steps misses its gates and is not handed out; its operator has it all the same.
    let weights = server.kept(&weights.context("weights")?.sha256)?;
    let protected = write("protected.safetensors", &weights)?;
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let arguments = [
        "rerun".to_owned(),
        path(&folder.join("certificate.json")),
        "--cell=1".to_owned(),
        format!("--base={}", path(&folder.join("base"))),
        format!("--protected={}", path(&protected)),
        format!("--encoder={}", path(&encoder)),
        format!("--images={}", path(&folder.join("images"))),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let again = persguard(&arguments)?;
    let said = String::from_utf8_lossy(&again.stdout).into_owned();
    ensure!(
        again.status.success() && said.contains("reproduced"),
        "{said}{}",
        String::from_utf8_lossy(&again.stderr)
    );

    write("images/000.png", demo::sample_sets()[1].images[0].1)?;
    let again = persguard(&arguments)?;
    let said = String::from_utf8_lossy(&again.stdout).into_owned();
    ensure!(
        !again.status.success() && said.contains("is not what the certificate names"),
        "{said}"
    );
    Ok(())
}

#[tokio::test]
async fn a_canceled_study_shows_what_was_tested() -> Result<()> {
    let server = Server::start(&[])?;
    let person = Person::sign_up(&server, "person@example.org").await?;
    let (job, ..) = protected(&person).await?;
    let request = json!({"protect_job_id": job.id, "tier": "standard"});
    let study = start(&person, &request, "study").await?;
    until("the first cells", Duration::from_mins(4), || async {
        let study = look(&person, &study).await?;
        Ok((!study.cells.is_empty()).then_some(()))
    })
    .await?;
    let path = format!("/v1/studies/{}/cancel", study.id);
    let answer = person.request(Method::POST, &path).send().await?;
    expect(answer, StatusCode::ACCEPTED).await?;
    let study = ended(&person, &study).await?;
    ensure!(study.status == StudyStatus::Succeeded, "{:?}", study.status);
    let report = study.report.context("a report of what was tested")?;
    ensure!(
        !report.cells.is_empty() && !report.not_tested.is_empty(),
        "{}",
        report.verdict
    );
    ensure!(
        report.counts.sentence().contains("were not run"),
        "{}",
        report.counts.sentence()
    );
    Ok(())
}
