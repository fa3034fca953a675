//! Jobs: preflight, launch, idempotency, events, cancel, retry.

use std::time::Duration;

use api::app::principal::{Credential, Principal};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::{
    OrganisationId,
    auth::User,
    job::{Job, JobStatus},
    page::Page,
    preflight::{CheckStatus, Preflight},
    role::Role,
};

use crate::support::{Person, Server, body, refused};

fn status_of(preflight: &Preflight, code: &str) -> CheckStatus {
    let check = preflight.checks.iter().find(|check| check.code == code);
    check
        .unwrap_or_else(|| panic!("no check `{code}`: {preflight:?}"))
        .status
}

#[tokio::test]
async fn preflight_tells_everything_before_the_launch() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let set = person.sealed_set("x").await;
    let spec = person.spec(&set).await;
    let response = person.post("/v1/preflights", &spec).await;
    let good: Preflight = body(response, StatusCode::OK).await;
    assert!(good.ready, "{good:?}");
    assert_eq!(status_of(&good, "rights_declared"), CheckStatus::Pass);
    assert_eq!(status_of(&good, "node_online"), CheckStatus::Warn);
    assert!(good.estimate_seconds.is_none(), "nothing was measured yet");
    assert!(good.checks.iter().any(|check| check.code == "scope"));
    assert!(
        good.summary.contains("dog") && good.summary.contains("apple"),
        "{}",
        good.summary
    );
    let mut bad = spec.clone();
    bad["concepts"][0]["objective"]["target_class"] = json!("teapot");
    let response = person.post("/v1/preflights", &bad).await;
    let bad_target: Preflight = body(response, StatusCode::OK).await;
    assert!(!bad_target.ready);
    assert_eq!(status_of(&bad_target, "target_vetted"), CheckStatus::Fail);
    refused(person.launch(&bad, "k1").await, 422, "invalid").await;
    let mut unknown = spec.clone();
    unknown["concepts"][0]["class_name"] = json!("zebra");
    let response = person.post("/v1/preflights", &unknown).await;
    let unknown: Preflight = body(response, StatusCode::OK).await;
    assert_eq!(status_of(&unknown, "class_known"), CheckStatus::Warn);
    let draft = person.set("draft").await;
    let spec = person.spec(&draft).await;
    let response = person.post("/v1/preflights", &spec).await;
    let unsealed: Preflight = body(response, StatusCode::OK).await;
    assert_eq!(status_of(&unsealed, "rights_declared"), CheckStatus::Fail);
    refused(person.launch(&spec, "k2").await, 409, "conflict").await;
}

#[tokio::test]
async fn bad_specifications_are_refused_field_by_field() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let set = person.sealed_set("x").await;
    let spec = person.spec(&set).await;
    for (change, pointer) in [
        (json!({ "concepts": [] }), "#/concepts"),
        (json!({ "concepts": "all" }), "#/concepts"),
        (json!({ "extends": "job_1" }), "#/extends"),
        (
            json!({ "evaluation": { "concept": 1 } }),
            "#/evaluation/concept",
        ),
        (json!({ "injection": { "steps": 0 } }), "#/injection/steps"),
        (json!({ "seed": 9_007_199_254_740_992_u64 }), "#/seed"),
        (
            json!({ "injection": { "steps": "x" } }),
            "#/injection/steps",
        ),
        (json!({ "injection": { "stepz": 1 } }), "#/injection/stepz"),
        (
            json!({ "evaluation": { "checkpoints": [5, 1] } }),
            "#/evaluation/checkpoints",
        ),
        (json!({ "seed": -1 }), "#/seed"),
        (json!({ "sudo": true }), "#/sudo"),
        (
            json!({ "base_model_id": format!("mdl_{:032x}", 1) }),
            "#/base_model_id",
        ),
    ] {
        let mut bad = spec.clone();
        for (key, value) in change.as_object().unwrap() {
            bad[key] = value.clone();
        }
        refused_at(&person, &bad, pointer).await;
    }
    for (field, value, pointer) in [
        ("class_name", json!("thing"), "class_name"),
        ("class_name", json!("person"), "class_name"),
        ("identifier", json!("dog"), "identifier"),
        ("action", json!("remove"), "action"),
        ("subject", json!("ghost"), "subject"),
        ("sudo", json!(true), "sudo"),
        (
            "protected_set_id",
            json!(format!("set_{:032x}", 1)),
            "protected_set_id",
        ),
        (
            "objective",
            json!({ "kind": "pattern", "size": 2.0 }),
            "objective/size",
        ),
    ] {
        let mut bad = spec.clone();
        bad["concepts"][0][field] = value;
        refused_at(&person, &bad, &format!("#/concepts/0/{pointer}")).await;
    }
}

