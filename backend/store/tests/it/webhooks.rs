//! Events and deliveries: in the transaction of what happened, claimed once, fenced by a token.

use shared::{
    OrganisationId, Timestamp, WebhookId,
    webhook::{DeliveryStatus, EventType, WebhookStatus},
};
use store::{Attempted, Error, FinishJob, NewWebhook, Store, Verdict, WebhookRecord};

use crate::support::{World, at, failure, on_both, success};

on_both!(
    events_commit_with_what_they_tell,
    deliveries_are_claimed_once_and_by_their_token,
    receivers_are_called_while_another_one_is_slow,
    deletion_beside_deliveries_and_jobs_does_not_lock_up,
);

async fn webhook(store: &Store, owner: OrganisationId, events: Vec<EventType>) -> WebhookRecord {
    let new = NewWebhook {
        url: "https://example.org/".into(),
        description: String::new(),
        events,
    };
    store.create_webhook(owner, new, at(0)).await.unwrap()
}

async fn told(store: &Store, owner: OrganisationId, id: WebhookId) -> Vec<EventType> {
    let found = store.list_deliveries(owner, id, None, 100).await.unwrap();
    found
        .iter()
        .rev()
        .map(|delivery| delivery.event_type)
        .collect()
}

async fn events_commit_with_what_they_tell(world: World) {
    let store = &world.store;
    let job = world.project("ada").await;
    let owner = job.owner_id;
    let all = webhook(store, owner, Vec::new()).await;
    let some = webhook(store, owner, vec![EventType::JobFailed]).await;
    let bob = world.user("bob").await;
    let foreign = webhook(store, bob, Vec::new()).await;
    world.enqueue(&job, at(1)).await;
    let node = world.node().await;
    let claim = world.claim(node, at(2)).await.unwrap();
    // A fenced finish tells nothing.
    let late = store.finish_job(claim.job.id, claim.token + 1, success(), at(3));
    late.await.unwrap();
    assert!(told(store, owner, all.id).await.is_empty());
    let again = FinishJob::Failed {
        failure: failure("once"),
        retry: true,
    };
    let done = store.finish_job(claim.job.id, claim.token, again, at(4));
    done.await.unwrap();
    assert!(told(store, owner, all.id).await.is_empty(), "it goes on");
    let claim = world.claim(node, at(5)).await.unwrap();
    let done = store.finish_job(claim.job.id, claim.token, success(), at(6));
    done.await.unwrap();
    let repeated = store.finish_job(claim.job.id, claim.token, success(), at(7));
    repeated.await.unwrap();
    assert_eq!(told(store, owner, all.id).await, [EventType::JobSucceeded]);
    assert!(told(store, owner, some.id).await.is_empty());
    assert!(told(store, bob, foreign.id).await.is_empty());
    let waiting = world.enqueue(&job, at(8)).await;
    store
        .request_cancel(owner, waiting.id, at(9))
        .await
        .unwrap();
    let expected = [EventType::JobSucceeded, EventType::JobCanceled];
    assert_eq!(told(store, owner, all.id).await, expected);
}

fn outcome(verdict: Verdict) -> Attempted {
    Attempted {
        at: at(0),
        milliseconds: 5,
        response_status: Some(200),
        error: None,
        verdict,
    }
}

