//! Training nodes: joined once, chosen for what they can do, drained and removed without losing a job.

use shared::{
    NodeId,
    job::{JobKind, JobStatus},
    training_node::{NodeIntake, NodeOrigin},
};
use store::{
    Error, FinishJob, Finished, Heartbeat, NewBaseModel, NewJob, NewNode, NodeChange, NodeRecord,
    Renewal, TrainingNodeRecord, new_uuid,
};

use crate::support::{World, at, hash, new_model, on_both, success};

on_both!(
    token_joins_one_node_once_and_in_time,
    node_gets_only_what_it_takes_trains_and_has_memory_for,
    draining_node_is_told_to_give_back_and_gets_nothing,
    removed_nodes_jobs_go_on_elsewhere,
    every_claim_is_kept_with_its_end,
    change_is_for_what_was_seen,
    credential_of_another_node_renews_nothing,
);

async fn created(world: &World, number: u64) -> TrainingNodeRecord {
    let maker = world.user(&format!("operator{number}")).await;
    let new = NewNode {
        name: "gpu".to_owned(),
        join_hash: hash(number),
        join_expires_at: at(1000),
    };
    world.store.create_node(maker, new, at(0)).await.unwrap()
}

/// A node that joined and said what it can do.
async fn joined(world: &World, number: u64, memory_bytes: u64, families: &[&str]) -> NodeId {
    let made = created(world, number).await;
    let (token, credential) = (hash(number), hash(number + 100));
    let joined = world.store.join_node(&token, &credential, at(1)).await;
    assert_eq!(joined.unwrap().unwrap().node.id, made.node.id);
    let node = NodeRecord {
        id: made.node.id,
        name: "what its machine is called".to_owned(),
        threads: 2,
        memory_bytes,
        families: families.iter().map(|family| (*family).to_owned()).collect(),
        facts: None,
    };
    world.store.touch_node(&node, true, at(2)).await.unwrap();
    node.id
}

async fn intake(world: &World, node: NodeId, intake: NodeIntake) {
    let maker = world.user(&format!("{intake:?}")).await;
    let change = NodeChange {
        name: None,
        intake: Some(intake),
    };
    let changed = world.store.update_node(maker, (node, None), change, at(3));
    assert_eq!(changed.await.unwrap().unwrap().intake, intake);
}

async fn token_joins_one_node_once_and_in_time(world: World) {
    let store = &world.store;
    let made = created(&world, 1).await;
    assert_eq!(made.origin, NodeOrigin::Joined);
    assert_eq!((made.seen_at, made.joined_at), (None, None));
    let join = async |token, now| store.join_node(&hash(token), &hash(50), at(now)).await;
    assert!(join(2, 1).await.unwrap().is_none(), "an unknown token");
    assert!(join(1, 1000).await.unwrap().is_none(), "too late");
    let credential = async |number| store.find_node_by_credential(&hash(number)).await.unwrap();
    assert_eq!(credential(50).await, None);
    // Two machines paste the same line at once: one of them joins.
    let tries = (0..6).map(|number| {
        let store = store.clone();
        tokio::spawn(async move { store.join_node(&hash(1), &hash(60 + number), at(2)).await })
    });
    let tries = futures::future::join_all(tries).await.into_iter();
    let won: Vec<_> = tries.filter_map(|join| join.unwrap().unwrap()).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(won[0].joined_at, Some(at(2)));
    let mut known = 0;
    for number in 60..66 {
        known += usize::from(credential(number).await == Some(made.node.id));
    }
    assert_eq!(known, 1, "one credential works");
    assert!(join(1, 3).await.unwrap().is_none(), "used up");
}

async fn node_gets_only_what_it_takes_trains_and_has_memory_for(world: World) {
    let store = &world.store;
    let tiny = world.project("ada").await;
    let model = NewBaseModel {
        family: "sd1".to_owned(),
        manifest_sha256: hash(77),
        ..new_model()
    };
    let model = store.register_base_model(&model, at(0)).await.unwrap();
    let mut large = NewJob {
        required_memory_bytes: 1000,
        ..tiny.clone()
    };
    large.spec.base_model_id = model.id;
    let small_node = joined(&world, 1, 999, &["tiny", "sd1"]).await;
    let other_node = joined(&world, 2, 1000, &["tiny"]).await;
    let large_node = joined(&world, 3, 1000, &["sd1"]).await;
    let waits = world.enqueue(&large, at(5)).await;
    for node in [small_node, other_node] {
        assert!(world.claim(node, at(6)).await.is_none());
    }
    intake(&world, large_node, NodeIntake::Paused).await;
    assert!(world.claim(large_node, at(9)).await.is_none());
    intake(&world, large_node, NodeIntake::Open).await;
    let claimed = world.claim(large_node, at(10)).await.unwrap();
    assert_eq!(claimed.job.id, waits.id);
    let small = world.enqueue(&tiny, at(11)).await;
    assert!(world.claim(large_node, at(12)).await.is_none());
    let claimed = world.claim(small_node, at(13)).await.unwrap();
    assert_eq!(claimed.job.id, small.id);
}

fn beat<'a>(node: Option<NodeId>, now: i64) -> Heartbeat<'a> {
    Heartbeat {
        node,
        now: at(now),
        lease_until: at(now + 10_000),
        running: true,
        progress: &[],
    }
}

