//! Patches: what is accepted, what is kept, whose it is, and how long it stays.

use std::io::Cursor;

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::{
    job::Job,
    limits::{MAX_PATCH_BYTES, MAX_PATCH_SIDE},
    node::InputRole,
    page::Page,
    patch::PatchImage,
};

use crate::support::{Person, Server, body, png, refused};

async fn send(person: &Person<'_>, kind: &str, bytes: Vec<u8>) -> Response {
    let request = person.request(Method::POST, "/v1/patches");
    let request = request.header("content-type", kind).body(bytes);
    request.send().await.expect("an answer")
}

async fn add(person: &Person<'_>, bytes: Vec<u8>) -> PatchImage {
    body(send(person, "image/png", bytes).await, StatusCode::CREATED).await
}

/// Red on the left; on the right transparent, and black below that.
fn half(side: u32) -> Vec<u8> {
    let picture = image::RgbaImage::from_fn(side, side, |x, _| {
        if x * 2 < side + 3 {
            image::Rgba([255, 0, 0, 255])
        } else {
            image::Rgba([0, 0, 0, 0])
        }
    });
    encoded(&picture.into(), image::ImageFormat::Png)
}

/// A disc that fades out towards its edge.
fn disc(side: u32) -> Vec<u8> {
    let picture = image::RgbaImage::from_fn(side, side, |x, y| {
        let far = x.abs_diff(side / 2).max(y.abs_diff(side / 2)) * 2;
        let alpha = 255 - (far * 255 / side).min(255);
        image::Rgba([200, 30, 60, alpha.to_le_bytes()[0]])
    });
    encoded(&picture.into(), image::ImageFormat::Png)
}

fn encoded(picture: &image::DynamicImage, format: image::ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).expect("an encoder");
    bytes.into_inner()
}

fn showing(mut spec: Value, patch: &PatchImage) -> Value {
    spec["concepts"][0]["objective"] =
        json!({ "kind": "pattern", "patch": { "kind": "own", "patch_id": patch.id } });
    spec
}

#[tokio::test]
async fn what_is_no_picture_is_refused() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let unsupported = "unsupported_media_type";
    for (kind, bytes) in [
        ("application/json", b"{}".to_vec()),
        ("image/gif", b"GIF89a".to_vec()),
        ("image/png", Vec::new()),
        ("image/png", b"no picture".to_vec()),
        ("image/jpeg", png(64, 64, 1)),
    ] {
        refused(send(&person, kind, bytes).await, 415, unsupported).await;
    }
    let plain = person.request(Method::POST, "/v1/patches");
    let plain = plain.body(png(64, 64, 1)).send().await.unwrap();
    refused(plain, 415, unsupported).await;

    let whole = png(64, 64, 1);
    let jpeg = encoded(
        &image::load_from_memory(&whole).unwrap().to_rgb8().into(),
        image::ImageFormat::Jpeg,
    );
    let clear = image::RgbaImage::new(64, 64);
    let clear = encoded(&clear.into(), image::ImageFormat::Png);
    for (kind, bytes) in [
        ("image/png", whole[..whole.len() / 2].to_vec()),
        ("image/jpeg", jpeg[..jpeg.len() - 40].to_vec()),
        ("image/png", png(16, 64, 1)),
        ("image/png", clear),
    ] {
        let response = send(&person, kind, bytes).await;
        refused(response, 422, "undecodable_image").await;
    }
    let limit = usize::try_from(MAX_PATCH_BYTES).unwrap();
    let large = send(&person, "image/png", vec![0; limit + 1]).await;
    refused(large, 413, "too_large").await;
    let page: Page<PatchImage> = person.read("/v1/patches").await;
    assert!(page.data.is_empty(), "nothing of it was kept");
    let stranger = send(&server.stranger(), "image/png", png(64, 64, 1)).await;
    refused(stranger, 401, "unauthenticated").await;
}

#[tokio::test]
async fn patch_keeps_its_transparency_and_nothing_else() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let patch = add(&person, disc(900)).await;
    assert_eq!(
        (patch.width, patch.height),
        (MAX_PATCH_SIDE, MAX_PATCH_SIDE)
    );
    let response = person.get(&patch.url).await;
    assert_eq!(response.headers()["content-type"], "image/png");
    let bytes = response.bytes().await.unwrap();
    assert_eq!(hex::encode(Sha256::digest(&bytes)), patch.sha256);
    assert_eq!(bytes.len() as u64, patch.size_bytes);
    let picture = image::load_from_memory(&bytes).unwrap();
    assert_eq!(picture.color(), image::ColorType::Rgba8);
    let picture = picture.to_rgba8();
    assert!(picture.get_pixel(256, 256).0[3] > 250);
    assert!(picture.get_pixel(0, 0).0[3] < 5);

    // What was hidden does not tint the edge.
    let shrunk = add(&person, half(900)).await;
    let bytes = person.get(&shrunk.url).await.bytes().await.unwrap();
    let picture = image::load_from_memory(&bytes).unwrap().to_rgba8();
    let mut edge = 0;
    for pixel in picture.pixels().filter(|pixel| pixel.0[3] > 8) {
        assert!(pixel.0[0] > 220, "{pixel:?}");
        edge += u32::from(pixel.0[3] < 255);
    }
    assert!(edge > 0, "the edge is soft");

    // A picture without transparency gets a mask that covers all of it.
    let opaque = add(&person, png(64, 32, 1)).await;
    let bytes = person.get(&opaque.url).await.bytes().await.unwrap();
    let picture = image::load_from_memory(&bytes).unwrap();
    assert_eq!(picture.color(), image::ColorType::Rgba8);
    assert!(picture.to_rgba8().pixels().all(|pixel| pixel.0[3] == 255));
}

