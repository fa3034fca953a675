//! Several machines work for one server: one dies, one is drained, one is removed, and every job ends once.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use e2e::{
    Machine, Person, Server,
    machine::{ADMINISTRATOR, administrator},
    processes::trainers,
    wait::until,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::{
    JobId,
    artifact::Artifact,
    job::{Job, JobStatus},
    page::Page,
    progress::{JobEventBody, Progress},
    training_node::{NodeAttempt, NodeIntake, NodeStatus},
};

const SETTINGS: &[(&str, &str)] = &[
    ("PERSGUARD_LEASE_SECONDS", "3"),
    ("PERSGUARD_LOCAL_NODE", "false"),
    ("PERSGUARD_ADMINISTRATORS", ADMINISTRATOR),
];
/// Three trainers share two cores.
const ONE_THREAD: &[(&str, &str)] = &[("PERSGUARD_NODE_THREADS", "1")];
/// Enough that an interruption finds some left.
const LONG: u32 = 60;

async fn launch(person: &Person, spec: &Value, steps: u32, key: &str) -> Result<JobId> {
    let mut spec = spec.clone();
    spec["injection"]["steps"] = json!(steps);
    Ok(person.launch(&spec, key).await?.id)
}

async fn attempts(admin: &Person, machine: &Machine) -> Result<Vec<NodeAttempt>> {
    let path = format!("/v1/nodes/{}/attempts?limit=100", machine.id);
    let page: Page<NodeAttempt> = admin.get(&path).await?;
    Ok(page.data)
}

/// The machine that holds a job, and trains.
async fn holder(admin: &Person, machines: &[Machine], job: JobId) -> Result<usize> {
    until("somebody to train", Duration::from_mins(2), || async {
        for (index, machine) in machines.iter().enumerate() {
            let seen = machine.seen(admin).await?;
            let holds = seen.current.iter().any(|attempt| attempt.job_id == job);
            if holds && !trainers(machine.path()).is_empty() {
                return Ok(Some(index));
            }
        }
        Ok(None)
    })
    .await
}

async fn resumed(person: &Person, job: JobId) -> Result<bool> {
    let events = person.events(job).await?;
    Ok(events.iter().any(|event| {
        matches!(&event.event, JobEventBody::Progress(Progress::Log { line })
            if line.starts_with("Going on from the snapshot of step "))
    }))
}

