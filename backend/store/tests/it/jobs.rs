//! The ledger, one step at a time.

use shared::{
    job::{JobKind, JobProgress, JobStatus},
    limits::MAX_ACTIVE_JOBS,
    progress::{JobEventBody, Losses, Progress},
};
use store::{Error, FinishJob, Finished, Heartbeat, NewJob, Renewal, ResumePoint};

use crate::support::{World, at, concept, failure, hash, on_both, success};

on_both!(
    killed_nodes_job_returns_to_queue_and_its_token_is_fenced,
    lost_nodes_end_a_job_after_the_last_attempt,
    canceling_job_of_a_silent_node_is_canceled,
    cancel_takes_effect_where_the_job_stands,
    shares_are_fair_then_priority_then_age,
    account_has_a_limit_of_active_jobs,
    draft_cannot_be_protected,
    progress_is_told_in_order,
    long_report_is_told_whole_and_in_order,
    released_attempt_does_not_count,
    older_resume_point_never_replaces_a_newer_one,
);

fn beat(now: i64, running: bool, progress: &[Progress]) -> Heartbeat<'_> {
    Heartbeat {
        node: None,
        now: at(now),
        lease_until: at(now + 10_000),
        running,
        progress,
    }
}

const GOES_ON: Renewal = Renewal::Renewed {
    canceling: false,
    draining: false,
};

async fn killed_nodes_job_returns_to_queue_and_its_token_is_fenced(world: World) {
    let store = &world.store;
    let traced = NewJob {
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        ..world.project("ada").await
    };
    let job = world.enqueue(&traced, at(0)).await;
    let (killed, heir) = (world.node().await, world.node().await);
    let first = world.claim(killed, at(0)).await.unwrap();
    let resume = ResumePoint {
        step: 20,
        sha256: hash(20),
        size_bytes: 5,
    };
    assert_eq!(
        store
            .heartbeat(job.id, first.token, beat(1, true, &[]))
            .await
            .unwrap(),
        GOES_ON
    );
    assert!(
        store
            .save_resume(job.id, first.token, &resume)
            .await
            .unwrap()
    );
    assert!(
        store.expire_leases(at(10_001), 3).await.unwrap().is_empty(),
        "not silent yet"
    );
    let expired = store.expire_leases(at(10_002), 3).await.unwrap();
    assert_eq!(
        (expired[0].id, expired[0].status),
        (job.id, JobStatus::Queued)
    );
    assert_eq!(world.job(job.id).await.lease_until, None);
    assert!(
        store.expire_leases(at(10_002), 3).await.unwrap().is_empty(),
        "once"
    );

    let second = world.claim(heir, at(10_003)).await.unwrap();
    assert_eq!((second.job.id, second.job.attempts), (job.id, 2));
    assert_eq!(second.job.resume, Some(resume.clone()), "it resumes");
    for claim in [&first, &second] {
        assert_eq!(claim.job.traceparent, traced.traceparent);
    }
    assert!(second.token > first.token);
    // The first node was only frozen. Nothing that it says counts any more.
    let late = store
        .heartbeat(job.id, first.token, beat(10_004, true, &[]))
        .await;
    assert_eq!(late.unwrap(), Renewal::Fenced);
    assert!(
        !store
            .save_resume(job.id, first.token, &resume)
            .await
            .unwrap()
    );
    let told = store
        .append_progress(job.id, first.token, &[], at(10_004))
        .await;
    assert_eq!(told.unwrap(), None);
    let late = store
        .finish_job(job.id, first.token, success(), at(10_005))
        .await;
    assert_eq!(late.unwrap(), Finished::Fenced);
    assert_eq!(world.job(job.id).await.node_id, Some(heir));
    let done = store
        .finish_job(job.id, second.token, success(), at(10_006))
        .await;
    assert_eq!(done.unwrap(), Finished::Accepted(JobStatus::Succeeded));
}

async fn lost_nodes_end_a_job_after_the_last_attempt(world: World) {
    let job = world.enqueue(&world.project("ada").await, at(0)).await;
    let node = world.node().await;
    for (attempt, status) in [(1, JobStatus::Queued), (2, JobStatus::Failed)] {
        let now = i64::from(attempt) * 20_000;
        assert_eq!(
            world.claim(node, at(now)).await.unwrap().job.attempts,
            attempt
        );
        let expired = world
            .store
            .expire_leases(at(now + 10_001), 2)
            .await
            .unwrap();
        assert_eq!(expired[0].status, status);
    }
    let failed = world.job(job.id).await;
    assert_eq!(failed.failure.unwrap().code, "node_lost");
    assert_eq!(failed.completed_at, Some(at(50_001)));
    assert!(world.claim(node, at(60_000)).await.is_none());
}

