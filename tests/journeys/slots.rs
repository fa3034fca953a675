//! One node works on several jobs at once, and several nodes on one study.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use e2e::{
    Machine, Person, Server,
    machine::{ADMINISTRATOR, administrator},
    person::expect,
    processes::trainers,
    wait::until,
};
use reqwest::{Method, StatusCode};
use serde_json::json;
use shared::{
    JobId,
    job::{Job, JobStatus},
    page::Page,
    study::{Study, StudyStatus, StudyTask},
    training_node::NodeAttempt,
};

const SETTINGS: &[(&str, &str)] = &[
    ("PERSGUARD_LEASE_SECONDS", "3"),
    ("PERSGUARD_LOCAL_NODE", "false"),
    ("PERSGUARD_ADMINISTRATORS", ADMINISTRATOR),
];
/// Two jobs on one processor, a thread each.
const TWO_SLOTS: &[(&str, &str)] = &[
    ("PERSGUARD_NODE_DEVICE", "cpu"),
    ("PERSGUARD_NODE_JOBS_PER_DEVICE", "2"),
    ("PERSGUARD_NODE_THREADS", "2"),
];
/// Enough that an interruption finds some left.
const STEPS: u32 = 40;

struct Scene {
    server: Server,
    admin: Person,
    person: Person,
    machine: Machine,
    jobs: [JobId; 2],
}

/// A node of two slots, and two jobs that it trains at the same time.
async fn scene() -> Result<Scene> {
    let server = Server::start(SETTINGS)?;
    let admin = administrator(&server).await?;
    let machine = Machine::join(&admin, "one", TWO_SLOTS).await?;
    let person = Person::sign_up(&server, "person@example.org").await?;
    let set = person.sealed_set(demo::SUBJECT).await?;
    let mut spec = person.short_spec(&set).await?;
    spec["injection"]["steps"] = json!(STEPS);
    let first = person.launch(&spec, "first").await?.id;
    let second = person.launch(&spec, "second").await?.id;
    let scene = Scene {
        server,
        admin,
        person,
        machine,
        jobs: [first, second],
    };
    until("two trainers at once", Duration::from_mins(2), || async {
        let seen = scene.machine.seen(&scene.admin).await?;
        let held: BTreeSet<JobId> = seen.current.iter().map(|it| it.job_id).collect();
        let both = held == BTreeSet::from(scene.jobs);
        Ok((both && trainers(scene.machine.path()).len() == 2).then_some(()))
    })
    .await?;
    for job in scene.jobs {
        scene.person.trained(job, STEPS / 4).await?;
    }
    Ok(scene)
}

async fn attempts(admin: &Person, machine: &Machine) -> Result<Vec<NodeAttempt>> {
    let path = format!("/v1/nodes/{}/attempts?limit=100", machine.id);
    let page: Page<NodeAttempt> = admin.get(&path).await?;
    Ok(page.data)
}

fn of(attempts: &[NodeAttempt], job: JobId) -> Result<&NodeAttempt> {
    let mut found = attempts.iter().filter(|attempt| attempt.job_id == job);
    let one = found.next().context("no attempt")?;
    ensure!(found.next().is_none(), "{job} was tried twice");
    Ok(one)
}

#[tokio::test]
async fn one_of_two_jobs_at_once_is_canceled_and_the_other_ends_well() -> Result<()> {
    let scene = scene().await?;
    let (person, [canceled, kept]) = (&scene.person, scene.jobs);
    let seen = scene.machine.seen(&scene.admin).await?;
    assert_eq!((seen.threads, seen.facts.devices.len()), (2, 1));
    let path = format!("/v1/jobs/{canceled}/cancel");
    let _: Job = person
        .send(Method::POST, &path, &json!({}), StatusCode::ACCEPTED)
        .await?;
    person.wait_for(canceled, JobStatus::Canceled, 15).await?;
    let done = person.wait_for(kept, JobStatus::Succeeded, 300).await?;
    assert_eq!(done.attempts, 1, "it was not disturbed");

    let attempts = attempts(&scene.admin, &scene.machine).await?;
    let (canceled, kept) = (of(&attempts, canceled)?, of(&attempts, kept)?);
    assert_eq!(canceled.ended_as, Some(JobStatus::Canceled));
    assert_eq!(kept.ended_as, Some(JobStatus::Succeeded));
    let (canceled_end, kept_end) = (
        canceled.ended_at.context("no end")?,
        kept.ended_at.context("no end")?,
    );
    ensure!(
        kept.started_at < canceled_end && canceled.started_at < kept_end,
        "they did not overlap: {attempts:?}"
    );
    ensure!(canceled_end < kept_end, "one outlived the other");
    drop(scene.server);
    Ok(())
}

