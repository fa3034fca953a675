//! Use and limits: each tenant's alone.

use store::{Error, Limits};

use crate::support::{World, at, new_image, new_upload, on_both};

on_both!(use_is_summed_for_each_tenant_and_limits_hold);

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
