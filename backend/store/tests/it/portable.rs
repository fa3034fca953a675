//! Dumps: one state of a database, whole, into another of either kind.

use std::io::Cursor;

use shared::job::JobKind;
use store::{DataKeyRecord, Dumped, Error, NewJob, Store};

use crate::support::{Kind, World, at, on, on_both};

on_both!(
    rows_of_every_table_come_back,
    only_a_fresh_database_takes_a_dump,
    bad_dump_changes_nothing,
    dump_is_one_state_while_others_write,
);

/// A database with rows that name each other.
async fn filled(world: &World) {
    let first = world.project("ada").await;
    let ada = first.owner_id;
    let parent = world.enqueue(&first, at(5)).await;
    let child = NewJob {
        kind: JobKind::Evaluate,
        parent_id: Some(parent.id),
        ..first
    };
    world.enqueue(&child, at(6)).await;
    let key = DataKeyRecord {
        owner_id: ada,
        version: 1,
        master: "0001-a".to_owned(),
        wrapped: "00".to_owned(),
    };
    world.store.add_data_key(key, at(7)).await.unwrap();
    world.user("b\"o\\b\u{1f600}").await;
}

async fn dump(store: &Store) -> (Dumped, Vec<u8>) {
    let mut text = Vec::new();
    let dumped = store.dump(&mut text).await.unwrap();
    (dumped, text)
}

/// Lines without their order inside a table, which is the database's own.
fn sorted(text: &[u8]) -> Vec<String> {
    let mut lines: Vec<String> = String::from_utf8(text.to_vec())
        .unwrap()
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line)
                .unwrap()
                .to_string()
        })
        .collect();
    lines.sort();
    lines
}

async fn rows_of_every_table_come_back(world: World) {
    filled(&world).await;
    let (dumped, text) = dump(&world.store).await;
    assert!(
        dumped.rows["jobs"] == 2 && dumped.rows["audit_events"] > 3,
        "{:?}",
        dumped.rows
    );
    assert_eq!(dumped.migrations, world.store.migrations().await.unwrap());
    assert_eq!(
        dumped.objects.len(),
        world.store.referenced_hashes().await.unwrap().len()
    );
    for kind in [Kind::Sqlite, Kind::Postgres] {
        on(kind, async |other: World| {
            let loaded = other.store.load(&mut Cursor::new(&text)).await.unwrap();
            assert_eq!(loaded, dumped.rows);
            let (again, copy) = dump(&other.store).await;
            assert_eq!(again, dumped);
            assert_eq!(sorted(&copy), sorted(&text));
            let log = other.store.newest_data_keys().await.unwrap();
            assert_eq!(log, world.store.newest_data_keys().await.unwrap());
        })
        .await;
    }
}

async fn only_a_fresh_database_takes_a_dump(world: World) {
    let (_, nothing) = dump(&world.store).await;
    assert!(nothing.is_empty() && world.store.is_empty().await.unwrap());
    filled(&world).await;
    let (_, text) = dump(&world.store).await;
    let refused = world.store.load(&mut Cursor::new(&text)).await;
    assert!(matches!(refused, Err(Error::BadDump(_))));
    assert_eq!(sorted(&dump(&world.store).await.1), sorted(&text));
}

async fn bad_dump_changes_nothing(world: World) {
    let other = on_sqlite().await;
    filled(&other).await;
    let (_, text) = dump(&other.store).await;
    let text = String::from_utf8(text).unwrap();
    let first = text.lines().next().unwrap();
    for bad in [
        text[..text.len() - 2].to_owned(),
        format!("{text}no line\n"),
        format!(
            "{text}{}\n",
            r#"{"table":"users; DROP TABLE users","row":{}}"#
        ),
        format!(
            "{text}{}\n",
            r#"{"table":"users","row":{"id) VALUES (1)--":1}}"#
        ),
        format!(
            "{text}{}\n",
            r#"{"table":"users","row":{"id":"not an id"}}"#
        ),
        format!("{text}{}\n", r#"{"table":"users","row":{"id":{"a":[]}}}"#),
        format!("{text}{first}\n"),
    ] {
        let refused = world.store.load(&mut Cursor::new(bad.as_bytes())).await;
        assert!(refused.is_err());
        assert!(world.store.is_empty().await.unwrap());
    }
    world
        .store
        .load(&mut Cursor::new(text.as_bytes()))
        .await
        .unwrap();
}

async fn on_sqlite() -> World {
    World::open(Kind::Sqlite).await.expect("a file can be made")
}

async fn dump_is_one_state_while_others_write(world: World) {
    filled(&world).await;
    let store = world.store.clone();
    let writing = tokio::spawn(async move {
        for number in 0..40 {
            let owner = store.newest_data_keys().await.unwrap()[0].owner_id;
            store
                .create_set(owner, &format!("set {number}"), at(number))
                .await
                .unwrap();
        }
    });
    for _ in 0..8 {
        let (dumped, text) = dump(&world.store).await;
        let sets = sorted(&text)
            .iter()
            .filter(|line| line.contains("\"table\":\"protected_sets\""))
            .count();
        assert_eq!(sets as u64, dumped.rows["protected_sets"]);
        let entries = sorted(&text)
            .iter()
            .filter(|line| line.contains("protected_set.created"))
            .count();
        // A set and the entry that tells of it come together, or neither does.
        assert_eq!(
            entries, sets,
            "a set without its entry, or an entry without its set"
        );
    }
    writing.await.unwrap();
}
