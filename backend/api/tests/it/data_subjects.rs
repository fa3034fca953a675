//! What a person may demand: everything as an archive, and everything gone.

use std::{collections::BTreeMap, fs, path::Path};

use futures::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::{
    OrganisationId,
    account_data::{DeletionReceipt, Export},
    artifact::Artifact,
    auth::User,
    job::Job,
    page::Page,
    upload::Upload,
};

use crate::{
    kills::count,
    s3_server::{ACCESS_KEY, BUCKET, SECRET_KEY},
    scripted::{collateral, evaluation_outputs, protect, report, succeeded},
    storage::start,
    support::{Person, Server, body, png, refused},
};

async fn project(server: &Server, person: &Person<'_>) -> Vec<String> {
    let job = person.job().await;
    let node = server.node();
    protect(&node, &node.lease().await).await;
    let lease = node.lease().await;
    node.beat(&lease, json!([])).await;
    let mut file = report();
    file["collateral"] = collateral();
    let outputs = evaluation_outputs(&node, &lease, file.to_string().as_bytes()).await;
    node.finish(&lease, succeeded(&outputs)).await;
    let draft = person.set("draft").await;
    let one = person.upload(&draft, "x.png", &png(64, 64, 200)).await;
    assert_eq!(one.status(), StatusCode::OK);
    let mut hashes: Vec<String> = Vec::new();
    for id in [job.id, lease.job_id] {
        let files: Page<Artifact> = person.read(&format!("/v1/jobs/{id}/artifacts")).await;
        hashes.extend(files.data.into_iter().map(|file| file.sha256));
    }
    hashes
}

/// Every file below a folder, by the SHA-256 of its content.
fn stored(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(stored(&path));
        } else if let Ok(bytes) = fs::read(&path) {
            let hash = hex::encode(Sha256::digest(&bytes));
            found.insert(hash, path.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn archive_holds_everything_but_weights() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    project(&server, &ada).await;
    refused(
        ada.post("/v1/exports", &json!({})).await,
        400,
        "idempotency_key_required",
    )
    .await;
    let ask = || {
        let request = ada.request(Method::POST, "/v1/exports");
        request.header("idempotency-key", "mine").send()
    };
    let made = ask().await.unwrap();
    assert!(made.headers().contains_key("location"));
    let made: Export = body(made, StatusCode::ACCEPTED).await;
    let again: Export = body(ask().await.unwrap(), StatusCode::ACCEPTED).await;
    assert_eq!(made.id, again.id);
    let bytes = ada.get(&made.url).await.bytes().await.unwrap();
    let mut archive = tar::Archive::new(&bytes[..]);
    let mut names = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        assert_ne!(content, b"not really weights", "{name}");
        if Path::new(&name)
            .extension()
            .is_some_and(|end| end == "json")
        {
            serde_json::from_slice::<Value>(&content).unwrap();
        }
        if name == "audit.ndjson" {
            let keys = ada.get("/v1/signing-keys").await.bytes().await.unwrap();
            api::app::audit::verify_export(&content[..], Some(&keys)).unwrap();
        }
        names.push(name);
    }
    let count = |start: &str, end: &str| {
        let fits = |name: &&String| name.starts_with(start) && name.ends_with(end);
        names.iter().filter(fits).count()
    };
    assert_eq!(names[0], "account.json");
    assert_eq!((count("sets/", ".json"), count("sets/", ".png")), (2, 4));
    assert_eq!(count("jobs/", "artifacts.json"), 2);
    assert_eq!(count("audit", ".ndjson"), 1);
    let eve = server.person("eve").await;
    refused(eve.get(&made.url).await, 404, "not_found").await;
    server.clock.advance(8 * 24 * 3_600_000);
    // The session lasts longer than the archive.
    refused(ada.get(&made.url).await, 410, "gone").await;
}

