//! The audit log: complete, in one chain, and nothing in it can change unseen.

use sea_orm::{ConnectionTrait, DatabaseConnection};
use shared::{
    OrganisationId, UserId,
    audit::{AuditActor, NO_HASH},
};
use store::{AuditRow, ChainCheck, ChainFault, Store, attributed, chain_hash, identify};

use crate::support::{World, at, on_both, success};

on_both!(
    every_change_is_told_in_order_with_actor_and_address,
    refused_changes_leave_no_entry,
    tampering_with_rows_is_refused_by_the_database,
    concurrent_changes_make_one_chain_without_forks,
);

/// A person and their own organisation share an id.
fn person(organisation: OrganisationId) -> UserId {
    UserId::from_uuid(organisation.uuid())
}

async fn rows(store: &Store, owner: OrganisationId) -> Vec<AuditRow> {
    store.audit_rows(owner, 0, 10_000).await.unwrap()
}

fn check(rows: &[AuditRow]) -> Result<ChainCheck, ChainFault> {
    let mut check = ChainCheck::default();
    for row in rows {
        check.take(&row.entry, &row.hash, &row.previous_hash)?;
    }
    Ok(check)
}

async fn every_change_is_told_in_order_with_actor_and_address(world: World) {
    let store = &world.store;
    let ada = world.user("ada").await;
    let address = Some("192.0.2.7".parse().unwrap());
    let set = attributed(address, async {
        identify(AuditActor::User {
            user_id: person(ada),
        });
        identify(AuditActor::Node); // the first word counts
        world.sealed_set(ada).await
    })
    .await;
    let model = world.model().await;
    let job = store::NewJob {
        owner_id: ada,
        kind: shared::job::JobKind::Protect,
        spec: crate::support::spec(set, model),
        parent_id: None,
        priority: 0,
        required_memory_bytes: 0,
        idempotency_key: None,
        traceparent: None,
    };
    world.enqueue(&job, at(1)).await;
    let node = world.node().await;
    let claim = world.claim(node, at(2)).await.unwrap();
    let done = store.finish_job(claim.job.id, claim.token, success(), at(3));
    Box::pin(attributed(None, done)).await.unwrap();
    let events = store.list_audit_events(ada, None, 100).await.unwrap();
    let told: Vec<&str> = events
        .iter()
        .rev()
        .map(|event| event.entry.action.as_str())
        .collect();
    let images = ["image.added"; 3];
    let expected = [
        &["user.created", "protected_set.created"][..],
        &images,
        &["protected_set.sealed", "job.created", "job.succeeded"],
    ];
    assert_eq!(told, expected.concat());
    let sealed = &events[2].entry;
    assert_eq!(
        sealed.actor,
        AuditActor::User {
            user_id: person(ada)
        }
    );
    assert_eq!(sealed.address.as_deref(), Some("192.0.2.7"));
    assert_eq!(sealed.object.as_ref().unwrap().id, set.to_string());
    assert_eq!(events[1].entry.actor, AuditActor::Server);
    assert_eq!(events[0].entry.actor, AuditActor::Visitor);
    assert_eq!(events[7].previous_hash, NO_HASH);
    let next = store.list_audit_events(ada, Some(events[1].entry.id), 2);
    assert_eq!(next.await.unwrap(), events[2..4]);
    let head = store.audit_head(ada, at(4)).await.unwrap();
    check(&rows(store, ada).await)
        .unwrap()
        .finish(&head)
        .unwrap();
    let bob = world.user("bob").await;
    assert_eq!(rows(store, bob).await.len(), 1, "logs are apart");
    let foreign = store.list_audit_events(bob, Some(events[1].entry.id), 9);
    assert!(foreign.await.unwrap().is_empty());
}

async fn refused_changes_leave_no_entry(world: World) {
    let store = &world.store;
    let ada = world.user("ada").await;
    let set = world.sealed_set(ada).await;
    let before = rows(store, ada).await;
    assert!(store.delete_draft_set(ada, set, at(1)).await.is_err());
    let seal = world.seal(ada, set).await;
    assert!(store.seal_set(ada, set, seal).await.is_err());
    store
        .delete_session("no such session", at(1))
        .await
        .unwrap();
    assert_eq!(rows(store, ada).await, before);
}

async fn run(connection: &DatabaseConnection, sql: &str) -> Result<(), sea_orm::DbErr> {
    connection.execute_unprepared(sql).await.map(|_| ())
}

