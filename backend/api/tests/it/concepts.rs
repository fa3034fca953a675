//! Jobs of several concepts, and jobs that go on from earlier ones.

use reqwest::StatusCode;
use serde_json::{Value, json};
use shared::{
    gallery::Gallery,
    job::{Job, JobKind, JobStatus},
    node::{InputRole, JobInput, Lease},
    preflight::{CheckStatus, Preflight},
};

use crate::{
    scripted::{Node, evaluation_outputs, protect, report, succeeded},
    support::{Person, Server, body, concept, refused},
};

/// A dog and a cat in one job.
async fn two(person: &Person<'_>) -> Value {
    let (dog, cat) = (
        person.sealed_set("dog").await,
        person.sealed_set("cat").await,
    );
    let mut spec = person.spec(&dog).await;
    let mut second = concept(&cat);
    second["class_name"] = json!("cat");
    second["objective"] = json!({ "kind": "erasure" });
    spec["concepts"] = json!([concept(&dog), second]);
    spec
}

fn names(lease: &Lease, role: InputRole) -> Vec<&str> {
    let of_role = |input: &&JobInput| input.role == role;
    let inputs = lease.inputs.iter().filter(of_role);
    inputs.map(|input| input.name.as_str()).collect()
}

async fn launched(person: &Person<'_>, spec: &Value, key: &str) -> Job {
    body(person.launch(spec, key).await, StatusCode::ACCEPTED).await
}

/// A protect job with its result; what it implies is canceled.
pub(crate) async fn protected(person: &Person<'_>, spec: &Value, key: &str) -> Job {
    let node = person.server.node();
    let job = launched(person, spec, key).await;
    let lease = node.lease().await;
    assert_eq!(lease.job_id, job.id);
    node.beat(&lease, json!([])).await;
    protect(&node, &lease).await;
    let done: Job = person.read(&job.urls.own).await;
    for id in &done.evaluation_ids {
        let path = format!("/v1/jobs/{id}/cancel");
        let canceled = person.post(&path, &json!({})).await;
        assert_eq!(canceled.status(), StatusCode::ACCEPTED);
    }
    done
}

async fn judge(node: &Node<'_>, lease: &Lease) {
    node.beat(lease, json!([])).await;
    let outputs = evaluation_outputs(node, lease, report().to_string().as_bytes()).await;
    let status = node.finish(lease, succeeded(&outputs)).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn job_of_two_concepts_gets_both_sets_and_an_evaluation_each() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let spec = two(&person).await;
    let found = person.preflight(&spec).await;
    assert!(found.ready, "{found:?}");
    let pointers = found
        .checks
        .iter()
        .filter(|check| check.code == "rights_declared");
    let pointers: Vec<_> = pointers.map(|check| check.pointer.clone()).collect();
    let pointer = |position| Some(format!("#/concepts/{position}/protected_set_id"));
    assert_eq!(pointers, [pointer(0), pointer(1)]);
    let told = &found.summary;
    assert!(
        told.contains("sks dog") && told.contains("sks cat"),
        "{told}"
    );

    let job = launched(&person, &spec, "k").await;
    let node = server.node();
    let lease = node.lease().await;
    let expected = [
        "00/000.png",
        "00/001.png",
        "00/002.png",
        "01/000.png",
        "01/001.png",
        "01/002.png",
    ];
    assert_eq!(names(&lease, InputRole::ProtectedImage), expected);
    assert!(names(&lease, InputRole::StartUnet).is_empty());
    node.beat(&lease, json!([])).await;
    protect(&node, &lease).await;
    let done: Job = person.read(&job.urls.own).await;
    assert_eq!(done.evaluation_ids.len(), 2);
    assert_eq!(done.evaluation_id, Some(done.evaluation_ids[0]));
    for _ in 0..2 {
        let lease = node.lease().await;
        let position = lease.spec.evaluation.concept as usize;
        let id = done.evaluation_ids[position];
        assert_eq!((lease.job_id, lease.kind), (id, JobKind::Evaluate));
        assert_eq!(
            names(&lease, InputRole::ProtectedImage),
            expected[position * 3..][..3]
        );
        assert_eq!(names(&lease, InputRole::ProtectedUnet).len(), 1);
        judge(&node, &lease).await;
        let evaluation: Job = person.read(&format!("/v1/jobs/{id}")).await;
        let gallery = evaluation.gallery_id.expect("a verdict has a gallery");
        let gallery: Gallery = person.read(&format!("/v1/galleries/{gallery}")).await;
        assert_eq!(gallery.title, ["dog", "cat"][position]);
        let set = job.spec.concepts[position].protected_set_id;
        assert_eq!(gallery.protected_set_id, set);
    }
    let measured = person.preflight(&spec).await.estimate_seconds;
    assert!((measured.expect("both kinds were measured").low - 3.0 * 34.0).abs() < 1e-6);
}

