//! The end of an attempt: all that it implies, once, or nothing.

use shared::{
    JobId,
    artifact::ArtifactKind,
    job::{JobKind, JobMetrics, JobStatus},
};
use store::{Error, FinishJob, Finished, NewArtifact, NewGallery, NewJob};

use crate::support::{World, at, evaluation_output, failure, hash, on_both, success};

on_both!(
    protect_and_evaluation_end_in_a_gallery,
    finish_that_cannot_be_kept_changes_nothing,
    repeated_finish_is_recognised_and_another_one_fenced,
    late_cancel_keeps_the_result_and_cancels_what_follows,
    canceled_and_failed_attempts_end_where_the_table_allows,
);

fn artifact(kind: ArtifactKind, name: &str, number: u64) -> NewArtifact {
    NewArtifact {
        kind,
        name: name.to_owned(),
        sha256: hash(number),
        size_bytes: 3,
    }
}

fn protected(new: &NewJob) -> FinishJob {
    let evaluation = NewJob {
        kind: JobKind::Evaluate,
        ..new.clone()
    };
    FinishJob::Succeeded {
        metrics: JobMetrics {
            milliseconds_per_step: 101.5,
            seconds: 30.0,
            peak_memory_bytes: 7,
            device: None,
        },
        artifacts: vec![artifact(
            ArtifactKind::ProtectedUnet,
            "unet.safetensors",
            0xe7,
        )],
        issued: Vec::new(),
        follow_ups: vec![evaluation],
        gallery: None,
    }
}

fn judged(public: bool) -> FinishJob {
    FinishJob::Succeeded {
        metrics: JobMetrics::default(),
        artifacts: vec![
            artifact(ArtifactKind::GalleryImage, "clean/200/00.png", 0xc0),
            artifact(ArtifactKind::Report, "report.json", 0xc1),
        ],
        issued: Vec::new(),
        follow_ups: Vec::new(),
        gallery: Some(Box::new(NewGallery {
            title: "My dog".to_owned(),
            output: evaluation_output(),
            collateral: None,
            public,
        })),
    }
}

async fn protect_and_evaluation_end_in_a_gallery(world: World) {
    let store = &world.store;
    let new = world.project("ada").await;
    let owner = new.owner_id;
    let node = world.node().await;
    let protect = world.enqueue(&new, at(0)).await.id;
    let claim = world.claim(node, at(1)).await.unwrap();
    store
        .finish_job(protect, claim.token, protected(&new), at(2))
        .await
        .unwrap();
    let done = store.find_job(owner, protect).await.unwrap().unwrap();
    let evaluation = done.evaluation_ids[0];
    assert_eq!(done.gallery_id, None);
    assert_eq!(done.metrics.unwrap().peak_memory_bytes, 7);
    assert!(
        store
            .referenced_hashes()
            .await
            .unwrap()
            .contains(&hash(0xe7))
    );

    let claim = world.claim(node, at(3)).await.unwrap();
    assert_eq!(
        (claim.job.id, claim.job.parent_id),
        (evaluation, Some(protect))
    );
    store
        .finish_job(evaluation, claim.token, judged(false), at(4))
        .await
        .unwrap();
    let jobs = store.list_jobs(owner, None, 10).await.unwrap();
    assert_eq!(
        jobs.iter().map(|job| job.id).collect::<Vec<_>>(),
        [evaluation, protect]
    );
    let gallery = jobs[0].gallery_id.unwrap();
    assert_eq!(jobs[1].gallery_id, Some(gallery));
    let found = store.find_gallery(owner, gallery).await.unwrap().unwrap();
    assert_eq!(
        (found.protect_job_id, found.evaluation_job_id),
        (protect, evaluation)
    );
    assert_eq!(found.output, evaluation_output());
    let measured = store.latest_metrics(JobKind::Protect, 5).await.unwrap();
    assert_eq!(measured[0].0, new.spec);
    let rest = store.list_jobs(owner, Some(evaluation), 10).await.unwrap();
    assert_eq!(rest, jobs[1..]);
    check_publication(&world, owner, evaluation, gallery).await;
}

