//! A server that is killed at every step of renewing keys, and of unpacking an archive: no picture is lost or half
//! there, and nothing stays that nobody needs.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "two processes of this test talk by environment and standard output"
)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use reqwest::StatusCode;
use serde_json::json;
use shared::{
    auth::AccessToken,
    protected_set::ProtectedSet,
    upload::{Upload, UploadStatus},
};
use tempfile::TempDir;

use crate::{
    archives::{packed, send},
    killer,
    support::{Person, Server, body, client, config, png},
};

/// The step at which the child dies.
const POINT: &str = "PERSGUARD_TEST_KILL_POINT";
/// Its data directory.
const PLACE: &str = "PERSGUARD_TEST_KILL_PLACE";
/// A path to post to with the token of [`TOKEN`]; keys are renewed where there is none.
const PATH: &str = "PERSGUARD_TEST_KILL_PATH";
const TOKEN: &str = "PERSGUARD_TEST_KILL_TOKEN";
/// Whether every step is tried; each second is otherwise.
const EVERY: &str = "PERSGUARD_TEST_EVERY_STEP";
/// Days after which everything is collected that no row names.
const LATER: i64 = 3 * 24 * 3_600_000;
const PICTURES: u8 = 2;

/// What the killed process does; a test only so that the test program can start itself.
#[tokio::test]
async fn child_of_the_kill_tests() {
    let (Ok(point), Ok(place)) = (env::var(POINT), env::var(PLACE)) else {
        return;
    };
    let place = PathBuf::from(place);
    match env::var(PATH) {
        Ok(path) => {
            let elsewhere = TempDir::new().expect("a directory can be made");
            let server = Server::start_in(elsewhere, |config| config.data_dir = place).await;
            let person = bearer(&server, env::var(TOKEN).expect("a token"));
            killer::arm(&point);
            let done = person.post(&path, &json!({})).await;
            assert_eq!(done.status(), StatusCode::OK);
        }
        Err(_) => {
            killer::arm(&point);
            let config = config("127.0.0.1:0".parse().expect("an address"), &place);
            api::server::rotate_keys(config).await.expect("new keys");
        }
    }
    println!("done");
}

fn bearer(server: &Server, token: String) -> Person<'_> {
    Person {
        server,
        client: client(),
        bearer: Some(token),
        organisation: None,
    }
}

async fn token(person: &Person<'_>) -> String {
    let login = json!({ "email": "ada@example.org", "password": "correct horse battery" });
    let answer = person.post("/v1/tokens", &login).await;
    let token: AccessToken = body(answer, StatusCode::CREATED).await;
    token.access_token
}

