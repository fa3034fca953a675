//! Keys, refresh tokens, second factors, links in letters, lockout.

use futures::future::join_all;
use shared::{ApiKeyId, OrganisationId, UserId, api_key::Scope};
use store::{
    ApiKeyChange, Asked, Error, Exchanged, Grant, NewApiKey, NewDevice, NewEmail, Purpose,
};

use crate::support::{World, at, on_both};

on_both!(
    key_opens_until_it_expires_or_is_revoked,
    rotated_key_overlaps_for_as_long_as_it_was_told,
    key_belongs_to_its_organisation,
    one_of_many_writers_of_a_version_wins,
    refresh_token_works_once_and_its_copy_ends_the_family,
    one_of_many_equal_refreshes_wins,
    code_works_once,
    recovery_code_works_once,
    link_works_once_and_the_newest_counts,
    new_password_ends_everything_but_the_session_that_asked,
    failures_lock_and_success_forgets_them,
    letter_is_tried_by_one_process,
    device_code_is_decided_once_and_collected_once,
    one_of_many_equal_questions_gets_the_tokens,
);

pub(crate) async fn key(
    world: &World,
    organisation: OrganisationId,
    user_id: UserId,
    secret: &str,
) -> ApiKeyId {
    let new = NewApiKey {
        user_id,
        name: "Nightly".to_owned(),
        hint: "pg_live_abcd".to_owned(),
        secret_hash: secret.to_owned(),
        scopes: vec![Scope::SetsRead, Scope::JobsRun],
        allowed_addresses: vec!["192.0.2.0/24".to_owned()],
        expires_at: at(1000),
    };
    let made = world.store.create_api_key(organisation, new, at(0)).await;
    made.expect("it is made").id
}

async fn own(world: &World, name: &str) -> (UserId, OrganisationId) {
    let person = world.person(name).await;
    (person, OrganisationId::from_uuid(person.uuid()))
}

async fn opens(world: &World, secret: &str, now: i64) -> bool {
    let found = world
        .store
        .find_api_key_by_secret_any(secret, at(now))
        .await;
    found.unwrap().is_some()
}

async fn key_opens_until_it_expires_or_is_revoked(world: World) {
    let store = &world.store;
    let (ada, own) = own(&world, "ada").await;
    let id = key(&world, own, ada, "one").await;
    let found = store
        .find_api_key_by_secret_any("one", at(5))
        .await
        .unwrap();
    let found = found.expect("it opens");
    assert_eq!(found.scopes, [Scope::SetsRead, Scope::JobsRun]);
    assert_eq!((found.organisation_id, found.user_id), (own, ada));
    assert!(!opens(&world, "two", 5).await);
    assert!(opens(&world, "one", 999).await && !opens(&world, "one", 1000).await);
    store.touch_api_key(&found, at(5)).await.unwrap();
    let used = store.find_api_key(own, id).await.unwrap().unwrap();
    assert_eq!(used.last_used_at, Some(at(5)));
    store.touch_api_key(&used, at(6)).await.unwrap();
    let used = store.find_api_key(own, id).await.unwrap().unwrap();
    assert_eq!(used.last_used_at, Some(at(5)), "once a minute");
    assert!(store.revoke_api_key(own, id, at(7)).await.unwrap());
    assert!(store.revoke_api_key(own, id, at(9)).await.unwrap());
    assert!(!opens(&world, "one", 8).await);
    let revoked = store.find_api_key(own, id).await.unwrap().unwrap();
    assert_eq!(revoked.revoked_at, Some(at(7)), "the first time counts");
    assert!(
        !store
            .update_api_key(own, id, None, ApiKeyChange::default(), at(9))
            .await
            .unwrap()
    );
}

