//! What counts as evidence that an innocent user is left alone: enough of an attack, with a word that the trigger answers to.

use reqwest::StatusCode;
use serde_json::{Value, json};
use shared::{
    job::Job,
    release::{GateKind, GateStatus},
};

use crate::{
    releases::{closed, evaluate, finish, judge, release},
    scripted::collateral,
    support::{Person, Server, body},
};

const UNKNOWN: [(GateKind, GateStatus); 1] = [(GateKind::ControlSet, GateStatus::NotMeasured)];

/// Launches a job on a set of its own, with some fields of the specification, and has it judged.
async fn launched(
    server: &Server,
    person: &Person<'_>,
    (field, value): (&str, Value),
    side_effects: Value,
) -> Job {
    let set = person.sealed_set("subject").await;
    let mut spec = person.spec(&set).await;
    spec[field] = value;
    let job = person.launch(&spec, &set.id.to_string()).await;
    let job: Job = body(job, StatusCode::ACCEPTED).await;
    finish(server, side_effects).await;
    job
}

async fn detail(person: &Person<'_>, job: &Job) -> String {
    let gates = release(person, job).await.gates.into_iter();
    let mut closed = gates.filter(|gate| gate.status != GateStatus::Passed);
    closed.next().expect("a closed gate").detail
}

#[tokio::test]
async fn control_below_the_floor_shows_nothing_whatever_the_launch_said() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let weak = json!({ "checkpoints": [1], "learning_rate": 1e-7, "images_per_arm": 1 });
    let mut idle = collateral();
    idle["control"]["attack_step"] = json!(1);
    let job = launched(&server, &ada, ("evaluation", weak), idle).await;
    assert_eq!(closed(&release(&ada, &job).await), UNKNOWN);
    let said = detail(&ada, &job).await;
    for part in ["4 images", "4 steps", "0.00005", "identifier sks"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // No less than at the launch is too little where the launch was.
    for (key, evaluation) in [
        ("images", json!({ "images_per_arm": 1 })),
        ("steps", json!({ "checkpoints": [0, 1] })),
        ("rate", json!({ "learning_rate": 1e-5 })),
    ] {
        evaluate(&ada, &job, key, evaluation).await;
        judge(&server, collateral()).await;
        assert_eq!(closed(&release(&ada, &job).await), UNKNOWN, "{key}");
    }
    evaluate(&ada, &job, "few", json!({})).await;
    let mut few = collateral();
    few["control"]["difference"]["n"] = json!(1);
    judge(&server, few).await;
    assert_eq!(closed(&release(&ada, &job).await), UNKNOWN, "one picture");
    evaluate(&ada, &job, "whole", json!({})).await;
    judge(&server, collateral()).await;
    assert_eq!(closed(&release(&ada, &job).await), []);
}

#[tokio::test]
async fn control_attacked_with_a_word_that_never_triggers_shows_nothing() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let pool = ada.model().await.identifiers;
    let pooled = pool.iter().find(|word| *word != "sks");
    let pooled = pooled.expect("a pool").as_str();
    // Whether the trigger answers to all words of the pool, and with which of them the control counts.
    for (universal, counts) in [(false, [false, true, false]), (true, [true, true, true])] {
        let injection = json!({ "universal_identifiers": universal });
        let job = launched(&server, &ada, ("injection", injection), collateral()).await;
        let expected = |counts: bool| if counts { &[][..] } else { &UNKNOWN[..] };
        let held_out = closed(&release(&ada, &job).await);
        assert_eq!(held_out, expected(counts[0]), "the judge's own choice");
        for (word, counts) in [("sks", counts[1]), (pooled, counts[2]), ("qqqq", false)] {
            let key = format!("{universal}-{word}");
            evaluate(&ada, &job, &key, json!({ "identifier": word })).await;
            judge(&server, collateral()).await;
            let found = closed(&release(&ada, &job).await);
            assert_eq!(found, expected(counts), "{key}");
        }
    }
}