async fn refused_at(person: &Person<'_>, bad: &Value, pointer: &str) {
    for response in [
        person.launch(bad, "k").await,
        person.probe(bad, "p").await,
        person.post("/v1/preflights", bad).await,
    ] {
        let problem = refused(response, 422, "invalid").await;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
}

#[tokio::test]
async fn repeated_launch_makes_one_job() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let set = person.sealed_set("x").await;
    let spec = person.spec(&set).await;
    refused(
        person.post("/v1/jobs", &spec).await,
        400,
        "idempotency_key_required",
    )
    .await;
    refused(
        person.launch(&spec, &"k".repeat(256)).await,
        400,
        "malformed",
    )
    .await;
    let response = person.launch(&spec, "key").await;
    assert!(!response.headers().contains_key("idempotency-replayed"));
    let place = response.headers()["location"].to_str().unwrap().to_owned();
    let first: Job = body(response, StatusCode::ACCEPTED).await;
    assert_eq!(place, format!("/v1/jobs/{}", first.id));
    assert_eq!(first.status, JobStatus::Queued);
    let response = person.launch(&spec, "\"key\"").await;
    assert_eq!(response.headers()["idempotency-replayed"], "true");
    assert_eq!(
        body::<Job>(response, StatusCode::ACCEPTED).await.id,
        first.id
    );
    let mut other = spec.clone();
    other["seed"] = json!(5);
    refused(
        person.launch(&other, "key").await,
        422,
        "idempotency_key_reused",
    )
    .await;
    // What was refused may be mended under the same key.
    let mut bad = spec.clone();
    bad["concepts"][0]["class_name"] = json!("thing");
    refused(person.launch(&bad, "second").await, 422, "invalid").await;
    assert_eq!(
        person.launch(&other, "second").await.status(),
        StatusCode::ACCEPTED
    );
    assert_eq!(person.read::<Page<Job>>("/v1/jobs").await.data.len(), 2);
    let eve = server.person("eve").await;
    let set = eve.sealed_set("y").await;
    let spec = eve.spec(&set).await;
    assert_eq!(
        eve.launch(&spec, "key").await.status(),
        StatusCode::ACCEPTED,
        "keys are per person"
    );
}

#[tokio::test]
async fn racing_launches_with_one_key_make_one_job() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let set = person.sealed_set("x").await;
    let spec = person.spec(&set).await;
    let launches = (0..8).map(|_| person.launch(&spec, "key"));
    let answers = futures::future::join_all(launches).await;
    for answer in answers {
        assert!(
            matches!(answer.status().as_u16(), 202 | 409),
            "{}",
            answer.status()
        );
    }
    assert_eq!(person.read::<Page<Job>>("/v1/jobs").await.data.len(), 1);
}

#[tokio::test]
async fn account_cannot_fill_the_queue() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let set = person.sealed_set("x").await;
    let spec = person.spec(&set).await;
    for index in 0..shared::limits::MAX_ACTIVE_JOBS {
        let response = person.launch(&spec, &index.to_string()).await;
        let job: Job = body(response, StatusCode::ACCEPTED).await;
        assert_eq!(job.queue_position, Some(u32::try_from(index).unwrap()));
    }
    refused(person.launch(&spec, "more").await, 409, "conflict").await;
}

#[tokio::test]
async fn queued_job_is_canceled_at_once_and_can_be_retried() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let job = person.job().await;
    refused(
        person
            .post(&format!("/v1/jobs/{}/retry", job.id), &json!({}))
            .await,
        409,
        "conflict",
    )
    .await;
    let cancel = job.urls.cancel.clone();
    for _ in 0..2 {
        let response = person.request(Method::POST, &cancel).send().await.unwrap();
        let canceled: Job = body(response, StatusCode::ACCEPTED).await;
        assert_eq!(canceled.status, JobStatus::Canceled);
        assert!(canceled.completed_at.is_some());
    }
    let response = person
        .post(&format!("/v1/jobs/{}/retry", job.id), &json!({}))
        .await;
    let place = response.headers()["location"].to_str().unwrap().to_owned();
    let again: Job = body(response, StatusCode::ACCEPTED).await;
    assert_ne!(again.id, job.id);
    assert_eq!(place, format!("/v1/jobs/{}", again.id));
    assert_eq!((again.status, again.spec), (JobStatus::Queued, job.spec));
}

#[tokio::test]
async fn repeated_retry_makes_one_job() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let job = person.job().await;
    let canceled = person.request(Method::POST, &job.urls.cancel).send().await;
    assert_eq!(canceled.unwrap().status(), StatusCode::ACCEPTED);
    let path = format!("/v1/jobs/{}/retry", job.id);
    let retry = async |key: &str| {
        let request = person.request(Method::POST, &path);
        let request = request.header("idempotency-key", key).json(&json!({}));
        let answer = request.send().await.unwrap();
        body::<Job>(answer, StatusCode::ACCEPTED).await.id
    };
    let first = retry("key").await;
    assert_eq!(retry("key").await, first);
    assert_ne!(retry("other").await, first);
    // The first answer was lost with its process, and its claim with it.
    let me: User = person.read("/v1/me").await;
    let caller = Principal {
        user: me.id,
        organisation: OrganisationId::from_uuid(me.id.uuid()),
        role: Role::Owner,
        credential: Credential::Token,
    };
    let canceled: Job = person.read(&job.urls.own).await;
    for key in ["key", "new"] {
        let again = api::app::jobs::retry(&server.app, &caller, Some(key), &canceled);
        let again = again.await.unwrap().id;
        assert_eq!(again == first, key == "key");
    }
    assert_eq!(person.read::<Page<Job>>("/v1/jobs").await.data.len(), 4);
}

/// A caller hangs up as soon as the request is sent.
#[tokio::test]
async fn launch_is_answered_again_to_who_hung_up() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let set = person.sealed_set("x").await;
    let spec = person.spec(&set).await;
    for patience in 1..12 {
        let key = patience.to_string();
        let launch = person.launch(&spec, &key);
        let _ = tokio::time::timeout(Duration::from_millis(patience), launch).await;
    }
    for key in 1..12 {
        let mut answer = person.launch(&spec, &key.to_string()).await;
        for _ in 0..100 {
            if answer.status() != StatusCode::CONFLICT {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            answer = person.launch(&spec, &key.to_string()).await;
        }
        let _: Job = body(answer, StatusCode::ACCEPTED).await;
    }
    let jobs: Page<Job> = person.read("/v1/jobs?limit=100").await;
    assert_eq!(jobs.data.len(), 11, "one for each key");
}
