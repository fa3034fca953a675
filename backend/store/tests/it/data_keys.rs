//! Wrapped keys: one newest a tenant under any race, wrapped anew, removed when nothing needs them.

use shared::OrganisationId;
use store::{DataKeyRecord, Error, NewImage, StoredImage};

use crate::support::{World, at, hash, new_image, on_both};

on_both!(
    first_key_is_one_under_concurrency,
    picture_moves_to_the_newest_key_and_the_old_one_goes,
    key_is_wrapped_anew_once,
    removed_tenant_leaves_no_key,
    picture_is_never_left_to_a_key_that_is_gone,
);

fn key(owner: OrganisationId, version: u32, master: &str) -> DataKeyRecord {
    DataKeyRecord {
        owner_id: owner,
        version,
        master: master.to_owned(),
        wrapped: format!("{version:02x}"),
    }
}

/// Somebody with a first key.
async fn keyed(world: &World, name: &str) -> (OrganisationId, DataKeyRecord) {
    let owner = world.user(name).await;
    let first = world.store.add_data_key(key(owner, 1, "0001-a"), at(0));
    (owner, first.await.unwrap())
}

/// A picture under a key of this version.
fn sealed(version: u32) -> NewImage {
    let mut image = new_image();
    image.stored.key_version = Some(version);
    image
}

async fn first_key_is_one_under_concurrency(world: World) {
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let tries = (0..8).map(|number| {
        let store = world.store.clone();
        let mine = DataKeyRecord {
            wrapped: format!("{number:02x}"),
            ..key(ada, 1, "0001-a")
        };
        tokio::spawn(async move { store.add_data_key(mine, at(0)).await })
    });
    let made = futures::future::join_all(tries).await;
    let made: Vec<_> = made.into_iter().map(|one| one.unwrap().unwrap()).collect();
    assert!(
        made.iter().all(|one| *one == made[0]),
        "everybody got the same"
    );
    assert_eq!(
        world.store.newest_data_key(ada).await.unwrap().as_ref(),
        Some(&made[0])
    );
    assert_eq!(world.store.newest_data_key(bob).await.unwrap(), None);
    assert_eq!(world.store.find_data_key(bob, 1).await.unwrap(), None);
}

async fn picture_moves_to_the_newest_key_and_the_old_one_goes(world: World) {
    let (ada, _) = keyed(&world, "ada").await;
    let store = &world.store;
    let set = world.draft(ada).await;
    let upload = world.received(ada, set, 1).await;
    let done = store.complete_upload(ada, upload, sealed(1), at(1)).await;
    done.unwrap().unwrap();
    let image = store.list_images(ada, set).await.unwrap().remove(0);
    assert_eq!(image.stored, sealed(1).stored);
    assert_eq!(image.looks, new_image().looks);
    let needed = store.referenced_hashes().await.unwrap();
    assert!(image.stored.hashes().all(|hash| needed.contains(hash)));
    assert!(
        !needed.contains(&image.content_sha256),
        "nobody keeps it open"
    );

    assert!(store.any_images_to_seal(10).await.unwrap().is_empty());
    store
        .add_data_key(key(ada, 2, "0002-b"), at(2))
        .await
        .unwrap();
    assert_eq!(store.remove_unused_data_keys().await.unwrap(), 0);
    let stale = store.any_images_to_seal(10).await.unwrap();
    assert_eq!(stale.len(), 1);
    let to = StoredImage {
        key_version: Some(2),
        sha256: hash(77),
        thumbnail_sha256: None,
    };
    assert!(store.reseal_image(&stale[0], &to).await.unwrap());
    assert!(!store.reseal_image(&stale[0], &to).await.unwrap(), "once");
    assert_eq!(
        store
            .find_any_image(image.id)
            .await
            .unwrap()
            .unwrap()
            .stored,
        to
    );
    assert_eq!(store.remove_unused_data_keys().await.unwrap(), 1);
    assert_eq!(store.find_data_key(ada, 1).await.unwrap(), None);
    assert_eq!(
        store.newest_data_keys().await.unwrap(),
        [key(ada, 2, "0002-b")]
    );
}

async fn key_is_wrapped_anew_once(world: World) {
    let (ada, old) = keyed(&world, "ada").await;
    let store = &world.store;
    assert_eq!(
        store.any_data_keys_not_under("0002-b").await.unwrap(),
        std::slice::from_ref(&old)
    );
    assert!(store.rewrap_data_key(&old, "0002-b", "ff").await.unwrap());
    assert!(!store.rewrap_data_key(&old, "0003-c", "ee").await.unwrap());
    assert!(
        store
            .any_data_keys_not_under("0002-b")
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        store.find_data_key(ada, 1).await.unwrap().unwrap().wrapped,
        "ff"
    );
}

async fn removed_tenant_leaves_no_key(world: World) {
    let (ada, _) = keyed(&world, "ada").await;
    let store = &world.store;
    let gone = world
        .delete_account(shared::UserId::from_uuid(ada.uuid()))
        .await;
    assert_eq!(gone.unwrap().rows["data_keys"], 1);
    assert!(store.newest_data_keys().await.unwrap().is_empty());
}

async fn picture_is_never_left_to_a_key_that_is_gone(world: World) {
    let (ada, _) = keyed(&world, "ada").await;
    let store = &world.store;
    let set = world.draft(ada).await;
    let upload = world.received(ada, set, 1).await;
    // Keys are renewed between the sealing of a picture and its row.
    let second = store.add_data_key(key(ada, 2, "0002-b"), at(1)).await;
    second.unwrap();
    assert_eq!(store.remove_unused_data_keys().await.unwrap(), 1);
    let late = store.complete_upload(ada, upload, sealed(1), at(2)).await;
    assert!(matches!(late, Err(Error::KeyReplaced)));
    let again = store.complete_upload(ada, upload, sealed(2), at(2)).await;
    again.unwrap().unwrap();
    let image = store.list_images(ada, set).await.unwrap().remove(0);
    let gone = sealed(1).stored;
    assert!(!store.reseal_image(&image, &gone).await.unwrap());
    assert_eq!(store.find_any_image(image.id).await.unwrap(), Some(image));

    // Many at once: whatever was taken can be opened.
    let draft = world.draft(ada).await;
    let mut tasks = Vec::new();
    for number in 0..12 {
        let upload = world.received(ada, draft, 100 + number).await;
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let newest = store.newest_data_key(ada).await.unwrap().unwrap().version;
            let done = store
                .complete_upload(ada, upload, sealed(newest), at(3))
                .await;
            assert!(matches!(done, Ok(Some(_)) | Err(Error::KeyReplaced)));
        }));
    }
    for version in 3..8 {
        let next = store.add_data_key(key(ada, version, "0003-c"), at(4)).await;
        next.unwrap();
        store.remove_unused_data_keys().await.unwrap();
    }
    for task in tasks {
        task.await.unwrap();
    }
    for image in store.list_images(ada, draft).await.unwrap() {
        let version = image.stored.key_version.unwrap();
        let there = store.find_data_key(ada, version).await.unwrap();
        assert!(there.is_some(), "version {version}");
    }
}
