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
    support::{Person, Server, body, client, config, master_keys, png},
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
    if let Ok(path) = env::var(PATH) {
        let elsewhere = TempDir::new().expect("a directory can be made");
        let server = Server::start_in(elsewhere, |config| config.data_dir = place).await;
        let person = bearer(&server, env::var(TOKEN).expect("a token"));
        killer::arm(&point);
        let done = person.post(&path, &json!({})).await;
        assert_eq!(done.status(), StatusCode::OK);
    } else {
        killer::arm(&point);
        let config = config("127.0.0.1:0".parse().expect("an address"), &place);
        api::server::rotate_keys(config).await.expect("new keys");
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
    for _ in 0..20 {
        let to = TempDir::new().expect("a directory can be made");
        let copied = Command::new("cp")
            .arg("-a")
            .arg(from.join("."))
            .arg(to.path())
            .status();
        if copied.expect("cp runs").success() {
            return to;
        }
        // The database of a stopped server may still be taking its log away.
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{} cannot be copied", from.display());
}

/// Files below a folder.
pub(crate) fn count(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .map(|path| if path.is_dir() { count(&path) } else { 1 })
        .sum()
}

/// What was provoked and what it cost, in the words of the artifact store's tests.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) kill_points: usize,
    pub(crate) faults: usize,
    pub(crate) lost: usize,
    pub(crate) orphans: usize,
}

impl Tally {
    pub(crate) fn tell(&self) {
        let Self {
            kill_points,
            faults,
            lost,
            orphans,
        } = *self;
        println!("tally: kill_points={kill_points} faults={faults} lost={lost} orphans={orphans}");
        assert!(kill_points + faults > 3, "hardly anything was tried");
        assert_eq!((lost, orphans), (0, 0));
    }

    /// Counts pictures of a set that do not open, or show something else than was sent.
    async fn look(&mut self, person: &Person<'_>, set: &ProtectedSet, pictures: u8) {
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
            found += usize::from((0..pictures).any(same) && thumbnail.status() == StatusCode::OK);
        }
        self.lost += usize::from(pictures) - found;
    }

    /// Counts files in a folder that are still there days later and should not be.
    pub(crate) async fn sweep(&mut self, server: &Server, folder: &Path, expected: usize) {
        server.clock.advance(LATER);
        let swept = api::dispatch::expiry::sweep(&server.app).await;
        swept.expect("a round of the sweeper");
        let left = count(folder);
        assert!(left >= expected, "{left} of {expected} objects");
        self.orphans += left - expected;
    }
}

fn objects(server: &Server) -> PathBuf {
    server.data_dir().join("artifacts")
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
    let before = count(&objects(&server));
    let template = server.stop().await;
    let mut tally = Tally::default();
    for point in points() {
        let place = copy(template.path());
        let (folder, pass) = (place.path().to_owned(), token.clone());
        let child = tokio::task::spawn_blocking(move || run(point, &folder, None, &pass));
        let done = child.await.expect("no panic");
        let server = Server::start_in(place, |_| ()).await;
        let person = bearer(&server, token.clone());
        tally.look(&person, &set, PICTURES).await;
        // Whoever runs it again ends what was begun.
        server.rotate_keys().await;
        tally.look(&person, &set, PICTURES).await;
        assert_eq!(master_keys(&server.data_dir()).len(), 1);
        tally.sweep(&server, &objects(&server), before).await;
        drop(server.stop().await);
        if done {
            break;
        }
        tally.kill_points += 1;
    }
    tally.tell();
}

/// What a server holds that was stopped between the arrival of a file and its completion.
struct Received {
    place: TempDir,
    /// How many files it keeps without that one.
    before: usize,
    set: ProtectedSet,
    upload: Upload,
    token: String,
}

impl Received {
    /// An archive of pictures, or one picture.
    async fn new(archive: bool) -> Self {
        let server = Server::start().await;
        let ada = server.person("ada").await;
        let set = ada.set("x").await;
        let before = count(&objects(&server));
        let upload = if archive {
            let files = (0..PICTURES).map(|shade| (format!("{shade}.png"), png(60, 50, shade)));
            send(&ada, &set, &packed(&files.collect::<Vec<_>>())).await
        } else {
            let bytes = png(60, 50, 0);
            let answer = ada.announce(&set, "0.png", &bytes).await;
            let upload: Upload = body(answer, StatusCode::CREATED).await;
            assert_eq!(ada.send(&upload, &bytes).await.status(), StatusCode::OK);
            upload
        };
        let token = token(&ada).await;
        Self {
            place: server.stop().await,
            before,
            set,
            upload,
            token,
        }
    }

    fn complete(&self) -> String {
        format!("/v1/uploads/{}/complete", self.upload.id)
    }

    /// Lets a server on a copy die at a step; what it left, and whether it came to the end.
    async fn killed(&self, point: u64) -> (TempDir, bool) {
        let place = copy(self.place.path());
        let folder = place.path().to_owned();
        let (path, token) = (self.complete(), self.token.clone());
        let child = tokio::task::spawn_blocking(move || run(point, &folder, Some(&path), &token));
        (place, child.await.expect("no panic"))
    }

    /// Kills it at every step; its owner completes it then, while the next server goes on by itself.
    async fn kill_everywhere(&self, pictures: u8) {
        let mut tally = Tally::default();
        for point in points() {
            let (place, done) = self.killed(point).await;
            let server = Server::start_in(place, |_| ()).await;
            let person = bearer(&server, self.token.clone());
            let answer = person.post(&self.complete(), &json!({})).await;
            let completed: Upload = body(answer, StatusCode::OK).await;
            if let Some(unpacked) = &completed.unpacked {
                assert_eq!(unpacked.added.len(), usize::from(pictures), "{unpacked:?}");
                assert!(unpacked.left_out.is_empty(), "{unpacked:?}");
            }
            tally.look(&person, &self.set, pictures).await;
            let expected = self.before + 2 * usize::from(pictures);
            tally.sweep(&server, &objects(&server), expected).await;
            drop(server.stop().await);
            if done {
                break;
            }
            tally.kill_points += 1;
        }
        tally.tell();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn archive_unpacked_by_a_server_killed_at_every_step_is_whole_in_the_end() {
    Received::new(true).await.kill_everywhere(PICTURES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn picture_taken_in_by_a_server_killed_at_every_step_is_whole_in_the_end() {
    Received::new(false).await.kill_everywhere(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn archive_of_a_killed_server_is_unpacked_by_the_next_one_alone() {
    let received = Received::new(true).await;
    // After the note that unpacking was begun, before its end.
    let (place, done) = received.killed(3).await;
    assert!(!done, "it was killed");
    let server = Server::start_in(place, |_| ()).await;
    let person = bearer(&server, received.token.clone());
    let mut status = UploadStatus::Pending;
    for _ in 0..300 {
        let seen: Upload = person
            .read(&format!("/v1/uploads/{}", received.upload.id))
            .await;
        status = seen.status;
        if status == UploadStatus::Completed {
            break;
        }
        assert_eq!(seen.unpacked, None, "nothing is said before the end");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(status, UploadStatus::Completed);
    let mut tally = Tally::default();
    tally.look(&person, &received.set, PICTURES).await;
    assert_eq!(tally.lost, 0);
}
