//! The program's commands against a server, as a shell runs them: exit codes, JSON, and what they leave behind.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use reqwest::StatusCode;
use serde_json::{Value, json};
use shared::{api_key::CreatedApiKey, job::Job, protected_set::ProtectedSet};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
};

use crate::{
    keys::make,
    scripted::{collateral, evaluation_outputs, protect, report, succeeded},
    share_links,
    support::{Person, Server, png},
};

/// Somebody's shell: a home of their own, and nothing else in the environment.
pub(crate) struct Shell {
    pub(crate) home: TempDir,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Every line of its JSON.
    pub(crate) fn documents(&self) -> Vec<Value> {
        let lines = self.out.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {self:?}")))
            .collect()
    }

    /// The last one, which is what the command is about.
    pub(crate) fn document(&self) -> Value {
        self.documents().pop().expect("a document")
    }

    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}

impl Shell {
    pub(crate) fn new() -> Self {
        Self {
            home: tempfile::tempdir().expect("a home"),
        }
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_persguard"));
        command
            .args(words)
            .env_clear()
            .env("HOME", self.home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub(crate) async fn run(&self, words: &[&str]) -> Said {
        self.run_with(words, "").await
    }

    pub(crate) async fn run_with(&self, words: &[&str], input: &str) -> Said {
        let mut child = self.command(words).spawn().expect("it starts");
        let mut stdin = child.stdin.take().expect("an input");
        // A command that reads nothing may be gone by now.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        said(child).await
    }

    pub(crate) fn credentials(&self) -> PathBuf {
        self.home.path().join(".config/persguard/credentials.json")
    }
}

pub(crate) async fn said(child: Child) -> Said {
    let ended = tokio::time::timeout(Duration::from_mins(1), child.wait_with_output()).await;
    let output = ended.expect("it ends").expect("its output");
    Said {
        code: output.status.code().expect("an exit code"),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

const SCOPES: [&str; 6] = [
    "sets:read",
    "sets:write",
    "jobs:run",
    "jobs:cancel",
    "galleries:read",
    "share:write",
];

async fn key(person: &Person<'_>) -> CreatedApiKey {
    make(person, &json!({ "name": "CI", "scopes": SCOPES })).await
}

pub(crate) async fn signed_in(server: &Server, person: &Person<'_>) -> Shell {
    let shell = Shell::new();
    let url = server.url("");
    let words = ["login", "--key", "--server", &url];
    let key = key(person).await.secret;
    shell.run_with(&words, &format!("{key}\n")).await.ended(0);
    shell
}

/// A folder with three pictures.
fn pictures() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for shade in 0..3 {
        let path = folder.path().join(format!("{shade}.png"));
        std::fs::write(path, png(64, 64, shade)).expect("written");
    }
    folder
}

pub(crate) const DECLARATION: [&str; 9] = [
    "--basis",
    "own",
    "--declared-by",
    "Ada Example",
    "--jurisdiction",
    "Germany",
    "--depicts-person",
    "no",
    "--confirm",
];

pub(crate) fn upload<'a>(folder: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec!["upload", folder.to_str().expect("a path"), "--json"];
    words.extend(more);
    words
}

#[tokio::test]
async fn wrong_credentials_are_told_apart_and_none_is_kept() {
    let server = Server::start().await;
    let shell = Shell::new();
    let url = server.url("");
    let nobody = shell.run(&["gallery", "--json"]).await.ended(3);
    assert_eq!(nobody.document()["error"]["exit_code"], 3);
    shell.run(&["login", "--key"]).await.ended(2);
    let words = ["login", "--key", "--server", &url];
    shell.run_with(&words, " \n").await.ended(2);
    let wrong = shell.run_with(&words, "pg_live_wrong").await.ended(3);
    assert!(!wrong.err.contains("pg_live_wrong"), "{wrong:?}");
    let open = ["login", "--key", "--server", "http://192.0.2.1"];
    let open = shell.run_with(&open, "pg_live_wrong").await.ended(2);
    assert!(open.err.contains("TLS"), "{open:?}");
    assert!(!shell.credentials().exists(), "nothing was kept");
    let asked = shell.run(&["login", "--key", "pg_live_x"]).await.ended(2);
    assert!(asked.err.contains("unexpected argument"), "{asked:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn key_is_kept_for_its_owner_alone_until_the_sign_out() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let shell = signed_in(&server, &ada).await;
    let file = shell.credentials();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o600);
    let listed = shell.run(&["gallery", "--json"]).await.ended(0);
    assert_eq!(listed.document(), json!([]));
    let written = format!("HTTP://{}/", server.address);
    let words = ["gallery", "--json", "--server", &written];
    let listed = shell.run(&words).await.ended(0);
    assert_eq!(listed.document(), json!([]), "the same server");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = shell.run(&["gallery"]).await.ended(1);
    assert!(open.err.contains("chmod 600"), "{open:?}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let words = ["logout", "--server", &written];
    shell.run(&words).await.ended(0);
    shell.run(&["gallery"]).await.ended(3);
    shell.run(&["logout"]).await.ended(3);

    // A job has no home: the environment has the key.
    let mut command = shell.command(&["gallery", "--json"]);
    command.env("PERSGUARD_SERVER", server.url(""));
    command.env("PERSGUARD_API_KEY", key(&ada).await.secret);
    said(command.spawn().unwrap()).await.ended(0);
}

#[tokio::test]
async fn upload_asks_for_everything_and_goes_on_where_it_stopped() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let shell = signed_in(&server, &ada).await;
    let folder = pictures();
    let path = folder.path();
    shell
        .run(&upload(&path.join("no"), &DECLARATION))
        .await
        .ended(1);
    let silent = shell.run(&upload(path, &["--basis", "own"])).await.ended(2);
    for flag in [
        "--declared-by",
        "--jurisdiction",
        "--depicts-person",
        "--confirm",
        "--draft",
    ] {
        assert!(silent.err.contains(flag), "{flag} in {silent:?}");
    }
    let mut person = DECLARATION;
    person[7] = "yes";
    let consent = shell.run(&upload(path, &person)).await.ended(2);
    assert!(consent.err.contains("consent"), "{consent:?}");
    let few = tempfile::tempdir().unwrap();
    std::fs::write(few.path().join("a.png"), png(64, 64, 9)).unwrap();
    shell.run(&upload(few.path(), &DECLARATION)).await.ended(2);
    let sets: shared::page::Page<ProtectedSet> = ada.read("/v1/protected-sets").await;
    assert!(sets.data.is_empty(), "nothing was begun: {sets:?}");

    // A picture that is none is found by the server alone.
    let broken = path.join("3.png");
    std::fs::write(&broken, &png(64, 64, 3)[..60]).unwrap();
    std::fs::write(path.join("notes.txt"), "x").unwrap();
    let refused = shell.run(&upload(path, &DECLARATION)).await.ended(8);
    assert!(refused.err.contains("not accepted: 3.png"), "{refused:?}");
    assert!(refused.err.contains("left out: notes.txt"), "{refused:?}");
    let files = refused.documents();
    let bad = files.iter().find(|file| file["file"] == "3.png").unwrap();
    assert_eq!(
        (&bad["accepted"], &bad["code"]),
        (&json!(false), &json!("undecodable_image"))
    );
    std::fs::write(&broken, png(64, 64, 3)).unwrap();
    let done = shell.run(&upload(path, &DECLARATION)).await.ended(0);
    assert_eq!(done.documents().len(), 2, "one file was sent: {done:?}");
    let set: ProtectedSet = serde_json::from_value(done.document()).unwrap();
    assert_eq!((set.images.len(), set.manifest_sha256.is_some()), (4, true));
    let sets: shared::page::Page<ProtectedSet> = ada.read("/v1/protected-sets").await;
    assert_eq!(
        sets.data.len(),
        1,
        "the second run went on with the first one's set"
    );
    // What is sealed stays as it is: a third run makes another set.
    let other = shell.run(&upload(path, &DECLARATION)).await.ended(0);
    assert_ne!(other.document()["id"], done.document()["id"]);
}

/// The rest of the way, by a scripted node.
async fn finish(server: &Server) {
    let node = server.node();
    let lease = node.lease().await;
    let step = json!({ "kind": "step", "phase": "Training the trigger", "step": 1, "total": 2 });
    node.beat(&lease, json!([step])).await;
    protect(&node, &lease).await;
    let lease = node.lease().await;
    node.beat(&lease, json!([])).await;
    let mut file = report();
    file["collateral"] = collateral();
    let outputs = evaluation_outputs(&node, &lease, file.to_string().as_bytes()).await;
    let status = node.finish(&lease, succeeded(&outputs)).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
}

/// What was saved of another gallery does not get the numbers of this one.
async fn galleries_are_not_mixed(shell: &Shell, save: &[&str], folder: &Path, kept: Value) {
    let mut other = kept;
    other["id"] = json!("gal_00000000000000000000000000000001");
    let file = folder.join("gallery.json");
    for another in [other.to_string(), "{".into()] {
        std::fs::write(&file, &another).expect("written");
        let mixed = shell.run(save).await.ended(2);
        assert!(mixed.err.contains("folder of its own"), "{mixed:?}");
        let left = std::fs::read_to_string(&file).expect("a file");
        assert_eq!(left, another);
    }
}

#[tokio::test]
async fn folder_becomes_a_gallery() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let shell = signed_in(&server, &ada).await;
    let folder = pictures();
    let set = shell
        .run(&upload(folder.path(), &DECLARATION))
        .await
        .ended(0);
    let set = set.document()["id"].as_str().unwrap().to_owned();

    let words = ["--class", "dog", "--identifier", "sks", "--json"];
    let words = [&["protect", set.as_str()][..], &words].concat();
    let open = shell.run(&words).await.ended(2);
    assert!(open.err.contains("--target"), "{open:?}");
    let teapot = [&words[..], &["--target", "teapot", "--yes"]].concat();
    let teapot = shell.run(&teapot).await.ended(7);
    let checks = teapot.documents()[0]["preflight"]["checks"].clone();
    let failed = checks
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["status"] == "fail");
    assert_eq!(failed.unwrap()["code"], "target_vetted");
    let words = [&words[..], &["--target", "apple"]].concat();
    shell.run(&words).await.ended(2);
    let dry = [&words[..], &["--dry-run"]].concat();
    let dry = shell.run(&dry).await.ended(0);
    assert_eq!(dry.document()["preflight"]["ready"], true);
    let jobs: shared::page::Page<Job> = ada.read("/v1/jobs").await;
    assert!(jobs.data.is_empty(), "nothing was launched: {jobs:?}");

