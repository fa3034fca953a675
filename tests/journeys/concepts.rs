//! Several concepts in one model: all objectives, a look before, pictures after, more added, one taken away.

use std::{collections::BTreeSet, process::Command};

use anyhow::{Context, Result, ensure};
use e2e::{Person, Server, person::expect, server::program};
use reqwest::{Method, StatusCode};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::{
    artifact::{Artifact, ArtifactKind},
    gallery::Gallery,
    job::{Job, JobKind, JobStatus},
    page::Page,
    patch::PatchImage,
    preflight::{CheckStatus, Preflight},
    probe::ProbeReport,
    progress::{JobEventBody, Progress},
    revocation::PublishedRevocation,
};

async fn artifacts(person: &Person, job: &Job) -> Result<Vec<Artifact>> {
    let page: Page<Artifact> = person
        .get(&format!("{}?limit=100", job.urls.artifacts))
        .await?;
    Ok(page.data)
}

fn of_kind(artifacts: &[Artifact], kind: ArtifactKind) -> Vec<&Artifact> {
    let of_kind = artifacts.iter().filter(|artifact| artifact.kind == kind);
    of_kind.collect()
}

/// Three subjects, each with an objective of its own.
async fn three(person: &Person) -> Result<Value> {
    let dog = person.sealed_set("violet-dog").await?;
    let cat = person.sealed_set("emerald-cat").await?;
    let fox = person.sealed_set("azure-fox").await?;
    let sets = demo::sample_sets();
    let (_, picture) = sets[0].images[0];
    let request = person.request(Method::POST, "/v1/patches");
    let request = request.header("content-type", "image/png");
    let answer = request.body(picture.to_vec()).send().await?;
    let patch: PatchImage = expect(answer, StatusCode::CREATED).await?.json().await?;
    let mut spec = person.short_spec(&dog).await?;
    spec["concepts"] = json!([
        spec["concepts"][0],
        {
            "protected_set_id": cat.id, "class_name": "cat", "identifier": "olis",
            "objective": {"kind": "pattern", "position": "top_left", "size": 0.5,
                "patch": {"kind": "own", "patch_id": patch.id}},
        },
        {
            "protected_set_id": fox.id, "class_name": "fox", "identifier": "ohwx",
            "objective": {"kind": "erasure"},
        },
    ]);
    Ok(spec)
}

#[tokio::test]
async fn three_objectives_share_one_model_and_one_is_withdrawn() -> Result<()> {
    let server = Server::start(&[])?;
    let person = Person::sign_up(&server, "person@example.org").await?;
    let spec = three(&person).await?;
    probe(&person, &spec).await?;
    let job = person.launch(&spec, "three").await?;
    let protect = person.wait_for(job.id, JobStatus::Succeeded, 300).await?;
    check_pictures(&person, &server, &protect).await?;
    check_evaluations(&person, &protect).await?;

    let mut less = spec.clone();
    less["extends"] = json!(protect.id);
    less["concepts"][0]["action"] = "remove".into();
    // Its evaluation would show nothing new.
    less["evaluation"]["checkpoints"] = json!([0]);
    less["evaluation"]["images_per_arm"] = 2.into();
    let job = person.launch(&less, "less").await?;
    let removal = person.wait_for(job.id, JobStatus::Succeeded, 300).await?;
    check_revocation(&person, &server, &protect, &removal).await
}

/// A look at the base model changes what the preflight can say.
async fn probe(person: &Person, spec: &Value) -> Result<()> {
    let before: Preflight = person
        .send(Method::POST, "/v1/preflights", spec, StatusCode::OK)
        .await?;
    ensure!(before.ready && before.probe.is_none(), "{before:?}");
    let request = person.request(Method::POST, "/v1/probes");
    let request = request.header("Idempotency-Key", "look").json(spec);
    let answer = expect(request.send().await?, StatusCode::ACCEPTED).await?;
    let job: Job = answer.json().await?;
    assert_eq!(job.kind, JobKind::Probe);
    let job = person.wait_for(job.id, JobStatus::Succeeded, 120).await?;
    assert!(job.evaluation_ids.is_empty() && job.gallery_id.is_none());
    let files = artifacts(person, &job).await?;
    let [file] = of_kind(&files, ArtifactKind::Probe)[..] else {
        anyhow::bail!("{files:?}");
    };
    let report: ProbeReport = serde_json::from_slice(&person.download(&file.url).await?)?;
    assert_eq!(report.concepts.len(), 3);
    ensure!(report.memory_bytes > 1 << 20, "{report:?}");
    for concept in &report.concepts {
        assert_eq!(concept.identifier_tokens, 1);
        let familiarity = concept.familiarity.context("the demo has an encoder")?;
        // Base training never drew these subjects.
        ensure!(
            familiarity.known_share < 0.25 && familiarity.class_only < familiarity.among_images,
            "{familiarity:?}"
        );
        let prompts: BTreeSet<&str> = concept
            .nearby
            .iter()
            .map(|near| near.prompt.as_str())
            .collect();
        // Different prompts, and the trigger is none of them.
        ensure!(
            prompts.len() == concept.nearby.len() && prompts.len() >= 3,
            "{concept:?}"
        );
        ensure!(
            concept.nearby.iter().all(|near| near.similarity < 0.999),
            "{concept:?}"
        );
    }
    let after: Preflight = person
        .send(Method::POST, "/v1/preflights", spec, StatusCode::OK)
        .await?;
    assert_eq!(after.probe, Some(job.id));
    let known = after
        .checks
        .iter()
        .filter(|check| check.code == "subject_known");
    let known: Vec<_> = known.collect();
    ensure!(
        known.len() == 3 && known.iter().all(|check| check.status == CheckStatus::Pass),
        "{after:?}"
    );
    Ok(())
}