#[tokio::test]
async fn archive_goes_to_the_end_of_every_list() {
    let server = Server::start_with(|config| config.requests_per_minute = 60_000).await;
    let ada = server.person("ada").await;
    let job = ada.job().await;
    let stranger = server.stranger();
    let complaint = json!({
        "category": "depicts_me", "object": job.id, "name": "Eve Example", "email": "eve@example.org",
        "explanation": "The pictures in this gallery show me.", "good_faith": true, "signature": "Eve Example",
    });
    for _ in 0..101 {
        let taken = stranger.post("/v1/notices", &complaint).await;
        assert_eq!(taken.status(), StatusCode::CREATED);
    }
    let ask = ada.request(Method::POST, "/v1/exports");
    let made = ask.header("idempotency-key", "all").send().await.unwrap();
    let made: Export = body(made, StatusCode::ACCEPTED).await;
    let bytes = ada.get(&made.url).await.bytes().await.unwrap();
    let mut archive = tar::Archive::new(&bytes[..]);
    let mut entries = archive.entries().unwrap().map(Result::unwrap);
    let entry = entries.find(|entry| entry.path().unwrap().as_os_str() == "notices.json");
    let notices: Vec<Value> = serde_json::from_reader(entry.unwrap()).unwrap();
    assert_eq!(notices.len(), 101);
}

#[tokio::test]
async fn deleted_account_leaves_nothing_in_the_store_but_its_receipt() {
    let server = Server::start().await;
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    let kept = bob.sealed_set("Bob's").await;
    let folder = server.data_dir().join("artifacts");
    let before = stored(&folder);
    let hashes = project(&server, &ada).await;
    let full = stored(&folder);
    for hash in &hashes {
        assert!(full.contains_key(hash), "{hash}");
    }
    assert!(full.len() > before.len() + 3);
    let credentials = |password: &str| json!({ "email": "ada@example.org", "password": password });
    let wrong = ada
        .post("/v1/deletions", &credentials("wrong password"))
        .await;
    refused(wrong, 401, "invalid_credentials").await;
    let others = bob
        .post("/v1/deletions", &credentials("correct horse battery"))
        .await;
    refused(others, 401, "invalid_credentials").await;
    let right = credentials("correct horse battery");
    let working = ada.job().await;
    refused(ada.post("/v1/deletions", &right).await, 409, "conflict").await;
    ada.post(&working.urls.cancel, &json!({})).await;
    let receipt = ada.post("/v1/deletions", &right).await;
    let place = receipt.headers()["location"].to_str().unwrap().to_owned();
    let receipt: DeletionReceipt = body(receipt, StatusCode::CREATED).await;
    refused(ada.get("/v1/me").await, 401, "unauthenticated").await;
    let gone = server.stranger().post("/v1/sessions", &right).await;
    refused(gone, 401, "invalid_credentials").await;
    let left = stored(&folder);
    for hash in &hashes {
        assert!(!left.contains_key(hash), "{hash} lies in {}", left[hash]);
    }
    let new: Vec<_> = left
        .keys()
        .filter(|hash| !before.contains_key(*hash))
        .collect();
    let strangers = server.stranger().get("/v1/demo").await.status();
    assert_eq!(strangers, StatusCode::OK);
    // What stays is the bundled control set, which is nobody's.
    let bundled: Vec<String> = demo::sample_sets()
        .iter()
        .flat_map(|set| set.images)
        .map(|(_, bytes)| hex::encode(Sha256::digest(bytes)))
        .collect();
    assert!(new.iter().all(|hash| bundled.contains(hash)), "{new:?}");
    assert_eq!(receipt.record.rows["users"], 1);
    assert_eq!(receipt.record.rows["jobs"], 3);
    assert!(receipt.record.objects > 4);
    let text = serde_json::to_string(&receipt).unwrap();
    // By words: three digits of a hash may happen to read so.
    let mut words = text.split(|each: char| !each.is_ascii_alphanumeric());
    assert!(
        !words.any(|word| word.eq_ignore_ascii_case("ada")),
        "it names nobody: {text}"
    );
    let again: DeletionReceipt = server.stranger().read(&place).await;
    assert_eq!(again, receipt);
    let keys = bob.get("/v1/signing-keys").await.bytes().await.unwrap();
    api::app::data_subjects::verify_receipt(&receipt, &keys).unwrap();
    let mut forged = receipt;
    forged.record.objects += 1;
    assert!(api::app::data_subjects::verify_receipt(&forged, &keys).is_err());
    let path = format!("/v1/protected-sets/{}", kept.id);
    let set: shared::protected_set::ProtectedSet = bob.read(&path).await;
    let picture = bob.get(&set.images[0].url).await;
    assert_eq!(picture.status(), StatusCode::OK, "others lose nothing");
}