async fn canceling_job_of_a_silent_node_is_canceled(world: World) {
    let new = world.project("ada").await;
    let job = world.enqueue(&new, at(0)).await;
    let lost = world.claim(world.node().await, at(0)).await.unwrap();
    let asked = world
        .store
        .request_cancel(new.owner_id, job.id, at(1))
        .await;
    assert_eq!(asked.unwrap().unwrap().status, JobStatus::Canceling);
    let expired = world.store.expire_leases(at(10_001), 1).await.unwrap();
    assert_eq!(expired[0].status, JobStatus::Canceled);
    let late = world
        .store
        .finish_job(job.id, lost.token, success(), at(10_002))
        .await;
    assert_eq!(late.unwrap(), Finished::Fenced);
}

async fn cancel_takes_effect_where_the_job_stands(world: World) {
    let store = &world.store;
    let new = world.project("ada").await;
    let cancel = async |id, now| {
        let job = store.request_cancel(new.owner_id, id, at(now)).await;
        job.unwrap().unwrap().status
    };
    let waiting = world.enqueue(&new, at(0)).await.id;
    assert_eq!(cancel(waiting, 1).await, JobStatus::Canceled);
    assert_eq!(
        cancel(waiting, 2).await,
        JobStatus::Canceled,
        "twice is no harm"
    );

    let node = world.node().await;
    let working = world.enqueue(&new, at(3)).await.id;
    let claim = world.claim(node, at(4)).await.unwrap();
    assert_eq!(claim.job.id, working);
    assert_eq!(cancel(working, 5).await, JobStatus::Canceling);
    let told = store
        .heartbeat(working, claim.token, beat(6, true, &[]))
        .await;
    let stop = Renewal::Renewed {
        canceling: true,
        draining: false,
    };
    assert_eq!(told.unwrap(), stop);
    let done = store
        .finish_job(working, claim.token, FinishJob::Canceled, at(7))
        .await;
    assert_eq!(done.unwrap(), Finished::Accepted(JobStatus::Canceled));

    let finished = world.enqueue(&new, at(8)).await.id;
    let claim = world.claim(node, at(9)).await.unwrap();
    store
        .finish_job(finished, claim.token, success(), at(10))
        .await
        .unwrap();
    assert_eq!(cancel(finished, 11).await, JobStatus::Succeeded, "too late");
}

async fn shares_are_fair_then_priority_then_age(world: World) {
    let (ada, bob) = (world.project("ada").await, world.project("bob").await);
    let urgent = NewJob {
        priority: 5,
        ..ada.clone()
    };
    let mut names = std::collections::HashMap::new();
    for (name, new, now) in [
        ("ada 1", &ada, 1),
        ("ada 2", &ada, 2),
        ("ada urgent", &urgent, 3),
        ("bob 1", &bob, 4),
        ("bob 2", &bob, 5),
    ] {
        names.insert(world.enqueue(new, at(now)).await.id, name);
    }
    let position = async |wanted: &str| {
        let (id, _) = names.iter().find(|(_, name)| **name == wanted).unwrap();
        let owner = if wanted.starts_with("ada") {
            ada.owner_id
        } else {
            bob.owner_id
        };
        let job = world.store.find_job(owner, *id).await.unwrap().unwrap();
        world.store.queue_position(&job).await.unwrap()
    };
    assert_eq!(position("ada urgent").await, Some(0));
    assert_eq!(position("ada 1").await, Some(1));
    assert_eq!(position("bob 2").await, Some(4));
    let node = world.node().await;
    let mut order = Vec::new();
    while let Some(claim) = world.claim(node, at(10)).await {
        order.push(names[&claim.job.id]);
    }
    assert_eq!(order, ["ada urgent", "bob 1", "ada 1", "bob 2", "ada 2"]);
    assert_eq!(position("ada 1").await, None);
}

async fn account_has_a_limit_of_active_jobs(world: World) {
    let store = &world.store;
    let new = world.project("ada").await;
    let tries = (0..MAX_ACTIVE_JOBS as u64 + 5).map(|_| {
        let (store, new) = (store.clone(), new.clone());
        tokio::spawn(async move { store.enqueue_job(new, at(0)).await })
    });
    let results = futures::future::join_all(tries).await;
    let refused = results.into_iter().map(Result::unwrap).filter(|result| {
        matches!(result, Err(Error::TooManyJobs { active }) if *active == MAX_ACTIVE_JOBS as u64)
    });
    assert_eq!(refused.count(), 5);
    assert_eq!(
        store.count_active(new.owner_id).await.unwrap(),
        MAX_ACTIVE_JOBS as u64
    );
    let one = store.list_jobs(new.owner_id, None, 1).await.unwrap()[0].id;
    store
        .request_cancel(new.owner_id, one, at(1))
        .await
        .unwrap();
    world.enqueue(&new, at(2)).await;
}

async fn draft_cannot_be_protected(world: World) {
    let mut new = world.project("ada").await;
    let foreign = NewJob {
        owner_id: world.user("bob").await,
        ..new.clone()
    };
    let refused = world.store.enqueue_job(foreign, at(1)).await;
    assert!(matches!(refused, Err(Error::SetNotSealed)));
    let draft = concept(world.draft(new.owner_id).await);
    new.spec.concepts.push(draft);
    let refused = world.store.enqueue_job(new.clone(), at(1)).await;
    assert!(
        matches!(refused, Err(Error::SetNotSealed)),
        "every concept's set counts"
    );
    new.spec.concepts.clear();
    let refused = world.store.enqueue_job(new, at(1)).await;
    assert!(matches!(refused, Err(Error::NoConcept)));
}

