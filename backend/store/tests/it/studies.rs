//! The jobs of a study: what puts it together follows its last cell in one transaction, however that cell ends.

use futures::future::join_all;
use shared::{
    JobId, OrganisationId,
    job::{JobKind, JobStatus},
    limits::MAX_ACTIVE_JOBS,
    study::{CreateStudy, StudyOrder, StudyTask},
};
use store::{ClaimedJob, Error, FinishJob, JobRecord, NewJob};

use crate::support::{World, at, failure, on_both, success};

on_both!(
    merge_follows_the_last_cell_that_ends,
    merge_follows_a_last_cell_that_is_canceled_or_lost,
    last_cells_at_once_are_merged_once,
    nothing_follows_cells_that_all_failed,
    a_wide_study_leaves_its_owner_room_for_other_jobs,
    cells_retried_after_the_merge_are_merged_again,
);

fn order(protect: JobId, task: StudyTask) -> StudyOrder {
    let request = serde_json::json!({ "protect_job_id": protect });
    let request: CreateStudy = serde_json::from_value(request).expect("a request");
    StudyOrder { request, task }
}

/// A study whose planning is done: its owner, its planning job, and what runs its cells.
async fn planned(world: &World, cells: u32) -> (OrganisationId, JobId, Vec<JobId>) {
    let store = &world.store;
    let protect = world.project("ada").await;
    let parent = world.enqueue(&protect, at(1)).await.id;
    let node = world.node().await;
    let claim = world.claim(node, at(2)).await.unwrap();
    let ended = store.finish_job(parent, claim.token, success(), at(3));
    ended.await.unwrap();
    let part = |task| {
        let mut new = NewJob {
            kind: JobKind::Study,
            parent_id: Some(parent),
            ..protect.clone()
        };
        new.spec.evaluation.study = Some(Box::new(order(parent, task)));
        new
    };
    let plan = world.enqueue(&part(StudyTask::Plan), at(4)).await.id;
    let claim = world.claim(node, at(5)).await.unwrap();
    let FinishJob::Succeeded { metrics, .. } = success() else {
        unreachable!("success succeeds")
    };
    let runs = (0..cells).map(|cell| part(StudyTask::Run { cells: vec![cell] }));
    let done = FinishJob::Succeeded {
        metrics,
        artifacts: Vec::new(),
        issued: Vec::new(),
        follow_ups: runs.collect(),
        gallery: None,
    };
    store
        .finish_job(plan, claim.token, done, at(6))
        .await
        .unwrap();
    let jobs = store.list_study_jobs(protect.owner_id, plan).await.unwrap();
    let jobs = jobs.iter().map(|job| job.id).collect();
    (protect.owner_id, plan, jobs)
}

async fn end(world: &World, finish: FinishJob) {
    let node = world.node().await;
    let claim = world.claim(node, at(7)).await.unwrap();
    let ended = world
        .store
        .finish_job(claim.job.id, claim.token, finish, at(8));
    ended.await.unwrap();
}

async fn merges(world: &World, owner: OrganisationId, plan: JobId) -> Vec<JobRecord> {
    let jobs = world.store.list_study_jobs(owner, plan).await.unwrap();
    let is_merge = |job: &JobRecord| {
        let study = job.spec.evaluation.study.as_ref();
        study.is_some_and(|order| order.task == StudyTask::Merge)
    };
    jobs.into_iter().filter(is_merge).collect()
}

async fn merge_follows_the_last_cell_that_ends(world: World) {
    let (owner, plan, _) = planned(&world, 2).await;
    end(&world, success()).await;
    assert!(merges(&world, owner, plan).await.is_empty(), "one is left");
    let (failure, retry) = (failure("no memory"), false);
    end(&world, FinishJob::Failed { failure, retry }).await;
    let merges = merges(&world, owner, plan).await;
    assert_eq!(merges.len(), 1);
    assert_eq!(merges[0].status, JobStatus::Queued);
    assert_eq!(merges[0].parent_id, Some(plan));
}

async fn merge_follows_a_last_cell_that_is_canceled_or_lost(world: World) {
    let (owner, plan, jobs) = planned(&world, 2).await;
    end(&world, success()).await;
    let canceled = world.store.request_cancel(owner, jobs[1], at(9)).await;
    assert_eq!(canceled.unwrap().unwrap().status, JobStatus::Canceled);
    let found = merges(&world, owner, plan).await;
    assert_eq!(found.len(), 1);
    // The merge itself is lost and is not repeated by itself.
    let node = world.node().await;
    let claim = world.claim(node, at(10)).await.unwrap();
    assert_eq!(claim.job.id, found[0].id);
    let expired = world.store.expire_leases(at(60_000), 1).await.unwrap();
    assert_eq!(expired.len(), 1);
    assert_eq!(merges(&world, owner, plan).await.len(), 1);
}