/// Runs the child; whether it came to the end.
fn run(point: u64, place: &Path, path: Option<&str>, token: &str) -> bool {
    let program = env::current_exe().expect("this program has a path");
    let mut child = Command::new(program);
    child
        .args(["--exact", "kills::child_of_the_kill_tests", "--nocapture"])
        .env(POINT, point.to_string())
        .env(PLACE, place)
        .env(TOKEN, token)
        .stderr(Stdio::inherit());
    if let Some(path) = path {
        child.env(PATH, path);
    }
    let output = child.output().expect("this program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let done = text.lines().any(|line| line == "done");
    let success = output.status.success();
    assert_eq!(done, success, "it was killed or came to the end: {text}");
    done
}

fn copy(from: &Path) -> TempDir {
    let to = TempDir::new().expect("a directory can be made");
    let copied = Command::new("cp")
        .arg("-a")
        .arg(from.join("."))
        .arg(to.path())
        .status();
    assert!(copied.expect("cp runs").success());
    to
}

/// Files below a folder.
fn count(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .map(|path| if path.is_dir() { count(&path) } else { 1 })
        .sum()
}

/// What was provoked and what it cost, in the words of the artifact store's tests.
#[derive(Default)]
struct Tally {
    kill_points: usize,
    lost: usize,
    orphans: usize,
}

impl Tally {
    fn tell(&self) {
        let (points, lost, orphans) = (self.kill_points, self.lost, self.orphans);
        println!("tally: kill_points={points} faults=0 lost={lost} orphans={orphans}");
        assert!(points > 5, "the child was hardly killed");
        assert_eq!((lost, orphans), (0, 0));
    }

    /// Counts pictures of a set that do not open, or show something else than was sent.
    async fn look(&mut self, person: &Person<'_>, set: &ProtectedSet) {
        let set: ProtectedSet = person.read(&format!("/v1/protected-sets/{}", set.id)).await;
        let mut found = 0;
        for image in &set.images {
            let bytes = person.get(&image.url).await.bytes().await;
            let picture = image::load_from_memory(&bytes.expect("an answer"));
            let shown = picture.map(|picture| picture.to_rgb8());
            let thumbnail = person.get(&image.thumbnail_url).await;
            let sent = |shade| image::load_from_memory(&png(60, 50, shade)).expect("a picture");
            let same = |shade| {
                shown
                    .as_ref()
                    .is_ok_and(|shown| *shown == sent(shade).to_rgb8())
            };
            found += usize::from((0..PICTURES).any(same) && thumbnail.status() == StatusCode::OK);
        }
        self.lost += usize::from(PICTURES) - found;
    }

    /// Counts files that are still there days later and should not be.
    async fn sweep(&mut self, server: &Server, expected: usize) {
        server.clock.advance(LATER);
        let swept = api::dispatch::expiry::sweep(&server.app).await;
        swept.expect("a round of the sweeper");
        let left = count(&server.data_dir().join("artifacts"));
        assert!(left >= expected, "{left} of {expected} objects");
        self.orphans += left - expected;
    }
}

/// The steps that are tried.
fn points() -> impl Iterator<Item = u64> {
    let every = if env::var_os(EVERY).is_some() { 1 } else { 2 };
    (1..).step_by(every)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_renewed_by_a_process_killed_at_every_step_lose_no_picture() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let set = ada.set("x").await;
    for shade in 0..PICTURES {
        let added = ada.upload(&set, "a.png", &png(60, 50, shade)).await;
        assert_eq!(added.status(), StatusCode::OK);
    }
    let token = token(&ada).await;
    let objects = count(&server.data_dir().join("artifacts"));
    let template = server.stop().await;
    let mut tally = Tally::default();
    for point in points() {
        let place = copy(template.path());
        let (folder, pass) = (place.path().to_owned(), token.clone());
        let child = tokio::task::spawn_blocking(move || run(point, &folder, None, &pass));
        let done = child.await.expect("no panic");
        let server = Server::start_in(place, |_| ()).await;
        let person = bearer(&server, token.clone());
        tally.look(&person, &set).await;
        // Whoever runs it again ends what was begun.
        server.rotate_keys().await;
        tally.look(&person, &set).await;
        assert_eq!(count(&server.data_dir().join("master-keys")), 1);
        tally.sweep(&server, objects).await;
        drop(server.stop().await);
        if done {
            break;
        }
        tally.kill_points += 1;
    }
    tally.tell();
}

/// A server with an archive that was sent and not completed, and how many files it keeps without it.
async fn received() -> (TempDir, usize, ProtectedSet, Upload, String) {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let set = ada.set("x").await;
    let files: Vec<_> = (0..PICTURES)
        .map(|shade| (format!("{shade}.png"), png(60, 50, shade)))
        .collect();
    let objects = count(&server.data_dir().join("artifacts"));
    let upload = send(&ada, &set, &packed(&files)).await;
    let token = token(&ada).await;
    (server.stop().await, objects, set, upload, token)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn archive_unpacked_by_a_server_killed_at_every_step_is_whole_in_the_end() {
    let (template, before, set, upload, token) = received().await;
    let complete = format!("/v1/uploads/{}/complete", upload.id);
    let mut tally = Tally::default();
    for point in points() {
        let place = copy(template.path());
        let (folder, path, pass) = (place.path().to_owned(), complete.clone(), token.clone());
        let child = tokio::task::spawn_blocking(move || run(point, &folder, Some(&path), &pass));
        let done = child.await.expect("no panic");
        let server = Server::start_in(place, |_| ()).await;
        let person = bearer(&server, token.clone());
        // The server goes on by itself, and its owner asks again at the same time.
        let answer = person.post(&complete, &json!({})).await;
        let unpacked: Upload = body(answer, StatusCode::OK).await;
        let unpacked = unpacked.unpacked.expect("an archive");
        assert_eq!(unpacked.added.len(), usize::from(PICTURES), "{unpacked:?}");
        assert!(unpacked.left_out.is_empty(), "{unpacked:?}");
        tally.look(&person, &set).await;
        tally
            .sweep(&server, before + 2 * usize::from(PICTURES))
            .await;
        drop(server.stop().await);
        if done {
            break;
        }
        tally.kill_points += 1;
    }
    tally.tell();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn archive_of_a_killed_server_is_unpacked_by_the_next_one_alone() {
    let (template, _, set, upload, token) = received().await;
    let place = template.path().to_owned();
    let (path, pass) = (format!("/v1/uploads/{}/complete", upload.id), token.clone());
    // After the note that unpacking was begun, before its end.
    let child = tokio::task::spawn_blocking(move || run(3, &place, Some(&path), &pass));
    assert!(!child.await.expect("no panic"), "it was killed");
    let server = Server::start_in(template, |_| ()).await;
    let person = bearer(&server, token);
    let mut status = UploadStatus::Pending;
    for _ in 0..300 {
        let seen: Upload = person.read(&format!("/v1/uploads/{}", upload.id)).await;
        status = seen.status;
        if status == UploadStatus::Completed {
            break;
        }
        assert_eq!(seen.unpacked, None, "nothing is said before the end");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(status, UploadStatus::Completed);
    Tally::default().look(&person, &set).await;
}