    let launch = [&words[..], &["--yes", "--idempotency-key", "once"]].concat();
    let job = shell.run(&launch).await.ended(0).document();
    let again = shell.run(&launch).await.ended(0).document();
    assert_eq!(again["id"], job["id"]);
    let job = job["id"].as_str().unwrap().to_owned();
    let early = shell.run(&["gallery", &job]).await.ended(2);
    assert!(early.err.contains("watch"), "{early:?}");

    let watch = shell.command(&["watch", &job, "--json"]).spawn().unwrap();
    finish(&server).await;
    let watched = said(watch).await.ended(0);
    let documents = watched.documents();
    let told = |text: &str| documents.iter().any(|one| one.to_string().contains(text));
    assert!(
        told("Training the trigger") && told("succeeded"),
        "{watched:?}"
    );
    let last = watched.document();
    assert_eq!(
        (&last["kind"], &last["status"]),
        (&json!("evaluate"), &json!("succeeded"))
    );

    let saved = shell.home.path().join("gallery");
    let words = ["gallery", &job, "--save", saved.to_str().unwrap()];
    let shown = shell.run(&words).await.ended(0);
    for text in [
        "Resisted in a test.",
        "after 200 attack steps",
        "0.50 [0.40, 0.60] n=1",
        "Other attacks were not tried.",
    ] {
        assert!(shown.out.contains(text), "{text} in {shown:?}");
    }
    for name in [
        "clean/200/1.png",
        "protected/200/1.png",
        "references/02.png",
    ] {
        let bytes = std::fs::read(saved.join(name)).expect(name);
        assert!(bytes.starts_with(b"\x89PNG"), "{name}");
    }
    let kept: Value =
        serde_json::from_slice(&std::fs::read(saved.join("gallery.json")).unwrap()).unwrap();
    assert_eq!(kept["report"]["grade"], "resisted");
    shell.run(&words).await.ended(0);
    galleries_are_not_mixed(&shell, &words, &saved, kept).await;
    shell
        .run(&["gallery", "gal_00000000000000000000000000000001"])
        .await
        .ended(4);
}