async fn check_publication(
    world: &World,
    owner: shared::OrganisationId,
    evaluation: JobId,
    gallery: shared::GalleryId,
) {
    let store = &world.store;
    let files = store.list_artifacts(owner, evaluation).await.unwrap();
    let (image, report) = (files[0].id, files[1].id);
    assert_eq!(store.find_public_gallery(gallery).await.unwrap(), None);
    assert_eq!(store.find_public_artifact(image).await.unwrap(), None);
    assert!(
        store
            .list_public_artifacts(evaluation)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        store
            .set_gallery_public(owner, gallery, true, at(0))
            .await
            .unwrap()
    );
    assert!(store.find_public_gallery(gallery).await.unwrap().is_some());
    assert_eq!(
        store.find_public_artifact(image).await.unwrap().as_ref(),
        files.first()
    );
    assert_eq!(
        store.list_public_artifacts(evaluation).await.unwrap(),
        files[..1]
    );
    assert_eq!(
        store.find_public_artifact(report).await.unwrap(),
        None,
        "pictures only"
    );
    let demo = store.latest_public_gallery(owner).await.unwrap().unwrap();
    assert_eq!(demo.id, gallery);
    let listed = store.list_galleries(owner, None, 10).await.unwrap();
    assert_eq!(listed[0].verdict, "Nothing can be said.");
    assert!(
        store
            .list_galleries(owner, Some(gallery), 10)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn finish_that_cannot_be_kept_changes_nothing(world: World) {
    let store = &world.store;
    let new = world.project("ada").await;
    let job = world.enqueue(&new, at(0)).await.id;
    let claim = world.claim(world.node().await, at(1)).await.unwrap();
    let twice = artifact(ArtifactKind::ProtectedUnet, "same.name", 1);
    let broken = FinishJob::Succeeded {
        metrics: JobMetrics::default(),
        artifacts: vec![twice.clone(), twice],
        issued: Vec::new(),
        follow_ups: vec![NewJob {
            kind: JobKind::Evaluate,
            ..new.clone()
        }],
        gallery: None,
    };
    let before = (
        world.job(job).await,
        store.list_events(new.owner_id, job, 0, 99).await.unwrap(),
    );
    let refused = store.finish_job(job, claim.token, broken, at(2)).await;
    assert!(matches!(refused, Err(Error::Conflict(_))), "{refused:?}");
    let after = (
        world.job(job).await,
        store.list_events(new.owner_id, job, 0, 99).await.unwrap(),
    );
    assert_eq!(before, after);
    assert!(
        store
            .list_artifacts(new.owner_id, job)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        store.list_jobs(new.owner_id, None, 9).await.unwrap().len(),
        1
    );
    let sound = store
        .finish_job(job, claim.token, protected(&new), at(3))
        .await;
    assert_eq!(sound.unwrap(), Finished::Accepted(JobStatus::Succeeded));
}

async fn repeated_finish_is_recognised_and_another_one_fenced(world: World) {
    let store = &world.store;
    let new = world.project("ada").await;
    let job = world.enqueue(&new, at(0)).await.id;
    let claim = world.claim(world.node().await, at(1)).await.unwrap();
    let finish = async |finish| {
        store
            .finish_job(job, claim.token, finish, at(2))
            .await
            .unwrap()
    };
    let accepted = Finished::Accepted(JobStatus::Succeeded);
    assert_eq!(finish(protected(&new)).await, accepted);
    assert_eq!(finish(protected(&new)).await, Finished::AlreadyDone);
    assert_eq!(finish(success()).await, Finished::Fenced, "other outputs");
    let failed = FinishJob::Failed {
        failure: failure("late"),
        retry: false,
    };
    assert_eq!(finish(failed).await, Finished::Fenced);
    assert_eq!(
        store.list_artifacts(new.owner_id, job).await.unwrap().len(),
        1
    );
    assert_eq!(
        store.list_jobs(new.owner_id, None, 9).await.unwrap().len(),
        2
    );
    let unknown = JobId::from_uuid(store::new_uuid(at(9)));
    let nothing = store.finish_job(unknown, 1, success(), at(3)).await;
    assert_eq!(nothing.unwrap(), Finished::Fenced);
}

async fn late_cancel_keeps_the_result_and_cancels_what_follows(world: World) {
    let store = &world.store;
    let new = world.project("ada").await;
    let job = world.enqueue(&new, at(0)).await.id;
    let node = world.node().await;
    let claim = world.claim(node, at(1)).await.unwrap();
    store
        .request_cancel(new.owner_id, job, at(2))
        .await
        .unwrap();
    let done = store
        .finish_job(job, claim.token, protected(&new), at(3))
        .await;
    assert_eq!(done.unwrap(), Finished::Accepted(JobStatus::Succeeded));
    assert_eq!(
        store.list_artifacts(new.owner_id, job).await.unwrap().len(),
        1
    );
    let done = store.find_job(new.owner_id, job).await.unwrap().unwrap();
    let follow_up = world.job(done.evaluation_ids[0]).await;
    assert_eq!(follow_up.status, JobStatus::Canceled);
    assert!(world.claim(node, at(4)).await.is_none());
}

async fn canceled_and_failed_attempts_end_where_the_table_allows(world: World) {
    let store = &world.store;
    let new = world.project("ada").await;
    let node = world.node().await;
    let fail = |retry| FinishJob::Failed {
        failure: failure("out of memory"),
        retry,
    };
    for (asked, finish, status) in [
        (false, fail(false), JobStatus::Failed),
        (true, fail(false), JobStatus::Failed),
        (true, fail(true), JobStatus::Canceled),
        (true, FinishJob::Released, JobStatus::Canceled),
        (true, FinishJob::Canceled, JobStatus::Canceled),
    ] {
        let job = world.enqueue(&new, at(0)).await.id;
        let claim = world.claim(node, at(1)).await.unwrap();
        assert_eq!(claim.job.id, job);
        if asked {
            store
                .request_cancel(new.owner_id, job, at(2))
                .await
                .unwrap();
        }
        let done = store
            .finish_job(job, claim.token, finish, at(3))
            .await
            .unwrap();
        assert_eq!(done, Finished::Accepted(status));
        let job = world.job(job).await;
        assert_eq!(job.failure.is_some(), status == JobStatus::Failed);
        assert_eq!(job.completed_at, Some(at(3)));
    }
    let unasked = world.enqueue(&new, at(4)).await.id;
    let claim = world.claim(node, at(5)).await.unwrap();
    let done = store
        .finish_job(unasked, claim.token, FinishJob::Canceled, at(6))
        .await;
    assert_eq!(
        done.unwrap(),
        Finished::Accepted(JobStatus::Queued),
        "nobody asked for it"
    );
}