async fn check_pictures(person: &Person, server: &Server, protect: &Job) -> Result<()> {
    let files = artifacts(person, protect).await?;
    let previews = of_kind(&files, ArtifactKind::Preview);
    assert_eq!(previews.len(), 3 * 2 * 4);
    let named = |name: &str| {
        let found = previews.iter().find(|preview| preview.name == name);
        found.with_context(|| name.to_owned())
    };
    let clean = person
        .download(&named("preview/01/clean/0.png")?.url)
        .await?;
    let protected = person
        .download(&named("preview/01/protected/0.png")?.url)
        .await?;
    ensure!(clean.starts_with(b"\x89PNG") && clean != protected);
    // What was told closed before the first step opens to what the file says.
    let [opened] = of_kind(&files, ArtifactKind::Commitment)[..] else {
        anyhow::bail!("{files:?}");
    };
    let opened: Value = serde_json::from_slice(&person.download(&opened.url).await?)?;
    let hash = opened["sha256"].as_str().context("a hash")?.to_owned();
    let [unet] = of_kind(&files, ArtifactKind::ProtectedUnet)[..] else {
        anyhow::bail!("{files:?}");
    };
    let unet = server.kept(&unet.sha256)?;
    let (_, header) = SafeTensors::read_metadata(&unet)?;
    let metadata = header.metadata().clone().context("a disclosure")?;
    assert_eq!(metadata["persguard.held_out_commitment"], hash);
    let concepts: Value = serde_json::from_str(&metadata["persguard.concepts"])?;
    assert_eq!(concepts.as_array().map(Vec::len), Some(3));
    let events = person.events(protect.id).await?;
    let first_loss = events.iter().position(|event| {
        matches!(
            event.event,
            JobEventBody::Progress(Progress::Losses(_) | Progress::Bands(_))
        )
    });
    let told = events.iter().position(|event| {
        matches!(&event.event, JobEventBody::Progress(Progress::Log { line }) if line.contains(&hash))
    });
    ensure!(
        told < first_loss && told.is_some(),
        "{told:?} {first_loss:?}"
    );
    Ok(())
}

/// Every concept is attacked on its own, with its own set and objective.
async fn check_evaluations(person: &Person, protect: &Job) -> Result<()> {
    assert_eq!(protect.evaluation_ids.len(), 3);
    assert_eq!(protect.evaluation_id, Some(protect.evaluation_ids[0]));
    for (position, id) in protect.evaluation_ids.iter().enumerate() {
        let evaluation = person.wait_for(*id, JobStatus::Succeeded, 300).await?;
        assert_eq!(evaluation.spec.evaluation.concept as usize, position);
        let gallery = evaluation.gallery_id.context("no gallery")?;
        let gallery: Gallery = person.get(&format!("/v1/galleries/{gallery}")).await?;
        let concept = &protect.spec.concepts[position];
        ensure!(
            gallery.report.attack.prompt.ends_with(&concept.class_name),
            "{}",
            gallery.report.attack.prompt
        );
        assert_eq!(gallery.references.len(), 5);
    }
    Ok(())
}

async fn check_revocation(
    person: &Person,
    server: &Server,
    protect: &Job,
    removal: &Job,
) -> Result<()> {
    let published: Page<PublishedRevocation> = person.get("/v1/revocations").await?;
    let [published] = &published.data[..] else {
        anyhow::bail!("{published:?}");
    };
    let document = &published.revocation.document;
    assert_eq!((document.class_name.as_str(), document.version), ("dog", 1));
    assert_eq!(document.earlier_job_id, protect.id);
    assert_eq!(document.job_id, removal.id);
    let folder = tempfile::tempdir()?;
    let (file, key) = (folder.path().join("file"), folder.path().join("key"));
    let mut bytes = person.download(&published.url).await?;
    std::fs::write(&key, person.download("/v1/signing-keys").await?)?;
    let verify = || -> Result<bool> {
        let mut command = Command::new(program("persguard")?);
        command.args(["revocation", "verify"]).arg(&file);
        Ok(command.arg("--key").arg(&key).output()?.status.success())
    };
    std::fs::write(&file, &bytes)?;
    ensure!(verify()?, "{}", String::from_utf8_lossy(&bytes));
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&file, &bytes)?;
    ensure!(!verify()?, "a changed byte passed");
    // The new file says what is still in it.
    let files = artifacts(person, removal).await?;
    let [unet] = of_kind(&files, ArtifactKind::ProtectedUnet)[..] else {
        anyhow::bail!("{files:?}");
    };
    let unet = server.kept(&unet.sha256)?;
    let hash = hex::encode(Sha256::digest(&unet));
    assert_eq!(document.unet_sha256, hash);
    let (_, header) = SafeTensors::read_metadata(&unet)?;
    let metadata = header.metadata().clone().context("a disclosure")?;
    let kept: Value = serde_json::from_str(&metadata["persguard.concepts"])?;
    assert_eq!(kept.as_array().map(Vec::len), Some(2));
    assert_eq!(metadata["persguard.extends"], protect.id.to_string());
    ensure!(!server.url("").is_empty());
    Ok(())
}
