//! Many nodes and users at once: nothing lost, nothing twice.

use std::collections::HashMap;

use futures::future::join_all;
use shared::{
    job::JobStatus,
    progress::{JobEventBody, Progress},
};
use store::{FinishJob, Finished, NewJob};

use crate::support::{World, at, hash, idle, on_both};

on_both!(
    every_job_is_claimed_once,
    cancel_and_finish_race_to_one_end,
    two_finishes_count_once,
    events_of_one_job_have_no_gaps,
);

async fn projects(world: &World, count: usize) -> Vec<NewJob> {
    let mut projects = Vec::new();
    for number in 0..count {
        projects.push(world.project(&format!("user{number}")).await);
    }
    projects
}

async fn every_job_is_claimed_once(world: World) {
    let mut expected = Vec::new();
    for new in projects(&world, 6).await {
        for number in 0..10 {
            expected.push(world.enqueue(&new, at(number)).await.id);
        }
    }
    let mut nodes = Vec::new();
    for _ in 0..12 {
        let (store, node) = (world.store.clone(), world.node().await);
        nodes.push(tokio::spawn(async move {
            let mut claimed = Vec::new();
            while let Some(claim) = store
                .claim_job(idle(node), at(100), at(10_000))
                .await
                .unwrap()
            {
                claimed.push((claim.job.id, claim.token));
            }
            claimed
        }));
    }
    let claimed: Vec<_> = join_all(nodes)
        .await
        .into_iter()
        .flat_map(Result::unwrap)
        .collect();
    let count = claimed.len();
    let tokens: HashMap<_, _> = claimed.into_iter().collect();
    assert_eq!((count, tokens.len()), (expected.len(), expected.len()));
    assert!(expected.iter().all(|job| tokens[job] == 1));
}

async fn cancel_and_finish_race_to_one_end(world: World) {
    let new = world.project("ada").await;
    let node = world.node().await;
    let mut ends = HashMap::new();
    for round in 0..20 {
        let job = world.enqueue(&new, at(round)).await.id;
        let claim = world.claim(node, at(round)).await.unwrap();
        let (store, owner) = (world.store.clone(), new.owner_id);
        let cancel = tokio::spawn(async move { store.request_cancel(owner, job, at(round)).await });
        let store = world.store.clone();
        let finish = tokio::spawn(async move {
            let released = FinishJob::Released;
            store
                .finish_job(job, claim.token, released, at(round))
                .await
        });
        let canceled = cancel.await.unwrap().unwrap().unwrap();
        let finished = finish.await.unwrap().unwrap();
        let end = world.job(job).await.status;
        // Whoever comes second meets the other's work: canceling ends, queued is canceled at once.
        assert_eq!(end, JobStatus::Canceled, "{canceled:?} {finished:?}");
        assert!(matches!(finished, Finished::Accepted(_)));
        *ends.entry(canceled.status).or_insert(0) += 1;
    }
    println!("state right after cancel, 20 rounds: {ends:?}");
}

async fn two_finishes_count_once(world: World) {
    let new = world.project("ada").await;
    let node = world.node().await;
    for round in 0..10 {
        let job = world.enqueue(&new, at(round)).await.id;
        let claim = world.claim(node, at(round)).await.unwrap();
        let finishes = (0..4).map(|_| {
            let store = world.store.clone();
            tokio::spawn(async move {
                let finish = FinishJob::Succeeded {
                    metrics: shared::job::JobMetrics::default(),
                    artifacts: vec![store::NewArtifact {
                        kind: shared::artifact::ArtifactKind::Report,
                        name: "report.json".to_owned(),
                        sha256: hash(1),
                        size_bytes: 1,
                    }],
                    issued: Vec::new(),
                    follow_ups: Vec::new(),
                    gallery: None,
                };
                store
                    .finish_job(job, claim.token, finish, at(round))
                    .await
                    .unwrap()
            })
        });
        let results: Vec<_> = join_all(finishes)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let accepted = Finished::Accepted(JobStatus::Succeeded);
        assert_eq!(results.iter().filter(|it| **it == accepted).count(), 1);
        assert_eq!(
            results
                .iter()
                .filter(|it| **it == Finished::AlreadyDone)
                .count(),
            3
        );
        let files = world.store.list_artifacts(new.owner_id, job).await.unwrap();
        assert_eq!(files.len(), 1);
    }
}

async fn events_of_one_job_have_no_gaps(world: World) {
    let new = world.project("ada").await;
    let job = world.enqueue(&new, at(0)).await.id;
    let claim = world.claim(world.node().await, at(0)).await.unwrap();
    let writers = (0..8).map(|writer| {
        let store = world.store.clone();
        tokio::spawn(async move {
            for number in 0..10 {
                let line = Progress::Log {
                    line: format!("{writer} {number}"),
                };
                let told = store
                    .append_progress(job, claim.token, &[line], at(1))
                    .await;
                assert!(told.unwrap().is_some());
            }
        })
    });
    for writer in join_all(writers).await {
        writer.unwrap();
    }
    let events = world
        .store
        .list_events(new.owner_id, job, 0, 1_000)
        .await
        .unwrap();
    let numbers: Vec<_> = events.iter().map(|event| event.sequence).collect();
    assert_eq!(numbers, (1..=82).collect::<Vec<i64>>());
    let lines = events
        .iter()
        .filter(|event| matches!(event.event, JobEventBody::Progress(_)));
    assert_eq!(lines.count(), 80);
}