#[tokio::test]
async fn watch_ends_as_its_job_does_or_when_it_is_told_to() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let shell = signed_in(&server, &ada).await;
    let job = ada.job().await;
    let id = job.id.to_string();
    let mut watch = shell.command(&["watch", &id, "--json"]).spawn().unwrap();
    let out = watch.stdout.take().unwrap();
    let mut lines = BufReader::new(out).lines();
    let first = lines.next_line().await.unwrap().expect("the queue");
    assert!(first.contains("queued"), "{first}");
    let pid = rustix::process::Pid::from_raw(i32::try_from(watch.id().unwrap()).unwrap());
    rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::INT).unwrap();
    let stopped = said(watch).await.ended(130);
    assert!(stopped.err.contains("same command"), "{stopped:?}");

    let watch = shell.command(&["watch", &id]).spawn().unwrap();
    ada.post(&job.urls.cancel, &json!({})).await;
    let canceled = said(watch).await.ended(6);
    assert!(canceled.out.contains("canceled"), "{canceled:?}");
}

#[tokio::test]
async fn verify_tells_programs_what_it_tells_people() {
    let shell = Shell::new();
    let file = shell.home.path().join("certificate.json");
    std::fs::write(&file, "{}").unwrap();
    let path = file.to_str().unwrap();
    let people = shell.run(&["verify", path]).await.ended(1);
    let programs = shell.run(&["verify", path, "--json"]).await.ended(1);
    let document = programs.document();
    assert_eq!(document["valid"], false);
    let detail = document["detail"].as_str().unwrap();
    assert!(
        people.err.contains(detail.split(':').next().unwrap()),
        "{people:?} {detail}"
    );
    shell
        .run(&["verify", "/no/such/file", "--json"])
        .await
        .ended(1);
}