async fn deliveries_are_claimed_once_and_by_their_token(world: World) {
    let store = &world.store;
    let owner = world.user("ada").await;
    let hook = webhook(store, owner, Vec::new()).await;
    for _ in 0..6 {
        store.test_webhook(owner, hook.id, at(0)).await.unwrap();
    }
    let claims = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.claim_deliveries(at(1), at(1000), 32).await.unwrap() })
    });
    let claims = futures::future::join_all(claims).await;
    let mut claims: Vec<_> = claims.into_iter().flat_map(Result::unwrap).collect();
    // Senders that look at the same moment see the same four of a receiver, and the next look finds no fifth.
    claims.extend(store.claim_deliveries(at(1), at(1000), 32).await.unwrap());
    let mut ids: Vec<_> = claims.iter().map(|claim| claim.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), claims.len()), (4, 4), "each one once");
    let first = claims.remove(0);
    // The claim runs out, another sender takes over, and the first one is not heard any more.
    let again = store.claim_deliveries(at(1001), at(2000), 1).await.unwrap();
    let again = again.into_iter().next().unwrap();
    let stale = if again.id == first.id {
        &first
    } else {
        &claims[claims
            .iter()
            .position(|claim| claim.id == again.id)
            .unwrap()]
    };
    let done = |claim, verdict| store.finish_delivery_attempt(claim, outcome(verdict), at(3));
    assert!(!done(stale, Verdict::Delivered).await.unwrap());
    assert!(done(&again, Verdict::Delivered).await.unwrap());
    assert!(!done(&again, Verdict::Delivered).await.unwrap(), "it ended");
    let found = store.find_delivery(owner, hook.id, again.id).await.unwrap();
    let found = found.unwrap();
    assert_eq!(found.status, DeliveryStatus::Succeeded);
    assert_eq!(found.attempts.len(), 1);
    let four = store
        .claim_deliveries(at(5000), at(6000), 32)
        .await
        .unwrap();
    assert_eq!(four.len(), 4, "at most four of one receiver");
    let retry = Verdict::Retry {
        at: at(9000),
        paused_until: Some(at(8000)),
    };
    assert!(done(&four[0], retry).await.unwrap());
    let none = store
        .claim_deliveries(at(7000), at(7001), 32)
        .await
        .unwrap();
    assert!(none.is_empty(), "the receiver rests");
    let reason = "gone".to_owned();
    assert!(done(&four[1], Verdict::Disable { reason }).await.unwrap());
    let hook = store.find_webhook(owner, hook.id).await.unwrap().unwrap();
    assert_eq!(hook.status, WebhookStatus::Disabled);
    let none = store
        .claim_deliveries(at(99_000), at(99_001), 32)
        .await
        .unwrap();
    assert!(none.is_empty());
    let log = store.list_audit_events(owner, None, 1).await.unwrap();
    assert_eq!(log[0].entry.action, "webhook.disabled");
}

async fn receivers_are_called_while_another_one_is_slow(world: World) {
    let store = &world.store;
    let owner = world.user("ada").await;
    let slow = webhook(store, owner, Vec::new()).await;
    for _ in 0..40 {
        store.test_webhook(owner, slow.id, at(0)).await.unwrap();
    }
    let claim = |now: i64, until: i64, limit: u32| async move {
        store
            .claim_deliveries(at(now), at(until), limit)
            .await
            .unwrap()
    };
    let held = claim(1, 1000, 3).await;
    assert_eq!(held.len(), 3);
    let quick = webhook(store, owner, Vec::new()).await;
    store.test_webhook(owner, quick.id, at(2)).await.unwrap();
    // Younger, and yet first: the other one is under way three times.
    let next = claim(3, 1000, 1).await;
    assert_eq!(next[0].webhook.id, quick.id);
    assert_eq!(
        claim(3, 1000, 32).await.len(),
        1,
        "a fourth of the slow one"
    );
    assert!(claim(3, 1000, 32).await.is_empty(), "and no fifth");
    // Whoever held them died.
    assert_eq!(claim(1001, 2000, 32).await.len(), 5);
}

async fn deletion_beside_deliveries_and_jobs_does_not_lock_up(world: World) {
    let job = world.project("ada").await;
    let owner = job.owner_id;
    let mut tasks = Vec::new();
    for round in 0..10 {
        let store = world.store.clone();
        let hook = webhook(&store, owner, Vec::new()).await;
        let queued = world.enqueue(&job, at(round)).await;
        let other = store.clone();
        tasks.push(tokio::spawn(async move {
            other
                .request_cancel(owner, queued.id, at(round))
                .await
                .unwrap();
        }));
        tasks.push(tokio::spawn(async move {
            store.test_webhook(owner, hook.id, at(round)).await.unwrap();
            let now = Timestamp::from_milliseconds(at(round).milliseconds() + 1);
            let until = Timestamp::from_milliseconds(now.milliseconds() + 1);
            for claim in store.claim_deliveries(now, until, 2).await.unwrap() {
                let reason = "gone".to_owned();
                let end = outcome(Verdict::Disable { reason });
                store
                    .finish_delivery_attempt(&claim, end, now)
                    .await
                    .unwrap();
            }
            while let Some(seen) = store.find_webhook(owner, hook.id).await.unwrap() {
                match store.delete_webhook(owner, &seen, now).await {
                    Err(Error::Changed) => {} // another delivery disabled it meanwhile
                    deleted => assert!(deleted.unwrap()),
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert!(
        world
            .store
            .list_webhooks(owner, None, 9)
            .await
            .unwrap()
            .is_empty()
    );
}