#[tokio::test]
async fn receipt_is_given_and_kept_where_objects_stay_for_the_collector() {
    let (root, storage, server) = start().await;
    let ada = server.person("ada").await;
    let bucket = root.path().join(BUCKET);
    let before = count(&bucket);
    ada.sealed_set("x").await;
    let full = count(&bucket);
    assert!(full > before);
    storage.manners.rotate(ACCESS_KEY, "another secret");
    let request = json!({ "email": "ada@example.org", "password": "correct horse battery" });
    let gone = ada.post("/v1/deletions", &request).await;
    let receipt: DeletionReceipt = body(gone, StatusCode::CREATED).await;
    assert!(receipt.record.objects > 0);
    let path = format!("/v1/deletions/{}", receipt.record.id);
    let kept: DeletionReceipt = server.stranger().read(&path).await;
    assert_eq!(kept, receipt);
    assert_eq!(count(&bucket), full, "nothing was removed yet");
    storage.manners.rotate(ACCESS_KEY, SECRET_KEY);
    server.clock.advance(3 * 24 * 3_600_000);
    api::dispatch::expiry::sweep(&server.app).await.unwrap();
    assert_eq!(count(&bucket), before);
}

#[tokio::test]
async fn archive_holds_pictures_that_are_sealed_anew_while_it_is_read() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let kept = ada.sealed_set("kept").await;
    let draft = ada.set("draft").await;
    let one = ada.upload(&draft, "x.png", &png(64, 64, 200)).await;
    let one: Upload = body(one, StatusCode::OK).await;
    let me: User = ada.read("/v1/me").await;
    let owner = OrganisationId::from_uuid(me.id.uuid());
    let made = ada.request(Method::POST, "/v1/exports");
    let made = made.header("idempotency-key", "mine").send().await.unwrap();
    let made: Export = body(made, StatusCode::ACCEPTED).await;
    let reading = api::app::data_subjects::read_export(server.app.clone(), owner, made.id);
    let mut pieces = Box::pin(reading.await.unwrap());
    let mut bytes = Vec::new();
    // Every picture is listed by the time that the first set is told of; none was read.
    while !bytes.windows(5).any(|part| part == b"sets/") {
        bytes.extend(pieces.next().await.unwrap().unwrap());
    }
    let done = server.rotate_keys().await;
    assert_eq!(done.pictures, 4);
    let deleted = ada
        .delete(&format!("/v1/images/{}", one.image.unwrap().id))
        .await;
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    while let Some(piece) = pieces.next().await {
        bytes.extend(piece.unwrap());
    }
    let mut archive = tar::Archive::new(&bytes[..]);
    let mut pictures = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        if name.rsplit('.').next() == Some("png") {
            assert!(content.starts_with(b"\x89PNG"), "{name}");
            pictures.push(name);
        }
    }
    let expected = kept.images.iter();
    let expected: Vec<_> = expected
        .map(|image| format!("sets/{}/{}.png", kept.id, image.id))
        .collect();
    assert_eq!(pictures, expected);
}