#[tokio::test]
async fn a_killed_node_loses_both_of_its_jobs_and_both_go_on() -> Result<()> {
    let mut scene = scene().await?;
    let person = &scene.person;
    scene.machine.kill()?;
    for job in scene.jobs {
        person.wait_for(job, JobStatus::Queued, 30).await?;
    }
    let lost = attempts(&scene.admin, &scene.machine).await?;
    for job in scene.jobs {
        let attempt = of(&lost, job)?;
        assert_eq!(attempt.ended_as, Some(JobStatus::Queued));
        let reason = attempt.reason.as_deref().context("no reason")?;
        ensure!(reason.contains("went silent"), "{reason}");
    }
    let path = scene.machine.path().to_owned();
    until("the orphans' end", Duration::from_secs(15), || async {
        Ok(trainers(&path).is_empty().then_some(()))
    })
    .await?;
    scene.machine.start()?;
    for job in scene.jobs {
        let done = person.wait_for(job, JobStatus::Succeeded, 300).await?;
        assert_eq!(done.attempts, 2);
    }
    Ok(())
}

#[tokio::test]
async fn a_study_is_spread_over_two_machines_and_put_together_once() -> Result<()> {
    let server = Server::start(SETTINGS)?;
    let admin = administrator(&server).await?;
    let one_thread = &[("PERSGUARD_NODE_THREADS", "1")];
    let machines = [
        Machine::join(&admin, "one", one_thread).await?,
        Machine::join(&admin, "two", one_thread).await?,
    ];
    let person = Person::sign_up(&server, "person@example.org").await?;
    let set = person.sealed_set(demo::SUBJECT).await?;
    let mut spec = person.short_spec(&set).await?;
    spec["evaluation"] = json!({"checkpoints": [0, 2], "images_per_arm": 2});
    let job = person.launch(&spec, "protect").await?.id;
    person.wait_for(job, JobStatus::Succeeded, 300).await?;
    let request = json!({ "protect_job_id": job, "tier": "smoke" });
    let sent = person.request(Method::POST, "/v1/studies");
    let sent = sent.header("Idempotency-Key", "study").json(&request);
    let study: Study = expect(sent.send().await?, StatusCode::ACCEPTED)
        .await?
        .json()
        .await?;
    let study = until("the study's end", Duration::from_mins(15), || async {
        let study: Study = person.get(&format!("/v1/studies/{}", study.id)).await?;
        ensure!(
            !matches!(study.status, StudyStatus::Failed | StudyStatus::Canceled),
            "{:?}",
            study.jobs
        );
        Ok((study.status == StudyStatus::Succeeded).then_some(study))
    })
    .await?;
    ensure!(study.report.is_some());
    let of_task = |wanted: fn(&StudyTask) -> bool| -> BTreeSet<JobId> {
        let jobs = study.jobs.iter().filter(|job| wanted(&job.task));
        jobs.map(|job| job.id).collect()
    };
    let cells = of_task(|task| matches!(task, StudyTask::Run { .. }));
    ensure!(cells.len() > 1, "{:?}", study.jobs);
    let merges = of_task(|task| matches!(task, StudyTask::Merge));
    assert_eq!(merges.len(), 1);
    let mut last_cell = None;
    let mut merged = None;
    for machine in &machines {
        let attempts = attempts(&admin, machine).await?;
        let own = attempts.iter().filter(|it| cells.contains(&it.job_id));
        ensure!(own.clone().count() > 0, "{} ran no cell", machine.id);
        last_cell = last_cell.max(own.filter_map(|it| it.ended_at).max());
        let merge = attempts.iter().find(|it| merges.contains(&it.job_id));
        merged = merged.or(merge.map(|it| it.started_at));
    }
    ensure!(
        merged >= last_cell,
        "it was put together before the last cell"
    );
    Ok(())
}
