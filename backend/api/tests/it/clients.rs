//! The typed client against the server: refusals, broken lines, renewed tokens, resumed uploads, lists and streams.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use client::{
    Client, Credential, Error, MemoryTokens, Retry, Secret, Settings, TokenPair, TokenStore,
    UploadFile, Uploaded,
};
use futures::{StreamExt, TryStreamExt};
use serde_json::json;
use shared::{
    SetId,
    auth::AccessToken,
    job::JobSpec,
    problem::ErrorCode,
    progress::JobEvent,
    protected_set::{CreateAttestation, ProtectedSet, RightsBasis},
};

use crate::{
    proxy::{Fault, Proxy},
    support::{Person, Server, body, png},
};

/// Patient enough for a fault, quick enough for a test.
const QUICK: Retry = Retry {
    tries: 4,
    first_pause: Duration::from_millis(20),
    longest_pause: Duration::from_millis(100),
    longest_asked: Duration::from_secs(5),
};

pub(crate) async fn tokens(person: &Person<'_>, name: &str) -> Arc<MemoryTokens> {
    let login =
        json!({ "email": format!("{name}@example.org"), "password": "correct horse battery" });
    let answer = person.post("/v1/tokens", &login).await;
    let token: AccessToken = body(answer, reqwest::StatusCode::CREATED).await;
    Arc::new(MemoryTokens::new(token.into()))
}

pub(crate) fn at(address: &str, credential: Credential) -> Client {
    let settings = Settings {
        retry: QUICK,
        ..Settings::new(address).with(credential)
    };
    Client::new(settings).expect("a client")
}

/// A new account's client, straight to the server.
async fn signed_in(server: &Server, name: &str) -> (Client, Arc<MemoryTokens>) {
    let person = server.person(name).await;
    let tokens = tokens(&person, name).await;
    let credential = Credential::Tokens(tokens.clone());
    (at(&server.url(""), credential), tokens)
}

fn picture(folder: &tempfile::TempDir, shade: u8) -> UploadFile {
    let path: PathBuf = folder.path().join(format!("{shade}.png"));
    std::fs::write(&path, png(64, 64, shade)).expect("written");
    UploadFile::read(&path).expect("a picture")
}

#[tokio::test]
async fn refusals_are_typed() {
    let server = Server::start().await;
    let key = Credential::Key(Secret::new("pg_live_nonsense"));
    let stranger = at(&server.url(""), key);
    let refused = stranger.find_me().await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::Unauthenticated));
    assert_eq!(refused.status(), Some(401));

    let (ada, _) = signed_in(&server, "ada").await;
    let nameless = ada.create_set(" ").await.unwrap_err();
    let problem = nameless.problem().expect("a problem");
    assert_eq!(problem.code, ErrorCode::Invalid);
    assert_eq!(problem.errors[0].pointer, "#/name");
    let (grace, _) = signed_in(&server, "grace").await;
    let set = grace.create_set("hers").await.unwrap();
    let foreign = ada.find_set(set.id).await.unwrap_err();
    assert_eq!(foreign.code(), Some(ErrorCode::NotFound));
    let missing = ada.find_set(SetId::nil()).await.unwrap_err();
    assert_eq!(missing.code(), Some(ErrorCode::NotFound));

    let nobody = at("http://127.0.0.1:1", Credential::Key(Secret::new("x")));
    let silence = nobody.find_me().await.unwrap_err();
    assert!(matches!(silence, Error::Unreachable { .. }), "{silence:?}");
}

#[tokio::test]
async fn what_is_sent_again_happens_once() {
    let server = Server::start().await;
    let (_, tokens) = signed_in(&server, "ada").await;
    let proxy = Proxy::start(server.address).await;
    for (name, fault) in [
        ("cut", Fault::Cut),
        ("lost", Fault::LoseAnswer),
        ("busy", Fault::Busy),
    ] {
        proxy.next(&[fault, fault]);
        let client = at(&proxy.url(), Credential::Tokens(tokens.clone()));
        let set = client.create_set(name).await.expect(name);
        assert_eq!(set.name, name);
        assert_eq!(proxy.left(), 0, "{name}: every fault happened");
    }
    let client = at(&server.url(""), Credential::Tokens(tokens));
    let sets: Vec<ProtectedSet> = client.sets().try_collect().await.unwrap();
    let names: Vec<&str> = sets.iter().map(|set| set.name.as_str()).collect();
    assert_eq!(names, ["busy", "lost", "cut"], "newest first, each once");
}

