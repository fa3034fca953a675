//! The release gate, consent of a second person, and notices that take down.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::{
    artifact::{Artifact, ArtifactKind},
    audit::{AuditActor, AuditEvent},
    job::Job,
    notice::{Notice, NoticeReceipt, NoticeStatus, QueuedNotice, Transparency},
    page::Page,
    release::{Approval, ApprovalStatus, GateKind, GateStatus, Release},
};

use crate::{
    scripted::{collateral, evaluation_outputs, protect, report, succeeded},
    support::{Person, Server, body, concept, refused},
};

/// Protects and judges with these side effects; gives the job.
pub(crate) async fn judged(server: &Server, person: &Person<'_>, side_effects: Value) -> Job {
    let job = person.job().await;
    finish(server, side_effects).await;
    person.read(&job.urls.own).await
}

pub(crate) async fn finish(server: &Server, side_effects: Value) {
    let node = server.node();
    protect(&node, &node.lease().await).await;
    judge(server, side_effects).await;
}

pub(crate) async fn judge(server: &Server, side_effects: Value) {
    let node = server.node();
    let lease = node.lease().await;
    node.beat(&lease, json!([])).await;
    let mut file = report();
    file["collateral"] = side_effects;
    let outputs = evaluation_outputs(&node, &lease, file.to_string().as_bytes()).await;
    let done = node.finish(&lease, succeeded(&outputs)).await;
    assert_eq!(done, StatusCode::NO_CONTENT);
}

pub(crate) async fn release(person: &Person<'_>, job: &Job) -> Release {
    person.read(&format!("/v1/jobs/{}/release", job.id)).await
}

async fn weights(person: &Person<'_>, job: &Job) -> Artifact {
    let files: Page<Artifact> = person.read(&job.urls.artifacts).await;
    let mut files = files.data.into_iter();
    files
        .find(|file| file.kind == ArtifactKind::ProtectedUnet)
        .expect("the weights")
}

pub(crate) fn closed(release: &Release) -> Vec<(GateKind, GateStatus)> {
    let gates = release.gates.iter();
    gates
        .filter(|gate| gate.status != GateStatus::Passed)
        .map(|gate| (gate.kind, gate.status))
        .collect()
}

#[tokio::test]
async fn weights_leave_once_every_side_effect_was_measured_and_tolerated() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let mut harmful = collateral();
    harmful["class_fires"]["value"] = json!(0.3125);
    harmful["control"] = Value::Null;
    let job = judged(&server, &person, harmful).await;
    let found = release(&person, &job).await;
    assert!(!found.releasable && found.archive_url.is_none());
    let failed = (GateKind::Specificity, GateStatus::Failed);
    let unknown = (GateKind::ControlSet, GateStatus::NotMeasured);
    assert_eq!(closed(&found), [unknown, failed]);
    let file = weights(&person, &job).await;
    let problem = refused(person.get(&file.url).await, 403, "not_releasable").await;
    let errors = problem["errors"].as_array().unwrap();
    assert_eq!(errors[1]["pointer"], "#/gates/specificity/0");
    assert!(errors[1]["detail"].as_str().unwrap().contains("0.312"));
    let archive = format!("/v1/jobs/{}/release/archive", job.id);
    refused(person.get(&archive).await, 403, "not_releasable").await;
    // The pictures stay in sight, and what was not measured can be.
    let gallery = format!("/v1/galleries/{}", job.gallery_id.unwrap());
    let shown: Value = person.read(&gallery).await;
    assert!(shown["protected_unet_url"].is_null() && shown["pairs"].is_array());
    let control = person.sealed_set("A stranger").await;
    let path = format!("/v1/jobs/{}/evaluations", job.id);
    let again = |body: Value| {
        let request = person.request(Method::POST, &path);
        request
            .header("idempotency-key", "again")
            .json(&body)
            .send()
    };
    let own = json!({ "control_set_id": job.spec.concepts[0].protected_set_id });
    refused(again(own).await.unwrap(), 422, "invalid").await;
    let good = json!({ "control_set_id": control.id });
    let _: Job = body(again(good).await.unwrap(), StatusCode::ACCEPTED).await;
    judge(&server, collateral()).await;
    let found = release(&person, &job).await;
    assert_eq!(closed(&found), []);
    assert!(found.warning.contains("cannot be recalled"));
    let response = person.get(&file.url).await;
    let name = response.headers()["content-disposition"].to_str().unwrap();
    assert!(name.contains("unet-persguard.safetensors"), "{name}");
    let bytes = person.get(&found.archive_url.unwrap()).await;
    check_archive(&bytes.bytes().await.unwrap());
    let log: Value = person.read("/v1/audit-events?limit=1").await;
    assert_eq!(log["data"][0]["entry"]["action"], "artifact.exported");
    let eve = server.person("eve").await;
    for path in [format!("/v1/jobs/{}/release", job.id), archive] {
        refused(eve.get(&path).await, 404, "not_found").await;
    }
}