#[tokio::test]
async fn completions_know_the_commands() {
    let shell = Shell::new();
    for name in ["bash", "zsh", "fish"] {
        let script = shell.run(&["completion", name]).await.ended(0);
        for word in [
            "login",
            "upload",
            "protect",
            "watch",
            "gallery",
            "share",
            "jurisdiction",
        ] {
            assert!(script.out.contains(word), "{name}: {word}");
        }
    }
    shell.run(&["completion", "tcl"]).await.ended(2);
    let help = shell.run(&["upload", "--help"]).await.ended(0);
    assert!(help.out.contains("Exit codes:"), "{help:?}");
}

#[tokio::test]
async fn gallery_is_shared_listed_and_taken_back() {
    let server = Server::start().await;
    let person = server.confirmed("ada").await;
    let gallery = share_links::gallery(&server, &person).await;
    let shell = signed_in(&server, &person).await;
    shell.run(&["share"]).await.ended(2);
    let none = shell
        .run_with(&["share", &gallery, "--password"], "\n")
        .await;
    none.ended(2);
    let words = [
        "share",
        &gallery,
        "--recipient",
        "Nord",
        "--password",
        "--json",
    ];
    let made = shell.run_with(&words, "tell me a secret\n").await.ended(0);
    let made = made.document();
    let url = made["url"].as_str().unwrap().to_owned();
    assert_eq!(made["has_password"], true);
    let page = reqwest::get(&url).await.unwrap().text().await.unwrap();
    assert!(page.contains("type=\"password\""), "{page}");
    let plain = shell.run(&["share", &gallery]).await.ended(0);
    assert!(plain.out.starts_with(&server.url("/s/")), "{plain:?}");
    let listed = shell.run(&["share", "--list"]).await.ended(0);
    assert!(
        listed.out.contains("for Nord") && listed.out.lines().count() == 2,
        "{listed:?}"
    );
    assert!(!listed.out.contains(&url), "addresses are shown once");
    let id = made["id"].as_str().unwrap();
    shell.run(&["share", "--revoke", id]).await.ended(0);
    let gone = reqwest::get(&url).await.unwrap();
    assert_eq!(gone.status(), StatusCode::GONE);
    let unknown = format!("lnk_{:032x}", 1);
    shell.run(&["share", "--revoke", &unknown]).await.ended(4);
}
