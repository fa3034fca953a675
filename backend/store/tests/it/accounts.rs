//! Accounts, sessions, base models, nodes.

use futures::future::join_all;
use shared::{NodeId, UserId};
use store::{Error, NewSession, NewUser, NodeKind, NodeRecord, new_uuid};

use crate::support::{World, at, hash, new_model, on_both};

on_both!(
    address_belongs_to_one_account_in_any_case,
    session_ends_at_its_expiry_and_on_sign_out,
    base_model_is_registered_once,
    node_is_online_while_it_gives_signs_of_life,
    expired_rows_are_removed_and_the_rest_kept,
);

fn new_user(email: &str) -> NewUser {
    NewUser {
        email: email.to_owned(),
        name: "Ada".to_owned(),
        password_hash: Some("hash".to_owned()),
    }
}

pub(crate) async fn start_session(world: &World, user_id: UserId, token_hash: &str, end: i64) {
    let new = NewSession {
        token_hash: token_hash.to_owned(),
        user_id,
        user_agent: "Browser".to_owned(),
        address: "192.0.2.1".to_owned(),
        expires_at: at(end),
    };
    let started = world.store.create_session(new, at(0)).await;
    started.expect("it starts");
}

async fn address_belongs_to_one_account_in_any_case(world: World) {
    let store = &world.store;
    let addresses = ["Ada@Example.org", "ada@example.org", " ADA@EXAMPLE.ORG "];
    let tries = addresses.map(|email| store.create_user(new_user(email), at(0)));
    let results = join_all(tries).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    for refused in results.iter().filter_map(|result| result.as_ref().err()) {
        assert!(matches!(refused, Error::EmailTaken), "{refused}");
    }
    let found = store.find_user_by_email("ADA@example.ORG").await.unwrap();
    let user = found.expect("it is found in any case");
    assert_eq!(user.email, "ada@example.org");
    assert_eq!(store.find_user(user.id).await.unwrap(), Some(user));
    let nobody = store.find_user_by_email("bob@example.org").await.unwrap();
    assert_eq!(nobody, None);
}

async fn session_ends_at_its_expiry_and_on_sign_out(world: World) {
    let store = &world.store;
    let user = world.person("ada").await;
    start_session(&world, user, "hash", 100).await;
    let find = async |now| store.find_session("hash", at(now)).await.unwrap();
    let found = find(99).await.expect("it is valid");
    assert_eq!(found.user_id, user);
    assert_eq!(found.organisation_id.uuid(), user.uuid(), "their own");
    assert_eq!(find(100).await, None);
    store.delete_session("hash", at(0)).await.unwrap();
    store
        .delete_session("hash", at(0))
        .await
        .expect("twice is no harm");
    assert_eq!(find(50).await, None);
}

async fn base_model_is_registered_once(world: World) {
    let store = &world.store;
    let user = world.user("ada").await;
    let new = new_model();
    let results = join_all((0..4).map(|_| store.register_base_model(&new, at(0)))).await;
    let ids: Vec<_> = results
        .into_iter()
        .map(|result| result.unwrap().id)
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let models = store.list_base_models(user).await.unwrap();
    assert_eq!(models.len(), 1);
    assert_eq!(models[0].size_bytes, 2_000);
    assert_eq!(models[0].identifiers, ["sks"]);
    assert_eq!(
        store.find_base_model(user, ids[0]).await.unwrap().as_ref(),
        models.first()
    );
    let files = store.base_model_files(ids[0]).await.unwrap();
    let mut announced = new.files.clone();
    announced.sort_by(|left, right| left.name.cmp(&right.name));
    assert_eq!(files, announced);
}

async fn node_is_online_while_it_gives_signs_of_life(world: World) {
    let store = &world.store;
    let node = world.node().await;
    assert_eq!(store.list_nodes_online(at(0)).await.unwrap().len(), 1);
    assert_eq!(store.list_nodes_online(at(1)).await.unwrap().len(), 0);
    world.touch(node, at(4_999)).await;
    assert_eq!(
        store.list_nodes_online(at(1)).await.unwrap().len(),
        0,
        "every five seconds is enough"
    );
    world.touch(node, at(5_000)).await;
    let online = store.list_nodes_online(at(5_000)).await.unwrap();
    assert_eq!(online.len(), 1);
    assert_eq!(online[0].families, ["tiny"]);
    world.node().await;
    let other = NodeRecord {
        id: NodeId::from_uuid(new_uuid(at(0))),
        families: vec!["sd15".to_owned(), "tiny".to_owned()],
        memory_bytes: 7,
        ..online[0].clone()
    };
    store.touch_node(&other, false, at(0)).await.unwrap();
    let mut kinds = store.kinds_of_nodes_online(at(0)).await.unwrap();
    kinds.sort_by_key(|kind| kind.memory_bytes);
    let kind = |node: &NodeRecord, nodes| NodeKind {
        families: node.families.clone(),
        memory_bytes: node.memory_bytes,
        nodes,
    };
    assert_eq!(kinds, [kind(&other, 1), kind(&online[0], 2)]);
    assert_eq!(store.kinds_of_nodes_online(at(5_001)).await.unwrap(), []);
}

async fn expired_rows_are_removed_and_the_rest_kept(world: World) {
    let store = &world.store;
    let user = world.user("ada").await;
    let set = world.draft(user).await;
    let person = UserId::from_uuid(user.uuid());
    start_session(&world, person, "short", 10).await;
    start_session(&world, person, "long", 90_000).await;
    let pending = store.create_upload(user, crate::support::new_upload(set, 1), at(0));
    let pending = pending.await.unwrap().unwrap().id;
    let received = world.received(user, set, 2).await;
    let kept = world.draft(user).await;
    world.add_images(user, kept, 1).await;
    store.delete_expired(at(60_000)).await.unwrap();
    assert_eq!(store.find_session("short", at(0)).await.unwrap(), None);
    assert!(store.find_session("long", at(0)).await.unwrap().is_some());
    assert_eq!(store.find_upload(user, pending).await.unwrap(), None);
    assert_eq!(store.find_upload(user, received).await.unwrap(), None);
    let needed = store.referenced_hashes().await.unwrap();
    assert!(!needed.contains(&hash(2)) && !needed.contains(&hash(1)));
    assert_eq!(store.list_images(user, kept).await.unwrap().len(), 1);
}