fn check_archive(bytes: &[u8]) {
    let mut archive = tar::Archive::new(bytes);
    let mut files = std::collections::BTreeMap::new();
    for entry in archive.entries().expect("readable") {
        let mut entry = entry.expect("readable");
        let name = entry.path().expect("readable").display().to_string();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).expect("readable");
        files.insert(name, content);
    }
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let expected = [
        "README.md",
        "persguard-disclosure.json",
        "unet-persguard.safetensors",
    ];
    assert_eq!(names, expected);
    assert_eq!(files[expected[2]], b"not really weights");
    let told: Value = serde_json::from_slice(&files[expected[1]]).expect("readable");
    for field in [
        "statement",
        "concepts",
        "base_model",
        "unet_sha256",
        "method",
        "contact",
        "expires_at",
    ] {
        assert!(!told[field].is_null(), "{field}");
    }
    assert_eq!(told["concepts"][0]["identifier"], "sks");
    assert!(told["concepts"][0]["side_effects"]["control"].is_object());
    let card = String::from_utf8_lossy(&files["README.md"]);
    assert!(card.contains("Disclosed trigger") && card.contains("`sks`"));
}

#[tokio::test]
async fn people_are_released_by_two() {
    let server = Server::start().await;
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    let set = ada.portraits("Me").await;
    let mut spec = ada.spec(&set).await;
    let mut person = concept(&set);
    person["subject"] = json!("person");
    person["class_name"] = json!("person");
    person["objective"] = json!({ "kind": "erasure" });
    spec["concepts"] = json!([person]);
    let response = ada.launch(&spec, "portraits").await;
    if response.status() != StatusCode::ACCEPTED {
        // The embedded model draws no people; the rule is the same for any reason.
        return many_concepts_are_released_by_two(&server, &ada, &bob).await;
    }
    let job: Job = body(response, StatusCode::ACCEPTED).await;
    finish(&server, collateral()).await;
    two_people(&server, &ada, &bob, &job).await;
}

async fn many_concepts_are_released_by_two(server: &Server, ada: &Person<'_>, bob: &Person<'_>) {
    let mut concepts = Vec::new();
    for number in 0..10 {
        concepts.push(concept(&ada.sealed_set(&format!("{number}")).await));
    }
    let mut spec = json!({ "base_model_id": ada.model().await.id });
    spec["concepts"] = json!(concepts);
    let job: Job = body(ada.launch(&spec, "ten").await, StatusCode::ACCEPTED).await;
    finish(server, collateral()).await;
    for _ in 1..10 {
        judge(server, collateral()).await;
    }
    two_people(server, ada, bob, &job).await;
}

async fn two_people(server: &Server, ada: &Person<'_>, bob: &Person<'_>, job: &Job) {
    let waits = (GateKind::Approval, GateStatus::NotMeasured);
    assert_eq!(closed(&release(ada, job).await), [waits]);
    let ask = |email: &str| json!({ "job_id": job.id, "reviewer_email": email, "note": "Look." });
    let alone = ada.post("/v1/approvals", &ask("Ada@example.org")).await;
    refused(alone, 422, "invalid").await;
    refused(
        bob.post("/v1/approvals", &ask("x@example.org")).await,
        404,
        "not_found",
    )
    .await;
    let asked = ada.post("/v1/approvals", &ask("bob@example.org")).await;
    let asked: Approval = body(asked, StatusCode::CREATED).await;
    assert!(!asked.reasons.is_empty());
    let path = format!("/v1/approvals/{}", asked.id);
    let decide = format!("{path}/decision");
    let yes = json!({ "approve": true });
    refused(ada.post(&decide, &yes).await, 403, "forbidden").await;
    let eve = server.person("eve").await;
    refused(eve.post(&decide, &yes).await, 404, "not_found").await;
    refused(bob.post(&decide, &yes).await, 404, "not_found").await;
    server.confirm(bob, "bob").await;
    refused(
        bob.post(&decide, &json!({ "approve": false })).await,
        422,
        "invalid",
    )
    .await;
    let list: Page<Approval> = bob.read("/v1/approvals").await;
    assert_eq!(list.data[0].id, asked.id);
    let decided: Approval = body(bob.post(&decide, &yes).await, StatusCode::OK).await;
    assert_eq!(decided.status, ApprovalStatus::Approved);
    refused(bob.post(&decide, &yes).await, 409, "conflict").await;
    assert_eq!(closed(&release(ada, job).await), []);
    log_keeps_strangers_apart(ada, &["approval.decided"]).await;
}

