//! Imports of base models: every bad input has its answer, and what is interrupted goes on.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::{
    base_model::BaseModel,
    model_import::{ImportFile, ImportStatus, ModelImport},
    page::Page,
    preflight::Preflight,
};
use tempfile::TempDir;

use crate::{
    s3_server::{S3Server, credentials},
    support::{Person, Server, body, client, refused},
};

/// Says what the real program says, whatever it is shown; with a marker in the index it refuses.
const INSPECTOR: &str = r#"#!/bin/sh
if [ "$1 $2 $4" != "model inspect --json" ]; then exit 2; fi
path="$3"
if [ -d "$path" ]; then index="$path/model_index.json"; else index="$path"; fi
if grep -q broken "$index"; then
    echo '{"error":"The U-Net lacks `conv_in.weight`."}'
    exit 1
fi
if grep -q large "$index"; then unet=9000000000000; else unet=1000; fi
echo '{"family":"tiny","layout":"diffusers","prediction_type":"epsilon","resolution":32,
"parameters":{"unet":'$unet',"vae":0,"text_encoder":10,"total":'$unet'},"dtypes":["f32"],"files":[],
"manifest_sha256":"x","licence":"NOTICE","warnings":["no safety checker"]}'
"#;

struct World {
    server: Server,
    _programs: TempDir,
}

fn inspector(folder: &TempDir) -> PathBuf {
    let program = folder.path().join("inspect.sh");
    fs::write(&program, INSPECTOR).expect("a file in a new folder");
    let mode = PermissionsExt::from_mode(0o755);
    fs::set_permissions(&program, mode).expect("a file of ours");
    program
}

async fn world(endpoints: Vec<String>) -> World {
    let programs = tempfile::tempdir().expect("a temporary directory");
    let program = inspector(&programs);
    let server = Server::start_with(|config| {
        config.inspector = Some(program);
        config.s3_endpoints = endpoints;
    })
    .await;
    World {
        server,
        _programs: programs,
    }
}

