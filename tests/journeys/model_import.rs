//! Somebody imports a model: the upload breaks off in the middle, goes on after a restart, and the model is protected.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{Person, Server, person::expect, wait::until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::{
    base_model::BaseModel,
    job::JobStatus,
    model_import::{ImportFile, ImportStatus, ModelImport},
};

const SETTINGS: &[(&str, &str)] = &[("PERSGUARD_NODE_THREADS", "2")];

fn announcement(name: &str) -> Value {
    let files: Vec<Value> = demo::model_files()
        .iter()
        .map(|(name, bytes)| {
            json!({"name": name, "size_bytes": bytes.len(), "sha256": hex::encode(Sha256::digest(bytes))})
        })
        .collect();
    json!({"name": name, "licence": "MIT OR Apache-2.0", "licence_accepted": true,
        "classes": demo::CLASSES, "source": {"kind": "upload", "files": files}})
}

fn bytes_of(name: &str) -> Result<&'static [u8]> {
    let files = demo::model_files();
    let file = files.iter().find(|(known, _)| *known == name);
    Ok(file.context("the server lists a file of ours")?.1)
}

/// Sends a file from where the server stands, at most `limit` bytes of it.
async fn send(person: &Person, file: &ImportFile, limit: usize) -> Result<ImportFile> {
    let bytes = bytes_of(&file.name)?;
    let start = usize::try_from(file.received_bytes)?;
    let end = bytes.len().min(start + limit);
    let range = format!("bytes {start}-{}/{}", end - 1, bytes.len());
    let part = person
        .request(Method::PUT, &file.url)
        .header("content-range", range)
        .body(bytes[start..end].to_vec());
    let answer = expect(part.send().await?, StatusCode::OK).await?;
    Ok(answer.json().await?)
}

async fn settled(person: &Person, import: &ModelImport) -> Result<ModelImport> {
    let path = format!("/v1/base-model-imports/{}", import.id);
    until("the verification", Duration::from_mins(1), || async {
        let import: ModelImport = person.get(&path).await?;
        Ok((!import.status.is_busy()).then_some(import))
    })
    .await
}

#[tokio::test]
async fn an_interrupted_import_becomes_a_model_that_is_protected() -> Result<()> {
    let server = Server::start(SETTINGS)?;
    let person = Person::sign_up(&server, "importer@example.org").await?;
    let import: ModelImport = person
        .send(
            Method::POST,
            "/v1/base-model-imports",
            &announcement("My own demo"),
            StatusCode::ACCEPTED,
        )
        .await?;
    let largest = import.files.iter().max_by_key(|file| file.size_bytes);
    let largest = largest.context("it has files")?;
    let half = send(&person, largest, usize::try_from(largest.size_bytes / 2)?).await?;
    ensure!(!half.complete && half.received_bytes > 0, "{half:?}");

    let server = server.restart(SETTINGS)?;
    let person = person.at(&server);
    let path = format!("/v1/base-model-imports/{}", import.id);
    let found: ModelImport = person.get(&path).await?;
    assert_eq!(found.received_bytes, half.received_bytes, "nothing is lost");
    for file in &found.files {
        let sent = send(&person, file, usize::MAX / 2).await?;
        ensure!(sent.complete, "{sent:?}");
    }
    let complete = format!("{path}/complete");
    let _: ModelImport = person
        .send(Method::POST, &complete, &json!({}), StatusCode::ACCEPTED)
        .await?;
    let import = settled(&person, &import).await?;
    assert_eq!(import.status, ImportStatus::Ready, "{:?}", import.failure);
    let id = import.base_model_id.context("it is a model")?;
    let model: BaseModel = person.get(&format!("/v1/base-models/{id}")).await?;
    assert_eq!((model.name.as_str(), model.resolution), ("My own demo", 32));
    let facts = model.facts.context("it was verified")?;
    ensure!(facts.parameters.unet > 1_000_000, "{facts:?}");
    assert_eq!(facts.prediction_type, "v_prediction");

    let set = person.sealed_set("violet-dog").await?;
    let mut spec = person.short_spec(&set).await?;
    spec["base_model_id"] = json!(id);
    let job = person.launch(&spec, "on-my-own-model").await?;
    person.wait_for(job.id, JobStatus::Succeeded, 180).await?;
    Ok(())
}

#[tokio::test]
async fn a_model_that_is_none_is_refused_with_the_reason() -> Result<()> {
    let server = Server::start(SETTINGS)?;
    let person = Person::sign_up(&server, "importer@example.org").await?;
    let bytes = b"this is no safetensors file";
    let request = json!({"name": "Broken", "licence": "MIT", "licence_accepted": true,
        "source": {"kind": "upload", "files": [{"name": "broken.safetensors", "size_bytes": bytes.len(),
            "sha256": hex::encode(Sha256::digest(bytes))}]}});
    let path = "/v1/base-model-imports";
    let import: ModelImport = person
        .send(Method::POST, path, &request, StatusCode::ACCEPTED)
        .await?;
    let put = person.request(Method::PUT, &import.files[0].url);
    expect(put.body(bytes.to_vec()).send().await?, StatusCode::OK).await?;
    let complete = format!("{path}/{}/complete", import.id);
    let _: ModelImport = person
        .send(Method::POST, &complete, &json!({}), StatusCode::ACCEPTED)
        .await?;
    let import = settled(&person, &import).await?;
    assert_eq!(import.status, ImportStatus::Failed);
    let failure = import.failure.context("it has a reason")?;
    assert_eq!(failure.code, "model_refused", "{failure:?}");
    ensure!(failure.cause.len() > 10, "{failure:?}");
    Ok(())
}
