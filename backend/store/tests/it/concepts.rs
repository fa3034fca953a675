//! Jobs of several concepts, probes, and what their server adds.

use shared::{
    JobId, OrganisationId, SetId,
    artifact::ArtifactKind,
    job::{JobKind, JobMetrics, JobStatus},
};
use store::{Error, FinishJob, Finished, NewArtifact, NewGallery, NewJob, ProbesOf};

use crate::support::{World, at, concept, evaluation_output, hash, on_both, success};

on_both!(
    evaluations_follow_in_the_order_of_concepts,
    retried_evaluation_takes_the_place_of_its_concept,
    gallery_belongs_to_the_attacked_set,
    what_the_server_adds_is_no_part_of_what_the_node_said,
    probes_are_found_by_owner_and_model,
);

/// A job of two concepts.
async fn two(world: &World) -> NewJob {
    let mut new = world.project("ada").await;
    let second = world.sealed_set(new.owner_id).await;
    new.spec.concepts.push(concept(second));
    new
}

fn evaluation(new: &NewJob, concept: u32) -> NewJob {
    let mut evaluation = NewJob {
        kind: JobKind::Evaluate,
        ..new.clone()
    };
    evaluation.spec.evaluation.concept = concept;
    evaluation
}

fn followed(follow_ups: Vec<NewJob>, issued: Vec<NewArtifact>) -> FinishJob {
    FinishJob::Succeeded {
        metrics: JobMetrics::default(),
        artifacts: Vec::new(),
        issued,
        follow_ups,
        gallery: None,
    }
}

/// The protect job, done, with an evaluation for each of its two concepts, the second one first.
async fn protected(world: &World, new: &NewJob) -> shared::JobId {
    let job = world.enqueue(new, at(0)).await.id;
    let claim = world.claim(world.node().await, at(1)).await.unwrap();
    let finish = followed(vec![evaluation(new, 1), evaluation(new, 0)], Vec::new());
    let done = world
        .store
        .finish_job(job, claim.token, finish, at(2))
        .await;
    assert_eq!(done.unwrap(), Finished::Accepted(JobStatus::Succeeded));
    job
}

async fn evaluated_concepts(world: &World, owner: OrganisationId, job: shared::JobId) -> Vec<u32> {
    let job = world.store.find_job(owner, job).await.unwrap().unwrap();
    let mut concepts = Vec::new();
    for id in job.evaluation_ids {
        concepts.push(world.job(id).await.spec.evaluation.concept);
    }
    concepts
}

async fn evaluations_follow_in_the_order_of_concepts(world: World) {
    let new = two(&world).await;
    let job = protected(&world, &new).await;
    assert_eq!(evaluated_concepts(&world, new.owner_id, job).await, [0, 1]);
    assert_eq!(
        world.job(job).await.set_id,
        new.spec.concepts[0].protected_set_id
    );
}

async fn retried_evaluation_takes_the_place_of_its_concept(world: World) {
    let new = two(&world).await;
    let job = protected(&world, &new).await;
    let again = NewJob {
        parent_id: Some(job),
        ..evaluation(&new, 0)
    };
    let again = world.enqueue(&again, at(5)).await.id;
    let found = world.store.find_job(new.owner_id, job).await.unwrap();
    let found = found.unwrap().evaluation_ids;
    assert_eq!((found.len(), found[0]), (2, again));
    assert_eq!(evaluated_concepts(&world, new.owner_id, job).await, [0, 1]);
}

async fn gallery_belongs_to_the_attacked_set(world: World) {
    let new = two(&world).await;
    let job = protected(&world, &new).await;
    let node = world.node().await;
    for _ in 0..2 {
        let claim = world.claim(node, at(3)).await.unwrap();
        let finish = FinishJob::Succeeded {
            metrics: JobMetrics::default(),
            artifacts: Vec::new(),
            issued: Vec::new(),
            follow_ups: Vec::new(),
            gallery: Some(Box::new(NewGallery {
                title: "My dog".to_owned(),
                output: evaluation_output(),
                collateral: None,
                public: false,
            })),
        };
        let done = world
            .store
            .finish_job(claim.job.id, claim.token, finish, at(4));
        done.await.unwrap();
    }
    let found = world
        .store
        .find_job(new.owner_id, job)
        .await
        .unwrap()
        .unwrap();
    for (position, id) in found.evaluation_ids.into_iter().enumerate() {
        let evaluation = world.store.find_job(new.owner_id, id).await.unwrap();
        let gallery = evaluation.unwrap().gallery_id.unwrap();
        assert_eq!(found.gallery_id == Some(gallery), position == 0);
        let gallery = world.store.find_gallery(new.owner_id, gallery).await;
        let set = new.spec.concepts[position].protected_set_id;
        assert_eq!(gallery.unwrap().unwrap().set_id, set);
    }
}

