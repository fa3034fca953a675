//! From the launch to the gallery, with a scripted node.

use reqwest::StatusCode;
use serde_json::json;
use sha2::{Digest, Sha256};
use shared::{
    artifact::{Artifact, ArtifactKind},
    gallery::{Gallery, GallerySummary},
    job::{Job, JobKind, JobStatus},
    node::{InputRole, NodeCommand},
    page::Page,
};

use crate::{
    scripted::{collateral, evaluation_outputs, protect, report, succeeded},
    support::{Person, Server, refused},
};

#[tokio::test]
async fn job_walks_from_launch_to_gallery() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let job = person.job().await;
    let node = server.node();
    let lease = node.lease().await;
    assert_eq!(
        (lease.job_id, lease.kind, lease.attempt),
        (job.id, JobKind::Protect, 1)
    );
    let count = |role: InputRole| {
        lease
            .inputs
            .iter()
            .filter(|input| input.role == role)
            .count()
    };
    assert_eq!(count(InputRole::ProtectedImage), 3);
    assert!(count(InputRole::ModelFile) > 0 && count(InputRole::Encoder) == 1);
    assert_eq!(
        count(InputRole::ProtectedUnet) + count(InputRole::Resume),
        0
    );
    for input in &lease.inputs {
        let bytes = node.download(&input.url).await;
        assert_eq!(
            hex::encode(Sha256::digest(&bytes)),
            input.sha256,
            "{}",
            input.name
        );
        assert_eq!(bytes.len() as u64, input.size_bytes);
    }
    assert_eq!(
        person.read::<Job>(&job.urls.own).await.status,
        JobStatus::Starting
    );
    assert_eq!(
        node.beat(&lease, json!([])).await.command,
        NodeCommand::Continue
    );
    assert_eq!(
        person.read::<Job>(&job.urls.own).await.status,
        JobStatus::Running
    );
    protect(&node, &lease).await;
    let done: Job = person.read(&job.urls.own).await;
    assert_eq!(done.status, JobStatus::Succeeded);
    assert!((done.metrics.unwrap().milliseconds_per_step - 12.5).abs() < 1e-9);
    let artifacts: Page<Artifact> = person.read(&done.urls.artifacts).await;
    assert_eq!(artifacts.data[0].kind, ArtifactKind::ProtectedUnet);
    let early = person.get(&artifacts.data[0].url).await;
    refused(early, 403, "not_releasable").await;

    let second = node.lease().await;
    assert_eq!(
        (vec![second.job_id], second.kind),
        (done.evaluation_ids.clone(), JobKind::Evaluate)
    );
    let unet = second
        .inputs
        .iter()
        .find(|input| input.role == InputRole::ProtectedUnet)
        .unwrap();
    assert_eq!(node.download(&unet.url).await, b"not really weights");
    node.beat(&second, json!([])).await;
    let mut file = report();
    file["collateral"] = collateral();
    let outputs = evaluation_outputs(&node, &second, file.to_string().as_bytes()).await;
    assert_eq!(
        node.finish(&second, succeeded(&outputs)).await,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        node.finish(&second, succeeded(&outputs)).await,
        StatusCode::NO_CONTENT,
        "repeated"
    );
    let done: Job = person.read(&job.urls.own).await;
    download(&person, &artifacts.data[0]).await;
    look_at_gallery(&server, &person, &done).await;
}

async fn download(person: &Person<'_>, artifact: &Artifact) {
    let response = person.get(&artifact.url).await;
    let headers = response.headers().clone();
    assert_eq!(
        headers["etag"].to_str().expect("present"),
        format!("\"{}\"", artifact.sha256)
    );
    assert_eq!(headers["content-length"], "18");
    assert!(
        headers["content-disposition"]
            .to_str()
            .expect("present")
            .contains("unet-persguard.safetensors")
    );
    assert_eq!(
        response.text().await.expect("present"),
        "not really weights"
    );
    let request = person
        .request(reqwest::Method::GET, &artifact.url)
        .header("range", "bytes=4-9");
    let response = request.send().await.expect("present");
    assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(response.headers()["content-range"], "bytes 4-9/18");
    assert_eq!(response.text().await.expect("present"), "really");
}

async fn look_at_gallery(server: &Server, person: &Person<'_>, job: &Job) {
    let path = format!("/v1/galleries/{}", job.gallery_id.expect("present"));
    let gallery: Gallery = person.read(&path).await;
    assert_eq!(gallery.report.verdict, "Resisted in a test.");
    assert_eq!((gallery.references.len(), gallery.pairs.len()), (3, 1));
    for url in [&gallery.pairs[0].clean.url, &gallery.references[0]] {
        let image = person.get(url).await;
        assert_eq!(image.headers()["content-type"], "image/png");
        refused(
            server.stranger().get(url).await,
            if url.contains("images") { 401 } else { 404 },
            if url.contains("images") {
                "unauthenticated"
            } else {
                "not_found"
            },
        )
        .await;
    }
    assert_eq!(
        person
            .get(gallery.protected_unet_url.as_ref().expect("present"))
            .await
            .status(),
        StatusCode::OK
    );
    let list: Page<GallerySummary> = person.read("/v1/galleries").await;
    assert_eq!(list.data[0].id, gallery.id);
    refused(server.stranger().get(&path).await, 404, "not_found").await;
    refused(
        server.person("eve").await.get(&path).await,
        404,
        "not_found",
    )
    .await;
}
