//! Idempotency keys under concurrency, after crashes, after a day.

use std::collections::HashSet;

use futures::future::join_all;
use store::{Begun, StoredResponse};

use crate::support::{World, at, on_both};

on_both!(
    one_of_many_requests_runs_and_all_get_its_answer,
    key_is_free_after_failure_crash_and_a_day,
    one_key_makes_one_job,
);

const DAY: i64 = 24 * 60 * 60 * 1000;

fn response() -> StoredResponse {
    StoredResponse {
        status: 202,
        headers: vec![("location".to_owned(), "/v1/jobs/1".to_owned())],
        body: "{\"id\":\"job_1\"}".to_owned(),
    }
}

async fn one_of_many_requests_runs_and_all_get_its_answer(world: World) {
    let user = world.person("ada").await;
    let other = world.person("bob").await;
    let tries = (0..16).map(|_| {
        let store = world.store.clone();
        tokio::spawn(async move { store.begin_idempotent(user, "k", "f", at(0)).await.unwrap() })
    });
    let begun: Vec<_> = join_all(tries)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let count = |wanted: &Begun| begun.iter().filter(|it| *it == wanted).count();
    assert_eq!((count(&Begun::Fresh), count(&Begun::Running)), (1, 15));
    let store = &world.store;
    store
        .finish_idempotent(user, "k", &response())
        .await
        .unwrap();
    let again = store.begin_idempotent(user, "k", "f", at(1)).await.unwrap();
    assert_eq!(again, Begun::Replay(response()));
    let misused = store.begin_idempotent(user, "k", "g", at(1)).await.unwrap();
    assert_eq!(misused, Begun::Mismatch);
    let elsewhere = store
        .begin_idempotent(other, "k", "g", at(1))
        .await
        .unwrap();
    assert_eq!(elsewhere, Begun::Fresh, "keys belong to an account");
}

async fn key_is_free_after_failure_crash_and_a_day(world: World) {
    let store = &world.store;
    let user = world.person("ada").await;
    let begin = async |now| {
        store
            .begin_idempotent(user, "k", "f", at(now))
            .await
            .unwrap()
    };
    assert_eq!(begin(0).await, Begun::Fresh);
    store.abandon_idempotent(user, "k").await.unwrap();
    assert_eq!(begin(1).await, Begun::Fresh);
    assert_eq!(begin(59_999).await, Begun::Running);
    assert_eq!(begin(60_001).await, Begun::Fresh, "the process died");
    assert_eq!(begin(60_002).await, Begun::Running, "its heir works now");
    store
        .finish_idempotent(user, "k", &response())
        .await
        .unwrap();
    store
        .abandon_idempotent(user, "k")
        .await
        .expect("an answer is not abandoned");
    assert_eq!(begin(DAY).await, Begun::Replay(response()));
    assert_eq!(begin(DAY + 60_001).await, Begun::Fresh);
    store.delete_expired(at(3 * DAY)).await.unwrap();
    let anew = store
        .begin_idempotent(user, "k", "other", at(3 * DAY))
        .await
        .unwrap();
    assert_eq!(anew, Begun::Fresh);
}

async fn one_key_makes_one_job(world: World) {
    let mut new = world.project("ada").await;
    new.idempotency_key = Some("k".to_owned());
    let tries = (0..12).map(|_| {
        let (store, new) = (world.store.clone(), new.clone());
        tokio::spawn(async move { store.enqueue_job(new, at(0)).await.unwrap().id })
    });
    let ids: HashSet<_> = join_all(tries)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(ids.len(), 1);
    world.store.delete_expired(at(DAY)).await.unwrap();
    let next_day = world.enqueue(&new, at(DAY)).await.id;
    assert!(!ids.contains(&next_day), "the key is free again");
}