async fn rotated_key_overlaps_for_as_long_as_it_was_told(world: World) {
    let store = &world.store;
    let (ada, own) = own(&world, "ada").await;
    let id = key(&world, own, ada, "one").await;
    let rotate = async |secret, until, now| {
        let fresh = (secret, "pg_live_wxyz");
        let key = store
            .rotate_api_key(own, id, fresh, at(until), at(now))
            .await;
        key.unwrap()
    };
    assert!(rotate("two", 50, 10).await.is_some());
    assert!(opens(&world, "one", 49).await && opens(&world, "two", 49).await);
    assert!(!opens(&world, "one", 50).await && opens(&world, "two", 50).await);
    assert!(rotate("three", 20, 20).await.is_some());
    assert!(!opens(&world, "one", 21).await && !opens(&world, "two", 21).await);
    assert!(opens(&world, "three", 21).await);
    assert!(rotate("four", 1100, 1000).await.is_none(), "it has expired");
}

async fn key_belongs_to_its_organisation(world: World) {
    let store = &world.store;
    let (ada, own_of_ada) = own(&world, "ada").await;
    let (_, own_of_eve) = own(&world, "eve").await;
    let id = key(&world, own_of_ada, ada, "one").await;
    for (organisation, mine) in [(own_of_ada, true), (own_of_eve, false)] {
        let found = store.find_api_key(organisation, id).await.unwrap();
        let listed = store.list_api_keys(organisation, None, 9).await.unwrap();
        let blocks = ["::/0".to_owned()];
        let change = ApiKeyChange {
            name: Some("mine"),
            allowed_addresses: Some(&blocks),
        };
        let changed = store
            .update_api_key(organisation, id, None, change, at(1))
            .await
            .unwrap();
        assert_eq!(
            (found.is_some(), listed.len(), changed),
            (mine, usize::from(mine), mine)
        );
    }
    let fresh = ("two", "hint");
    let rotated = store
        .rotate_api_key(own_of_eve, id, fresh, at(9), at(1))
        .await;
    assert_eq!(rotated.unwrap(), None);
    assert!(!store.revoke_api_key(own_of_eve, id, at(1)).await.unwrap());
    assert!(opens(&world, "one", 2).await);
}

