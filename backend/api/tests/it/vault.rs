//! Protected pictures at rest: sealed, opened for whoever may see them, sealed anew, and shredded with their keys.

use std::{fs, path::Path};

use reqwest::StatusCode;
use serde_json::json;
use sha2::{Digest, Sha256};
use shared::{image::ImageHintCode, node::InputRole, protected_set::ProtectedSet};

use crate::support::{Person, Server, body, client, master_keys, png, refused};

/// Every file below a folder.
fn files(folder: &Path) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.extend(fs::read(&path));
        }
    }
    found
}

/// Files of the store that begin as a picture does, and files that are sealed.
fn open_and_sealed(server: &Server) -> (usize, usize) {
    let files = files(&server.data_dir().join("artifacts"));
    let begins = |mark: &[u8]| files.iter().filter(|file| file.starts_with(mark)).count();
    (
        begins(b"\x89PNG") + begins(b"\xff\xd8\xff"),
        begins(b"PGS1"),
    )
}

async fn set_of(person: &Person<'_>, count: u8) -> ProtectedSet {
    let set = person.set("x").await;
    for number in 0..count {
        let name = format!("{number}.png");
        let added = person.upload(&set, &name, &png(80, 60, number)).await;
        assert_eq!(added.status(), StatusCode::OK);
    }
    person.read(&format!("/v1/protected-sets/{}", set.id)).await
}

/// What its owner gets for a picture.
async fn seen(person: &Person<'_>, url: &str) -> Vec<u8> {
    let answer = person.get(url).await;
    assert_eq!(answer.status(), StatusCode::OK);
    answer.bytes().await.expect("bytes").to_vec()
}

#[tokio::test]
async fn picture_at_rest_is_sealed_and_its_owner_sees_it() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let (pictures, _) = open_and_sealed(&server);
    let set = set_of(&ada, 1).await;
    assert_eq!(
        open_and_sealed(&server),
        (pictures, 2),
        "a picture and its thumbnail"
    );
    let image = &set.images[0];
    let whole = seen(&ada, &image.url).await;
    let pixels = image::load_from_memory(&whole).unwrap().to_rgb8();
    assert_eq!(
        pixels,
        image::load_from_memory(&png(80, 60, 0)).unwrap().to_rgb8()
    );
    let part = ada
        .request(reqwest::Method::GET, &image.url)
        .header("range", "bytes=4-9");
    let part = part.send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    let range = format!("bytes 4-9/{}", whole.len());
    assert_eq!(part.headers()["content-range"], range);
    assert_eq!(part.bytes().await.unwrap(), whole[4..10]);
    let small = seen(&ada, &image.thumbnail_url).await;
    assert_eq!(
        image::guess_format(&small).unwrap(),
        image::ImageFormat::Jpeg
    );
    assert_eq!(image.blur_hash.as_ref().unwrap().len(), 28);
    let bob = server.person("bob").await;
    for url in [&image.url, &image.thumbnail_url] {
        refused(bob.get(url).await, 404, "not_found").await;
    }
}

#[tokio::test]
async fn node_gets_its_pictures_open_by_address_and_nothing_else() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    ada.job().await;
    let node = server.node();
    let lease = node.lease().await;
    let mut pictures = lease
        .inputs
        .iter()
        .filter(|input| input.role == InputRole::ProtectedImage);
    let first = pictures.next().unwrap();
    let bytes = node.download(&first.url).await;
    assert_eq!(hex::encode(Sha256::digest(&bytes)), first.sha256);
    assert!(bytes.starts_with(b"\x89PNG"));
    let second = pictures.next().unwrap();
    let swapped = first.url.replace(&first.sha256, &second.sha256);
    let answer = client().get(server.url(&swapped)).send().await.unwrap();
    refused(answer, 403, "forbidden").await;
}

#[tokio::test]
async fn new_keys_open_what_old_keys_sealed_and_old_keys_go() {
    let server = Server::start().await;
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    let (hers, his) = (set_of(&ada, 2).await, set_of(&bob, 1).await);
    let before = seen(&ada, &hers.images[1].url).await;
    let keys = || master_keys(&server.data_dir()).len();
    let old = master_keys(&server.data_dir());
    // Beside the running server, as the command does it.
    let done = server.rotate_keys().await;
    assert_eq!((done.data_keys, done.pictures, done.destroyed), (2, 3, 2));
    assert_eq!(keys(), 1);
    assert!(!old[0].exists());
    let (_, sealed) = open_and_sealed(&server);
    assert_eq!(sealed, 6, "nothing is left of what the old keys opened");
    assert_eq!(seen(&ada, &hers.images[1].url).await, before);
    seen(&bob, &his.images[0].thumbnail_url).await;
    let more = set_of(&ada, 1).await;
    seen(&ada, &more.images[0].url).await;
    // Who comes after it gets a key under the new master key, also from a server that opened with the old one.
    let newcomer = server.person("eve").await;
    let hers = set_of(&newcomer, 1).await;
    let before = seen(&newcomer, &hers.images[0].url).await;
    let server = Server::start_in(server.stop().await, |_| ()).await;
    let newcomer = server.stranger();
    let known = json!({ "email": "eve@example.org", "password": "correct horse battery" });
    let signed_in = newcomer.post("/v1/sessions", &known).await;
    assert_eq!(signed_in.status(), StatusCode::CREATED);
    assert_eq!(seen(&newcomer, &hers.images[0].url).await, before);
}