async fn progress_is_told_in_order(world: World) {
    let store = &world.store;
    let new = world.project("ada").await;
    let job = world.enqueue(&new, at(0)).await.id;
    let claim = world.claim(world.node().await, at(1)).await.unwrap();
    let step = |step| JobProgress {
        phase: "Training the trigger".to_owned(),
        step,
        total: 300,
    };
    let losses = Losses {
        step: 1,
        backdoor: 0.5,
        prior: 0.25,
        retention: 0.125,
    };
    let progress = [
        Progress::Losses(losses),
        Progress::Step(step(1)),
        Progress::Step(step(2)),
    ];
    store
        .heartbeat(job, claim.token, beat(2, true, &progress))
        .await
        .unwrap();
    let line = Progress::Log {
        line: "cached".to_owned(),
    };
    let last = store
        .append_progress(job, claim.token, std::slice::from_ref(&line), at(3))
        .await;
    assert_eq!(last.unwrap(), Some(7));
    assert_eq!(world.job(job).await.progress, step(2));
    assert_eq!(world.job(job).await.started_at, Some(at(2)));

    let events = store.list_events(new.owner_id, job, 0, 100).await.unwrap();
    let numbers: Vec<_> = events.iter().map(|event| event.sequence).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7]);
    let bodies: Vec<_> = events[3..]
        .iter()
        .map(|event| event.event.clone())
        .collect();
    let told = progress
        .into_iter()
        .chain([line])
        .map(JobEventBody::Progress);
    assert_eq!(bodies, told.collect::<Vec<_>>());
    let rest = store.list_events(new.owner_id, job, 5, 1).await.unwrap();
    assert_eq!(rest, events[5..6]);
}

async fn long_report_is_told_whole_and_in_order(world: World) {
    let store = &world.store;
    let new = world.project("ada").await;
    let job = world.enqueue(&new, at(0)).await.id;
    let claim = world.claim(world.node().await, at(1)).await.unwrap();
    let line = |number: usize| Progress::Log {
        line: number.to_string(),
    };
    // Statements of 64, 64, 64, 4, 2 and 1 events.
    let report: Vec<_> = (0..199).map(line).collect();
    let told = store
        .append_progress(job, claim.token, &report, at(2))
        .await;
    let before = 2; // it waited, a node took it
    assert_eq!(told.unwrap(), Some(before + 199));
    let events = store
        .list_events(new.owner_id, job, before, 1000)
        .await
        .unwrap();
    let found: Vec<_> = events
        .into_iter()
        .map(|event| (event.sequence, event.event))
        .collect();
    let due = (before + 1..).zip(report.into_iter().map(JobEventBody::Progress));
    assert_eq!(found, due.collect::<Vec<_>>());
    let none = store.append_progress(job, claim.token, &[], at(3)).await;
    assert_eq!(none.unwrap(), Some(before + 199), "nothing to tell");
}

async fn released_attempt_does_not_count(world: World) {
    let store = &world.store;
    let job = world.enqueue(&world.project("ada").await, at(0)).await.id;
    let node = world.node().await;
    let claim = world.claim(node, at(1)).await.unwrap();
    let release = async |now| {
        store
            .finish_job(job, claim.token, FinishJob::Released, at(now))
            .await
    };
    assert_eq!(
        release(2).await.unwrap(),
        Finished::Accepted(JobStatus::Queued)
    );
    assert_eq!(release(3).await.unwrap(), Finished::AlreadyDone);
    assert_eq!(world.job(job).await.attempts, 0);
    let again = world.claim(node, at(4)).await.unwrap();
    assert_eq!(release(5).await.unwrap(), Finished::Fenced);
    let failed = FinishJob::Failed {
        failure: failure("full"),
        retry: true,
    };
    let done = store.finish_job(job, again.token, failed, at(6)).await;
    assert_eq!(done.unwrap(), Finished::Accepted(JobStatus::Queued));
    let waiting = world.job(job).await;
    assert_eq!(
        (waiting.attempts, waiting.failure, waiting.kind),
        (1, None, JobKind::Protect)
    );
}

async fn older_resume_point_never_replaces_a_newer_one(world: World) {
    let store = &world.store;
    let job = world.enqueue(&world.project("ada").await, at(0)).await.id;
    let claim = world.claim(world.node().await, at(1)).await.unwrap();
    for step in [50, 25] {
        let resume = ResumePoint {
            step,
            sha256: hash(step.into()),
            size_bytes: 1,
        };
        assert!(store.save_resume(job, claim.token, &resume).await.unwrap());
    }
    assert_eq!(world.job(job).await.resume.unwrap().step, 50);
    assert!(store.referenced_hashes().await.unwrap().contains(&hash(50)));
    store
        .finish_job(job, claim.token, success(), at(2))
        .await
        .unwrap();
    assert!(!store.referenced_hashes().await.unwrap().contains(&hash(50)));
}
