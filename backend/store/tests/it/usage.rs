//! Use and limits: each tenant's alone.

use futures::future::join_all;
use shared::Timestamp;
use store::{Error, Limits, NewFile, NewImage, NewUpload, Store};

use crate::support::{World, at, hash, new_image, new_upload, on_both};

on_both!(
    use_is_summed_for_each_tenant_and_limits_hold,
    what_is_announced_needs_its_room_until_it_ends,
    a_file_that_is_larger_than_announced_needs_its_room,
    announcements_at_once_do_not_pass_the_limit,
    pictures_of_an_archive_take_up_the_room_that_it_announced,
);

/// The same database where a tenant keeps so many bytes.
fn tight(world: &World, bytes: u64) -> Store {
    let limits = Limits {
        storage_bytes: Some(bytes),
        ..Limits::default()
    };
    world.store.clone().with_limits(limits)
}

fn is_full<T>(result: &Result<T, Error>, expected: u64) -> bool {
    matches!(result, Err(Error::StorageFull { used, .. }) if *used == expected)
}

async fn use_is_summed_for_each_tenant_and_limits_hold(world: World) {
    let ada = world.user("ada").await;
    let usage = async |of| world.store.usage(of, at(0)).await.unwrap();
    assert_eq!(usage(ada).await.members, 1);
    let set = world.draft(ada).await;
    world.add_images(ada, set, 3).await;
    assert_eq!(
        usage(ada).await.storage_bytes,
        3 * new_image().content_size_bytes
    );
    let bob = world.user("bob").await;
    assert_eq!(usage(bob).await.storage_bytes, 0);
    let tight = tight(&world, 30);
    let refused = tight.create_upload(ada, new_upload(set, 9), at(0)).await;
    assert!(matches!(
        refused,
        Err(Error::StorageFull {
            used: 27,
            limit: 30
        })
    ));
    let his = world.draft(bob).await;
    let fits = tight.create_upload(bob, new_upload(his, 9), at(0)).await;
    assert!(fits.unwrap().is_some());
}

async fn what_is_announced_needs_its_room_until_it_ends(world: World) {
    let ada = world.user("ada").await;
    let set = world.draft(ada).await;
    let tight = tight(&world, 25);
    let announce = async |number, size_bytes, now: Timestamp| {
        let new = NewUpload {
            size_bytes,
            expires_at: Timestamp::from_milliseconds(now.milliseconds() + 60_000),
            ..new_upload(set, number)
        };
        tight.create_upload(ada, new, now).await
    };
    let used = async |now| tight.usage(ada, now).await.unwrap().storage_bytes;
    let one = announce(1, 10, at(0)).await.unwrap().unwrap();
    announce(2, 10, at(0)).await.unwrap();
    assert!(is_full(&announce(3, 10, at(0)).await, 20));
    // The same file again is the same picture, in another set it is another one.
    announce(2, 10, at(1)).await.unwrap();
    assert_eq!(used(at(1)).await, 20);
    let elsewhere = new_upload(world.draft(ada).await, 2);
    assert!(is_full(
        &tight.create_upload(ada, elsewhere, at(1)).await,
        20
    ));
    // It counts as what it is once it is here.
    tight.mark_upload_received(one.id).await.unwrap();
    let completed = tight.complete_upload(ada, one.id, new_image(), at(2)).await;
    assert!(completed.unwrap().is_some());
    assert_eq!(used(at(2)).await, 9 + 10);
    assert!(is_full(&announce(3, 7, at(2)).await, 19));
    announce(3, 6, at(2)).await.unwrap();
    assert_eq!(used(at(2)).await, 25);
    // What nobody sent in time needs nothing.
    assert_eq!(used(at(60_002)).await, 9);
    announce(4, 16, at(60_002)).await.unwrap();
}

async fn a_file_that_is_larger_than_announced_needs_its_room(world: World) {
    let ada = world.user("ada").await;
    let set = world.draft(ada).await;
    let tight = tight(&world, 25);
    let mut announced = Vec::new();
    for number in 1..=2 {
        let upload = tight.create_upload(ada, new_upload(set, number), at(0));
        let id = upload.await.unwrap().unwrap().id;
        tight.mark_upload_received(id).await.unwrap();
        announced.push(id);
    }
    let sized = |content_size_bytes| NewImage {
        content_size_bytes,
        ..new_image()
    };
    let complete = async |at_: usize, size| {
        let id = announced[at_];
        tight.complete_upload(ada, id, sized(size), at(1)).await
    };
    assert!(is_full(&complete(0, 16).await, 10), "the other one waits");
    assert!(complete(0, 15).await.unwrap().is_some());
    assert!(is_full(&complete(1, 11).await, 15));
    assert!(complete(1, 10).await.unwrap().is_some());
    assert_eq!(tight.usage(ada, at(1)).await.unwrap().storage_bytes, 25);
}

async fn announcements_at_once_do_not_pass_the_limit(world: World) {
    let ada = world.user("ada").await;
    let tight = tight(&world, 25);
    let mut sets = Vec::new();
    for _ in 0..8 {
        sets.push(world.draft(ada).await);
    }
    let tries = sets.into_iter().zip(1..).map(|(set, number)| {
        let tight = tight.clone();
        tokio::spawn(async move {
            tight
                .create_upload(ada, new_upload(set, number), at(0))
                .await
        })
    });
    let results = join_all(tries).await.into_iter().map(Result::unwrap);
    let (fit, full): (Vec<_>, Vec<_>) = results.partition(Result::is_ok);
    assert_eq!(fit.len(), 2);
    assert!(full.iter().all(|result| is_full(result, 20)), "{full:?}");
}

async fn pictures_of_an_archive_take_up_the_room_that_it_announced(world: World) {
    let ada = world.user("ada").await;
    let set = world.draft(ada).await;
    let tight = tight(&world, 20);
    let archive = NewUpload {
        media_type: "application/zip".to_owned(),
        size_bytes: 15,
        ..new_upload(set, 0xa)
    };
    let archive = tight.create_upload(ada, archive, at(0)).await;
    let archive = archive.unwrap().unwrap();
    let add = async |number, archive_sha256| {
        let file = NewFile {
            set_id: set,
            filename: "dog.png".to_owned(),
            sha256: hash(number),
            archive_sha256,
        };
        tight.add_image(ada, file, new_image(), at(1)).await
    };
    let unpacked = || Some(archive.sha256.clone());
    assert!(
        is_full(&add(1, None).await, 15),
        "it is none of the archive"
    );
    assert!(add(1, unpacked()).await.unwrap().is_some());
    assert!(add(2, unpacked()).await.unwrap().is_some());
    assert!(is_full(&add(3, unpacked()).await, 18));
}