#[tokio::test]
async fn deleted_account_takes_its_key_with_it() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let set = set_of(&ada, 1).await;
    let objects = server.data_dir().join("artifacts");
    let kept: Vec<_> = files(&objects)
        .into_iter()
        .filter(|file| file.starts_with(b"PGS1"))
        .collect();
    let request = json!({ "email": "ada@example.org", "password": "correct horse battery" });
    let gone = ada.post("/v1/deletions", &request).await;
    let receipt: shared::account_data::DeletionReceipt = body(gone, StatusCode::CREATED).await;
    assert_eq!(receipt.record.rows["data_keys"], 1);
    let (_, sealed) = open_and_sealed(&server);
    assert_eq!(sealed, 0);
    assert!(
        !kept.is_empty()
            && kept
                .iter()
                .all(|file| !file.windows(4).any(|part| part == b"IHDR"))
    );
    refused(ada.get(&set.images[0].url).await, 401, "unauthenticated").await;
}

#[tokio::test]
async fn twins_soft_and_small_pictures_are_told() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let set = ada.set("x").await;
    let scene = image::load_from_memory(&png(600, 560, 3)).unwrap();
    let encode = |picture: &image::DynamicImage| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture
            .write_to(&mut bytes, image::ImageFormat::Png)
            .unwrap();
        bytes.into_inner()
    };
    for (name, picture) in [
        ("one.png", scene.clone()),
        ("pale.png", scene.brighten(12)),
        (
            "soft.png",
            image::load_from_memory(&png(90, 700, 9))
                .unwrap()
                .blur(12.0),
        ),
    ] {
        let added = ada.upload(&set, name, &encode(&picture)).await;
        assert_eq!(added.status(), StatusCode::OK);
    }
    let set: ProtectedSet = ada.read(&format!("/v1/protected-sets/{}", set.id)).await;
    let codes = |at: usize| {
        set.images[at]
            .hints
            .iter()
            .map(|hint| hint.code)
            .collect::<Vec<_>>()
    };
    assert!(
        !codes(0).contains(&ImageHintCode::Small)
            && !codes(0).contains(&ImageHintCode::NearDuplicate)
    );
    let twin = set.images[1]
        .hints
        .iter()
        .find(|hint| hint.code == ImageHintCode::NearDuplicate);
    let twin = twin.expect("the second looks like the first");
    assert_eq!(twin.other_id, Some(set.images[0].id));
    assert!(twin.detail.contains("one.png"), "{}", twin.detail);
    assert!(codes(2).contains(&ImageHintCode::Small) && codes(2).contains(&ImageHintCode::Blurred));
}

#[tokio::test]
async fn pictures_of_two_are_told_and_kept() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let set = ada.set("x").await;
    let of = |places: &[u32]| {
        let picture = image::RgbImage::from_fn(600, 560, |x, y| {
            let near = |place: &u32| x.abs_diff(*place).pow(2) + y.abs_diff(280).pow(2) < 110 * 110;
            let shade = (x % 7 + y % 5).to_le_bytes()[0];
            image::Rgb(if places.iter().any(near) {
                [180, 40 + shade, 30]
            } else {
                [225 + shade, 230, 210]
            })
        });
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture
            .write_to(&mut bytes, image::ImageFormat::Png)
            .unwrap();
        bytes.into_inner()
    };
    for (name, places) in [("one.png", &[300][..]), ("two.png", &[150, 450][..])] {
        let added = ada.upload(&set, name, &of(places)).await;
        assert_eq!(added.status(), StatusCode::OK);
    }
    let set: ProtectedSet = ada.read(&format!("/v1/protected-sets/{}", set.id)).await;
    let told = |at: usize| {
        let mut hints = set.images[at].hints.iter();
        hints.find(|hint| hint.code == ImageHintCode::SeveralSubjects)
    };
    assert_eq!(told(0), None);
    let told = told(1).expect("two discs stand apart");
    assert!(told.detail.contains("crop it"), "{}", told.detail);
}

#[tokio::test]
async fn decoder_that_dies_or_hangs_costs_one_upload() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("decoder.sh");
    fs::write(&program, "#!/bin/sh\nkill -9 $$\n").unwrap();
    fs::set_permissions(
        &program,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let server = Server::start_with(|config| config.decoder = Some(program)).await;
    let ada = server.person("ada").await;
    let set = ada.set("x").await;
    let answer = ada.upload(&set, "a.png", &png(80, 60, 1)).await;
    refused(answer, 422, "undecodable_image").await;
    assert_eq!(ada.get("/v1/me").await.status(), StatusCode::OK);
}
