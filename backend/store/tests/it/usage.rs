//! Use and limits: each tenant's alone.

use store::{Error, Limits};

use crate::support::{World, at, new_image, new_upload, on_both};

on_both!(
    use_is_summed_for_each_tenant_and_limits_hold,
    what_was_announced_while_there_was_room_needs_it_when_it_is_here,
);

async fn use_is_summed_for_each_tenant_and_limits_hold(world: World) {
    let ada = world.user("ada").await;
    assert_eq!(world.store.usage(ada).await.unwrap().members, 1);
    let set = world.draft(ada).await;
    world.add_images(ada, set, 3).await;
    let usage = world.store.usage(ada).await.unwrap();
    assert_eq!(usage.storage_bytes, 3 * new_image().content_size_bytes);
    let bob = world.user("bob").await;
    assert_eq!(world.store.usage(bob).await.unwrap().storage_bytes, 0);
    let limits = Limits {
        storage_bytes: Some(30),
        ..Limits::default()
    };
    let tight = world.store.clone().with_limits(limits);
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

async fn what_was_announced_while_there_was_room_needs_it_when_it_is_here(world: World) {
    let ada = world.user("ada").await;
    let set = world.draft(ada).await;
    let limits = Limits {
        storage_bytes: Some(20),
        ..Limits::default()
    };
    let tight = world.store.clone().with_limits(limits);
    let mut announced = Vec::new();
    for number in 1..=3 {
        let upload = tight.create_upload(ada, new_upload(set, number), at(0));
        announced.push(upload.await.unwrap().unwrap().id);
    }
    let mut completed = Vec::new();
    for id in announced {
        tight.mark_upload_received(id).await.unwrap();
        completed.push(tight.complete_upload(ada, id, new_image(), at(1)).await);
    }
    let refused = completed.pop().unwrap();
    assert!(matches!(
        refused,
        Err(Error::StorageFull {
            used: 18,
            limit: 20
        })
    ));
    assert!(completed.into_iter().all(|done| done.unwrap().is_some()));
    assert_eq!(world.store.usage(ada).await.unwrap().storage_bytes, 18);
}