#[tokio::test]
async fn patience_ends() {
    let server = Server::start().await;
    let (_, tokens) = signed_in(&server, "ada").await;
    let proxy = Proxy::start(server.address).await;
    proxy.next(&[Fault::Busy; 4]);
    let client = at(&proxy.url(), Credential::Tokens(tokens));
    let busy = client.find_me().await.unwrap_err();
    assert_eq!(busy.status(), Some(503));
    assert!(matches!(busy, Error::Unexplained { .. }), "{busy:?}");
    assert_eq!(proxy.left(), 0);
}

#[tokio::test]
async fn expired_tokens_are_renewed_once_for_all() {
    let server = Server::start().await;
    let (client, tokens) = signed_in(&server, "ada").await;
    let first = tokens.load().unwrap();
    client.find_me().await.unwrap();
    assert_eq!(tokens.load().unwrap(), first, "a valid token is kept");

    server.clock.advance(16 * 60_000);
    let calls = (0..8).map(|_| client.find_me());
    for answer in futures::future::join_all(calls).await {
        // A refresh token that were shown twice would have ended the sign-in.
        assert_eq!(answer.unwrap().email, "ada@example.org");
    }
    let second = tokens.load().unwrap();
    assert_ne!(second, first);
    client.find_me().await.unwrap();
    assert_eq!(tokens.load().unwrap(), second);

    // Somebody shows the first refresh token again: the sign-in is over, and the client says so.
    let stale = TokenPair {
        access_token: first.access_token,
        refresh_token: first.refresh_token,
    };
    let thief = at(
        &server.url(""),
        Credential::Tokens(Arc::new(MemoryTokens::new(stale))),
    );
    let refused = thief.find_me().await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::Unauthenticated));
    server.clock.advance(16 * 60_000);
    let over = client.find_me().await.unwrap_err();
    assert_eq!(over.code(), Some(ErrorCode::Unauthenticated));
}

#[tokio::test]
async fn uploads_go_on_where_they_broke() {
    let server = Server::start().await;
    let (_, tokens) = signed_in(&server, "ada").await;
    let proxy = Proxy::start(server.address).await;
    let folder = tempfile::tempdir().unwrap();
    let credential = Credential::Tokens(tokens);
    let direct = at(&server.url(""), credential.clone());
    let set = direct.create_set("subject").await.unwrap();

    // Every line breaks once: the announcement, the bytes, the completion.
    for (shade, fault) in [(1, Fault::Cut), (2, Fault::LoseAnswer)] {
        let file = picture(&folder, shade);
        let client = at(&proxy.url(), credential.clone());
        proxy.next(&[fault, Fault::None, fault, Fault::None, fault]);
        let done = client.upload_file(set.id, &file, |_| ()).await.unwrap();
        assert!(matches!(done, Uploaded::Added(_)), "{done:?}");
        assert_eq!(proxy.left(), 0, "every fault happened");
    }
    assert_eq!(direct.find_set(set.id).await.unwrap().images.len(), 2);

    // Announced and forgotten; hours later its address has expired.
    let file = picture(&folder, 3);
    proxy.next(&[Fault::None]);
    let impatient = at(&proxy.url(), credential.clone());
    let upload = impatient.upload_file(set.id, &file, |_| ());
    drop(tokio::time::timeout(Duration::from_millis(1), upload).await);
    server.clock.advance(3 * 3_600_000);
    let done = direct.upload_file(set.id, &file, |_| ()).await.unwrap();
    assert!(matches!(done, Uploaded::Added(_)), "{done:?}");

    // What is there is not sent again: all that is told is that everything has arrived.
    for shade in [1, 2, 3] {
        let file = picture(&folder, shade);
        let told = Arc::new(AtomicUsize::new(0));
        let count = told.clone();
        let sent = move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        };
        direct.upload_file(set.id, &file, sent).await.unwrap();
        assert_eq!(told.load(Ordering::Relaxed), 1);
    }
    let copy = folder.path().join("copy.png");
    std::fs::copy(folder.path().join("1.png"), &copy).unwrap();
    let copy = UploadFile::read(&copy).unwrap();
    let done = direct.upload_file(set.id, &copy, |_| ()).await.unwrap();
    assert_eq!(done, Uploaded::AlreadyThere);
    assert_eq!(direct.find_set(set.id).await.unwrap().images.len(), 3);
}

#[tokio::test]
async fn deleted_picture_is_sent_anew_by_the_same_command() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let credential = Credential::Tokens(tokens(&ada, "ada").await);
    let client = at(&server.url(""), credential);
    let set = client.create_set("subject").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = picture(&folder, 1);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let added = client.upload_file(set.id, &file, |_| ()).await.unwrap();
        let Uploaded::Added(image) = added else {
            panic!("it is not in the set: {added:?}");
        };
        assert!(!seen.contains(&image.id), "the answer of an earlier run");
        seen.push(image.id);
        let deleted = ada.delete(&format!("/v1/images/{}", image.id)).await;
        assert_eq!(deleted.status(), reqwest::StatusCode::NO_CONTENT);
    }
    assert_eq!(client.find_set(set.id).await.unwrap().images.len(), 0);
}

