//! What dies comes back, once; what is canceled stops, wholly.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use e2e::{
    Person, Server,
    processes::{kill, nodes, trainers},
    wait::until,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::{
    JobId,
    artifact::Artifact,
    job::{Job, JobStatus},
    page::Page,
    progress::{JobEvent, JobEventBody, Progress},
};

/// Short leases, so that a lost node is noticed within seconds.
const SETTINGS: &[(&str, &str)] = &[("PERSGUARD_LEASE_SECONDS", "3")];
/// Enough steps that an interruption finds some left.
const STEPS: u32 = 90;

async fn launched(server: &Server, steps: u32) -> Result<(Person, JobId)> {
    let person = Person::sign_up(server, "person@example.org").await?;
    let set = person.sealed_set(demo::SUBJECT).await?;
    let mut spec: Value = person.short_spec(&set).await?;
    spec["injection"]["steps"] = json!(steps);
    let job = person.launch(&spec, "once").await?;
    Ok((person, job.id))
}

/// Steps whose losses were told, in order of telling.
fn steps(events: &[JobEvent]) -> Vec<u32> {
    let step = |event: &JobEvent| match &event.event {
        JobEventBody::Progress(Progress::Losses(losses)) => Some(losses.step),
        _ => None,
    };
    events.iter().filter_map(step).collect()
}

fn resumed_at(events: &[JobEvent]) -> Option<u32> {
    events.iter().find_map(|event| match &event.event {
        JobEventBody::Progress(Progress::Log { line }) => {
            let step = line.strip_prefix("Going on from the snapshot of step ")?;
            step.trim_end_matches('.').parse().ok()
        }
        _ => None,
    })
}

/// Waits until some snapshot is safe with the server and training goes on.
async fn wait_for_progress(person: &Person, job: JobId) -> Result<()> {
    // A snapshot every sixth of the steps: after a half, two of them are there.
    until("half of the training", Duration::from_mins(3), || async {
        let job = person.job(job).await?;
        ensure!(!job.status.is_final(), "ended early: {:?}", job.error);
        let done = steps(&person.events(job.id).await?)
            .last()
            .copied()
            .unwrap_or(0);
        Ok((done >= STEPS / 2).then_some(()))
    })
    .await
}

/// The job succeeded at its second attempt, went on from a snapshot, and left one result.
async fn check_resumed(person: &Person, job: &Job) -> Result<()> {
    assert_eq!(job.attempts, 2);
    let events = person.events(job.id).await?;
    let resumed = resumed_at(&events).context("it did not go on from a snapshot")?;
    ensure!(resumed > 0 && resumed < STEPS, "resumed at {resumed}");
    let steps = steps(&events);
    let again = steps
        .windows(2)
        .find(|pair| pair[1] <= pair[0])
        .map(|pair| pair[1]);
    ensure!(
        again.is_none_or(|step| step == resumed + 1),
        "{steps:?} with a resume at {resumed}"
    );
    assert_eq!(steps.last(), Some(&STEPS));
    let artifacts: Page<Artifact> = person.get(&job.urls.artifacts).await?;
    let mut names: Vec<&str> = artifacts
        .data
        .iter()
        .map(|file| file.name.as_str())
        .collect();
    names.sort_unstable();
    let files = names.len();
    names.dedup();
    assert_eq!(names.len(), files, "{names:?}");
    assert_eq!(names.last(), Some(&"protected_unet.safetensors"));
    let jobs: Page<Job> = person.get("/v1/jobs").await?;
    let evaluations = jobs
        .data
        .iter()
        .filter(|other| other.parent_id == Some(job.id))
        .count();
    assert_eq!(evaluations, 1);
    Ok(())
}

async fn no_trainer(directory: &Path) -> Result<()> {
    until("the trainer's end", Duration::from_secs(15), || async {
        Ok(trainers(directory).is_empty().then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_killed_trainer_resumes_from_its_snapshot() -> Result<()> {
    let server = Server::start(SETTINGS)?;
    let (person, job) = launched(&server, STEPS).await?;
    wait_for_progress(&person, job).await?;
    let trainers = trainers(&server.data());
    assert_eq!(trainers.len(), 1, "one trainer works");
    kill(trainers[0])?;
    let job = person.wait_for(job, JobStatus::Succeeded, 180).await?;
    check_resumed(&person, &job).await
}

#[tokio::test]
async fn a_killed_node_takes_its_trainer_along_and_the_job_resumes() -> Result<()> {
    let server = Server::start(SETTINGS)?;
    let (person, job) = launched(&server, STEPS).await?;
    wait_for_progress(&person, job).await?;
    let (orphan, node) = (trainers(&server.data()), nodes(&server.data()));
    assert_eq!((orphan.len(), node.len()), (1, 1), "one node, one trainer");
    kill(node[0])?;
    until("the orphan's end", Duration::from_secs(15), || async {
        Ok((!trainers(&server.data()).contains(&orphan[0])).then_some(()))
    })
    .await?;
    let job = person.wait_for(job, JobStatus::Succeeded, 180).await?;
    check_resumed(&person, &job).await
}

#[tokio::test]
async fn a_canceled_job_stops_at_once_and_leaves_no_image_behind() -> Result<()> {
    let server = Server::start(SETTINGS)?;
    let (person, job) = launched(&server, 2000).await?;
    person.wait_for(job, JobStatus::Running, 120).await?;
    let path = format!("/v1/jobs/{job}/cancel");
    let _: Job = person
        .send(Method::POST, &path, &json!({}), StatusCode::ACCEPTED)
        .await?;
    person.wait_for(job, JobStatus::Canceled, 15).await?;
    no_trainer(&server.data()).await?;
    let work = server.data().join("node/work");
    until(
        "an empty work directory",
        Duration::from_secs(5),
        || async {
            let left = fs::read_dir(&work).map_or(0, Iterator::count);
            Ok((left == 0).then_some(()))
        },
    )
    .await
}

#[tokio::test]
async fn a_stopped_server_goes_on_at_its_next_start() -> Result<()> {
    let server = Server::start(SETTINGS)?;
    let data = server.data();
    let (person, job) = launched(&server, STEPS).await?;
    wait_for_progress(&person, job).await?;
    let trainer = trainers(&data);
    let server = server.restart(SETTINGS)?;
    ensure!(
        !trainers(&data).contains(&trainer[0]),
        "the old trainer still works"
    );
    let person = person.at(&server);
    let job = person.wait_for(job, JobStatus::Succeeded, 180).await?;
    check_resumed(&person, &job).await
}
