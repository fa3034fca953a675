//! Several jobs on one node at once: each by its own lease, as far as the device's memory goes.

use shared::{
    JobId, NodeId, OrganisationId,
    job::{JobPlace, JobStatus},
    training_node::{NodeAttempt, NodeIntake},
};
use store::{
    Claimant, ClaimedJob, FinishJob, Finished, Heartbeat, NewBaseModel, NewJob, NodeChange, Renewal,
};

use crate::support::{World, at, hash, idle, new_model, on_both, success};

on_both!(
    two_jobs_of_one_node_live_and_end_apart,
    a_job_is_where_the_node_says_until_it_waits_again,
    silent_or_drained_node_gives_all_of_its_jobs_back,
    jobs_are_packed_by_what_is_left_of_a_device,
    small_jobs_do_not_keep_a_large_one_waiting_for_ever,
    a_job_that_a_device_cannot_take_holds_nothing_back,
);

/// How long a large job waits before smaller ones have to.
const PATIENCE: i64 = 600_000;

async fn two_jobs(world: &World, node: NodeId) -> [ClaimedJob; 2] {
    for name in ["ada", "bob"] {
        world.enqueue(&world.project(name).await, at(0)).await;
    }
    let claim = async |now| world.claim(node, at(now)).await.unwrap();
    [claim(1).await, claim(2).await]
}

fn beat<'a>(node: NodeId, now: i64) -> Heartbeat<'a> {
    Heartbeat {
        node: Some(node),
        now: at(now),
        lease_until: at(now + 10_000),
        running: true,
        progress: &[],
    }
}

/// A device of 1000 bytes of which so many are left.
fn device(node: NodeId, free_memory_bytes: u64) -> Claimant<'static> {
    Claimant {
        memory_bytes: 1000,
        free_memory_bytes,
        ..idle(node)
    }
}

fn needing(new: &NewJob, required_memory_bytes: u64) -> NewJob {
    NewJob {
        required_memory_bytes,
        ..new.clone()
    }
}

async fn held(world: &World, node: NodeId) -> Vec<NodeAttempt> {
    let viewer = OrganisationId::nil();
    let current = world.store.current_attempts_any(viewer, &[node]).await;
    let mut current = current.unwrap();
    current.remove(&node).unwrap_or_default()
}

async fn two_jobs_of_one_node_live_and_end_apart(world: World) {
    let store = &world.store;
    let node = world.node().await;
    let [first, second] = two_jobs(&world, node).await;
    let now = held(&world, node).await;
    let jobs: Vec<JobId> = now.iter().map(|attempt| attempt.job_id).collect();
    assert_eq!(jobs, [first.job.id, second.job.id]);
    let asked = store.request_cancel(first.job.owner_id, first.job.id, at(3));
    assert_eq!(asked.await.unwrap().unwrap().status, JobStatus::Canceling);
    for (claim, canceling) in [(&first, true), (&second, false)] {
        let told = store.heartbeat(claim.job.id, claim.token, beat(node, 4));
        let renewed = Renewal::Renewed {
            canceling,
            draining: false,
        };
        assert_eq!(told.await.unwrap(), renewed);
    }
    let canceled = store.finish_job(first.job.id, first.token, FinishJob::Canceled, at(5));
    assert_eq!(
        canceled.await.unwrap(),
        Finished::Accepted(JobStatus::Canceled)
    );
    assert_eq!(held(&world, node).await.len(), 1, "the other one goes on");
    let done = store.finish_job(second.job.id, second.token, success(), at(6));
    assert_eq!(
        done.await.unwrap(),
        Finished::Accepted(JobStatus::Succeeded)
    );
    let viewer = first.job.owner_id;
    let history = store.list_attempts_any(viewer, node, None, 10).await;
    let history = history.unwrap();
    let ends: Vec<_> = history.iter().map(|attempt| attempt.ended_as).collect();
    assert_eq!(
        ends,
        [Some(JobStatus::Succeeded), Some(JobStatus::Canceled)],
        "newest first"
    );
    assert!(history[0].started_at < history[1].ended_at.unwrap());
}

