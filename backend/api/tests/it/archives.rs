//! Archives of pictures: each file with its own fate, the same answer however often it is asked for.

use std::io::{Cursor, Write};

use reqwest::StatusCode;
use serde_json::json;
use sha2::{Digest, Sha256};
use shared::{
    limits::MAX_IMAGES,
    protected_set::ProtectedSet,
    upload::{Unpacked, Upload},
};
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::support::{Person, Server, body, png, refused};

pub(crate) fn packed(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer
            .start_file(name.as_str(), SimpleFileOptions::default())
            .expect("a name");
        writer.write_all(bytes).expect("memory");
    }
    writer.finish().expect("an archive").into_inner()
}

pub(crate) async fn send(person: &Person<'_>, set: &ProtectedSet, archive: &[u8]) -> Upload {
    let announcement = json!({
        "protected_set_id": set.id, "filename": "photos.zip", "media_type": "application/zip",
        "size_bytes": archive.len(), "sha256": hex::encode(Sha256::digest(archive)),
    });
    let upload: Upload = body(
        person.post("/v1/uploads", &announcement).await,
        StatusCode::CREATED,
    )
    .await;
    assert_eq!(person.send(&upload, archive).await.status(), StatusCode::OK);
    upload
}

async fn complete(person: &Person<'_>, upload: &Upload) -> reqwest::Response {
    let path = format!("/v1/uploads/{}/complete", upload.id);
    person.post(&path, &json!({})).await
}

async fn images(person: &Person<'_>, set: &ProtectedSet) -> ProtectedSet {
    person.read(&format!("/v1/protected-sets/{}", set.id)).await
}

fn pictures(count: u8) -> Vec<(String, Vec<u8>)> {
    (0..count)
        .map(|number| (format!("holiday/{number}.png"), png(60, 50, number)))
        .collect()
}

#[tokio::test]
async fn every_file_of_an_archive_has_its_fate() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let set = ada.set("x").await;
    let mut files = pictures(4);
    files.push(("notes.txt".into(), b"hello".to_vec()));
    files.push(("twin.png".into(), png(60, 50, 0)));
    files.push(("tiny.png".into(), png(8, 8, 0)));
    files.push(("torn.png".into(), png(60, 50, 9)[..60].to_vec()));
    let upload = send(&ada, &set, &packed(&files)).await;
    let done: Upload = body(complete(&ada, &upload).await, StatusCode::OK).await;
    let unpacked: Unpacked = done.unpacked.clone().expect("an archive");
    assert_eq!(unpacked.added.len(), 4);
    let left: Vec<&str> = unpacked
        .left_out
        .iter()
        .map(|file| file.filename.as_str())
        .collect();
    assert_eq!(left, ["notes.txt", "tiny.png", "torn.png"]);
    assert!(unpacked.left_out[1].detail.contains("8 x 8"));
    let seen = images(&ada, &set).await;
    let names: Vec<&str> = seen
        .images
        .iter()
        .map(|image| image.filename.as_str())
        .collect();
    assert_eq!(names, ["0.png", "1.png", "2.png", "3.png"]);
    let again: Upload = body(complete(&ada, &upload).await, StatusCode::OK).await;
    assert_eq!(again.unpacked, done.unpacked);
    // The same pictures in another archive are in the set already.
    let more = send(&ada, &set, &packed(&pictures(5))).await;
    let more: Upload = body(complete(&ada, &more).await, StatusCode::OK).await;
    assert_eq!(more.unpacked.expect("an archive").added.len(), 5);
    assert_eq!(images(&ada, &set).await.images.len(), 5);
    let bob = server.person("bob").await;
    refused(complete(&bob, &upload).await, 404, "not_found").await;
}

#[tokio::test]
async fn set_takes_as_many_as_fit_and_the_rest_is_told() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let set = ada.set("x").await;
    let upload = send(&ada, &set, &packed(&pictures(53))).await;
    let done: Upload = body(complete(&ada, &upload).await, StatusCode::OK).await;
    let unpacked = done.unpacked.expect("an archive");
    assert_eq!(
        (unpacked.added.len(), unpacked.left_out.len()),
        (MAX_IMAGES, 3)
    );
    assert!(unpacked.left_out[0].detail.contains("50"), "{unpacked:?}");
}

#[tokio::test]
async fn what_is_no_archive_is_refused_and_changes_nothing() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let set = ada.set("x").await;
    for bytes in [png(60, 50, 1), b"PK\x03\x04 and nothing else".to_vec()] {
        let upload = send(&ada, &set, &bytes).await;
        refused(complete(&ada, &upload).await, 422, "undecodable_image").await;
    }
    let whole = packed(&pictures(3));
    let upload = send(&ada, &set, &whole[..whole.len() - 10]).await;
    refused(complete(&ada, &upload).await, 422, "undecodable_image").await;
    assert!(images(&ada, &set).await.images.is_empty());
    let large = json!({
        "protected_set_id": set.id, "filename": "x.zip", "media_type": "application/zip",
        "size_bytes": 300_000_000, "sha256": "0".repeat(64),
    });
    refused(ada.post("/v1/uploads", &large).await, 422, "invalid").await;
}

#[tokio::test]
async fn two_at_once_make_no_picture_twice() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let set = ada.set("x").await;
    let upload = send(&ada, &set, &packed(&pictures(6))).await;
    let (one, other) = tokio::join!(complete(&ada, &upload), complete(&ada, &upload));
    let one: Upload = body(one, StatusCode::OK).await;
    let other: Upload = body(other, StatusCode::OK).await;
    assert!(one.unpacked.is_some());
    assert_eq!(one.unpacked, other.unpacked);
    assert_eq!(images(&ada, &set).await.images.len(), 6);
}