#[tokio::test]
async fn jobs_survive_a_dead_a_drained_and_a_removed_machine() -> Result<()> {
    let server = Server::start(SETTINGS)?;
    let admin = administrator(&server).await?;
    let mut machines = Vec::new();
    for name in ["one", "two", "three"] {
        machines.push(Machine::join(&admin, name, ONE_THREAD).await?);
    }
    let person = Person::sign_up(&server, "person@example.org").await?;
    let set = person.sealed_set(demo::SUBJECT).await?;
    let spec = person.short_spec(&set).await?;
    let mut jobs = Vec::new();
    for (number, steps) in [LONG, LONG, 6].into_iter().enumerate() {
        jobs.push(launch(&person, &spec, steps, &format!("job-{number}")).await?);
    }
    for machine in &machines {
        let online = until("it to be online", Duration::from_secs(30), || async {
            let seen = machine.seen(&admin).await?;
            Ok((seen.status == NodeStatus::Online).then_some(seen))
        });
        let seen = online.await?;
        ensure!(!seen.facts.version.is_empty() && seen.facts.devices.len() == 1);
        ensure!(seen.facts.devices[0].gigaflops.is_some(), "it was measured");
    }

    // One dies in the middle of a job that has a snapshot.
    let dead = holder(&admin, &machines, jobs[0]).await?;
    // Some snapshot of them is safe.
    person.trained(jobs[0], LONG / 2).await?;
    machines[dead].kill()?;
    // Another is drained: it gives its job back and takes none, though it stays.
    let drained = holder_of_another(&admin, &machines, dead, jobs[1]).await?;
    machines[drained]
        .set_intake(&admin, NodeIntake::Draining)
        .await?;
    let machine = &machines[drained];
    until(
        "the drained one to be idle",
        Duration::from_secs(30),
        || async { Ok(machine.seen(&admin).await?.current.is_empty().then_some(())) },
    )
    .await?;
    let before = attempts(&admin, machine).await?.len();

    for job in &jobs {
        person.wait_for(*job, JobStatus::Succeeded, 400).await?;
    }
    ensure!(resumed(&person, jobs[0]).await?, "it began anew");
    assert_eq!(person.job(jobs[0]).await?.attempts, 2);
    assert_eq!(person.job(jobs[1]).await?.attempts, 1, "a drain is no try");
    ensure!(machines[drained].is_running(), "a drained node stays");
    let after = attempts(&admin, &machines[drained]).await?.len();
    assert_eq!(before, after, "a drained node takes nothing");
    let lost = machines[dead].seen(&admin).await?;
    assert_eq!(lost.status, NodeStatus::Offline);
    once(&admin, &person, &machines, &jobs).await?;

    // The drained one is removed: its credential is worth nothing, and its process ends by itself.
    let path = format!("/v1/nodes/{}", machines[drained].id);
    let removed = admin.request(Method::DELETE, &path).send().await?;
    assert_eq!(removed.status(), StatusCode::NO_CONTENT);
    let start = std::time::Instant::now();
    while machines[drained].is_running() {
        ensure!(
            start.elapsed() < Duration::from_secs(30),
            "a removed node goes on"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn holder_of_another(
    admin: &Person,
    machines: &[Machine],
    dead: usize,
    job: JobId,
) -> Result<usize> {
    let found = holder(admin, machines, job).await?;
    ensure!(found != dead, "one node held two jobs");
    Ok(found)
}

/// Every job was accepted once, from one node, and left one checkpoint.
async fn once(admin: &Person, person: &Person, machines: &[Machine], jobs: &[JobId]) -> Result<()> {
    let mut won = Vec::new();
    for machine in machines {
        let attempts = attempts(admin, machine).await?.into_iter();
        let accepted = attempts.filter(|it| it.ended_as == Some(JobStatus::Succeeded));
        won.extend(accepted.map(|attempt| attempt.job_id));
    }
    let unique: BTreeSet<JobId> = won.iter().copied().collect();
    assert_eq!(unique.len(), won.len(), "a job was accepted twice");
    for job in jobs {
        ensure!(unique.contains(job), "{job} has no accepted try");
        let job: Job = person.job(*job).await?;
        let files: Page<Artifact> = person.get(&job.urls.artifacts).await?;
        let weights = files.data.iter();
        let weights = weights.filter(|file| file.name == "protected_unet.safetensors");
        assert_eq!(weights.count(), 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_stopped_node_gives_its_job_back_at_once() -> Result<()> {
    let server = Server::start(SETTINGS)?;
    let admin = administrator(&server).await?;
    let mut machines = vec![Machine::join(&admin, "one", &[]).await?];
    let person = Person::sign_up(&server, "person@example.org").await?;
    let set = person.sealed_set(demo::SUBJECT).await?;
    let spec = person.short_spec(&set).await?;
    let job = launch(&person, &spec, LONG, "once").await?;
    holder(&admin, &machines, job).await?;
    machines[0].stop()?;
    let waiting = person.job(job).await?;
    assert_eq!(waiting.status, JobStatus::Queued);
    let tries = attempts(&admin, &machines[0]).await?;
    let reason = tries[0].reason.as_deref().context("no reason")?;
    ensure!(reason.contains("shut down"), "{reason}");
    // Its next process is the same node.
    machines[0].start()?;
    let done = person.wait_for(job, JobStatus::Succeeded, 300).await?;
    assert_eq!(done.attempts, 1);
    Ok(())
}
