//! An archive of pictures at two servers of one database: one of them unpacks it, whoever is asked, and the other goes on
//! where that one was killed.

use std::{
    io::{Cursor, Write},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use e2e::{Person, Postgres, Server, wait::until};
use reqwest::{Method, StatusCode};
use serde_json::json;
use shared::{
    protected_set::ProtectedSet,
    upload::{Unpacked, Upload},
};
use zip::{ZipWriter, write::SimpleFileOptions};

/// What a server logs when it begins to take pictures out of an archive.
const OPENED: &str = "archive opened";
const UNPACKED: &str = "picture unpacked";
const LIMIT: Duration = Duration::from_mins(1);

/// Every bundled picture, and how many they are.
fn archive() -> Result<(Vec<u8>, usize)> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let mut count = 0;
    for set in demo::sample_sets() {
        for (name, bytes) in set.images {
            let path = format!("{}/{name}", set.name);
            writer.start_file(path, SimpleFileOptions::default())?;
            writer.write_all(bytes)?;
            count += 1;
        }
    }
    Ok((writer.finish()?.into_inner(), count))
}

/// How often both servers logged something.
fn logged(servers: [&Server; 2], what: &str) -> Result<usize> {
    let mut count = 0;
    for server in servers {
        count += server.whole_log()?.matches(what).count();
    }
    Ok(count)
}

/// An archive that arrived in a draft of its own.
async fn arrived(person: &Person, archive: &[u8]) -> Result<(ProtectedSet, Upload)> {
    let name = json!({ "name": "Everything" });
    let path = "/v1/protected-sets";
    let set: ProtectedSet = person
        .send(Method::POST, path, &name, StatusCode::CREATED)
        .await?;
    let file = ("photos.zip", "application/zip");
    let upload = person.send_file(&set, file, archive).await?;
    Ok((set, upload))
}

async fn complete(person: &Person, upload: &Upload) -> Result<Unpacked> {
    let path = format!("/v1/uploads/{}/complete", upload.id);
    let done: Upload = person
        .send(Method::POST, &path, &json!({}), StatusCode::OK)
        .await?;
    done.unpacked.context("it is an archive")
}

async fn holds(person: &Person, set: &ProtectedSet, count: usize) -> Result<()> {
    let seen: ProtectedSet = person
        .get(&format!("/v1/protected-sets/{}", set.id))
        .await?;
    assert_eq!(seen.images.len(), count);
    Ok(())
}

#[tokio::test]
async fn one_of_two_servers_unpacks_an_archive_and_the_other_goes_on_after_it() -> Result<()> {
    let postgres = Postgres::start()?;
    let database = postgres.url();
    let settings = [
        ("PERSGUARD_DATABASE_URL", database.as_str()),
        ("PERSGUARD_LOCAL_NODE", "false"),
        ("PERSGUARD_LOG", "info,artifacts::step=trace"),
    ];
    let mut first = Server::start(&settings)?;
    let second = first.beside(&settings)?;
    let person = Person::sign_up(&first, "person@example.org").await?;
    let elsewhere = Person::sign_in(&second.url(""), "person@example.org").await?;
    let (archive, count) = archive()?;

    // Both are asked at once.
    let (set, upload) = arrived(&person, &archive).await?;
    let (one, other) = tokio::join!(complete(&person, &upload), complete(&elsewhere, &upload));
    let (one, other) = (one?, other?);
    assert_eq!(one, other);
    assert_eq!(one.added.len(), count, "{:?}", one.left_out);
    assert_eq!(logged([&first, &second], OPENED)?, 1, "one did the work");
    holds(&elsewhere, &set, count).await?;

    // The one at work is killed; who is asked then takes what is left.
    let before = logged([&first, &second], UNPACKED)?;
    let (set, upload) = arrived(&person, &archive).await?;
    let begun = tokio::spawn({
        let upload = upload.clone();
        async move { complete(&person, &upload).await }
    });
    until("the first pictures", LIMIT, || async {
        let done = logged([&first, &second], UNPACKED)? - before;
        Ok((done > 2).then_some(()))
    })
    .await?;
    first.kill()?;
    ensure!(begun.await?.is_err(), "it was killed too late");
    let rest = complete(&elsewhere, &upload).await?;
    assert_eq!(rest.added.len(), count, "{:?}", rest.left_out);
    assert_eq!(logged([&first, &second], OPENED)?, 3);
    holds(&elsewhere, &set, count).await
}