#[tokio::test]
async fn kept_files_say_when_they_go_and_then_go_unless_a_job_needs_them() {
    let server = Server::start_with(|config| config.retention_days = Some(30)).await;
    let ada = server.person("ada").await;
    let job = ada.job().await;
    let node = server.node();
    protect(&node, &node.lease().await).await;
    let path = format!("/v1/jobs/{}/artifacts", job.id);
    let files: Page<Artifact> = ada.read(&path).await;
    let end = files.data[0].expires_at.unwrap().milliseconds();
    let life = end - files.data[0].created_at.milliseconds();
    assert_eq!(life, 30 * 24 * 3_600_000);
    server.clock.advance(29 * 24 * 3_600_000);
    api::dispatch::expiry::sweep(&server.app).await.unwrap();
    let files: Page<Artifact> = ada.read(&path).await;
    assert_eq!(files.data.len(), 1);
    server.clock.advance(2 * 24 * 3_600_000);
    api::dispatch::expiry::sweep(&server.app).await.unwrap();
    let again = server.stranger();
    let session = json!({ "email": "ada@example.org", "password": "correct horse battery" });
    again.post("/v1/sessions", &session).await;
    // The evaluation still waits for a node, and attacks these weights.
    let files: Page<Artifact> = again.read(&path).await;
    assert_eq!(files.data.len(), 1);
    let job: Job = again.read(&format!("/v1/jobs/{}", job.id)).await;
    let cancel = format!("/v1/jobs/{}/cancel", job.evaluation_ids[0]);
    let canceled = again.post(&cancel, &json!({})).await;
    assert_eq!(canceled.status(), StatusCode::ACCEPTED);
    api::dispatch::expiry::sweep(&server.app).await.unwrap();
    let files: Page<Artifact> = again.read(&path).await;
    assert!(files.data.is_empty());
    assert!(
        !stored(&server.data_dir().join("artifacts"))
            .contains_key(&hex::encode(Sha256::digest(b"not really weights")))
    );
}

#[tokio::test]
async fn nothing_is_begun_on_weights_that_were_removed() {
    let server = Server::start_with(|config| config.retention_days = Some(30)).await;
    let ada = server.person("ada").await;
    let job = ada.job().await;
    let node = server.node();
    protect(&node, &node.lease().await).await;
    let done: Job = ada.read(&job.urls.own).await;
    let waiting = format!("/v1/jobs/{}", done.evaluation_ids[0]);
    let canceled = ada.post(&format!("{waiting}/cancel"), &json!({})).await;
    assert_eq!(canceled.status(), StatusCode::ACCEPTED);
    server.clock.advance(31 * 24 * 3_600_000);
    api::dispatch::expiry::sweep(&server.app).await.unwrap();
    let ada = server.stranger();
    let session = json!({ "email": "ada@example.org", "password": "correct horse battery" });
    ada.post("/v1/sessions", &session).await;
    let mut further = serde_json::to_value(&job.spec).unwrap();
    further["extends"] = json!(job.id);
    let study = json!({ "protect_job_id": job.id });
    let evaluations = format!("/v1/jobs/{}/evaluations", job.id);
    for (path, request, status, code) in [
        (evaluations.as_str(), json!({}), 409, "conflict"),
        ("/v1/studies", study, 409, "conflict"),
        (&format!("{waiting}/retry"), json!({}), 409, "conflict"),
        ("/v1/jobs", further.clone(), 422, "invalid"),
        ("/v1/preflights", further, 422, "invalid"),
    ] {
        let request = ada
            .request(Method::POST, path)
            .header("idempotency-key", path)
            .json(&request);
        let answer = request.send().await.unwrap();
        let problem = refused(answer, status, code).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("were removed"), "{path}: {detail}");
    }
}

#[tokio::test]
async fn security_contact_is_published_where_there_is_one() {
    let server = Server::start().await;
    let path = "/.well-known/security.txt";
    refused(server.stranger().get(path).await, 404, "not_found").await;
    let contact = "mailto:security@example.org";
    let server = Server::start_with(|config| config.security_contact = Some(contact.into())).await;
    let text = server.stranger().get(path).await.text().await.unwrap();
    assert!(text.starts_with(&format!("Contact: {contact}\nExpires: ")));
}
