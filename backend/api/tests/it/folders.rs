//! Folders inside folders, and archives, by the command line and by the client.

use std::{fs, path::Path};

use client::{Credential, UploadFile, Uploaded};
use serde_json::json;
use shared::protected_set::{ProtectedSet, SetStatus};

use crate::{
    archives::packed,
    clients::{at, tokens},
    commands::{DECLARATION, signed_in, upload},
    proxy::{Fault, Proxy},
    support::{Server, png},
};

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, bytes).expect("written");
}

fn archive(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let files = files.iter();
    let files: Vec<_> = files
        .map(|(name, bytes)| ((*name).to_owned(), bytes.clone()))
        .collect();
    packed(&files)
}

#[tokio::test]
async fn folders_in_folders_and_their_archives_become_one_set() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let shell = signed_in(&server, &ada).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(&path.join("0.png"), &png(64, 64, 0));
    write(&path.join("summer/beach/1.png"), &png(64, 64, 1));
    write(&path.join("summer/beach/notes.txt"), b"sunny");
    let first = [
        ("winter/2.png", png(64, 64, 2)),
        ("0 again.png", png(64, 64, 0)),
        ("notes.txt", b"cold".to_vec()),
        ("torn.png", png(64, 64, 9)[..60].to_vec()),
    ];
    write(&path.join("winter.zip"), &archive(&first));
    // A picture of an archive that is refused keeps the set open, as one of the folder does.
    let refused = shell.run(&upload(path, &DECLARATION)).await.ended(8);
    for line in [
        "left out: summer/beach/notes.txt",
        "left out: winter.zip/notes.txt",
        "left out: winter.zip/torn.png",
        "1 of 5 files",
    ] {
        assert!(refused.err.contains(line), "{line} in {refused:?}");
    }
    write(&path.join("winter.zip"), &archive(&first[..3]));
    let done = shell.run(&upload(path, &DECLARATION)).await.ended(0);
    let told = done.documents();
    let told = told.iter().find(|one| one["file"] == "winter.zip").unwrap();
    let unpacked = &told["unpacked"];
    assert_eq!(unpacked["added"].as_array().map(Vec::len), Some(2));
    assert_eq!(unpacked["left_out"][0]["filename"], json!("notes.txt"));
    let set: ProtectedSet = serde_json::from_value(done.document()).unwrap();
    assert_eq!((set.images.len(), set.status), (3, SetStatus::Sealed));
}

#[tokio::test]
async fn archive_alone_becomes_a_set_called_like_it() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let shell = signed_in(&server, &ada).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("My dog.zip");
    let files: Vec<_> = (0..3)
        .map(|shade| ("a.png", png(64, 64, shade)))
        .enumerate()
        .map(|(number, (name, bytes))| (format!("{number}{name}"), bytes))
        .collect();
    write(&path, &packed(&files));
    let done = shell.run(&upload(&path, &["--draft"])).await.ended(0);
    let set: ProtectedSet = serde_json::from_value(done.document()).unwrap();
    assert_eq!((set.name.as_str(), set.images.len()), ("My dog", 3));
    let again = shell.run(&upload(&path, &DECLARATION)).await.ended(0);
    let again: ProtectedSet = serde_json::from_value(again.document()).unwrap();
    assert_eq!((again.id, again.status), (set.id, SetStatus::Sealed));
    write(&path, b"PK\x03\x04 and nothing else");
    let torn = shell.run(&upload(&path, &DECLARATION)).await.ended(8);
    assert!(torn.err.contains("no ZIP archive"), "{torn:?}");
}

#[tokio::test]
async fn archive_is_sent_anew_once_a_picture_of_it_was_deleted() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let credential = Credential::Tokens(tokens(&ada, "ada").await);
    let client = at(&server.url(""), credential);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pictures.zip");
    let files = [("0.png", png(64, 64, 0)), ("1.png", png(64, 64, 1))];
    write(&path, &archive(&files));
    let file = UploadFile::read(&path).unwrap();
    let set = client.create_set("subject").await.unwrap();
    let upload = async || match client.upload_file(set.id, &file, |_| ()).await {
        Ok(Uploaded::Unpacked(unpacked)) => unpacked.added,
        other => panic!("{other:?}"),
    };
    let first = upload().await;
    assert_eq!((first.len(), upload().await), (2, first.clone()));
    let deleted = ada.delete(&format!("/v1/images/{}", first[0])).await;
    assert_eq!(deleted.status(), reqwest::StatusCode::NO_CONTENT);
    let again = upload().await;
    assert!(again.len() == 2 && again.contains(&first[1]) && !again.contains(&first[0]));
    assert_eq!(client.find_set(set.id).await.unwrap().images.len(), 2);
}

#[tokio::test]
async fn archives_go_on_where_they_broke() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let credential = Credential::Tokens(tokens(&ada, "ada").await);
    let proxy = Proxy::start(server.address).await;
    let client = at(&proxy.url(), credential);
    let folder = tempfile::tempdir().unwrap();
    let set = client.create_set("subject").await.unwrap();
    // Every line breaks once: the announcement, the bytes, the completion.
    for (shade, fault) in [(1, Fault::Cut), (2, Fault::LoseAnswer)] {
        let path = folder.path().join("pictures.zip");
        write(&path, &archive(&[("a/b.png", png(64, 64, shade))]));
        let file = UploadFile::read(&path).unwrap();
        proxy.next(&[fault, Fault::None, fault, Fault::None, fault]);
        let done = client.upload_file(set.id, &file, |_| ()).await.unwrap();
        assert!(
            matches!(&done, Uploaded::Unpacked(unpacked) if unpacked.added.len() == 1),
            "{done:?}"
        );
        assert_eq!(proxy.left(), 0, "every fault happened");
        let again = client.upload_file(set.id, &file, |_| ()).await.unwrap();
        assert_eq!(again, done, "the same answer without sending it again");
    }
    assert_eq!(client.find_set(set.id).await.unwrap().images.len(), 2);
}