type Files = Vec<(&'static str, Vec<u8>)>;

fn files(index: &str) -> Files {
    vec![
        ("model_index.json", index.as_bytes().to_vec()),
        ("NOTICE", b"free".to_vec()),
        (
            "persguard.json",
            br#"{"identifiers":["sks","a b"]}"#.to_vec(),
        ),
        ("unet/config.json", b"{}".to_vec()),
        ("unet/diffusion_pytorch_model.safetensors", vec![7; 300_000]),
    ]
}

fn request(files: &Files) -> Value {
    let files: Vec<Value> = files
        .iter()
        .map(|(name, bytes)| {
            json!({ "name": name, "size_bytes": bytes.len(), "sha256": hex::encode(Sha256::digest(bytes)) })
        })
        .collect();
    json!({
        "name": "My model", "licence": "MIT", "licence_accepted": true, "classes": ["dog"],
        "source": { "kind": "upload", "files": files },
    })
}

impl Person<'_> {
    async fn import(&self, request: &Value) -> ModelImport {
        let response = self.post("/v1/base-model-imports", request).await;
        let place = response.headers().get("location").cloned();
        let import: ModelImport = body(response, StatusCode::ACCEPTED).await;
        let path = format!("/v1/base-model-imports/{}", import.id);
        assert_eq!(place.expect("a place"), path.as_str());
        import
    }

    async fn put_part(&self, file: &ImportFile, range: &str, bytes: &[u8]) -> Response {
        let request = self.request(Method::PUT, &file.url);
        let request = request.header("content-range", range).body(bytes.to_vec());
        request.send().await.expect("an answer")
    }

    async fn put_whole(&self, file: &ImportFile, bytes: &[u8]) -> Response {
        let request = self.request(Method::PUT, &file.url).body(bytes.to_vec());
        request.send().await.expect("an answer")
    }

    async fn look(&self, import: &ModelImport) -> ModelImport {
        self.read(&format!("/v1/base-model-imports/{}", import.id))
            .await
    }

    async fn complete(&self, import: &ModelImport) -> Response {
        let path = format!("/v1/base-model-imports/{}/complete", import.id);
        self.post(&path, &json!({})).await
    }

    async fn retry(&self, import: &ModelImport, request: &Value) -> Response {
        let path = format!("/v1/base-model-imports/{}/retry", import.id);
        self.post(&path, request).await
    }

    /// Waits until the server has done its part.
    async fn settled(&self, import: &ModelImport) -> ModelImport {
        for _ in 0..400 {
            let found = self.look(import).await;
            if !found.status.is_busy() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the import does not settle: {:?}", self.look(import).await);
    }

    /// Announces, sends and completes.
    async fn imported(&self, files: &Files) -> ModelImport {
        let import = self.import(&request(files)).await;
        for (file, (_, bytes)) in import.files.iter().zip(files) {
            let sent: ImportFile = body(self.put_whole(file, bytes).await, StatusCode::OK).await;
            assert!(sent.complete, "{sent:?}");
        }
        let _: ModelImport = body(self.complete(&import).await, StatusCode::ACCEPTED).await;
        self.settled(&import).await
    }
}

#[tokio::test]
async fn uploaded_model_is_verified_pinned_and_its_owners_alone() {
    let world = world(Vec::new()).await;
    let (ada, bob) = (
        world.server.person("ada").await,
        world.server.person("bob").await,
    );
    let import = ada.imported(&files("{}")).await;
    assert_eq!(import.status, ImportStatus::Ready, "{:?}", import.failure);
    assert_eq!(import.received_bytes, import.size_bytes);
    let path = format!("/v1/base-models/{}", import.base_model_id.unwrap());
    let model: BaseModel = ada.read(&path).await;
    assert!(model.imported);
    assert_eq!(
        (model.name.as_str(), model.family.as_str()),
        ("My model", "tiny")
    );
    assert_eq!(model.identifiers, ["sks"], "the card's, and only words");
    let facts = model.facts.unwrap();
    assert_eq!(facts.parameters.unet, 1000);
    assert_eq!(facts.warnings, ["no safety checker"]);

    let import_path = format!("/v1/base-model-imports/{}", import.id);
    for path in [&path, &import_path] {
        refused(bob.get(path).await, 404, "not_found").await;
        refused(bob.delete(path).await, 404, "not_found").await;
    }
    refused(bob.complete(&import).await, 404, "not_found").await;
    refused(bob.retry(&import, &json!({})).await, 404, "not_found").await;
    refused(
        bob.put_whole(&import.files[0], b"{}").await,
        404,
        "not_found",
    )
    .await;
    let page: Page<BaseModel> = bob.read("/v1/base-models").await;
    assert_eq!(page.data.len(), 1);
    let page: Page<ModelImport> = bob.read("/v1/base-model-imports").await;
    assert_eq!(page.data, []);
    refused(
        world.server.stranger().get(&import_path).await,
        401,
        "unauthenticated",
    )
    .await;

    // The same bytes are the same model, whatever it is called.
    let again = ada.imported(&files("{}")).await;
    assert_eq!(again.base_model_id, import.base_model_id);
    // Nobody else learns of it.
    let other = bob.imported(&files("{}")).await;
    assert_ne!(other.base_model_id, import.base_model_id);

    let embedded = ada.read::<Page<BaseModel>>("/v1/base-models").await;
    let embedded = embedded
        .data
        .into_iter()
        .find(|model| !model.imported)
        .unwrap();
    let path_of_embedded = format!("/v1/base-models/{}", embedded.id);
    refused(ada.delete(&path_of_embedded).await, 403, "forbidden").await;
    assert_eq!(ada.delete(&path).await.status(), StatusCode::NO_CONTENT);
    refused(ada.get(&path).await, 404, "not_found").await;
    refused(ada.get(&import_path).await, 404, "not_found").await;
    let bobs: BaseModel = bob
        .read(&format!("/v1/base-models/{}", other.base_model_id.unwrap()))
        .await;
    assert_eq!(
        bobs.sha256, model.sha256,
        "the other's files are still there"
    );
}

#[tokio::test]
async fn bad_announcements_are_refused() {
    let world = world(Vec::new()).await;
    let person = world.server.person("ada").await;
    let good = request(&files("{}"));
    let path = "/v1/base-model-imports";
    for (field, value, pointer) in [
        ("name", json!(""), "#/name"),
        ("licence_accepted", json!(false), "#/licence_accepted"),
        ("classes", json!(["two words"]), "#/classes"),
        ("owner", json!("me"), "#/owner"),
        ("sha256", json!("x"), "#/sha256"),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        let problem = refused(person.post(path, &bad).await, 422, "invalid").await;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    for (field, value, code) in [
        ("name", json!("../../etc/passwd"), "invalid_file"),
        (
            "name",
            json!("unet/diffusion_pytorch_model.bin"),
            "invalid_file",
        ),
        ("name", json!("run.sh"), "invalid_file"),
        ("name", json!("NOTICE"), "duplicate_name"),
        ("size_bytes", json!(0), "invalid_size"),
        ("size_bytes", json!(17_u64 << 30), "invalid_size"),
        ("sha256", json!("ABC"), "invalid_sha256"),
        ("mode", json!(7), "unknown_field"),
    ] {
        let mut bad = good.clone();
        bad["source"]["files"][0][field] = value.clone();
        let problem = refused(person.post(path, &bad).await, 422, "invalid").await;
        let codes = problem["errors"].to_string();
        assert!(codes.contains(code), "{value}: {problem}");
    }
    let mut pickle = good.clone();
    pickle["source"]["files"][4]["name"] = json!("unet/diffusion_pytorch_model.bin");
    let problem = refused(person.post(path, &pickle).await, 422, "invalid").await;
    assert!(
        problem["detail"].as_str().unwrap().contains("safetensors"),
        "{problem}"
    );
    let none = json!({ "kind": "upload", "files": [] });
    let mut empty = good.clone();
    empty["source"] = none;
    refused(person.post(path, &empty).await, 422, "invalid").await;
    let mut many = good;
    let file = many["source"]["files"][0].clone();
    many["source"]["files"] = Value::Array(vec![file; 65]);
    refused(person.post(path, &many).await, 422, "invalid").await;
}

#[tokio::test]
async fn interrupted_upload_goes_on_where_it_stopped_even_after_a_restart() {
    let World {
        server,
        _programs: programs,
    } = world(Vec::new()).await;
    let person = server.person("ada").await;
    let bearer = json!({ "email": "ada@example.org", "password": "correct horse battery" });
    let all = files("{}");
    let import = person.import(&request(&all)).await;
    let (file, bytes) = (&import.files[4], &all[4].1);
    let part = person
        .put_part(file, "bytes 0-99999/300000", &bytes[..100_000])
        .await;
    let part: ImportFile = body(part, StatusCode::OK).await;
    assert_eq!((part.received_bytes, part.complete), (100_000, false));
    // A part that announces more than it carries: what came is kept.
    let cut = person
        .put_part(file, "bytes 100000-199999/300000", &bytes[100_000..150_000])
        .await;
    refused(cut, 400, "malformed").await;
    assert_eq!(person.look(&import).await.files[4].received_bytes, 150_000);
    let early = refused(person.complete(&import).await, 409, "conflict").await;
    assert!(
        early["detail"]
            .as_str()
            .unwrap()
            .contains("unet/config.json"),
        "{early}"
    );

    drop(person);
    let directory = server.stop().await;
    let program = inspector(&programs);
    let server = Server::start_in(directory, |config| config.inspector = Some(program)).await;
    let person = server.stranger();
    let signed_in = person.post("/v1/sessions", &bearer).await;
    assert!(signed_in.status().is_success());
    let found = person.look(&import).await;
    assert_eq!(found.files[4].received_bytes, 150_000);
    let wrong = person
        .put_part(file, "bytes 0-99999/300000", &bytes[..100_000])
        .await;
    let wrong = refused(wrong, 409, "conflict").await;
    assert!(
        wrong["detail"].as_str().unwrap().contains("150000"),
        "{wrong}"
    );
    let rest = person
        .put_part(file, "bytes 150000-299999/300000", &bytes[150_000..])
        .await;
    let rest: ImportFile = body(rest, StatusCode::OK).await;
    assert!(rest.complete);
    let again: ImportFile = body(person.put_whole(file, bytes).await, StatusCode::OK).await;
    assert_eq!(again, rest, "a complete file stays as it is");
    for (file, (_, bytes)) in import.files.iter().zip(&all).take(4) {
        let _: ImportFile = body(person.put_whole(file, bytes).await, StatusCode::OK).await;
    }
    let first: ModelImport = body(person.complete(&import).await, StatusCode::ACCEPTED).await;
    let second: ModelImport = body(person.complete(&import).await, StatusCode::ACCEPTED).await;
    assert_eq!(first.id, second.id);
    assert_eq!(person.settled(&import).await.status, ImportStatus::Ready);
    let late: ModelImport = body(person.complete(&import).await, StatusCode::ACCEPTED).await;
    assert_eq!(late.status, ImportStatus::Ready);
}

#[tokio::test]
async fn wrong_bytes_cost_their_file_alone() {
    let world = world(Vec::new()).await;
    let person = world.server.person("ada").await;
    let all = files("{}");
    let import = person.import(&request(&all)).await;
    let (file, bytes) = (&import.files[4], &all[4].1);
    let _: ImportFile = body(
        person.put_whole(&import.files[0], &all[0].1).await,
        StatusCode::OK,
    )
    .await;
    let mut changed = bytes.clone();
    changed[7] ^= 1;
    let problem = refused(
        person.put_whole(file, &changed).await,
        422,
        "checksum_mismatch",
    )
    .await;
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("Send this file again"),
        "{problem}"
    );
    let found = person.look(&import).await;
    assert_eq!(found.files[4].received_bytes, 0);
    assert!(found.files[0].complete, "the others are kept");

    let more = [bytes.as_slice(), b"x"].concat();
    refused(person.put_whole(file, &more).await, 413, "too_large").await;
    refused(
        person.put_whole(file, &bytes[..9]).await,
        422,
        "checksum_mismatch",
    )
    .await;
    let long = person
        .put_part(file, "bytes 0-9/300000", &bytes[..50])
        .await;
    refused(long, 413, "too_large").await;
    let odd = person
        .put_part(file, "bytes 9-0/300000", &bytes[..50])
        .await;
    refused(odd, 400, "malformed").await;
    let other = person
        .put_part(file, "bytes 0-9/299999", &bytes[..10])
        .await;
    refused(other, 422, "checksum_mismatch").await;
    let beyond = person.put_part(file, "bytes 0-300000/300001", bytes).await;
    refused(beyond, 413, "too_large").await;
    let mut nowhere = file.clone();
    nowhere.url = file.url.replace("/files/4", "/files/5");
    refused(person.put_whole(&nowhere, bytes).await, 404, "not_found").await;
    nowhere.url = file.url.replace("/files/4", "/files/x");
    refused(person.put_whole(&nowhere, bytes).await, 404, "not_found").await;
    let _: ImportFile = body(person.put_whole(file, bytes).await, StatusCode::OK).await;
}

#[tokio::test]
async fn concurrent_parts_never_mix() {
    let world = world(Vec::new()).await;
    let person = world.server.person("ada").await;
    let all = files("{}");
    let import = person.import(&request(&all)).await;
    let (file, bytes) = (&import.files[4], &all[4].1);
    let tries = (0..8).map(|_| person.put_part(file, "bytes 0-299999/300000", bytes));
    let answers = futures::future::join_all(tries).await;
    let mut done = 0;
    for answer in answers {
        if answer.status() == StatusCode::OK {
            done += 1;
        } else {
            refused(answer, 409, "conflict").await;
        }
    }
    assert!(done >= 1);
    assert!(person.look(&import).await.files[4].complete);
}

#[tokio::test]
async fn refused_model_says_why_and_takes_nothing_along() {
    let world = world(Vec::new()).await;
    let person = world.server.person("ada").await;
    let import = person.imported(&files(r#"{"broken":1}"#)).await;
    assert_eq!(import.status, ImportStatus::Failed);
    let failure = import.failure.clone().unwrap();
    assert_eq!(failure.code, "model_refused");
    assert!(failure.cause.contains("conv_in.weight"), "{failure:?}");
    assert!(!failure.fix.is_empty());
    let again: ModelImport = body(
        person.retry(&import, &json!({})).await,
        StatusCode::ACCEPTED,
    )
    .await;
    assert_eq!(again.id, import.id);
    assert_eq!(person.settled(&import).await.status, ImportStatus::Failed);
    let path = format!("/v1/base-model-imports/{}", import.id);
    assert_eq!(person.delete(&path).await.status(), StatusCode::NO_CONTENT);
    refused(person.get(&path).await, 404, "not_found").await;
    let objects = world.server.data_dir().join("artifacts/objects");
    let hash = import.files[4].sha256.clone().unwrap();
    assert!(
        !objects.join(&hash[..2]).join(&hash[2..]).exists(),
        "nobody needs it"
    );

    let mut pinned = request(&files("{}"));
    pinned["sha256"] = json!("0".repeat(64));
    let import = person.import(&pinned).await;
    for (file, (_, bytes)) in import.files.iter().zip(&files("{}")) {
        let _: ImportFile = body(person.put_whole(file, bytes).await, StatusCode::OK).await;
    }
    let _: ModelImport = body(person.complete(&import).await, StatusCode::ACCEPTED).await;
    let settled = person.settled(&import).await;
    assert_eq!(settled.failure.unwrap().code, "manifest_mismatch");
}

#[tokio::test]
async fn abandoned_import_is_swept_with_its_partial_files() {
    let world = world(Vec::new()).await;
    let person = world.server.person("ada").await;
    let import = person.import(&request(&files("{}"))).await;
    let part = person
        .put_part(&import.files[4], "bytes 0-9/300000", &[7; 10])
        .await;
    assert_eq!(part.status(), StatusCode::OK);
    let partial = world.server.data_dir().join("artifacts/partial");
    assert_eq!(fs::read_dir(&partial).unwrap().count(), 1);
    world.server.clock.advance(25 * 3600 * 1000);
    api::dispatch::expiry::sweep(&world.server.app)
        .await
        .unwrap();
    assert_eq!(fs::read_dir(&partial).unwrap().count(), 0);
}

#[tokio::test]
async fn repeated_request_with_a_key_starts_one_import() {
    let world = world(Vec::new()).await;
    let person = world.server.person("ada").await;
    let request = request(&files("{}"));
    let mut ids = Vec::new();
    for replayed in [None, Some("true")] {
        let send = person
            .request(Method::POST, "/v1/base-model-imports")
            .header("idempotency-key", "one")
            .json(&request);
        let response = send.send().await.unwrap();
        let header = response.headers().get("idempotency-replayed");
        assert_eq!(header.map(|value| value.to_str().unwrap()), replayed);
        let import: ModelImport = body(response, StatusCode::ACCEPTED).await;
        ids.push(import.id);
    }
    assert_eq!(ids[0], ids[1]);
    for _ in 0..4 {
        person.import(&request).await;
    }
    let many = person.post("/v1/base-model-imports", &request).await;
    refused(many, 409, "conflict").await;
}

/// A server with the model as a folder of its bucket, and an API that may talk to it.
async fn bucket(index: &str) -> (TempDir, S3Server, World) {
    let root = tempfile::tempdir().expect("a temporary directory");
    for (name, bytes) in files(index) {
        let path = root.path().join("models/mine").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a new folder");
        fs::write(path, bytes).expect("a new file");
    }
    fs::write(root.path().join("models/mine/unet/old.bin"), b"pickle").expect("a new file");
    let storage = S3Server::start(root.path()).await;
    let world = world(vec![storage.endpoint.clone()]).await;
    (root, storage, world)
}

fn from_bucket(endpoint: &str) -> Value {
    json!({
        "name": "My model", "licence": "MIT", "licence_accepted": true,
        "source": { "kind": "s3", "endpoint": endpoint, "region": "us-east-1", "bucket": "models",
            "prefix": "mine/", "credentials": credentials() },
    })
}

#[tokio::test]
async fn model_comes_from_a_bucket_over_a_line_that_breaks() {
    let (_root, storage, world) = bucket("{}").await;
    let person = world.server.person("ada").await;
    storage.break_after(150_000);
    let import = person.import(&from_bucket(&storage.endpoint)).await;
    let settled = person.settled(&import).await;
    assert_eq!(settled.status, ImportStatus::Ready, "{:?}", settled.failure);
    assert!(storage.has_broken(), "the line held");
    assert_eq!(settled.files.len(), 5, "the pickle was left out");
    assert!(settled.files.iter().all(|file| file.complete));
    let uploaded = person.imported(&files("{}")).await;
    assert_eq!(
        uploaded.base_model_id, settled.base_model_id,
        "the same bytes from elsewhere are the same model"
    );
    // Keys are nowhere: not in an answer, not in the database, not in a file.
    let secret = credentials().secret_access_key;
    let answer = person
        .get(&format!("/v1/base-model-imports/{}", import.id))
        .await;
    let text = answer.text().await.unwrap();
    assert!(
        !text.contains(&secret) && text.contains("with_credentials"),
        "{text}"
    );
    let mut folders = vec![world.server.data_dir()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let file = fs::read(&path).unwrap();
            let found = file
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds the secret key", path.display());
        }
    }
}

#[tokio::test]
async fn only_allowed_services_are_spoken_to() {
    let (_root, storage, world) = bucket("{}").await;
    let person = world.server.person("ada").await;
    for endpoint in [
        "http://169.254.169.254",
        "http://localhost:22",
        "file:///etc/passwd",
        &format!("{}/", storage.endpoint),
        &storage.endpoint.replace("http://", "http://evil@"),
    ] {
        let response = person
            .post("/v1/base-model-imports", &from_bucket(endpoint))
            .await;
        let problem = refused(response, 422, "invalid").await;
        assert_eq!(
            problem["errors"][0]["pointer"], "#/source/endpoint",
            "{problem}"
        );
    }
    let sources: Value = person.read("/v1/import-sources").await;
    assert_eq!(sources["s3_endpoints"], json!([storage.endpoint]));
}

#[tokio::test]
async fn bucket_that_refuses_can_be_tried_again_with_other_keys() {
    let (_root, storage, world) = bucket("{}").await;
    let person = world.server.person("ada").await;
    let mut request = from_bucket(&storage.endpoint);
    request["source"]["credentials"]["secret_access_key"] = json!("wrong");
    let import = person.import(&request).await;
    let failed = person.settled(&import).await;
    assert_eq!(failed.failure.unwrap().code, "source_denied");
    let problem = refused(person.retry(&import, &json!({})).await, 422, "invalid").await;
    assert_eq!(problem["errors"][0]["pointer"], "#/credentials");
    let keys = json!({ "credentials": credentials() });
    let _: ModelImport = body(person.retry(&import, &keys).await, StatusCode::ACCEPTED).await;
    let settled = person.settled(&import).await;
    assert_eq!(settled.status, ImportStatus::Ready, "{:?}", settled.failure);
    refused(person.retry(&import, &keys).await, 409, "conflict").await;
    let mut wrong = from_bucket(&storage.endpoint);
    wrong["source"]["prefix"] = json!("nothing/");
    let import = person.import(&wrong).await;
    let failed = person.settled(&import).await;
    assert_eq!(failed.failure.unwrap().code, "no_model_files");
}

#[tokio::test]
async fn preflight_refuses_a_model_that_no_node_can_train() {
    let world = world(Vec::new()).await;
    let person = world.server.person("ada").await;
    let set = person.sealed_set("subject").await;
    let mut spec = person.spec(&set).await;
    let import = person.imported(&files(r#"{"large":1}"#)).await;
    spec["base_model_id"] = json!(import.base_model_id.unwrap());
    let preflight: Preflight =
        body(person.post("/v1/preflights", &spec).await, StatusCode::OK).await;
    assert!(preflight.ready, "nobody knows before a node is online");
    let lease = |families: Value| {
        let node = json!({ "node_id": format!("nod_{:032x}", 7), "name": "n", "threads": 1,
            "memory_bytes": 8_000_000_000_u64, "families": families });
        let token = world.server.node().person.bearer.unwrap();
        let url = world.server.url("/v1/node/leases");
        async move {
            let ask = client().post(url).bearer_auth(token).json(&node);
            // It gets no job; asking is the sign of life.
            let _ = tokio::time::timeout(Duration::from_millis(500), ask.send()).await;
        }
    };
    for (families, reason) in [(json!(["sdxl"]), "family"), (json!(["tiny"]), "memory")] {
        lease(families).await;
        let preflight: Preflight =
            body(person.post("/v1/preflights", &spec).await, StatusCode::OK).await;
        let check = preflight
            .checks
            .iter()
            .find(|check| check.code == "model_trainable");
        assert!(check.unwrap().detail.contains(reason), "{check:?}");
        assert!(!preflight.ready);
        let launched = person.launch(&spec, reason).await;
        let problem = refused(launched, 422, "invalid").await;
        assert_eq!(
            problem["errors"][0]["pointer"], "#/base_model_id",
            "{problem}"
        );
    }
    let small = person.imported(&files("{}")).await;
    spec["base_model_id"] = json!(small.base_model_id.unwrap());
    assert_eq!(
        person.launch(&spec, "small").await.status(),
        StatusCode::ACCEPTED
    );
    let path = format!("/v1/base-models/{}", small.base_model_id.unwrap());
    refused(person.delete(&path).await, 409, "conflict").await;
    // Another's model is none.
    let bob = world.server.person("bob").await;
    let set = bob.sealed_set("subject").await;
    let mut theirs = bob.spec(&set).await;
    theirs["base_model_id"] = spec["base_model_id"].clone();
    refused(bob.launch(&theirs, "x").await, 422, "invalid").await;
}
