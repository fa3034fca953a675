//! Identities at providers, and ways to a provider and back.

use futures::future::join_all;
use shared::UserId;
use store::{Aim, Error, NewIdentity, WayKey, WayRecord};

use crate::support::{World, at, on_both};

on_both!(
    identity_belongs_to_one_account,
    account_of_an_identity_has_no_password_and_a_confirmed_address,
    last_way_in_stays_whoever_comes_at_once,
    account_has_so_many_identities_and_no_more,
    way_ends_once_and_for_its_whole_key,
);

const ISSUER: &str = "https://login.example.org";

fn identity(issuer: &str, subject: &str) -> NewIdentity {
    NewIdentity {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        email: Some("ada@example.net".to_owned()),
    }
}

/// Somebody whom a provider brought.
async fn newcomer(world: &World, subject: &str) -> UserId {
    let account = (format!("{subject}@example.org"), subject.to_owned());
    let made = world
        .store
        .create_user_of_identity(account, identity(ISSUER, subject), at(7))
        .await;
    made.expect("the address is free").id
}

async fn identity_belongs_to_one_account(world: World) {
    let store = &world.store;
    let (ada, bob) = (world.person("ada").await, world.person("bob").await);
    let tries = [ada, bob].map(|user| store.create_identity(user, identity(ISSUER, "1"), at(1)));
    let results = join_all(tries).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    for refused in results.iter().filter_map(|result| result.as_ref().err()) {
        assert!(matches!(refused, Error::IdentityTaken), "{refused}");
    }
    let found = store.find_identity_any(ISSUER, "1").await.unwrap().unwrap();
    assert_eq!(found.email.as_deref(), Some("ada@example.net"));
    assert_eq!(
        store.list_identities(found.user_id).await.unwrap(),
        std::slice::from_ref(&found)
    );
    // The same subject at another provider is somebody else.
    let other = "https://other.example.org";
    assert_eq!(store.find_identity_any(other, "1").await.unwrap(), None);
    let another = identity(other, "1");
    store.create_identity(bob, another, at(2)).await.unwrap();
    store.touch_identity(found.id, at(9)).await.unwrap();
    let found = store.find_identity_any(ISSUER, "1").await.unwrap().unwrap();
    assert_eq!((found.created_at, found.used_at), (at(1), at(9)));
    let account = ("eve@example.org".to_owned(), "Eve".to_owned());
    let taken = store.create_user_of_identity(account, identity(ISSUER, "1"), at(3));
    assert!(matches!(taken.await, Err(Error::IdentityTaken)));
    let nobody = store.find_user_by_email("eve@example.org").await.unwrap();
    assert_eq!(nobody, None, "nothing of it stays");
}

async fn account_of_an_identity_has_no_password_and_a_confirmed_address(world: World) {
    let store = &world.store;
    let eve = newcomer(&world, "eve").await;
    let user = store.find_user(eve).await.unwrap().unwrap();
    assert_eq!(
        (user.password_hash, user.email_verified_at),
        (None, Some(at(7)))
    );
    let account = ("EVE@example.org".to_owned(), "Eve".to_owned());
    let taken = store.create_user_of_identity(account, identity(ISSUER, "x"), at(8));
    assert!(matches!(taken.await, Err(Error::EmailTaken)));
    assert_eq!(store.find_identity_any(ISSUER, "x").await.unwrap(), None);
    let deleted = world.delete_account(eve).await.unwrap();
    assert_eq!(deleted.rows["identities"], 1);
    assert_eq!(store.find_identity_any(ISSUER, "eve").await.unwrap(), None);
}