async fn draining_node_is_told_to_give_back_and_gets_nothing(world: World) {
    let store = &world.store;
    let new = world.project("ada").await;
    let job = world.enqueue(&new, at(0)).await;
    let (leaving, heir) = (
        joined(&world, 1, 1, &["tiny"]).await,
        joined(&world, 2, 1, &["tiny"]).await,
    );
    let claim = world.claim(leaving, at(4)).await.unwrap();
    intake(&world, leaving, NodeIntake::Draining).await;
    let told = store.heartbeat(job.id, claim.token, beat(Some(leaving), 5));
    let give_back = Renewal::Renewed {
        canceling: false,
        draining: true,
    };
    assert_eq!(told.await.unwrap(), give_back);
    let released = store.finish_job(job.id, claim.token, FinishJob::Released, at(6));
    assert_eq!(
        released.await.unwrap(),
        Finished::Accepted(JobStatus::Queued)
    );
    assert!(world.claim(leaving, at(7)).await.is_none());
    let again = world.claim(heir, at(8)).await.unwrap();
    assert_eq!((again.job.id, again.job.attempts), (job.id, 1));
    let online = store.list_nodes_online(at(0)).await.unwrap();
    assert!(online.iter().all(|node| node.id != leaving));
}

async fn removed_nodes_jobs_go_on_elsewhere(world: World) {
    let store = &world.store;
    let job = world.enqueue(&world.project("ada").await, at(0)).await;
    let removed = joined(&world, 1, 1, &["tiny"]).await;
    let lost = world.claim(removed, at(4)).await.unwrap();
    let maker = world.user("maker").await;
    assert!(store.revoke_node(maker, removed, at(5)).await.unwrap());
    assert!(store.revoke_node(maker, removed, at(6)).await.unwrap());
    let nobody = NodeId::from_uuid(new_uuid(at(0)));
    assert!(!store.revoke_node(maker, nobody, at(6)).await.unwrap());
    let found = store.find_node_by_credential(&hash(101)).await.unwrap();
    assert_eq!(found, None, "its credential is worth nothing");
    assert_eq!(world.job(job.id).await.status, JobStatus::Queued);
    assert!(world.claim(removed, at(7)).await.is_none());
    let late = store.finish_job(job.id, lost.token, success(), at(8)).await;
    assert_eq!(late.unwrap(), Finished::Fenced);
    let own = world.node().await;
    assert_eq!(world.claim(own, at(9)).await.unwrap().job.id, job.id);
    let refused = store.revoke_node(maker, own, at(10)).await;
    assert!(matches!(refused, Err(Error::OwnNode)));
    let listed = store.list_nodes_any(None, 10).await.unwrap();
    assert_eq!(listed.len(), 1, "what was removed is not listed");
    let kept = store.find_node_any(removed).await.unwrap().unwrap();
    assert_eq!(kept.revoked_at, Some(at(5)));
}

async fn every_claim_is_kept_with_its_end(world: World) {
    let store = &world.store;
    let job = world.enqueue(&world.project("ada").await, at(0)).await;
    let (first, second) = (world.node().await, world.node().await);
    world.claim(first, at(1)).await.unwrap();
    let current = store
        .current_attempts_any(job.owner_id, &[first, second])
        .await
        .unwrap();
    assert_eq!((current.len(), current[&first].len()), (1, 1));
    store.expire_leases(at(20_000), 3).await.unwrap();
    let claim = world.claim(second, at(20_001)).await.unwrap();
    store
        .finish_job(job.id, claim.token, success(), at(20_005))
        .await
        .unwrap();
    let lost = store
        .list_attempts_any(job.owner_id, first, None, 10)
        .await
        .unwrap();
    assert_eq!(lost[0].ended_as, Some(JobStatus::Queued));
    assert!(lost[0].reason.as_ref().unwrap().contains("went silent"));
    let won = store
        .list_attempts_any(job.owner_id, second, None, 10)
        .await
        .unwrap();
    assert_eq!(won.len(), 1);
    let won = &won[0];
    assert_eq!(
        (won.job_id, won.token, won.kind, won.started_at),
        (job.id, claim.token, JobKind::Protect, at(20_001))
    );
    assert_eq!(
        (won.ended_at, won.ended_as),
        (Some(at(20_005)), Some(JobStatus::Succeeded))
    );
    let current = store
        .current_attempts_any(job.owner_id, &[first, second])
        .await
        .unwrap();
    assert!(current.is_empty());
    let rest = store
        .list_attempts_any(job.owner_id, second, Some(won.id), 10)
        .await;
    assert!(rest.unwrap().is_empty(), "the next page");
}

async fn change_is_for_what_was_seen(world: World) {
    let store = &world.store;
    let made = created(&world, 1).await;
    let maker = world.user("maker").await;
    let rename = |name: &str| NodeChange {
        name: Some(name.to_owned()),
        intake: None,
    };
    let id = made.node.id;
    let renamed = store.update_node(maker, (id, Some(&made)), rename("b"), at(1));
    assert_eq!(renamed.await.unwrap().unwrap().node.name, "b");
    let stale = store.update_node(maker, (id, Some(&made)), rename("c"), at(2));
    assert!(matches!(stale.await, Err(Error::Changed)));
    store.revoke_node(maker, id, at(3)).await.unwrap();
    let gone = store.update_node(maker, (id, None), rename("d"), at(4));
    assert!(gone.await.unwrap().is_none());
    let join = store.join_node(&hash(1), &hash(9), at(5)).await;
    assert!(join.unwrap().is_none(), "what was removed cannot join");
}

async fn credential_of_another_node_renews_nothing(world: World) {
    let store = &world.store;
    let job = world.enqueue(&world.project("ada").await, at(0)).await;
    let (holder, other) = (world.node().await, world.node().await);
    let claim = world.claim(holder, at(1)).await.unwrap();
    let foreign = store.heartbeat(job.id, claim.token, beat(Some(other), 2));
    assert_eq!(foreign.await.unwrap(), Renewal::Fenced);
    let own = store.heartbeat(job.id, claim.token, beat(Some(holder), 3));
    assert!(matches!(own.await.unwrap(), Renewal::Renewed { .. }));
}
