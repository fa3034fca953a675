//! Backup beside a running server, and everything again in a fresh instance.

use std::{
    fs,
    path::{Path, PathBuf},
};

use api::{backup, config::Config};
use reqwest::StatusCode;
use serde_json::json;
use shared::{Timestamp, job::Job, page::Page, protected_set::ProtectedSet};

use crate::{
    scripted::protect,
    support::{Server, body, png},
};

const fn at(milliseconds: i64) -> Timestamp {
    Timestamp::from_milliseconds(1_790_000_000_000 + milliseconds)
}

async fn back_up(config: &Config, folder: &Path, when: i64) -> anyhow::Result<backup::Made> {
    backup::make(config, folder, at(when), |_, _| ()).await
}

/// The configuration of an instance that does not exist yet.
fn fresh(like: &Config, directory: &Path) -> Config {
    Config {
        data_dir: directory.to_owned(),
        ..like.clone()
    }
}

async fn restore(config: &Config, folder: &Path) -> anyhow::Result<backup::Restored> {
    backup::restore(config, folder, None, |_, _| ()).await
}

/// Every object of a backup.
fn objects(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(objects(&path));
        } else if path.file_name().is_some_and(|name| name.len() >= 60) {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn fresh_instance_has_everything_that_was_saved() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let job = ada.job().await;
    let node = server.node();
    protect(&node, &node.lease().await).await;
    let sets: Page<ProtectedSet> = ada.read("/v1/protected-sets").await;
    let picture = ada
        .get(&sets.data[0].images[0].url)
        .await
        .bytes()
        .await
        .unwrap();
    let config = server.app.config().clone();
    let folder = tempfile::tempdir().unwrap();
    let first = back_up(&config, folder.path(), 0).await.unwrap();
    assert!(
        first.rows > 20 && first.copied == first.objects,
        "{first:?}"
    );

    // What came later is in the next one, which copies nothing twice.
    let more = ada.set("later").await;
    assert_eq!(
        ada.upload(&more, "a.png", &png(64, 64, 99)).await.status(),
        StatusCode::OK
    );
    let second = back_up(&config, folder.path(), 5).await.unwrap();
    assert_eq!(second.copied, 2, "a picture and its thumbnail");

    let place = tempfile::tempdir().unwrap();
    let other = fresh(&config, place.path());
    let restored = restore(&other, folder.path()).await.unwrap();
    assert_eq!(
        (restored.objects, restored.bytes, restored.rows),
        (second.objects, second.bytes, second.rows)
    );
    let again = restore(&other, folder.path())
        .await
        .unwrap_err()
        .to_string();
    assert!(again.contains("fresh"), "{again}");

    server.stop().await;
    let server = Server::start_in(place, |_| ()).await;
    let ada = server.stranger();
    let known = json!({ "email": "ada@example.org", "password": "correct horse battery" });
    assert_eq!(
        ada.post("/v1/sessions", &known).await.status(),
        StatusCode::CREATED
    );
    let sets_again: Page<ProtectedSet> = ada.read("/v1/protected-sets").await;
    assert_eq!(sets_again.data.len(), sets.data.len() + 1);
    let same = ada
        .get(&sets.data[0].images[0].url)
        .await
        .bytes()
        .await
        .unwrap();
    assert_eq!(same, picture, "the master key came along");
    let found: Job = ada.read(&format!("/v1/jobs/{}", job.id)).await;
    assert_eq!(found.status, shared::job::JobStatus::Succeeded);
    let files: Page<shared::artifact::Artifact> =
        ada.read(&format!("/v1/jobs/{}/artifacts", job.id)).await;
    assert!(!files.data.is_empty());
    let log: serde_json::Value = body(
        ada.get("/v1/audit-events/verification").await,
        StatusCode::OK,
    )
    .await;
    assert_eq!(log["intact"], true, "{log}");
}

#[tokio::test]
async fn damaged_backup_is_told_and_makes_no_instance() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    ada.sealed_set("Violet").await;
    let config = server.app.config().clone();
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| tempfile::Builder::new().prefix(name).tempdir().unwrap();

    let nothing = restore(&fresh(&config, place("a").path()), folder.path()).await;
    assert!(
        nothing
            .unwrap_err()
            .to_string()
            .contains("no complete snapshot")
    );
    let made = back_up(&config, folder.path(), 0).await.unwrap();
    let snapshot = folder.path().join("snapshots").join(&made.snapshot);

    let object = objects(&folder.path().join("objects")).remove(1);
    let bytes = fs::read(&object).unwrap();
    let mut changed = bytes.clone();
    changed[0] ^= 1;
    fs::remove_file(&object).unwrap();
    fs::write(&object, &changed).unwrap();
    let target = place("b");
    let error = restore(&fresh(&config, target.path()), folder.path())
        .await
        .unwrap_err();
    assert!(
        format!("{error:#}").contains("damaged in the backup"),
        "{error:#}"
    );
    let store = store::Store::connect(&fresh(&config, target.path()).database_url())
        .await
        .unwrap();
    assert!(store.is_empty().await.unwrap(), "rows come last");
    fs::remove_file(&object).unwrap();
    let error = restore(&fresh(&config, place("c").path()), folder.path())
        .await
        .unwrap_err();
    assert!(
        format!("{error:#}").contains("lacks the object"),
        "{error:#}"
    );
    fs::write(&object, &bytes).unwrap();

    let rows = snapshot.join("rows.jsonl");
    let text = fs::read_to_string(&rows).unwrap();
    fs::write(&rows, text.replacen("Violet", "Viole7", 1)).unwrap();
    let error = restore(&fresh(&config, place("d").path()), folder.path())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("not what was saved"), "{error}");
    fs::write(&rows, &text).unwrap();

    let manifest = snapshot.join("manifest.json");
    let said = fs::read_to_string(&manifest).unwrap();
    fs::write(
        &manifest,
        said.replacen("\"blob.key\"", "\"../../blob.key\"", 1),
    )
    .unwrap();
    let error = restore(&fresh(&config, place("e").path()), folder.path())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("outside of its folder"),
        "{error}"
    );
    fs::write(&manifest, &said).unwrap();
    restore(&fresh(&config, place("f").path()), folder.path())
        .await
        .unwrap();
}

#[tokio::test]
async fn old_snapshots_go_with_what_they_alone_needed() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let config = server.app.config().clone();
    let folder = tempfile::tempdir().unwrap();
    let set = ada.set("x").await;
    assert_eq!(
        ada.upload(&set, "a.png", &png(64, 64, 1)).await.status(),
        StatusCode::OK
    );
    back_up(&config, folder.path(), 0).await.unwrap();
    let set: ProtectedSet = ada.read(&format!("/v1/protected-sets/{}", set.id)).await;
    let gone = ada.request(
        reqwest::Method::DELETE,
        &format!("/v1/images/{}", set.images[0].id),
    );
    assert_eq!(gone.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    back_up(&config, folder.path(), 1).await.unwrap();
    let before = objects(&folder.path().join("objects")).len();
    // A draft that a killed backup left behind is none.
    fs::create_dir_all(folder.path().join("snapshots/20990101T000000.000Z")).unwrap();
    let pruned = backup::prune(folder.path(), 1).await.unwrap();
    assert_eq!((pruned.snapshots, pruned.objects), (1, 2));
    assert_eq!(objects(&folder.path().join("objects")).len(), before - 2);
    let place = tempfile::tempdir().unwrap();
    restore(&fresh(&config, place.path()), folder.path())
        .await
        .unwrap();
    assert!(backup::prune(folder.path(), 0).await.is_err());
}