#[tokio::test]
async fn same_picture_is_one_patch_and_lists_are_the_owner_s() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let sent = (0..6).map(|_| send(&person, "image/png", disc(64)));
    let mut ids = Vec::new();
    for response in futures::future::join_all(sent).await {
        ids.push(body::<PatchImage>(response, StatusCode::CREATED).await.id);
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let second = add(&person, disc(80)).await;
    let response = send(&person, "image/png", disc(80)).await;
    let place = response.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(place, format!("/v1/patches/{}", second.id));
    let page: Page<PatchImage> = person.read("/v1/patches?limit=1").await;
    assert_eq!((&page.data, page.has_more), (&vec![second.clone()], true));
    let next = page.next_cursor.unwrap();
    let page: Page<PatchImage> = person.read(&format!("/v1/patches?after={next}")).await;
    assert_eq!(page.data[0].id, ids[0]);
    assert_eq!(person.read::<PatchImage>(&place).await, second);

    let eve = server.person("eve").await;
    assert!(
        eve.read::<Page<PatchImage>>("/v1/patches")
            .await
            .data
            .is_empty()
    );
    for path in [&place, &second.url, "/v1/patches/x"] {
        refused(eve.get(path).await, 404, "not_found").await;
    }
    refused(eve.delete(&place).await, 404, "not_found").await;
    refused(
        server.stranger().get(&second.url).await,
        401,
        "unauthenticated",
    )
    .await;
    let spec = eve.spec(&eve.sealed_set("x").await).await;
    let response = eve.launch(&showing(spec, &second), "k").await;
    let problem = refused(response, 422, "invalid").await;
    let error = &problem["errors"][0];
    assert_eq!(error["pointer"], "#/concepts/0/objective/patch/patch_id");
    assert_eq!(error["code"], "not_found");
}

#[tokio::test]
async fn patch_reaches_the_node_and_stays_until_the_job_ends() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let patch = add(&person, disc(64)).await;
    let place = format!("/v1/patches/{}", patch.id);
    let spec = person.spec(&person.sealed_set("x").await).await;
    let spec = showing(spec, &patch);
    assert!(person.preflight(&spec).await.ready);
    let job: Job = body(person.launch(&spec, "k").await, StatusCode::ACCEPTED).await;
    refused(person.delete(&place).await, 409, "conflict").await;
    // The collector, days later: the patch is needed as long as it has a row.
    server.clock.advance(5 * 24 * 3_600_000);
    api::dispatch::expiry::sweep(&server.app).await.unwrap();
    let node = server.node();
    let lease = node.lease().await;
    let input = lease
        .inputs
        .iter()
        .find(|input| input.role == InputRole::Patch);
    let input = input.expect("the patch comes along");
    assert_eq!(
        (input.name.as_str(), &input.sha256),
        ("00.png", &patch.sha256)
    );
    let bytes = node.download(&input.url).await;
    assert_eq!(hex::encode(Sha256::digest(&bytes)), patch.sha256);
    let refusal = json!({ "result": "failed", "failure": { "code": "internal", "cause": "x",
        "evidence": "x", "fix": "x", "retryable": false } });
    assert_eq!(node.finish(&lease, refusal).await, StatusCode::NO_CONTENT);

    let deleted = person.delete(&place).await;
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    refused(person.delete(&place).await, 404, "not_found").await;
    refused(person.get(&patch.url).await, 404, "not_found").await;
    let path = format!("/v1/jobs/{}/retry", job.id);
    let problem = refused(person.post(&path, &json!({})).await, 409, "conflict").await;
    assert!(
        problem["detail"].as_str().unwrap().contains("was deleted"),
        "{problem}"
    );
    let again = add(&person, disc(64)).await;
    assert_eq!(again.sha256, patch.sha256);
    assert_eq!(person.get(&again.url).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn licence_card_is_public_and_cacheable() {
    let server = Server::start().await;
    let stranger = server.stranger();
    let path = "/v1/patches/licence-card/content";
    let response = stranger.get(path).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "image/png");
    let cache = response.headers()["cache-control"].to_str().unwrap();
    assert!(cache.starts_with("public"), "{cache}");
    let etag = response.headers()["etag"].clone();
    let bytes = response.bytes().await.unwrap();
    assert_eq!(bytes, shared::objective::LICENCE_CARD);
    let request = stranger.request(Method::GET, path);
    let response = request.header("if-none-match", etag).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
}
