//! Sets, uploads, images: what may happen to a draft, and nothing to a sealed set.

use std::time::Duration;

use futures::future::join_all;
use shared::{limits::MAX_IMAGES, protected_set::SetStatus, upload::UploadStatus};
use store::{Error, SealSet};

use crate::support::{World, at, attestation, hash, new_image, new_upload, on_both};

on_both!(
    upload_becomes_an_image_once,
    full_set_takes_no_more_however_many_come_at_once,
    file_is_in_a_set_once,
    sealed_set_never_changes,
    sealing_wants_the_images_that_were_attested,
    sealing_is_atomic_against_concurrent_uploads,
    draft_is_deleted_with_all_it_holds,
);

async fn upload_becomes_an_image_once(world: World) {
    let store = &world.store;
    let user = world.user("ada").await;
    let set = world.draft(user).await;
    let upload = store.create_upload(user, new_upload(set, 1), at(0)).await;
    let upload = upload.unwrap().unwrap();
    let early = store
        .complete_upload(user, upload.id, new_image(), at(1))
        .await;
    assert!(matches!(early, Err(Error::NotReceived)));
    store.mark_upload_received(upload.id).await.unwrap();
    store.mark_upload_received(upload.id).await.unwrap();
    let tries = (0..8).map(|_| store.complete_upload(user, upload.id, new_image(), at(2)));
    let done: Vec<_> = join_all(tries)
        .await
        .into_iter()
        .map(|it| it.unwrap().unwrap())
        .collect();
    assert!(done.iter().all(|again| again == &done[0]));
    assert_eq!(done[0].status, UploadStatus::Completed);
    store.mark_upload_received(upload.id).await.unwrap();
    assert_eq!(
        store.find_upload(user, upload.id).await.unwrap().as_ref(),
        done.first()
    );
    let images = store.list_images(user, set).await.unwrap();
    assert_eq!(images.len(), 1);
    assert_eq!(Some(images[0].id), done[0].image_id);
    assert_eq!((images[0].sha256.clone(), images[0].height), (hash(1), 48));
    assert_eq!(
        store.find_image(user, images[0].id).await.unwrap().as_ref(),
        images.first()
    );
}

async fn full_set_takes_no_more_however_many_come_at_once(world: World) {
    let store = &world.store;
    let user = world.user("ada").await;
    let set = world.draft(user).await;
    let mut uploads = Vec::new();
    for number in 0..MAX_IMAGES as u64 + 10 {
        uploads.push(world.received(user, set, number).await);
    }
    let tries = uploads
        .iter()
        .map(|id| store.complete_upload(user, *id, new_image(), at(1)));
    let results = join_all(tries).await;
    let full = results
        .iter()
        .filter(|result| matches!(result, Err(Error::SetFull)))
        .count();
    let done = results
        .iter()
        .filter(|result| matches!(result, Ok(Some(_))))
        .count();
    assert_eq!((done, full), (MAX_IMAGES, 10));
    assert_eq!(
        store.count_images(user, set).await.unwrap(),
        MAX_IMAGES as u64
    );
    let refused = store.create_upload(user, new_upload(set, 999), at(2)).await;
    assert!(matches!(refused, Err(Error::SetFull)));
}

async fn file_is_in_a_set_once(world: World) {
    let store = &world.store;
    let user = world.user("ada").await;
    let (set, other) = (world.draft(user).await, world.draft(user).await);
    let twins = [
        world.received(user, set, 1).await,
        world.received(user, set, 1).await,
    ];
    let results =
        join_all(twins.map(|id| store.complete_upload(user, id, new_image(), at(1)))).await;
    let double = |result: &&Result<_, Error>| matches!(result, Err(Error::DuplicateImage));
    assert_eq!(results.iter().filter(double).count(), 1);
    assert_eq!(store.count_images(user, set).await.unwrap(), 1);
    let announced = store.create_upload(user, new_upload(set, 1), at(2)).await;
    assert!(matches!(announced, Err(Error::DuplicateImage)));
    let elsewhere = store.create_upload(user, new_upload(other, 1), at(2)).await;
    assert!(elsewhere.unwrap().is_some(), "another set may hold it");
}

async fn sealed_set_never_changes(world: World) {
    let store = &world.store;
    let user = world.user("ada").await;
    let set = world.draft(user).await;
    world.add_images(user, set, 3).await;
    let late = world.received(user, set, 9).await;
    let seal = world.seal(user, set).await;
    let sealed = store
        .seal_set(user, set, seal.clone())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(sealed.status, SetStatus::Sealed);
    assert_eq!(sealed.attestation, Some(attestation()));
    assert_eq!(store.find_set(user, set).await.unwrap(), Some(sealed));

    let sealed = |refused: Error| matches!(refused, Error::SetSealed);
    assert!(sealed(
        store.seal_set(user, set, seal.clone()).await.unwrap_err()
    ));
    assert!(sealed(
        store
            .create_upload(user, new_upload(set, 5), at(2))
            .await
            .unwrap_err()
    ));
    assert!(sealed(
        store
            .complete_upload(user, late, new_image(), at(2))
            .await
            .unwrap_err()
    ));
    assert!(sealed(
        store
            .delete_image(user, seal.images[0], at(0))
            .await
            .unwrap_err()
    ));
    assert!(sealed(
        store.delete_draft_set(user, set, at(0)).await.unwrap_err()
    ));
    assert_eq!(store.count_images(user, set).await.unwrap(), 3);
}

