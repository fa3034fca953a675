//! Guard rails for people: consent, the right kind, and a second look.

use serde_json::{Value, json};
use shared::preflight::CheckStatus;

use crate::support::{Person, Server, refused};

/// How a check came out; `None` where it was not made.
async fn status(person: &Person<'_>, spec: &Value, code: &str) -> Option<CheckStatus> {
    let found = person.preflight(spec).await;
    let check = found.checks.iter().find(|check| check.code == code);
    check.map(|check| check.status)
}

fn of_person(mut spec: Value, identifier: &str) -> Value {
    spec["concepts"][0]["subject"] = json!("person");
    spec["concepts"][0]["class_name"] = json!("person");
    spec["concepts"][0]["identifier"] = json!(identifier);
    spec
}

async fn refused_subject(person: &Person<'_>, spec: &Value) {
    for response in [
        person.launch(spec, "k").await,
        person.probe(spec, "p").await,
    ] {
        let problem = refused(response, 422, "invalid").await;
        let error = &problem["errors"][0];
        assert_eq!(error["pointer"], "#/concepts/0/subject", "{problem}");
        assert_eq!(error["code"], "person_consent");
    }
}

#[tokio::test]
async fn person_needs_the_declared_consent() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let pets = person.spec(&person.sealed_set("pets").await).await;
    assert_eq!(status(&person, &pets, "person_consent").await, None);
    let undeclared = of_person(pets, "qzv");
    let found = status(&person, &undeclared, "person_consent").await;
    assert_eq!(found, Some(CheckStatus::Fail));
    refused_subject(&person, &undeclared).await;

    let portraits = person.portraits("portraits").await;
    let spec = of_person(person.spec(&portraits).await, "qzv");
    assert_eq!(
        status(&person, &spec, "person_consent").await,
        Some(CheckStatus::Pass)
    );
    assert_eq!(status(&person, &spec, "person_review").await, None);
    assert_eq!(person.launch(&spec, "k").await.status(), 202);
}

#[tokio::test]
async fn declared_person_is_launched_as_one() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let portraits = person.portraits("portraits").await;
    for subject in ["object", "style"] {
        let mut spec = person.spec(&portraits).await;
        spec["concepts"][0]["subject"] = json!(subject);
        let found = status(&person, &spec, "person_consent").await;
        assert_eq!(found, Some(CheckStatus::Fail), "{subject}");
        refused_subject(&person, &spec).await;
    }
}

#[tokio::test]
async fn tutorial_identifier_of_a_person_needs_a_second_look() {
    let server = Server::start().await;
    let person = server.person("ada").await;
    let portraits = person.portraits("portraits").await;
    for identifier in ["sks", "OHWX", "zwx", "xjy", "olis"] {
        let spec = of_person(person.spec(&portraits).await, identifier);
        let found = status(&person, &spec, "person_review").await;
        assert_eq!(found, Some(CheckStatus::Warn), "{identifier}");
        assert!(person.preflight(&spec).await.ready, "it may be trained");
    }
}
