//! Locks between servers: two stores on one PostgreSQL, which here are two servers. On SQLite, between tasks of the one server.

use std::time::Duration;

use shared::{ImportId, UploadId};
use store::{Lock, Store};
use tokio::time::{Instant, timeout};

use crate::support::{Kind, World};

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(20);

async fn two() -> Option<(Store, Store)> {
    let world = World::open(Kind::Postgres).await?;
    let other = Store::connect(&world.url).await.unwrap();
    Some((world.store, other))
}

#[tokio::test]
async fn one_server_leads_until_it_is_gone() {
    let Some((one, two)) = two().await else {
        return;
    };
    assert!(one.is_shared());
    let held = one.try_hold(Lock::Leader).await.unwrap().unwrap();
    assert!(two.try_hold(Lock::Leader).await.unwrap().is_none());
    assert!(
        one.try_hold(Lock::Leader).await.unwrap().is_none(),
        "not even twice by itself"
    );
    held.renew().await.unwrap();
    let import = Lock::Import(ImportId::from_uuid(store::new_uuid(crate::support::at(1))));
    assert!(
        two.try_hold(import).await.unwrap().is_some(),
        "others are free"
    );
    // Dropped without a word, as by a task that was ended.
    drop(held);
    let start = Instant::now();
    let taken = loop {
        if let Some(held) = two.try_hold(Lock::Leader).await.unwrap() {
            break held;
        }
        assert!(start.elapsed() < LONG, "a dropped lock is let go");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    taken.release().await.unwrap();
    assert!(one.try_hold(Lock::Leader).await.unwrap().is_some());
}

#[tokio::test]
async fn one_server_works_on_an_archive_and_others_on_others() {
    let Some((one, two)) = two().await else {
        return;
    };
    let archive = |moment| {
        let id = store::new_uuid(crate::support::at(moment));
        Lock::Archive(UploadId::from_uuid(id))
    };
    let (first, second) = (archive(1), archive(1));
    let held = one.try_hold(first).await.unwrap().unwrap();
    assert!(two.try_hold(first).await.unwrap().is_none());
    assert!(two.try_hold(second).await.unwrap().is_some());
    held.release().await.unwrap();
    assert!(two.try_hold(first).await.unwrap().is_some());
}

#[tokio::test]
async fn a_leader_that_hangs_is_cut_off() {
    let Some((one, two)) = two().await else {
        return;
    };
    let held = one.try_hold(Lock::Leader).await.unwrap().unwrap();
    let start = Instant::now();
    while two.try_hold(Lock::Leader).await.unwrap().is_none() {
        assert!(start.elapsed() < LONG, "it says nothing and leads on");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(held.renew().await.is_err(), "it finds out");
    let work = tokio::time::sleep(LONG);
    assert_eq!(held.during(work).await, None, "and stops to work");
}

#[tokio::test]
async fn removing_waits_for_those_who_publish_and_keeps_them_out() {
    let Some((one, two)) = two().await else {
        return;
    };
    let (a, b) = (
        one.share(Lock::Objects).await.unwrap(),
        two.share(Lock::Objects).await.unwrap(),
    );
    assert!(two.hold(Lock::Objects, SHORT).await.is_err(), "it gives up");
    a.release().await.unwrap();
    b.release().await.unwrap();
    let alone = two.hold(Lock::Objects, SHORT).await.unwrap();
    assert!(timeout(SHORT, one.share(Lock::Objects)).await.is_err());
    alone.release().await.unwrap();
    timeout(LONG, one.share(Lock::Objects))
        .await
        .unwrap()
        .unwrap()
        .release()
        .await
        .unwrap();
}

#[tokio::test]
async fn sqlite_has_one_server_which_shares_nothing() {
    let world = World::open(Kind::Sqlite).await.unwrap();
    assert!(!world.store.is_shared());
    let alone = world.store.hold(Lock::Objects, SHORT).await.unwrap();
    assert_eq!(alone.during(async { 1 }).await, Some(1));
    world
        .store
        .share(Lock::Objects)
        .await
        .unwrap()
        .release()
        .await
        .unwrap();
}

#[tokio::test]
async fn tasks_of_the_one_server_of_an_sqlite_database_keep_out_of_each_others_way() {
    let world = World::open(Kind::Sqlite).await.unwrap();
    let (one, two) = (world.store.clone(), world.store);
    assert!(!one.is_shared());
    let archive = |moment| {
        let id = store::new_uuid(crate::support::at(moment));
        Lock::Archive(UploadId::from_uuid(id))
    };
    let (first, second) = (archive(1), archive(2));
    let held = one.try_hold(first).await.unwrap().unwrap();
    held.renew().await.unwrap();
    for _ in 0..2 {
        assert!(
            two.try_hold(first).await.unwrap().is_none(),
            "however often it is asked for"
        );
    }
    assert!(two.try_hold(second).await.unwrap().is_some());
    held.release().await.unwrap();
    let again = two.try_hold(first).await.unwrap().unwrap();
    drop(again);
    assert!(one.try_hold(first).await.unwrap().is_some());
}