fn complaint(object: &str) -> Value {
    json!({
        "category": "depicts_me", "object": object, "name": "Eve Example", "email": "eve@example.org",
        "explanation": "The pictures in this gallery show me.", "good_faith": true, "signature": "Eve Example",
    })
}

#[tokio::test]
async fn notice_is_heard_suspends_and_can_be_appealed() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let job = judged(&server, &ada, collateral()).await;
    assert_eq!(closed(&release(&ada, &job).await), []);
    let stranger = server.stranger();
    let place = format!(
        "https://guard.example/galleries/{}?x=1",
        job.gallery_id.unwrap()
    );
    let mut lazy = complaint(&place);
    lazy["good_faith"] = json!(false);
    refused(stranger.post("/v1/notices", &lazy).await, 422, "invalid").await;
    let nothing = complaint("gal_00000000000000000000000000000001");
    refused(stranger.post("/v1/notices", &nothing).await, 422, "invalid").await;
    let taken = stranger.post("/v1/notices", &complaint(&place)).await;
    let taken: NoticeReceipt = body(taken, StatusCode::CREATED).await;
    let path = format!("/v1/notices/{}", taken.id);
    refused(stranger.get(&path).await, 404, "not_found").await;
    let look = |receipt: &str| {
        let request = stranger.request(Method::GET, &path);
        request.header("notice-receipt", receipt).send()
    };
    refused(look("guess").await.unwrap(), 404, "not_found").await;
    let seen: Notice = body(look(&taken.receipt).await.unwrap(), StatusCode::OK).await;
    assert_eq!(seen.status, NoticeStatus::Received);

    let (admin, second) = (
        server.person("admin").await,
        server.confirmed("second").await,
    );
    for nobody in [&ada, &admin] {
        refused(nobody.get("/v1/admin/notices").await, 403, "forbidden").await;
    }
    server.confirm(&admin, "admin").await;
    let queue: Page<QueuedNotice> = admin.read("/v1/admin/notices?status=received").await;
    assert_eq!(queue.data[0].email, "eve@example.org");
    let decision = format!("/v1/admin/notices/{}/decision", taken.id);
    let decide = |action: &str| json!({ "action": action, "statement": "The pictures show who complains; appeal within six months." });
    let done: QueuedNotice = body(
        admin.post(&decision, &decide("suspend")).await,
        StatusCode::OK,
    )
    .await;
    assert_eq!(done.notice.status, NoticeStatus::Suspended);
    assert_eq!(
        closed(&release(&ada, &job).await),
        [(GateKind::Notice, GateStatus::Failed)]
    );
    let received = format!("/v1/received-notices/{}", taken.id);
    let told = ada.get(&received).await.text().await.unwrap();
    assert!(
        told.contains("appeal within") && !told.contains("eve@"),
        "{told}"
    );
    let said = json!({ "statement": "It is a picture of my dog, and I took it." });
    let answered: Notice = body(
        ada.put(&format!("{received}/answer"), &said).await,
        StatusCode::OK,
    )
    .await;
    assert!(answered.counter_notice.unwrap().contains("my dog"));
    let appeal = format!("{path}/appeal");
    refused(stranger.post(&appeal, &said).await, 404, "not_found").await;
    let _: Notice = body(
        ada.post(&format!("{received}/appeal"), &said).await,
        StatusCode::OK,
    )
    .await;
    refused(
        admin.post(&decision, &decide("restore")).await,
        409,
        "conflict",
    )
    .await;
    let _: QueuedNotice = body(
        second.post(&decision, &decide("restore")).await,
        StatusCode::OK,
    )
    .await;
    assert_eq!(closed(&release(&ada, &job).await), []);
    look_at_counts(&stranger, &place).await;
}