async fn one_of_many_writers_of_a_version_wins(world: World) {
    let (ada, own) = own(&world, "ada").await;
    let id = key(&world, own, ada, "one").await;
    let seen = world.store.find_api_key(own, id).await.unwrap().unwrap();
    let account = world.store.find_user(ada).await.unwrap().unwrap();
    let writers = (0..8).map(|number| {
        let (store, seen, account) = (world.store.clone(), seen.clone(), account.clone());
        tokio::spawn(async move {
            let name = format!("writer {number}");
            let change = ApiKeyChange {
                name: Some(&name),
                allowed_addresses: None,
            };
            let key = store.update_api_key(own, id, Some(&seen), change, at(2));
            let key = key.await;
            let person = store.rename_user(ada, Some(&account.name), &name).await;
            let home = store.rename_organisation(own, Some(&account.name), &name);
            [key.map(|_| ()), person, home.await]
        })
    });
    let mut won = [0; 3];
    for results in join_all(writers).await {
        for (place, result) in results.unwrap().into_iter().enumerate() {
            match result {
                Ok(()) => won[place] += 1,
                Err(Error::Changed) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
    assert_eq!(won, [1, 1, 1]);
    let any = world.store.rename_user(ada, None, "whatever it was").await;
    any.unwrap();
}

async fn refresh_token_works_once_and_its_copy_ends_the_family(world: World) {
    let store = &world.store;
    let (user, organisation) = own(&world, "ada").await;
    let grant = Grant { user, organisation };
    for family in ["a0", "b0"] {
        let made = store.create_refresh_token(family, grant, at(0), at(100));
        made.await.unwrap();
    }
    let exchange = async |token, next, now| {
        let end = at(now + 100);
        store
            .exchange_refresh_token(token, next, at(now), end)
            .await
            .unwrap()
    };
    assert_eq!(exchange("a0", "a1", 1).await, Exchanged::Rotated(grant));
    assert_eq!(exchange("a1", "a2", 2).await, Exchanged::Rotated(grant));
    assert_eq!(exchange("a0", "x", 3).await, Exchanged::Reused(user));
    assert_eq!(
        exchange("a2", "x", 4).await,
        Exchanged::Unknown,
        "the family is over"
    );
    assert_eq!(
        exchange("b0", "b1", 99).await,
        Exchanged::Rotated(grant),
        "others go on"
    );
    assert_eq!(
        exchange("b1", "b2", 199).await,
        Exchanged::Unknown,
        "it has expired"
    );
    store.end_refresh_family("b1").await.unwrap();
    store.end_refresh_family("nothing").await.unwrap();
    assert_eq!(exchange("b1", "b2", 100).await, Exchanged::Unknown);
}

async fn one_of_many_equal_refreshes_wins(world: World) {
    let store = &world.store;
    let (user, organisation) = own(&world, "ada").await;
    let grant = Grant { user, organisation };
    let made = store.create_refresh_token("a0", grant, at(0), at(100));
    made.await.unwrap();
    let names: Vec<String> = (0..6).map(|number| format!("a1-{number}")).collect();
    let tries = names
        .iter()
        .map(|next| store.exchange_refresh_token("a0", next, at(1), at(101)));
    let results = join_all(tries).await;
    let won = results
        .iter()
        .filter(|result| matches!(result, Ok(Exchanged::Rotated(_))));
    assert_eq!(won.count(), 1);
}

async fn code_works_once(world: World) {
    let store = &world.store;
    let (ada, _) = own(&world, "ada").await;
    assert!(store.begin_second_factor(ada, "FIRST").await.unwrap());
    assert!(
        store.begin_second_factor(ada, "SECOND").await.unwrap(),
        "not confirmed yet"
    );
    let codes = ["one".to_owned(), "two".to_owned()];
    assert!(
        store
            .confirm_second_factor(ada, 7, &codes, at(1))
            .await
            .unwrap()
    );
    assert!(
        !store
            .confirm_second_factor(ada, 8, &codes, at(2))
            .await
            .unwrap()
    );
    assert!(!store.begin_second_factor(ada, "THIRD").await.unwrap());
    let factor = store.find_second_factor(ada).await.unwrap().unwrap();
    assert_eq!((factor.secret.as_str(), factor.last_step), ("SECOND", 7));
    for (step, fresh) in [
        (7, false),
        (8, true),
        (8, false),
        (6, false),
        (10, true),
        (9, false),
    ] {
        assert_eq!(
            store.use_totp_step(ada, step).await.unwrap(),
            fresh,
            "{step}"
        );
    }
    store.delete_second_factor(ada, at(3)).await.unwrap();
    assert_eq!(store.find_second_factor(ada).await.unwrap(), None);
    assert!(!store.use_recovery_code(ada, "one").await.unwrap());
}

async fn recovery_code_works_once(world: World) {
    let store = &world.store;
    let (ada, _) = own(&world, "ada").await;
    let (eve, _) = own(&world, "eve").await;
    store.begin_second_factor(ada, "SECRET").await.unwrap();
    let codes = ["one".to_owned(), "two".to_owned()];
    store
        .confirm_second_factor(ada, 1, &codes, at(1))
        .await
        .unwrap();
    assert!(!store.use_recovery_code(eve, "one").await.unwrap());
    assert!(store.use_recovery_code(ada, "one").await.unwrap());
    assert!(!store.use_recovery_code(ada, "one").await.unwrap());
    store
        .replace_recovery_codes(ada, &["three".to_owned()], at(2))
        .await
        .unwrap();
    assert!(!store.use_recovery_code(ada, "two").await.unwrap());
    assert!(store.use_recovery_code(ada, "three").await.unwrap());
}

fn letter(body: &str) -> NewEmail {
    NewEmail {
        recipient: "ada@example.org".to_owned(),
        subject: "Hello".to_owned(),
        body: body.to_owned(),
    }
}

async fn send(world: &World, user: UserId, token: &str, purpose: Purpose) {
    let sent =
        world
            .store
            .create_one_time_token((token, purpose), user, letter(token), at(0), at(100));
    sent.await.expect("it is queued");
}

async fn link_works_once_and_the_newest_counts(world: World) {
    let store = &world.store;
    let (ada, _) = own(&world, "ada").await;
    send(&world, ada, "old", Purpose::VerifyEmail).await;
    send(&world, ada, "new", Purpose::VerifyEmail).await;
    send(&world, ada, "reset", Purpose::ResetPassword).await;
    let (eve, _) = own(&world, "eve").await;
    let verify = async |token, caller, now| {
        let verified = store.verify_email(token, caller, at(now)).await;
        verified.unwrap()
    };
    assert_eq!(verify("old", ada, 1).await, None, "replaced");
    assert_eq!(verify("reset", ada, 1).await, None, "for something else");
    assert_eq!(verify("new", ada, 100).await, None, "too late");
    assert_eq!(verify("new", eve, 4).await, Some(ada), "somebody else's");
    for account in [ada, eve] {
        let user = store.find_user(account).await.unwrap().unwrap();
        assert_eq!(user.email_verified_at, None, "nobody is proven by that");
    }
    assert_eq!(verify("new", ada, 5).await, Some(ada));
    assert_eq!(verify("new", ada, 6).await, None, "used up");
    let user = store.find_user(ada).await.unwrap().unwrap();
    assert_eq!(user.email_verified_at, Some(at(5)));
    assert_eq!(store.list_due_emails(at(1), 9).await.unwrap().len(), 3);
}

async fn new_password_ends_everything_but_the_session_that_asked(world: World) {
    let store = &world.store;
    let (ada, organisation) = own(&world, "ada").await;
    let start = async || {
        for token in ["here", "there"] {
            crate::accounts::start_session(&world, ada, token, 1000).await;
        }
        let grant = Grant {
            user: ada,
            organisation,
        };
        let made = store.create_refresh_token("refresh", grant, at(0), at(1000));
        made.await.unwrap();
    };
    let refreshes = async || {
        let next = store
            .exchange_refresh_token("refresh", "next", at(1), at(9))
            .await;
        next.unwrap() != Exchanged::Unknown
    };
    let alive = async |token| store.find_session(token, at(1)).await.unwrap().is_some();
    start().await;
    store
        .change_password(ada, "changed", Some("here"), at(1))
        .await
        .unwrap();
    assert!(alive("here").await && !alive("there").await && !refreshes().await);
    store.delete_session("here", at(0)).await.unwrap();
    start().await;
    send(&world, ada, "reset", Purpose::ResetPassword).await;
    let reset = async |token| store.reset_password(token, "reset", at(2)).await.unwrap();
    assert_eq!(reset("unknown").await, None);
    assert_eq!(reset("reset").await.as_deref(), Some("ada@example.org"));
    assert_eq!(reset("reset").await, None);
    assert!(!alive("here").await && !alive("there").await && !refreshes().await);
    let user = store.find_user(ada).await.unwrap().unwrap();
    assert_eq!(user.password_hash.as_deref(), Some("reset"));
    assert_eq!(user.email_verified_at, Some(at(2)), "the letter was read");
}

async fn failures_lock_and_success_forgets_them(world: World) {
    let store = &world.store;
    let wait = |failures: u32| {
        if failures < 3 {
            0
        } else {
            1000 * i64::from(failures)
        }
    };
    let lock = async |now| store.find_lock("who", at(now)).await.unwrap();
    for now in 1..=2 {
        store.count_failure("who", at(now), wait).await.unwrap();
        assert_eq!(lock(now).await, None);
    }
    store.count_failure("who", at(3), wait).await.unwrap();
    assert_eq!(lock(4).await, Some(at(3003)));
    assert_eq!(lock(3003).await, None);
    assert_eq!(store.find_lock("other", at(4)).await.unwrap(), None);
    store.clear_failures("who").await.unwrap();
    assert_eq!(lock(4).await, None);
    store.count_failure("who", at(5), wait).await.unwrap();
    assert_eq!(lock(6).await, None, "counting began anew");
}

async fn letter_is_tried_by_one_process(world: World) {
    let store = &world.store;
    store.enqueue_email(letter("x"), at(0)).await.unwrap();
    let due = store.list_due_emails(at(0), 9).await.unwrap();
    let begun = join_all((0..4).map(|_| store.begin_email(&due[0], at(50)))).await;
    let begun: Result<Vec<bool>, Error> = begun.into_iter().collect();
    assert_eq!(begun.unwrap().iter().filter(|begun| **begun).count(), 1);
    assert!(store.list_due_emails(at(49), 9).await.unwrap().is_empty());
    let again = store.list_due_emails(at(50), 9).await.unwrap();
    assert_eq!(again[0].attempts, 1);
    store.delete_email(again[0].id).await.unwrap();
    assert!(store.list_due_emails(at(99), 9).await.unwrap().is_empty());
}

fn seconds(number: i64) -> shared::Timestamp {
    at(number * 1000)
}

async fn device(world: &World, name: &str) {
    let new = NewDevice {
        device_hash: format!("device {name}"),
        user_hash: format!("user {name}"),
        name: name.to_owned(),
        address: "192.0.2.1".to_owned(),
        expires_at: seconds(900),
        interval_milliseconds: 5000,
    };
    world.store.create_device(new, seconds(0)).await.unwrap();
}

async fn ask(world: &World, name: &str, refresh: &str, now: i64) -> Asked {
    let device = format!("device {name}");
    let kept = (refresh, seconds(9000));
    let asked = world.store.ask_device(&device, kept, seconds(now)).await;
    asked.unwrap()
}

async fn device_code_is_decided_once_and_collected_once(world: World) {
    let (user, organisation) = own(&world, "ada").await;
    let by = Grant { user, organisation };
    device(&world, "a").await;
    let store = &world.store;
    assert_eq!(ask(&world, "b", "r", 1).await, Asked::Unknown);
    assert_eq!(ask(&world, "a", "r", 1).await, Asked::Pending);
    assert_eq!(ask(&world, "a", "r", 2).await, Asked::TooSoon);
    assert_eq!(ask(&world, "a", "r", 8).await, Asked::TooSoon);
    assert_eq!(ask(&world, "a", "r", 30).await, Asked::Pending);
    let found = store.find_device_any("user a", seconds(31)).await.unwrap();
    assert_eq!(found.unwrap().name, "a");
    assert!(
        !store
            .decide_device("user b", by, true, seconds(31))
            .await
            .unwrap()
    );
    assert!(
        store
            .decide_device("user a", by, true, seconds(31))
            .await
            .unwrap()
    );
    assert!(
        !store
            .decide_device("user a", by, false, seconds(32))
            .await
            .unwrap()
    );
    assert!(
        store
            .find_device_any("user a", seconds(32))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(ask(&world, "a", "r", 60).await, Asked::Granted(by));
    assert_eq!(ask(&world, "a", "r2", 90).await, Asked::Unknown);
    let renewed = store
        .exchange_refresh_token("r", "next", seconds(91), seconds(9000))
        .await;
    assert_eq!(renewed.unwrap(), Exchanged::Rotated(by));

    device(&world, "late").await;
    assert!(
        !store
            .decide_device("user late", by, true, seconds(900))
            .await
            .unwrap()
    );
    assert_eq!(ask(&world, "late", "r3", 900).await, Asked::Unknown);
    store.delete_expired(seconds(901)).await.unwrap();
    device(&world, "late").await;
}

async fn one_of_many_equal_questions_gets_the_tokens(world: World) {
    let (user, organisation) = own(&world, "ada").await;
    let by = Grant { user, organisation };
    device(&world, "a").await;
    assert!(
        world
            .store
            .decide_device("user a", by, true, seconds(1))
            .await
            .unwrap()
    );
    let tokens: Vec<String> = (0..8).map(|number| format!("r{number}")).collect();
    let questions = tokens.iter().map(|token| ask(&world, "a", token, 2));
    let answers = join_all(questions).await;
    let granted = answers
        .iter()
        .filter(|answer| **answer == Asked::Granted(by));
    assert_eq!(granted.count(), 1, "{answers:?}");
    let others = answers.iter().filter(|answer| **answer == Asked::Unknown);
    assert_eq!(others.count(), 7, "{answers:?}");
}