#[tokio::test]
async fn every_concept_s_set_must_be_the_owner_s_and_sealed() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let mut spec = two(&person).await;
    let pointer = "#/concepts/1/protected_set_id";
    spec["concepts"][1]["protected_set_id"] = json!(person.set("draft").await.id);
    let found: Preflight = person.preflight(&spec).await;
    let failed = |check: &&shared::preflight::PreflightCheck| check.status == CheckStatus::Fail;
    let places = found
        .checks
        .iter()
        .filter(failed)
        .map(|check| check.pointer.as_deref());
    assert!(places.eq([Some(pointer), Some(pointer)]), "{found:?}");
    refused(person.launch(&spec, "k").await, 409, "conflict").await;
    let foreign = server.person("eve").await.sealed_set("theirs").await;
    spec["concepts"][1]["protected_set_id"] = json!(foreign.id);
    let problem = refused(person.launch(&spec, "k").await, 422, "invalid").await;
    assert_eq!(problem["errors"][0]["pointer"], pointer);
    assert_eq!(problem["errors"][0]["code"], "not_found");
}

async fn refused_with(person: &Person<'_>, spec: &Value, pointer: &str, code: &str) -> String {
    let response = person.post("/v1/preflights", spec).await;
    refused(response, 422, "invalid").await;
    let problem = refused(person.launch(spec, "refused").await, 422, "invalid").await;
    let error = &problem["errors"][0];
    assert_eq!(
        (&error["pointer"], &error["code"]),
        (&json!(pointer), &json!(code))
    );
    error["detail"].as_str().expect("a text").to_owned()
}

#[tokio::test]
async fn job_goes_on_from_finished_weights_of_the_same_owner_and_model() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let mut spec = two(&person).await;
    let waiting = launched(&person, &spec, "first").await;
    spec["extends"] = json!(waiting.id);
    refused_with(&person, &spec, "#/extends", "not_finished").await;
    person.post(&waiting.urls.cancel, &json!({})).await;
    refused_with(&person, &spec, "#/extends", "not_finished").await;
    spec["extends"] = json!(format!("job_{:032x}", 1));
    refused_with(&person, &spec, "#/extends", "not_found").await;
    spec["extends"] = json!(null);
    let done = protected(&person, &spec, "second").await;
    assert_eq!(done.status, JobStatus::Succeeded);
    spec["extends"] = json!(done.evaluation_ids[0]);
    refused_with(&person, &spec, "#/extends", "not_found").await;

    let eve = server.person("eve").await;
    let mut theirs = two(&eve).await;
    theirs["extends"] = json!(done.id);
    refused_with(&eve, &theirs, "#/extends", "not_found").await;

    spec["extends"] = json!(done.id);
    let mut other = spec.clone();
    other["seed"] = json!(4711);
    let told = refused_with(&person, &other, "#/seed", "other_seed").await;
    assert!(told.ends_with(&format!("{}.", done.spec.seed)), "{told}");
    let mut single = spec.clone();
    single["injection"]["universal_identifiers"] = json!(false);
    let pointer = "#/injection/universal_identifiers";
    refused_with(&person, &single, pointer, "identifiers_trained").await;
    let third = concept(&person.sealed_set("third").await);
    spec["concepts"].as_array_mut().expect("a list").push(third);
    spec["concepts"][2]["class_name"] = json!("bird");
    launched(&person, &spec, "third").await;
    let lease = server.node().lease().await;
    let start = lease
        .inputs
        .iter()
        .find(|input| input.role == InputRole::StartUnet);
    let start = server
        .node()
        .download(&start.expect("the earlier weights").url)
        .await;
    assert_eq!(start, b"not really weights");
    assert_eq!(names(&lease, InputRole::ProtectedImage).len(), 9);
}

#[tokio::test]
async fn earlier_concepts_are_neither_lost_nor_changed() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let spec = two(&person).await;
    let done = protected(&person, &spec, "first").await;
    let mut spec = spec;
    spec["extends"] = json!(done.id);
    let code = "earlier_concepts_missing";
    let concepts = spec["concepts"].as_array().expect("a list").clone();
    let mut changed = concepts.clone();
    changed[0]["identifier"] = json!("zwx");
    for wrong in [
        vec![concepts[0].clone()],
        vec![concepts[1].clone(), concepts[0].clone()],
        changed,
    ] {
        spec["concepts"] = Value::Array(wrong);
        let told = refused_with(&person, &spec, "#/concepts", code).await;
        assert!(told.contains("sks dog, sks cat"), "{told}");
    }
    spec["concepts"] = Value::Array(concepts);
    spec["concepts"][1]["action"] = json!("remove");
    let removed = protected(&person, &spec, "second").await;
    spec["extends"] = json!(removed.id);
    spec["concepts"][1]["action"] = json!("protect");
    let told = refused_with(&person, &spec, "#/concepts", code).await;
    assert!(told.contains("sks cat (removed)"), "{told}");
}

#[tokio::test]
async fn lost_evaluation_is_retried_for_its_own_concept() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let spec = two(&person).await;
    let done = protected(&person, &spec, "first").await;
    let lost = done.evaluation_ids[1];
    let response = person
        .post(&format!("/v1/jobs/{lost}/retry"), &json!({}))
        .await;
    let again: Job = body(response, StatusCode::ACCEPTED).await;
    assert_eq!(again.spec.evaluation.concept, 1);
    let now: Job = person.read(&done.urls.own).await;
    assert_eq!(now.evaluation_ids, [done.evaluation_ids[0], again.id]);
    let lease = server.node().lease().await;
    assert_eq!(lease.job_id, again.id);
    assert_eq!(
        names(&lease, InputRole::ProtectedImage),
        ["01/000.png", "01/001.png", "01/002.png"]
    );
}