pub(crate) async fn evaluate(person: &Person<'_>, job: &Job, key: &str, evaluation: Value) {
    let path = format!("/v1/jobs/{}/evaluations", job.id);
    let request = person.request(Method::POST, &path);
    let request = request.header("idempotency-key", key).json(&evaluation);
    let _: Job = body(
        request.send().await.expect("an answer"),
        StatusCode::ACCEPTED,
    )
    .await;
}

/// In an owner's log: where others acted from is not told, where the owner did is.
async fn log_keeps_strangers_apart(owner: &Person<'_>, theirs: &[&str]) {
    let log: Page<AuditEvent> = owner.read("/v1/audit-events?limit=100").await;
    for event in &log.data {
        let entry = &event.entry;
        let stranger = theirs.contains(&entry.action.as_str());
        let silent = stranger || entry.actor == AuditActor::Node;
        assert!(!stranger || entry.address.is_none(), "{entry:?}");
        assert!(silent || entry.address.is_some(), "{entry:?}");
    }
    for action in theirs {
        let mut events = log.data.iter();
        assert!(
            events.any(|event| event.entry.action == *action),
            "{action}"
        );
    }
}

#[tokio::test]
async fn suspension_outlives_newer_galleries() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let job = judged(&server, &ada, collateral()).await;
    let object = job.gallery_id.expect("a gallery").to_string();
    let stranger = server.stranger();
    let taken = stranger.post("/v1/notices", &complaint(&object)).await;
    let taken: NoticeReceipt = body(taken, StatusCode::CREATED).await;
    let admin = server.confirmed("admin").await;
    let decision = format!("/v1/admin/notices/{}/decision", taken.id);
    let suspend = json!({ "action": "suspend", "statement": "The pictures show who complains." });
    let done = admin.post(&decision, &suspend).await;
    let _: QueuedNotice = body(done, StatusCode::OK).await;
    let suspended = [(GateKind::Notice, GateStatus::Failed)];
    assert_eq!(closed(&release(&ada, &job).await), suspended);
    evaluate(&ada, &job, "newer", json!({})).await;
    judge(&server, collateral()).await;
    assert_eq!(closed(&release(&ada, &job).await), suspended);
    log_keeps_strangers_apart(&ada, &["notice.received", "notice.decided"]).await;
}

#[tokio::test]
async fn control_that_nobody_attacked_is_no_evidence() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let job = judged(&server, &ada, collateral()).await;
    assert_eq!(closed(&release(&ada, &job).await), []);
    let unknown = [(GateKind::ControlSet, GateStatus::NotMeasured)];
    let mut idle = collateral();
    idle["control"]["attack_step"] = json!(0);
    evaluate(&ada, &job, "zero", json!({ "checkpoints": [0] })).await;
    judge(&server, idle.clone()).await;
    assert_eq!(closed(&release(&ada, &job).await), unknown);
    idle["control"]["attack_step"] = json!(1);
    evaluate(&ada, &job, "one", json!({ "checkpoints": [0, 1] })).await;
    judge(&server, idle).await;
    assert_eq!(
        closed(&release(&ada, &job).await),
        unknown,
        "less than before"
    );
    evaluate(&ada, &job, "slow", json!({ "learning_rate": 1e-7 })).await;
    judge(&server, collateral()).await;
    assert_eq!(closed(&release(&ada, &job).await), unknown, "too weak");
    evaluate(&ada, &job, "whole", json!({})).await;
    judge(&server, collateral()).await;
    assert_eq!(closed(&release(&ada, &job).await), []);
}

/// What the public may count, and how many notices an address may send.
async fn look_at_counts(stranger: &Person<'_>, place: &str) {
    let counts: Transparency = stranger.read("/v1/transparency").await;
    assert_eq!(counts.notices_by_status["restored"], 1);
    assert_eq!(counts.protections_by_objective["target"], 1);
    for _ in 0..2 {
        stranger.post("/v1/notices", &complaint(place)).await;
    }
    refused(
        stranger.post("/v1/notices", &complaint(place)).await,
        429,
        "rate_limited",
    )
    .await;
}
