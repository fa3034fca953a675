//! Uploads: what is sent must be what was announced, and a picture.

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::{
    limits::MAX_IMAGES,
    protected_set::ProtectedSet,
    upload::{Upload, UploadStatus},
};

use crate::support::{Person, Server, body, png, refused};

#[tokio::test]
async fn picture_arrives_clean_and_cacheable() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let set = person.set("x").await;
    let bytes = png(80, 60, 3);
    let response = person
        .announce(&set, "../../etc/cron.d/Dog.png", &bytes)
        .await;
    let upload: Upload = body(response, StatusCode::CREATED).await;
    assert_eq!(upload.status, UploadStatus::Pending);
    let path = format!("/v1/uploads/{}", upload.id);
    let complete = format!("{path}/complete");
    refused(person.post(&complete, &json!({})).await, 409, "conflict").await;
    assert_eq!(person.send(&upload, &bytes).await.status(), StatusCode::OK);
    assert_eq!(
        person.read::<Upload>(&path).await.status,
        UploadStatus::Received
    );
    let done: Upload = body(person.post(&complete, &json!({})).await, StatusCode::OK).await;
    let image = done.image.clone().unwrap();
    assert_eq!(
        (image.filename.as_str(), image.width, image.height),
        ("Dog.png", 80, 60)
    );
    assert_eq!(image.sha256, hex::encode(Sha256::digest(&bytes)));
    let again = person
        .request(reqwest::Method::POST, &complete)
        .send()
        .await
        .unwrap();
    assert_eq!(
        body::<Upload>(again, StatusCode::OK).await.image,
        done.image
    );
    let content = person.get(&image.url).await;
    assert_eq!(content.headers()["content-type"], "image/png");
    assert!(
        content.headers()["cache-control"]
            .to_str()
            .unwrap()
            .contains("private")
    );
    let etag = content.headers()["etag"].to_str().unwrap().to_owned();
    let kept = content.bytes().await.unwrap();
    assert_eq!(kept.len() as u64, image.size_bytes);
    let pixels = image::load_from_memory(&kept).unwrap().to_rgb8();
    assert_eq!(pixels, image::load_from_memory(&bytes).unwrap().to_rgb8());
    let fresh = person
        .request(reqwest::Method::GET, &image.url)
        .header("if-none-match", etag);
    assert_eq!(
        fresh.send().await.unwrap().status(),
        StatusCode::NOT_MODIFIED
    );
}

#[tokio::test]
async fn bytes_other_than_announced_are_refused() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let set = person.set("x").await;
    let bytes = png(64, 64, 1);
    let upload: Upload = body(
        person.announce(&set, "a.png", &bytes).await,
        StatusCode::CREATED,
    )
    .await;
    let mut changed = bytes.clone();
    changed[40] ^= 1;
    refused(
        person.send(&upload, &changed).await,
        422,
        "checksum_mismatch",
    )
    .await;
    refused(
        person.send(&upload, &bytes[..50]).await,
        422,
        "checksum_mismatch",
    )
    .await;
    let more = [bytes.as_slice(), b"x"].concat();
    refused(person.send(&upload, &more).await, 413, "too_large").await;
    assert_eq!(person.send(&upload, &bytes).await.status(), StatusCode::OK);
    assert_eq!(
        person.send(&upload, &bytes).await.status(),
        StatusCode::OK,
        "sent twice"
    );
}

#[tokio::test]
async fn signed_addresses_cannot_be_bent() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let set = person.set("x").await;
    let bytes = png(64, 64, 1);
    let mut upload: Upload = body(
        person.announce(&set, "a.png", &bytes).await,
        StatusCode::CREATED,
    )
    .await;
    let url = upload.url.clone();
    let digit = if url.ends_with('0') { "1" } else { "0" };
    for bent in [
        format!("{}{digit}", &url[..url.len() - 1]),
        url.replace("expires=", "expires=9"),
        url.split('?').next().unwrap().to_owned(),
    ] {
        upload.url = bent;
        refused(person.send(&upload, &bytes).await, 403, "forbidden").await;
    }
    // An address to write is none to read.
    let response = Client::new().get(server.url(&url)).send().await.unwrap();
    refused(response, 403, "forbidden").await;
    server.clock.advance(3 * 24 * 3600 * 1000);
    upload.url = url;
    refused(person.send(&upload, &bytes).await, 410, "gone").await;
}

async fn complete(person: &Person<'_>, name: &str, bytes: &[u8]) -> reqwest::Response {
    let set = person.set(name).await;
    person.upload(&set, name, bytes).await
}