async fn last_cells_at_once_are_merged_once(world: World) {
    let (owner, plan, jobs) = planned(&world, 6).await;
    end(&world, success()).await;
    let cancels = jobs[1..].iter().map(|job| {
        let (store, job) = (world.store.clone(), *job);
        tokio::spawn(async move { store.request_cancel(owner, job, at(9)).await })
    });
    for canceled in join_all(cancels).await {
        assert!(canceled.unwrap().unwrap().is_some());
    }
    assert_eq!(merges(&world, owner, plan).await.len(), 1);
}

async fn nothing_follows_cells_that_all_failed(world: World) {
    let (owner, plan, _) = planned(&world, 1).await;
    let (failure, retry) = (failure("no memory"), false);
    end(&world, FinishJob::Failed { failure, retry }).await;
    assert!(merges(&world, owner, plan).await.is_empty());
}

async fn a_wide_study_leaves_its_owner_room_for_other_jobs(world: World) {
    let store = &world.store;
    let (owner, plan, jobs) = planned(&world, 40).await;
    assert_eq!(store.count_active(owner).await.unwrap(), 3, "40 of 16 each");
    let new = NewJob {
        parent_id: None,
        kind: JobKind::Protect,
        ..again(&world, jobs[0]).await
    };
    for number in 4..=MAX_ACTIVE_JOBS as u64 {
        world.enqueue(&new, at(9)).await;
        assert_eq!(store.count_active(owner).await.unwrap(), number);
    }
    let refused = store.enqueue_job(new, at(10)).await;
    assert!(matches!(refused, Err(Error::TooManyJobs { active: 20 })));
    // What is canceled counts no more.
    for job in &jobs[..30] {
        store.request_cancel(owner, *job, at(11)).await.unwrap();
    }
    assert_eq!(store.count_active(owner).await.unwrap(), 18);
    // Cells that are retried count as the others do, however many they become.
    let cell = again(&world, jobs[0]).await;
    assert_eq!(cell.parent_id, Some(plan));
    let mut queued = 0;
    while store.enqueue_job(cell.clone(), at(12)).await.is_ok() {
        queued += 1;
    }
    assert_eq!(queued, 33 - 10, "until there are more than two times 16");
}

/// What would queue a job of a study again.
async fn again(world: &World, job: JobId) -> NewJob {
    let job = world.job(job).await;
    NewJob {
        owner_id: job.owner_id,
        kind: job.kind,
        spec: job.spec,
        parent_id: job.parent_id,
        priority: 0,
        required_memory_bytes: 0,
        idempotency_key: None,
        traceparent: None,
    }
}

/// Queues a job of a study again, as its owner would.
async fn retry(world: &World, job: JobId, now: i64) {
    let again = again(world, job).await;
    world.enqueue(&again, at(now)).await;
}

async fn cells_retried_after_the_merge_are_merged_again(world: World) {
    let (owner, plan, _) = planned(&world, 2).await;
    end(&world, success()).await;
    let node = world.node().await;
    let lost = world.claim(node, at(9)).await.unwrap();
    let failed = || FinishJob::Failed {
        failure: failure("no memory"),
        retry: false,
    };
    let finish = async |claim: &ClaimedJob, finish, now| {
        let ended = world
            .store
            .finish_job(claim.job.id, claim.token, finish, at(now));
        ended.await.unwrap();
        merges(&world, owner, plan).await.len()
    };
    assert_eq!(finish(&lost, failed(), 10).await, 1);
    let merge = world.claim(node, at(11)).await.unwrap();
    assert_eq!(finish(&merge, success(), 12).await, 1, "nothing is new");

    retry(&world, lost.job.id, 13).await;
    let again = world.claim(node, at(14)).await.unwrap();
    assert_eq!(finish(&again, failed(), 15).await, 1, "it failed again");
    retry(&world, lost.job.id, 16).await;
    let again = world.claim(node, at(17)).await.unwrap();
    assert_eq!(finish(&again, success(), 18).await, 2);

    // Cells that end while somebody puts the others together come into the next one.
    let merge = world.claim(node, at(19)).await.unwrap();
    retry(&world, lost.job.id, 20).await;
    let late = world.claim(node, at(21)).await.unwrap();
    assert_eq!(finish(&late, success(), 22).await, 2);
    assert_eq!(finish(&merge, failed(), 23).await, 3);
    let merge = world.claim(node, at(24)).await.unwrap();
    assert_eq!(finish(&merge, failed(), 25).await, 3, "not by itself");
}
