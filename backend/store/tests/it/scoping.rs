//! Another account's rows do not exist, whichever way they are asked for.

use shared::{
    artifact::ArtifactKind,
    job::{JobKind, JobMetrics},
};
use store::{FinishJob, NewArtifact, NewGallery, NewJob};

use crate::support::{World, at, evaluation_output, hash, new_image, new_upload, on_both};

on_both!(stranger_finds_nothing, stranger_changes_nothing);

/// A finished project of Ada with one of everything.
async fn everything(world: &World) -> NewJob {
    let store = &world.store;
    let new = world.project("ada").await;
    let node = world.node().await;
    for (kind, gallery) in [(JobKind::Protect, false), (JobKind::Evaluate, true)] {
        if kind == JobKind::Protect {
            world.enqueue(&new, at(0)).await;
        }
        let claim = world.claim(node, at(1)).await.unwrap();
        let finish = FinishJob::Succeeded {
            metrics: JobMetrics::default(),
            artifacts: vec![NewArtifact {
                kind: ArtifactKind::GalleryImage,
                name: "a.png".to_owned(),
                sha256: hash(5),
                size_bytes: 1,
            }],
            issued: Vec::new(),
            follow_ups: (!gallery)
                .then(|| NewJob {
                    kind: JobKind::Evaluate,
                    ..new.clone()
                })
                .into_iter()
                .collect(),
            gallery: gallery.then(|| {
                Box::new(NewGallery {
                    title: "My dog".to_owned(),
                    output: evaluation_output(),
                    collateral: None,
                    public: false,
                })
            }),
        };
        store
            .finish_job(claim.job.id, claim.token, finish, at(2))
            .await
            .unwrap();
    }
    new
}

async fn stranger_finds_nothing(world: World) {
    let store = &world.store;
    let ada = everything(&world).await;
    let (owner, eve) = (ada.owner_id, world.user("eve").await);
    let set = ada.spec.concepts[0].protected_set_id;
    let image = store.list_images(owner, set).await.unwrap()[0].id;
    let job = store.list_jobs(owner, None, 9).await.unwrap()[0].id;
    let artifact = store.list_artifacts(owner, job).await.unwrap()[0].id;
    let gallery = store.list_galleries(owner, None, 9).await.unwrap()[0].id;
    let draft = world.draft(owner).await;
    let upload = world.received(owner, draft, 8).await;
    // Each pair: the owner finds it, so that the stranger's nothing means something.
    for (user, finds) in [(owner, true), (eve, false)] {
        let found = [
            store.find_set(user, set).await.unwrap().is_some(),
            store.find_image(user, image).await.unwrap().is_some(),
            store.find_upload(user, upload).await.unwrap().is_some(),
            store.find_job(user, job).await.unwrap().is_some(),
            store.find_artifact(user, artifact).await.unwrap().is_some(),
            store.find_gallery(user, gallery).await.unwrap().is_some(),
            !store.list_sets(user, None, 9).await.unwrap().is_empty(),
            !store.list_images(user, set).await.unwrap().is_empty(),
            !store
                .list_images_of_sets(user, &[set])
                .await
                .unwrap()
                .is_empty(),
            !store.list_jobs(user, None, 9).await.unwrap().is_empty(),
            !store.list_events(user, job, 0, 9).await.unwrap().is_empty(),
            !store.list_artifacts(user, job).await.unwrap().is_empty(),
            !store
                .list_galleries(user, None, 9)
                .await
                .unwrap()
                .is_empty(),
            store.count_images(user, set).await.unwrap() > 0,
        ];
        assert_eq!(found, [finds; 14]);
    }
    let waiting = world.enqueue(&ada, at(9)).await;
    assert_eq!(store.queue_position(&waiting).await.unwrap(), Some(0));
    assert_eq!(store.count_active(owner).await.unwrap(), 1);
    assert_eq!(store.count_active(eve).await.unwrap(), 0);
}

async fn stranger_changes_nothing(world: World) {
    let store = &world.store;
    let ada = world.project("ada").await;
    let (owner, eve) = (ada.owner_id, world.user("eve").await);
    let draft = world.draft(owner).await;
    world.add_images(owner, draft, 3).await;
    let image = store.list_images(owner, draft).await.unwrap()[0].id;
    let upload = world.received(owner, draft, 8).await;
    let job = world.enqueue(&ada, at(0)).await;
    let seal = world.seal(owner, draft).await;
    assert!(store.seal_set(eve, draft, seal).await.unwrap().is_none());
    assert!(!store.delete_draft_set(eve, draft, at(0)).await.unwrap());
    assert!(!store.delete_image(eve, image, at(0)).await.unwrap());
    assert!(
        store
            .create_upload(eve, new_upload(draft, 9), at(1))
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        store
            .complete_upload(eve, upload, new_image(), at(1))
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        store
            .request_cancel(eve, job.id, at(1))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(store.find_job(owner, job.id).await.unwrap(), Some(job));
    assert_eq!(store.count_images(owner, draft).await.unwrap(), 3);
}