#[tokio::test]
async fn files_that_are_no_picture_are_refused_with_a_reason() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let page = b"<html><script>alert(1)</script></html>";
    refused(
        complete(&person, "page.png", page).await,
        415,
        "unsupported_media_type",
    )
    .await;
    let lie = complete(&person, "lie.jpg", &png(64, 64, 1)).await;
    let problem = refused(lie, 415, "unsupported_media_type").await;
    assert!(problem["detail"].as_str().unwrap().contains("image/png"));
    let whole = png(300, 300, 1);
    let cut = complete(&person, "cut.png", &whole[..whole.len() / 2]).await;
    refused(cut, 422, "undecodable_image").await;
    let mut jpeg = std::io::Cursor::new(Vec::new());
    image::load_from_memory(&whole)
        .unwrap()
        .write_to(&mut jpeg, image::ImageFormat::Jpeg)
        .unwrap();
    let jpeg = jpeg.into_inner();
    let cut = complete(&person, "cut.jpg", &jpeg[..jpeg.len() / 2]).await;
    refused(cut, 422, "undecodable_image").await;
    let bomb = complete(&person, "bomb.png", &bomb()).await;
    let problem = refused(bomb, 422, "undecodable_image").await;
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("20000 x 20000")
    );
}

/// 20000 x 20000 pixels in a file that is otherwise in order.
fn bomb() -> Vec<u8> {
    let mut png = png(64, 64, 1);
    png[16..20].copy_from_slice(&20_000u32.to_be_bytes());
    png[20..24].copy_from_slice(&20_000u32.to_be_bytes());
    let checksum = png[12..29].iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & 0u32.wrapping_sub(crc & 1))
        })
    });
    png[29..33].copy_from_slice(&(!checksum).to_be_bytes());
    png
}

#[tokio::test]
async fn bad_announcements_are_refused_before_a_byte_is_sent() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let set = person.set("x").await;
    let good = json!({
        "protected_set_id": set.id, "filename": "a.png", "size_bytes": 10,
        "sha256": "0".repeat(64), "media_type": "image/png",
    });
    for (field, value, pointer) in [
        ("size_bytes", json!(0), "#/size_bytes"),
        ("size_bytes", json!(21 * 1024 * 1024), "#/size_bytes"),
        ("sha256", json!("xyz"), "#/sha256"),
        ("media_type", json!("image/svg+xml"), "#/media_type"),
        ("filename", json!("photos/.."), "#/filename"),
        ("protected_set_id", json!("job_1"), "#/protected_set_id"),
        ("size_bytes", json!(-1), "#/size_bytes"),
        ("path", json!("/etc"), "#/path"),
    ] {
        let mut request = good.clone();
        request[field] = value;
        let problem = refused(person.post("/v1/uploads", &request).await, 422, "invalid").await;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let mut other = good;
    other["protected_set_id"] = json!(format!("set_{:032x}", 1));
    refused(person.post("/v1/uploads", &other).await, 404, "not_found").await;
}

#[tokio::test]
async fn set_takes_no_picture_twice_and_no_more_than_its_limit() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let set = person.set("x").await;
    let first = png(32, 32, 255);
    assert_eq!(
        person.upload(&set, "a.png", &first).await.status(),
        StatusCode::OK
    );
    refused(
        person.announce(&set, "b.png", &first).await,
        409,
        "duplicate_image",
    )
    .await;
    // Ten thousand files: everything beyond the limit is refused at its announcement.
    let mut accepted = 1;
    let mut refusal: Option<Value> = None;
    for index in 0..MAX_IMAGES + 10 {
        let bytes = png(32, 32, u8::try_from(index).unwrap());
        let response = person.announce(&set, "c.png", &bytes).await;
        if response.status() == StatusCode::CREATED {
            let upload: Upload = body(response, StatusCode::CREATED).await;
            assert_eq!(person.send(&upload, &bytes).await.status(), StatusCode::OK);
            let path = format!("/v1/uploads/{}/complete", upload.id);
            accepted += usize::from(person.post(&path, &json!({})).await.status().is_success());
        } else {
            refusal = Some(refused(response, 409, "conflict").await);
        }
    }
    assert_eq!(accepted, MAX_IMAGES);
    assert!(refusal.unwrap()["detail"].as_str().unwrap().contains("50"));
    let path = format!("/v1/protected-sets/{}", set.id);
    assert_eq!(
        person.read::<ProtectedSet>(&path).await.images.len(),
        MAX_IMAGES
    );
}

#[tokio::test]
async fn nothing_of_an_upload_stays_but_the_clean_picture() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let secret = b"GPS-SECRET-COMMENT".repeat(4);
    let plain = png(64, 64, 1);
    // A text chunk before the image data: legal, and gone afterwards.
    let mut chunk = u32::try_from(secret.len() + 8)
        .unwrap()
        .to_be_bytes()
        .to_vec();
    let mut payload = b"tEXtComment\0".to_vec();
    payload.extend(&secret);
    let checksum = payload.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & 0u32.wrapping_sub(crc & 1))
        })
    });
    chunk.extend(&payload);
    chunk.extend((!checksum).to_be_bytes());
    let bytes = [&plain[..33], &chunk, &plain[33..]].concat();
    let set = person.set("x").await;
    let response = person.upload(&set, "a.png", &bytes).await;
    let image = body::<Upload>(response, StatusCode::OK)
        .await
        .image
        .unwrap();
    let kept = person.get(&image.url).await.bytes().await.unwrap();
    assert!(!kept.windows(10).any(|window| window == &secret[..10]));
    let mut folders = vec![server.data_dir()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let file = std::fs::read(&path).unwrap();
                let found = file.windows(10).any(|window| window == &secret[..10]);
                assert!(!found, "{} still holds the upload", path.display());
            }
        }
    }
}