async fn tampering_with_rows_is_refused_by_the_database(world: World) {
    let ada = world.user("ada").await;
    world.draft(ada).await;
    let raw = world.raw().await;
    for sql in [
        "UPDATE audit_events SET entry = '{}' WHERE sequence = 1",
        "UPDATE audit_events SET sequence = 9 WHERE sequence = 2",
        "DELETE FROM audit_events WHERE sequence = 2",
        "DELETE FROM audit_events",
    ] {
        let refusal = run(&raw, sql).await.unwrap_err().to_string();
        assert!(refusal.contains("an audit entry"), "{sql}: {refusal}");
    }
    let kept = rows(&world.store, ada).await;
    assert_eq!(check(&kept).unwrap().verified(), 2);
    // Who can drop triggers is still found out, by the chain.
    let edited = AuditRow {
        entry: kept[0].entry.replace("user.created", "user.deleted"),
        ..kept[0].clone()
    };
    assert_eq!(
        check(&[edited, kept[1].clone()]).unwrap_err(),
        ChainFault::Changed
    );
}

async fn concurrent_changes_make_one_chain_without_forks(world: World) {
    let ada = world.user("ada").await;
    let tasks = (0..8).map(|task| {
        let store = world.store.clone();
        tokio::spawn(async move {
            for round in 0..10 {
                let name = format!("{task} {round}");
                store.create_set(ada, &name, at(round)).await.unwrap();
            }
        })
    });
    for task in futures::future::join_all(tasks).await {
        task.unwrap();
    }
    let kept = rows(&world.store, ada).await;
    let head = world.store.audit_head(ada, at(99)).await.unwrap();
    let check = check(&kept).unwrap();
    assert_eq!(check.verified(), 81);
    check.finish(&head).unwrap();
}

/// Five honest entries.
fn chain() -> Vec<AuditRow> {
    let log = OrganisationId::from_uuid(store::new_uuid(at(0)));
    let mut previous_hash = NO_HASH.to_owned();
    (1..=5)
        .map(|sequence| {
            let entry = shared::audit::AuditEntry {
                action: "protected_set.created".into(),
                actor: AuditActor::User {
                    user_id: person(log),
                },
                address: None,
                at: at(sequence),
                detail: Some("ä \" \n".into()),
                id: shared::AuditEventId::from_uuid(store::new_uuid(at(sequence))),
                log,
                object: None,
                sequence: sequence.unsigned_abs(),
            };
            let entry = serde_json::to_string(&entry).unwrap();
            let hash = chain_hash(&previous_hash, &entry);
            AuditRow {
                previous_hash: std::mem::replace(&mut previous_hash, hash.clone()),
                entry,
                hash,
            }
        })
        .collect()
}

#[test]
fn removed_moved_added_and_edited_entries_are_found() {
    let honest = chain();
    assert_eq!(check(&honest).unwrap().verified(), 5);
    for at in 0..4 {
        let mut removed = honest.clone();
        removed.remove(at);
        assert!(check(&removed).is_err(), "without entry {at}");
        let mut moved = honest.clone();
        moved.swap(at, at + 1);
        assert!(check(&moved).is_err(), "entry {at} moved");
        let mut doubled = honest.clone();
        doubled.insert(at, honest[at].clone());
        assert!(check(&doubled).is_err(), "entry {at} twice");
    }
    for at in 0..5 {
        for (field, value) in [("action", "x.y"), ("address", "10.0.0.1"), ("detail", "z")] {
            let mut edited = honest.clone();
            let mut entry: serde_json::Value = serde_json::from_str(&edited[at].entry).unwrap();
            entry[field] = value.into();
            edited[at].entry = entry.to_string();
            assert!(check(&edited).is_err(), "{field} of entry {at}");
            // Whoever writes the hash anew breaks the link of the next entry.
            edited[at].hash = chain_hash(&edited[at].previous_hash, &edited[at].entry);
            assert_eq!(check(&edited).is_err(), at < 4, "{field} of entry {at}");
        }
    }
}

#[test]
fn cut_logs_are_found_by_their_head() {
    let honest = chain();
    let whole = check(&honest).unwrap();
    let entry: shared::audit::AuditEntry = serde_json::from_str(&honest[4].entry).unwrap();
    let head = shared::audit::AuditHead {
        at: at(9),
        hash: honest[4].hash.clone(),
        log: entry.log,
        sequence: 5,
    };
    whole.finish(&head).unwrap();
    let cut = check(&honest[..4]).unwrap();
    let fault = ChainFault::End {
        expected: 5,
        found: 4,
    };
    assert_eq!(cut.finish(&head).unwrap_err(), fault);
    let mut last = honest;
    last[4].entry = last[4].entry.replace("created", "removed");
    last[4].hash = chain_hash(&last[4].previous_hash, &last[4].entry);
    let forged = check(&last).unwrap();
    assert_eq!(forged.finish(&head).unwrap_err(), ChainFault::Changed);
}
