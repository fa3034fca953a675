//! Wrapped keys: one newest a tenant under any race, wrapped anew, removed when nothing needs them.

use shared::OrganisationId;
use store::{DataKeyRecord, StoredImage};

use crate::support::{World, at, hash, new_image, new_upload, on_both};

on_both!(
    first_key_is_one_under_concurrency,
    picture_moves_to_the_newest_key_and_the_old_one_goes,
    key_is_wrapped_anew_once,
    removed_tenant_leaves_no_key,
    use_is_summed_for_each_tenant_and_limits_hold,
);

fn key(owner: OrganisationId, version: u32, master: &str) -> DataKeyRecord {
    DataKeyRecord {
        owner_id: owner,
        version,
        master: master.to_owned(),
        wrapped: format!("{version:02x}"),
    }
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
    let ada = world.user("ada").await;
    let store = &world.store;
    store
        .add_data_key(key(ada, 1, "0001-a"), at(0))
        .await
        .unwrap();
    let set = store.create_set(ada, "x", at(0)).await.unwrap();
    let upload = store.create_upload(ada, new_upload(set.id, 1), at(0)).await;
    let upload = upload.unwrap().unwrap();
    store.mark_upload_received(upload.id).await.unwrap();
    store
        .complete_upload(ada, upload.id, new_image(), at(1))
        .await
        .unwrap();
    let image = store.list_images(ada, set.id).await.unwrap().remove(0);
    assert_eq!(image.stored, new_image().stored);
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
    let ada = world.user("ada").await;
    let store = &world.store;
    let old = store
        .add_data_key(key(ada, 1, "0001-a"), at(0))
        .await
        .unwrap();
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
    let ada = world.user("ada").await;
    let store = &world.store;
    store
        .add_data_key(key(ada, 1, "0001-a"), at(0))
        .await
        .unwrap();
    let gone = store
        .delete_account(shared::UserId::from_uuid(ada.uuid()))
        .await;
    assert_eq!(gone.unwrap().rows["data_keys"], 1);
    assert!(store.newest_data_keys().await.unwrap().is_empty());
}

async fn use_is_summed_for_each_tenant_and_limits_hold(world: World) {
    let ada = world.user("ada").await;
    assert_eq!(world.store.usage(ada).await.unwrap().members, 1);
    let set = world.draft(ada).await;
    world.add_images(ada, set, 3).await;
    let usage = world.store.usage(ada).await.unwrap();
    assert_eq!(usage.storage_bytes, 3 * new_image().content_size_bytes);
    let bob = world.user("bob").await;
    assert_eq!(world.store.usage(bob).await.unwrap().storage_bytes, 0);
    let limits = store::Limits {
        storage_bytes: Some(30),
        ..store::Limits::default()
    };
    let tight = world.store.clone().with_limits(limits);
    let refused = tight.create_upload(ada, new_upload(set, 9), at(0)).await;
    assert!(matches!(
        refused,
        Err(store::Error::StorageFull {
            used: 27,
            limit: 30
        })
    ));
    let his = world.draft(bob).await;
    let fits = tight.create_upload(bob, new_upload(his, 9), at(0)).await;
    assert!(fits.unwrap().is_some());
}