async fn a_job_is_where_the_node_says_until_it_waits_again(world: World) {
    let store = &world.store;
    let node = world.node().await;
    let new = world.project("ada").await;
    let owner = new.owner_id;
    let job = world.enqueue(&new, at(0)).await.id;
    let place = async || store.find_job(owner, job).await.unwrap().unwrap().place;
    let on = |device: Option<&str>| {
        Some(JobPlace {
            node: "laptop".to_owned(),
            device: device.map(str::to_owned),
        })
    };
    assert_eq!(place().await, None, "nobody took it");
    let claimant = Claimant {
        device: Some("cuda:1"),
        ..idle(node)
    };
    world.claim_by(claimant, at(1)).await.unwrap();
    assert_eq!(place().await, on(Some("cuda:1")));
    let current = store.current_attempts_any(owner, &[node]).await.unwrap();
    let attempt = &current[&node][0];
    assert_eq!(attempt.device.as_deref(), Some("cuda:1"));
    assert_eq!(attempt.job_status, JobStatus::Starting);
    assert!(attempt.visible, "it is the viewer's own");
    let others = held(&world, node).await;
    assert!(!others[0].visible, "another organisation cannot open it");

    store.expire_leases(at(20_000), 3).await.unwrap();
    assert_eq!(place().await, None, "it waits again");
    let again = world.claim(node, at(20_001)).await.unwrap();
    assert_eq!(place().await, on(None), "a node of before names no device");
    let done = store.finish_job(job, again.token, success(), at(20_002));
    done.await.unwrap();
    assert_eq!(place().await, on(None), "where it ended");
    let listed = store.list_jobs(owner, None, 10).await.unwrap();
    assert_eq!(listed[0].place, on(None));
}

async fn silent_or_drained_node_gives_all_of_its_jobs_back(world: World) {
    let store = &world.store;
    let node = world.node().await;
    let lost = two_jobs(&world, node).await;
    let expired = store.expire_leases(at(20_000), 3).await.unwrap();
    assert_eq!(expired.len(), 2);
    assert!(expired.iter().all(|job| job.status == JobStatus::Queued));
    assert!(held(&world, node).await.is_empty());
    for claim in &lost {
        let late = store.finish_job(claim.job.id, claim.token, success(), at(20_001));
        assert_eq!(late.await.unwrap(), Finished::Fenced);
    }
    let mut again = Vec::new();
    while let Some(claim) = world.claim(node, at(20_002)).await {
        again.push(claim);
    }
    assert_eq!(again.len(), 2);
    let maker = world.user("maker").await;
    let drain = NodeChange {
        name: None,
        intake: Some(NodeIntake::Draining),
    };
    store
        .update_node(maker, (node, None), drain, at(20_003))
        .await
        .unwrap();
    for claim in again {
        let told = store.heartbeat(claim.job.id, claim.token, beat(node, 20_004));
        let give_back = Renewal::Renewed {
            canceling: false,
            draining: true,
        };
        assert_eq!(told.await.unwrap(), give_back);
    }
}

async fn jobs_are_packed_by_what_is_left_of_a_device(world: World) {
    let node = world.node().await;
    let new = world.project("ada").await;
    let large = world.enqueue(&needing(&new, 600), at(0)).await;
    let second = world.enqueue(&needing(&new, 600), at(1)).await;
    let small = world.enqueue(&needing(&new, 300), at(2)).await;
    let claimed = async |free| {
        let claim = world.claim_by(device(node, free), at(3)).await;
        claim.map(|claim| (claim.job.id, claim.job.required_memory_bytes))
    };
    assert_eq!(claimed(1000).await, Some((large.id, 600)));
    assert_eq!(claimed(400).await, Some((small.id, 300)));
    assert_eq!(claimed(100).await, None);
    // The large one has ended.
    assert_eq!(claimed(700).await, Some((second.id, 600)));
}

async fn small_jobs_do_not_keep_a_large_one_waiting_for_ever(world: World) {
    let node = world.node().await;
    let new = world.project("ada").await;
    let large = world.enqueue(&needing(&new, 1000), at(0)).await;
    for number in 1..=3 {
        world.enqueue(&needing(&new, 400), at(number)).await;
    }
    // A small one runs already; as long as patience lasts another one may.
    let beside = world.claim_by(device(node, 600), at(PATIENCE)).await;
    assert_eq!(beside.unwrap().job.required_memory_bytes, 400);
    let held_back = world.claim_by(device(node, 600), at(PATIENCE + 1)).await;
    assert!(held_back.is_none(), "the large one waited long enough");
    let empty = world.claim_by(device(node, 1000), at(PATIENCE + 2)).await;
    assert_eq!(empty.unwrap().job.id, large.id);
    let after = world.claim_by(device(node, 600), at(PATIENCE + 3)).await;
    assert!(after.is_some(), "nobody waits any more for all of it");
}

async fn a_job_that_a_device_cannot_take_holds_nothing_back(world: World) {
    let node = world.node().await;
    let new = world.project("ada").await;
    world.enqueue(&needing(&new, 1001), at(0)).await;
    let other = NewBaseModel {
        family: "sd1".to_owned(),
        manifest_sha256: hash(77),
        ..new_model()
    };
    let other = world.store.register_base_model(&other, at(0)).await;
    let mut foreign = needing(&new, 900);
    foreign.spec.base_model_id = other.unwrap().id;
    world.enqueue(&foreign, at(0)).await;
    let small = world.enqueue(&needing(&new, 400), at(1)).await;
    let claimed = world.claim_by(device(node, 600), at(PATIENCE + 2)).await;
    assert_eq!(claimed.unwrap().job.id, small.id);
}