async fn sealing_wants_the_images_that_were_attested(world: World) {
    let store = &world.store;
    let user = world.user("ada").await;
    let set = world.draft(user).await;
    world.add_images(user, set, 2).await;
    let few = store.seal_set(user, set, world.seal(user, set).await).await;
    assert!(matches!(few, Err(Error::TooFewImages { images: 2 })));
    let upload = world.received(user, set, 7).await;
    store
        .complete_upload(user, upload, new_image(), at(1))
        .await
        .unwrap();
    let seal = world.seal(user, set).await;
    let more = world.received(user, set, 8).await;
    store
        .complete_upload(user, more, new_image(), at(1))
        .await
        .unwrap();
    let changed = store.seal_set(user, set, seal.clone()).await;
    assert!(matches!(changed, Err(Error::SetChanged)));
    let extra = world.seal(user, set).await;
    let extra = *extra
        .images
        .iter()
        .find(|id| !seal.images.contains(id))
        .unwrap();
    assert!(store.delete_image(user, extra, at(0)).await.unwrap());
    assert!(!store.delete_image(user, extra, at(0)).await.unwrap());
    assert!(store.seal_set(user, set, seal).await.unwrap().is_some());
}

async fn sealing_is_atomic_against_concurrent_uploads(world: World) {
    let user = world.user("ada").await;
    let mut sealed = 0;
    for round in 0..12 {
        let set = world.draft(user).await;
        world.add_images(user, set, 4).await;
        let mut uploads = Vec::new();
        for number in 10..14 {
            uploads.push(world.received(user, set, number).await);
        }
        let seal = world.seal(user, set).await;
        let doomed = seal.images[3];
        let complete = uploads.into_iter().map(|id| {
            let store = world.store.clone();
            tokio::spawn(async move { store.complete_upload(user, id, new_image(), at(1)).await })
        });
        let complete: Vec<_> = complete.collect();
        let store = world.store.clone();
        // Every other round a deletion races as well.
        let delete = tokio::spawn(async move {
            if round % 2 == 0 {
                store.delete_image(user, doomed, at(0)).await
            } else {
                Ok(false)
            }
        });
        if round % 3 == 2 {
            tokio::time::sleep(Duration::from_millis(round)).await; // so that each side wins some
        }
        let result = world.store.seal_set(user, set, seal.clone()).await;
        let completed = join_all(complete).await;
        let deleted = delete.await.unwrap();
        sealed += u32::from(result.is_ok());
        check_round(&world, user, set, &seal, result.is_ok()).await;
        for outcome in completed.into_iter().map(Result::unwrap) {
            let fine = matches!(outcome, Ok(Some(_)) | Err(Error::SetSealed));
            assert!(fine, "{outcome:?}");
        }
        assert!(
            matches!(deleted, Ok(_) | Err(Error::SetSealed)),
            "{deleted:?}"
        );
    }
    println!("{sealed} of 12 rounds were won by the seal");
}

/// A sealed set holds what was attested; a set that changed is no sealed one.
async fn check_round(
    world: &World,
    user: shared::OrganisationId,
    set: shared::SetId,
    seal: &SealSet,
    won: bool,
) {
    let record = world.store.find_set(user, set).await.unwrap().unwrap();
    assert_eq!(record.status == SetStatus::Sealed, won);
    let now = world.seal(user, set).await;
    if won {
        assert_eq!(now.images, seal.images, "a sealed set changed");
    }
}

async fn draft_is_deleted_with_all_it_holds(world: World) {
    let store = &world.store;
    let user = world.user("ada").await;
    let set = world.draft(user).await;
    world.add_images(user, set, 2).await;
    let upload = world.received(user, set, 9).await;
    assert!(store.delete_draft_set(user, set, at(0)).await.unwrap());
    assert!(!store.delete_draft_set(user, set, at(0)).await.unwrap());
    assert_eq!(store.find_set(user, set).await.unwrap(), None);
    assert_eq!(store.list_images(user, set).await.unwrap(), []);
    let gone = store
        .complete_upload(user, upload, new_image(), at(1))
        .await;
    assert_eq!(gone.unwrap(), None);
    assert!(store.referenced_hashes().await.unwrap().is_empty());
}