async fn last_way_in_stays_whoever_comes_at_once(world: World) {
    let store = &world.store;
    let eve = newcomer(&world, "eve").await;
    let gone = "https://gone.example.org";
    store
        .create_identity(eve, identity(gone, "1"), at(8))
        .await
        .unwrap();
    let ids = store.list_identities(eve).await.unwrap();
    let remove = async |index: usize, issuers: &[&str]| {
        let id: &store::IdentityRecord = &ids[index];
        store.delete_identity(eve, id.id, issuers, at(9)).await
    };
    let last = remove(0, &[ISSUER]).await;
    assert!(
        matches!(last, Err(Error::LastWayIn)),
        "the other provider is gone"
    );
    let both = [ISSUER, gone];
    let results = [remove(0, &both).await, remove(1, &both).await];
    assert!(
        matches!(results, [Ok(true), Err(Error::LastWayIn)]),
        "{results:?}"
    );
    let stranger = world.person("ada").await;
    let theirs = store
        .delete_identity(stranger, ids[1].id, &both, at(9))
        .await;
    assert!(!theirs.unwrap());
    store
        .change_password(eve, "hash", None, at(10))
        .await
        .unwrap();
    assert!(remove(1, &[]).await.unwrap());
    assert!(!remove(1, &[]).await.unwrap(), "it is gone");

    // Two requests that remove one each leave one.
    let bob = newcomer(&world, "bob").await;
    store
        .create_identity(bob, identity(gone, "2"), at(8))
        .await
        .unwrap();
    let ids = store.list_identities(bob).await.unwrap();
    let tries = ids
        .iter()
        .map(|it| store.delete_identity(bob, it.id, &both, at(9)));
    let results = join_all(tries).await;
    assert_eq!(
        results.iter().filter(|result| result.is_ok()).count(),
        1,
        "{results:?}"
    );
}

async fn account_has_so_many_identities_and_no_more(world: World) {
    let store = &world.store;
    let ada = world.person("ada").await;
    for number in 0..10 {
        let new = identity(ISSUER, &number.to_string());
        store.create_identity(ada, new, at(1)).await.unwrap();
    }
    let more = store
        .create_identity(ada, identity(ISSUER, "10"), at(1))
        .await;
    assert!(matches!(more, Err(Error::TooManyIdentities)));
}

fn key(token: &str, browser: &str, issuer: &str) -> WayKey {
    WayKey {
        token_hash: token.to_owned(),
        browser_hash: browser.to_owned(),
        issuer: issuer.to_owned(),
    }
}

async fn way_ends_once_and_for_its_whole_key(world: World) {
    let store = &world.store;
    let ada = world.person("ada").await;
    for (index, aim) in [Aim::SignIn, Aim::Link(ada), Aim::SecondFactor(ada)]
        .into_iter()
        .enumerate()
    {
        let own = key(&format!("token {index}"), "browser", ISSUER);
        let way = WayRecord {
            aim,
            return_to: "/home".to_owned(),
        };
        store
            .begin_way(own.clone(), way.clone(), at(0), at(100))
            .await
            .unwrap();
        for other in [
            key("another", "browser", ISSUER),
            key(&own.token_hash, "another", ISSUER),
            key(&own.token_hash, "browser", "another"),
        ] {
            assert_eq!(store.end_way(&other, at(1)).await.unwrap(), None);
            assert_eq!(store.find_way_any(&other, at(1)).await.unwrap(), None);
        }
        assert_eq!(
            store.find_way_any(&own, at(99)).await.unwrap(),
            Some(way.clone())
        );
        assert_eq!(
            store.find_way_any(&own, at(100)).await.unwrap(),
            None,
            "too late"
        );
        let ends = join_all([store.end_way(&own, at(99)), store.end_way(&own, at(99))]).await;
        let ends: Vec<_> = ends.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(ends, [way]);
    }
    let way = WayRecord {
        aim: Aim::SignIn,
        return_to: "/home".to_owned(),
    };
    let late = key("late", "browser", ISSUER);
    store
        .begin_way(late.clone(), way, at(0), at(100))
        .await
        .unwrap();
    assert_eq!(store.end_way(&late, at(100)).await.unwrap(), None);
    assert_eq!(
        store.end_way(&late, at(50)).await.unwrap(),
        None,
        "whoever comes late ends it"
    );
    store.delete_expired(at(100)).await.unwrap();
}
