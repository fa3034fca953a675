//! What time removes of jobs' files, and what it spares: the inputs of jobs that have not ended.

use std::sync::atomic::{AtomicI64, Ordering};

use shared::{
    JobId, OrganisationId,
    artifact::ArtifactKind,
    job::{JobKind, JobMetrics},
    study::{CreateStudy, StudyOrder, StudyTask},
};
use store::{FinishJob, NewArtifact, NewJob};

use crate::support::{World, at, hash, on_both, success};

on_both!(
    weights_stay_until_their_evaluation_has_ended,
    weights_stay_while_another_job_goes_on_from_them,
    files_of_a_study_stay_until_it_is_put_together,
);

/// Long after everything here was published.
const LATER: i64 = 1_000_000;

fn file(kind: ArtifactKind, number: u64) -> NewArtifact {
    NewArtifact {
        kind,
        name: format!("{number:x}"),
        sha256: hash(number),
        size_bytes: 3,
    }
}

fn done(artifacts: Vec<NewArtifact>, follow_ups: Vec<NewJob>) -> FinishJob {
    FinishJob::Succeeded {
        metrics: JobMetrics::default(),
        artifacts,
        issued: Vec::new(),
        follow_ups,
        gallery: None,
    }
}

/// Has the next job end so, later than any before: jobs are sorted by their time. Which one that was.
async fn end(world: &World, finish: FinishJob) -> JobId {
    static TIME: AtomicI64 = AtomicI64::new(10);
    let now = TIME.fetch_add(10, Ordering::Relaxed);
    let node = world.node().await;
    let claim = world.claim(node, at(now)).await.expect("a job waits");
    let id = claim.job.id;
    let ended = world
        .store
        .finish_job(id, claim.token, finish, at(now + 1))
        .await;
    ended.expect("it ends");
    id
}

async fn sweep(world: &World) -> u64 {
    let deleted = world.store.delete_old_artifacts(at(LATER)).await;
    deleted.expect("a sweep")
}

async fn files(world: &World, owner: OrganisationId, job: JobId) -> usize {
    let files = world.store.list_artifacts(owner, job).await;
    files.expect("files are listed").len()
}

async fn weights_stay_until_their_evaluation_has_ended(world: World) {
    let new = world.project("ada").await;
    world.enqueue(&new, at(1)).await;
    let evaluation = NewJob {
        kind: JobKind::Evaluate,
        ..new.clone()
    };
    let weights = vec![file(ArtifactKind::ProtectedUnet, 1)];
    let protect = end(&world, done(weights, vec![evaluation.clone()])).await;
    assert_eq!(sweep(&world).await, 0, "the evaluation waits");
    let report = vec![file(ArtifactKind::Report, 2)];
    end(&world, done(report, Vec::new())).await;
    // Somebody has the same weights attacked again: the first report is none of its inputs.
    let again = NewJob {
        parent_id: Some(protect),
        ..evaluation
    };
    let again = world.enqueue(&again, at(4)).await.id;
    assert_eq!(sweep(&world).await, 1);
    assert_eq!(files(&world, new.owner_id, protect).await, 1);
    let canceled = world.store.request_cancel(new.owner_id, again, at(5)).await;
    canceled.unwrap().unwrap();
    assert_eq!(sweep(&world).await, 1);
    assert_eq!(files(&world, new.owner_id, protect).await, 0);
}

async fn weights_stay_while_another_job_goes_on_from_them(world: World) {
    let mut new = world.project("ada").await;
    world.enqueue(&new, at(1)).await;
    let weights = || vec![file(ArtifactKind::ProtectedUnet, 1)];
    let first = end(&world, done(weights(), Vec::new())).await;
    // Another tenant's old weights, which nobody needs.
    let other = world.project("bob").await;
    world.enqueue(&other, at(1)).await;
    let unneeded = end(&world, done(weights(), Vec::new())).await;
    new.spec.extends = Some(first);
    let next = world.enqueue(&new, at(4)).await.id;
    assert_eq!(sweep(&world).await, 1);
    assert_eq!(files(&world, other.owner_id, unneeded).await, 0);
    assert_eq!(files(&world, new.owner_id, first).await, 1);
    let canceled = world.store.request_cancel(new.owner_id, next, at(5)).await;
    canceled.unwrap().unwrap();
    assert_eq!(sweep(&world).await, 1);
}

async fn files_of_a_study_stay_until_it_is_put_together(world: World) {
    let new = world.project("ada").await;
    let owner = new.owner_id;
    world.enqueue(&new, at(1)).await;
    let weights = vec![file(ArtifactKind::ProtectedUnet, 1)];
    let protect = end(&world, done(weights, Vec::new())).await;
    let part = |task| {
        let request = serde_json::json!({ "protect_job_id": protect });
        let request: CreateStudy = serde_json::from_value(request).expect("a request");
        let mut part = NewJob {
            kind: JobKind::Study,
            parent_id: Some(protect),
            ..new.clone()
        };
        part.spec.evaluation.study = Some(Box::new(StudyOrder { request, task }));
        part
    };
    world.enqueue(&part(StudyTask::Plan), at(4)).await;
    let cells = (0..2).map(|cell| part(StudyTask::Run { cells: vec![cell] }));
    let planned = done(vec![file(ArtifactKind::MatrixPlan, 2)], cells.collect());
    let plan = end(&world, planned).await;
    let cell = vec![file(ArtifactKind::MatrixCell, 3)];
    let first = end(&world, done(cell, Vec::new())).await;
    // The second cell takes longer than files are kept, then whoever puts everything together does.
    for _ in ["a cell", "the merge"] {
        assert_eq!(sweep(&world).await, 0);
        for job in [protect, plan, first] {
            assert_eq!(files(&world, owner, job).await, 1);
        }
        end(&world, success()).await;
    }
    assert_eq!(sweep(&world).await, 3);
}
