//! From an account to a gallery and a protected U-Net, through the REST API.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use e2e::{Person, Server, person::expect};
use reqwest::{Method, StatusCode, header};
use safetensors::SafeTensors;
use serde_json::json;
use sha2::{Digest, Sha256};
use shared::{
    artifact::{Artifact, ArtifactKind},
    gallery::Gallery,
    job::{Job, JobStatus},
    page::Page,
    preflight::Preflight,
    progress::{JobEventBody, Progress},
    release::{GateStatus, Release},
};

/// Names that diffusers gives to these tensors.
const TENSORS: &[&str] = &[
    "conv_in.weight",
    "time_embedding.linear_1.weight",
    "down_blocks.0.resnets.0.conv1.weight",
    "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight",
    "conv_out.bias",
];

#[tokio::test]
async fn images_become_a_gallery_and_a_protected_model() -> Result<()> {
    let server = Server::start(&[])?;
    let person = Person::sign_up(&server, "person@example.org").await?;
    let set = person.sealed_set(demo::SUBJECT).await?;
    let spec = person.short_spec(&set).await?;
    let preflight: Preflight = person
        .send(Method::POST, "/v1/preflights", &spec, StatusCode::OK)
        .await?;
    ensure!(preflight.ready, "{preflight:?}");

    let job = person.launch(&spec, "once").await?;
    let again = person.launch(&spec, "once").await?;
    assert_eq!(again.id, job.id, "a repeated launch is the same job");
    let protect = person.wait_for(job.id, JobStatus::Succeeded, 240).await?;
    check_protect(&person, &protect).await?;

    let evaluation = protect.evaluation_id.context("no evaluation follows")?;
    let evaluation = person
        .wait_for(evaluation, JobStatus::Succeeded, 240)
        .await?;
    check_gallery(&person, &evaluation).await
}

async fn check_protect(person: &Person, job: &Job) -> Result<()> {
    assert_eq!(job.attempts, 1);
    let metrics = job.metrics.as_ref().context("no metrics")?;
    ensure!(
        metrics.milliseconds_per_step > 0.0
            && metrics.peak_memory_bytes > 1 << 24
            && metrics.device.is_some(),
        "{metrics:?}"
    );
    let events = person.events(job.id).await?;
    check_stream(person, job, events.len()).await?;
    let mut steps = Vec::new();
    for event in events {
        if let JobEventBody::Progress(Progress::Losses(losses)) = event.event {
            ensure!(
                losses.backdoor.is_finite() && losses.backdoor > 0.0,
                "{losses:?}"
            );
            steps.push(losses.step);
        }
    }
    assert_eq!(
        steps,
        [1, 2, 3, 4, 5, 6],
        "every step tells its losses once"
    );

    let artifacts: Page<Artifact> = person.get(&job.urls.artifacts).await?;
    let mut unets = artifacts.data.iter();
    let unet = unets.find(|artifact| artifact.kind == ArtifactKind::ProtectedUnet);
    let unet = unet.with_context(|| format!("no protected U-Net: {artifacts:?}"))?;
    // Nothing leaves before its side effects were measured.
    let early = person.request(Method::GET, &unet.url).send().await?;
    expect(early, StatusCode::FORBIDDEN).await?;
    Ok(())
}

/// The file is what the judge saw, under its hash, with diffusers' names.
async fn check_weights(person: &Person, url: &str, sha256: &str) -> Result<()> {
    let answer = person.request(Method::GET, url).send().await?;
    let answer = expect(answer, StatusCode::OK).await?;
    let tag = answer
        .headers()
        .get(header::ETAG)
        .context("no ETag")?
        .to_str()?
        .to_owned();
    let bytes = answer.bytes().await?;
    assert_eq!(hex::encode(Sha256::digest(&bytes)), sha256);
    ensure!(tag.contains(sha256), "the ETag is the hash: {tag}");
    let tensors = SafeTensors::deserialize(&bytes)?;
    let names: BTreeSet<_> = tensors.names().into_iter().collect();
    for name in TENSORS {
        ensure!(names.contains(name), "{name} is missing");
    }
    Ok(())
}

/// The stream of a job that is over replays everything, resumes anywhere, and ends.
async fn check_stream(person: &Person, job: &Job, events: usize) -> Result<()> {
    let lines = async |last: Option<usize>| -> Result<usize> {
        let mut request = person.request(Method::GET, &job.urls.events);
        request = request.header(header::ACCEPT, "text/event-stream");
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last.to_string());
        }
        let answer = expect(request.send().await?, StatusCode::OK).await?;
        let text = answer.text().await?;
        Ok(text
            .lines()
            .filter(|line| line.starts_with("data:"))
            .count())
    };
    assert_eq!(lines(None).await?, events);
    assert_eq!(lines(Some(events - 2)).await?, 2);
    Ok(())
}

async fn check_gallery(person: &Person, evaluation: &Job) -> Result<()> {
    let id = evaluation.gallery_id.context("no gallery")?;
    let gallery: Gallery = person.get(&format!("/v1/galleries/{id}")).await?;
    let report = &gallery.report;
    let steps: Vec<_> = report
        .checkpoints
        .iter()
        .map(|point| point.attack_step)
        .collect();
    assert_eq!(steps, [0, 4]);
    assert_eq!(report.checkpoints[1].clean.similarity.n, 4);
    ensure!(
        report.attack.identifier_held_out,
        "injection saw the attacker's {}",
        report.attack.identifier
    );
    assert_ne!(report.attack.identifier, demo::IDENTIFIER);
    assert_ne!(report.clean_sha256, report.protected_sha256);
    assert_eq!(gallery.pairs.len(), 8);
    assert_eq!(gallery.references.len(), 5);
    for pair in &gallery.pairs {
        for image in [&pair.clean, &pair.protected] {
            let picture = person.download(&image.url).await?;
            ensure!(picture.starts_with(b"\x89PNG"), "{} is no PNG", image.url);
        }
    }
    let path = format!("/v1/jobs/{}/release", gallery.protect_job_id);
    let release: Release = person.get(&path).await?;
    let unknown = release.gates.iter();
    let unknown = unknown.filter(|gate| gate.status == GateStatus::NotMeasured);
    assert_eq!(unknown.count(), 0, "{:?}", release.gates);
    assert_eq!(release.releasable, gallery.protected_unet_url.is_some());
    if let Some(unet) = gallery.protected_unet_url.as_deref() {
        check_weights(person, unet, &report.protected_sha256).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_job_on_an_unsealed_set_is_refused() -> Result<()> {
    let server = Server::start(&[("PERSGUARD_LOCAL_NODE", "false")])?;
    let person = Person::sign_up(&server, "person@example.org").await?;
    let name = json!({"name": "Draft"});
    let set = person
        .send(
            Method::POST,
            "/v1/protected-sets",
            &name,
            StatusCode::CREATED,
        )
        .await?;
    let spec = person.short_spec(&set).await?;
    let preflight: Preflight = person
        .send(Method::POST, "/v1/preflights", &spec, StatusCode::OK)
        .await?;
    ensure!(!preflight.ready, "{preflight:?}");
    let request = person
        .request(Method::POST, "/v1/jobs")
        .header("Idempotency-Key", "once");
    let status = request.json(&spec).send().await?.status();
    ensure!(status.is_client_error(), "{status}");
    Ok(())
}