async fn what_the_server_adds_is_no_part_of_what_the_node_said(world: World) {
    let new = world.project("ada").await;
    let job = world.enqueue(&new, at(0)).await.id;
    let claim = world.claim(world.node().await, at(1)).await.unwrap();
    let issued = |number| {
        vec![NewArtifact {
            kind: ArtifactKind::Revocation,
            name: "revocation-00.json".to_owned(),
            sha256: hash(number),
            size_bytes: 1,
        }]
    };
    let finish = async |finish| {
        let done = world.store.finish_job(job, claim.token, finish, at(2));
        done.await.unwrap()
    };
    let accepted = Finished::Accepted(JobStatus::Succeeded);
    assert_eq!(finish(followed(Vec::new(), issued(1))).await, accepted);
    let again = finish(followed(Vec::new(), issued(2))).await;
    assert_eq!(again, Finished::AlreadyDone, "another time of issue");
    let of_kind = async |owner| {
        let found = world
            .store
            .list_artifacts_of_kind(owner, ArtifactKind::Revocation, None, 10);
        found.await.unwrap()
    };
    let found = of_kind(new.owner_id).await;
    assert_eq!((found.len(), found[0].sha256.clone()), (1, hash(1)));
    assert!(of_kind(world.user("eve").await).await.is_empty());
    let older = world.store.list_artifacts_of_kind(
        new.owner_id,
        ArtifactKind::Revocation,
        Some(found[0].id),
        10,
    );
    assert!(older.await.unwrap().is_empty());
}

async fn probes_are_found_by_owner_and_model(world: World) {
    let store = &world.store;
    let new = world.project("ada").await;
    world.enqueue(&new, at(0)).await;
    let probe = NewJob {
        kind: JobKind::Probe,
        ..new.clone()
    };
    let probe = world.enqueue(&probe, at(1)).await;
    let which = ProbesOf {
        model: new.spec.base_model_id,
        set: new.spec.concepts[0].protected_set_id,
        active: true,
    };
    let found = async |owner, which, after| -> Vec<JobId> {
        let probes = store.list_probes(owner, which, after, 9).await.unwrap();
        probes.iter().map(|job| job.id).collect()
    };
    assert_eq!(found(new.owner_id, which, None).await, [probe.id]);
    assert!(found(new.owner_id, which, Some(probe.id)).await.is_empty());
    let of_another_set = ProbesOf {
        set: SetId::from_uuid(probe.id.uuid()),
        ..which
    };
    assert!(found(new.owner_id, of_another_set, None).await.is_empty());
    let ended = ProbesOf {
        active: false,
        ..which
    };
    assert!(found(new.owner_id, ended, None).await.is_empty());
    let eve = world.user("eve").await;
    assert!(found(eve, which, None).await.is_empty());
    let with_parent = NewJob {
        kind: JobKind::Probe,
        parent_id: Some(probe.id),
        ..new.clone()
    };
    let refused = store.enqueue_job(with_parent, at(2)).await;
    assert!(matches!(refused, Err(Error::Database(_))), "{refused:?}");
    let node = world.node().await;
    world.claim(node, at(3)).await.unwrap();
    let claim = world.claim(node, at(3)).await.unwrap();
    assert_eq!(claim.job.kind, JobKind::Probe);
    store
        .finish_job(probe.id, claim.token, success(), at(4))
        .await
        .unwrap();
    assert!(found(new.owner_id, which, None).await.is_empty());
    assert_eq!(found(new.owner_id, ended, None).await, [probe.id]);
    assert!(
        store
            .latest_metrics(JobKind::Protect, 5)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        store.latest_metrics(JobKind::Probe, 5).await.unwrap().len(),
        1
    );
}