#[tokio::test]
async fn lists_are_read_to_their_end() {
    let server = Server::start().await;
    let (client, _) = signed_in(&server, "ada").await;
    for number in 0..103 {
        client.create_set(&number.to_string()).await.unwrap();
    }
    let sets: Vec<ProtectedSet> = client.sets().try_collect().await.unwrap();
    let names: Vec<String> = sets.into_iter().map(|set| set.name).collect();
    let expected: Vec<String> = (0..103).rev().map(|number| number.to_string()).collect();
    assert_eq!(names, expected);
    let three: Vec<_> = client.sets().take(3).collect().await;
    assert_eq!(three.len(), 3);
}

/// A sealed set and a job on it, by the client alone.
async fn launched(client: &Client) -> shared::job::Job {
    let folder = tempfile::tempdir().expect("a folder");
    let set = client.create_set("subject").await.expect("a set");
    for shade in 0..3 {
        let file = picture(&folder, shade);
        let uploaded = client.upload_file(set.id, &file, |_| ()).await;
        uploaded.expect("an image");
    }
    let declaration = CreateAttestation {
        basis: RightsBasis::Own,
        name: "Ada Example".into(),
        jurisdiction: "Germany".into(),
        capacity: String::new(),
        mandate: None,
        depicts_person: false,
        biometric_consent: false,
        confirmed: true,
    };
    let sealed = client.seal_set(set.id, &declaration).await;
    let sealed = sealed.expect("a sealed set");
    assert!(sealed.manifest_sha256.is_some());
    let models: Vec<_> = client.base_models().try_collect().await.expect("models");
    let spec: JobSpec = serde_json::from_value(json!({
        "base_model_id": models[0].id,
        "concepts": [crate::support::concept(&sealed)],
    }))
    .expect("a specification");
    let preflight = client.create_preflight(&spec).await.expect("a preflight");
    assert!(preflight.ready, "{preflight:?}");
    let job = client.create_job(&spec, "once").await.expect("a job");
    let again = client.create_job(&spec, "once").await.expect("the same");
    assert_eq!(again.id, job.id);
    job
}

#[tokio::test]
async fn broken_streams_are_taken_up_where_they_ended() {
    let server = Server::start().await;
    let (client, tokens) = signed_in(&server, "ada").await;
    let job = launched(&client).await;
    let node = server.node();
    let lease = node.lease().await;
    let log = |number: u32| json!({ "kind": "log", "line": format!("line {number}") });
    node.beat(&lease, json!([log(1), log(2), log(3)])).await;

    let proxy = Proxy::start(server.address).await;
    proxy.next(&[
        Fault::CutAfter(900),
        Fault::Cut,
        Fault::CutAfter(1100),
        Fault::Busy,
    ]);
    let broken = at(&proxy.url(), Credential::Tokens(tokens));
    let following = tokio::spawn(broken.follow(job.id, 0).try_collect::<Vec<JobEvent>>());
    tokio::time::sleep(Duration::from_millis(300)).await;
    node.beat(&lease, json!([log(4), log(5)])).await;
    let failure = json!({ "code": "diverged", "cause": "The loss is not a number.",
        "evidence": "loss = NaN", "fix": "Lower the learning rate.", "retryable": false });
    node.finish(&lease, json!({ "result": "failed", "failure": failure }))
        .await;
    let events = tokio::time::timeout(Duration::from_secs(20), following).await;
    let events = events.expect("it ends").expect("no panic").unwrap();
    assert_eq!(proxy.left(), 0, "every fault happened");
    let sequences: Vec<i64> = events.iter().map(|event| event.sequence).collect();
    let expected: Vec<i64> = (1..=i64::try_from(events.len()).unwrap()).collect();
    assert_eq!(sequences, expected, "nothing twice, nothing missing");
    let text = serde_json::to_string(&events).unwrap();
    for number in 1..=5 {
        assert!(text.contains(&format!("line {number}")), "{text}");
    }
    // After the end there is nothing to wait for.
    let last = events.last().unwrap().sequence;
    let rest: Vec<JobEvent> = client.follow(job.id, last).try_collect().await.unwrap();
    assert!(rest.is_empty());
    let middle: Vec<JobEvent> = client.follow(job.id, last - 2).try_collect().await.unwrap();
    assert_eq!(middle, events[events.len() - 2..]);
}
