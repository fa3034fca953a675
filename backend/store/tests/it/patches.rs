//! Patches: one for the same bytes, bounded, and kept while a job needs them.

use shared::{
    OrganisationId, PatchId,
    limits::MAX_PATCHES,
    objective::{Objective, Patch, Pattern},
};
use store::{Error, NewJob, NewPatch, PatchRecord};

use crate::support::{World, at, hash, on_both, success};

on_both!(
    same_bytes_are_one_patch_of_an_account,
    patch_s_bytes_are_needed_until_it_is_deleted,
    account_has_a_limit_of_patches,
    patch_in_use_stays_until_the_job_ends,
    foreign_patch_cannot_be_shown,
    racing_launch_and_deletion_leave_no_job_without_its_patch,
);

fn new(number: u64) -> NewPatch {
    NewPatch {
        width: 64,
        height: 32,
        sha256: hash(number),
        size_bytes: 9,
    }
}

async fn patch(world: &World, owner: OrganisationId, number: u64) -> PatchRecord {
    let now = at(number.try_into().unwrap());
    let patch = world.store.create_patch(owner, new(number), now).await;
    patch.expect("there is room")
}

fn showing(mut job: NewJob, patch_id: PatchId) -> NewJob {
    job.spec.concepts[0].objective = Objective::Pattern(Pattern {
        patch: Patch::Own { patch_id },
        ..Pattern::default()
    });
    job
}

async fn same_bytes_are_one_patch_of_an_account(world: World) {
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let tries = (0..8).map(|_| {
        let store = world.store.clone();
        tokio::spawn(async move { store.create_patch(ada, new(1), at(0)).await })
    });
    let made = futures::future::join_all(tries).await;
    let ids: std::collections::HashSet<PatchId> = made
        .into_iter()
        .map(|made| made.unwrap().unwrap().id)
        .collect();
    assert_eq!(ids.len(), 1);
    let first = patch(&world, ada, 1).await;
    assert_ne!(patch(&world, bob, 1).await.id, first.id);
    let second = patch(&world, ada, 2).await;
    let listed = world.store.list_patches(ada, None, 10).await.unwrap();
    assert_eq!(listed, [second.clone(), first.clone()]);
    let rest = world.store.list_patches(ada, Some(second.id), 10).await;
    assert_eq!(rest.unwrap(), std::slice::from_ref(&first));
    assert_eq!(world.store.find_patch(bob, first.id).await.unwrap(), None);
    assert!(
        !world
            .store
            .delete_patch(bob, first.id, at(0))
            .await
            .unwrap()
    );
    let found = world.store.find_patch(ada, first.id).await.unwrap();
    assert_eq!(found, Some(first));
}

async fn patch_s_bytes_are_needed_until_it_is_deleted(world: World) {
    let ada = world.user("ada").await;
    let made = patch(&world, ada, 1).await;
    let needed = world.store.referenced_hashes().await.unwrap();
    assert!(needed.contains(&hash(1)));
    assert!(world.store.delete_patch(ada, made.id, at(0)).await.unwrap());
    assert!(!world.store.delete_patch(ada, made.id, at(0)).await.unwrap());
    let needed = world.store.referenced_hashes().await.unwrap();
    assert!(!needed.contains(&hash(1)));
}

async fn account_has_a_limit_of_patches(world: World) {
    let ada = world.user("ada").await;
    for number in 0..MAX_PATCHES {
        patch(&world, ada, number).await;
    }
    let refused = world.store.create_patch(ada, new(MAX_PATCHES), at(0)).await;
    assert!(matches!(refused, Err(Error::TooManyPatches)));
    patch(&world, ada, 0).await;
    patch(&world, world.user("bob").await, 0).await;
}

async fn patch_in_use_stays_until_the_job_ends(world: World) {
    let store = &world.store;
    let project = world.project("ada").await;
    let owner = project.owner_id;
    let id = patch(&world, owner, 1).await.id;
    let job = world.enqueue(&showing(project, id), at(0)).await.id;
    let refused = store.delete_patch(owner, id, at(0)).await;
    assert!(matches!(refused, Err(Error::PatchInUse)));
    let claim = world.claim(world.node().await, at(1)).await.unwrap();
    assert!(store.delete_patch(owner, id, at(0)).await.is_err());
    store
        .finish_job(job, claim.token, success(), at(2))
        .await
        .unwrap();
    assert!(store.delete_patch(owner, id, at(0)).await.unwrap());
}

async fn foreign_patch_cannot_be_shown(world: World) {
    let project = world.project("ada").await;
    let foreign = patch(&world, world.user("bob").await, 1).await.id;
    let refused = world
        .store
        .enqueue_job(showing(project, foreign), at(0))
        .await;
    assert!(matches!(refused, Err(Error::PatchMissing)));
}

async fn racing_launch_and_deletion_leave_no_job_without_its_patch(world: World) {
    let project = world.project("ada").await;
    let owner = project.owner_id;
    for number in 0..8 {
        let id = patch(&world, owner, number).await.id;
        let job = showing(project.clone(), id);
        let store = world.store.clone();
        let launch = tokio::spawn(async move { store.enqueue_job(job, at(1)).await });
        let store = world.store.clone();
        let deletion = tokio::spawn(async move { store.delete_patch(owner, id, at(0)).await });
        let (launched, deleted) = (launch.await.unwrap(), deletion.await.unwrap());
        match launched {
            Ok(_) => assert!(matches!(deleted, Err(Error::PatchInUse)), "{deleted:?}"),
            Err(Error::PatchMissing) => assert!(deleted.unwrap()),
            Err(error) => panic!("{error}"),
        }
    }
}
