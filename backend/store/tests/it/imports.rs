//! Imports: owned, counted, moved step by step, and what they become.

use futures::future::join_all;
use shared::{
    ImportId, OrganisationId,
    limits::MAX_OPEN_IMPORTS,
    model_import::{ImportSource, ImportStatus},
};
use store::{Error, Limits, NewBaseModel, NewImportFile, NewModelImport};

use crate::support::{Kind, World, at, failure, hash, new_model, on_both};

on_both!(
    import_becomes_a_model_of_its_owner,
    same_bytes_are_the_same_model,
    account_holds_only_so_many_imports,
    open_imports_need_the_room_of_their_files,
    steps_out_of_order_are_refused,
    abandoned_imports_are_given_up,
    objects_of_imports_are_kept_while_they_are_named,
    model_with_jobs_stays,
);

fn new_file(name: &str, number: u64) -> NewImportFile {
    NewImportFile {
        name: name.to_owned(),
        size_bytes: 1_000,
        sha256: Some(hash(number)),
        etag: None,
    }
}

fn new_import() -> NewModelImport {
    NewModelImport {
        name: "Mine".to_owned(),
        licence: "MIT".to_owned(),
        classes: vec!["dog".to_owned()],
        pinned_sha256: None,
        source: ImportSource::Upload,
        status: ImportStatus::Uploading,
        files: vec![
            new_file("model_index.json", 0x11),
            new_file("unet/a.safetensors", 0x12),
        ],
    }
}

fn imported() -> NewBaseModel {
    NewBaseModel {
        manifest_sha256: hash(0x1111),
        ..new_model()
    }
}

/// An import whose files are all here and which is being verified.
async fn verifying(world: &World, owner: OrganisationId) -> ImportId {
    let store = &world.store;
    let import = store.create_import(owner, new_import(), at(0)).await;
    let id = import.expect("there is room").id;
    for number in 0..2 {
        let sha256 = hash(0x11 + u64::from(number));
        let stored = store
            .mark_import_file_stored(id, number, &sha256, at(1))
            .await;
        assert!(stored.expect("it is marked"));
    }
    let from = [ImportStatus::Uploading];
    let moved = store
        .move_import(owner, id, &from, ImportStatus::Verifying, at(2))
        .await;
    assert!(moved.expect("it moves").is_some());
    id
}

async fn import_becomes_a_model_of_its_owner(world: World) {
    let store = &world.store;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let id = verifying(&world, ada).await;
    assert_eq!(store.find_import(bob, id).await.unwrap(), None);
    assert_eq!(store.import_files(bob, id).await.unwrap(), []);
    assert_eq!(store.list_imports(bob, None, 10).await.unwrap(), []);
    assert_eq!(store.delete_import(bob, id).await.unwrap(), None);
    let moved = store
        .move_import(bob, id, &[], ImportStatus::Uploading, at(3))
        .await;
    assert_eq!(moved.unwrap(), None);
    assert_eq!(store.list_busy_imports_any().await.unwrap().len(), 1);

    let model = store.finish_import(id, &imported(), at(3)).await;
    let model = model.unwrap().unwrap();
    assert_eq!(model.owner_id, Some(ada));
    let import = store.find_import(ada, id).await.unwrap().unwrap();
    assert_eq!(
        (import.status, import.model_id),
        (ImportStatus::Ready, Some(model.id))
    );
    assert_eq!(store.list_busy_imports_any().await.unwrap(), []);
    let again = store.finish_import(id, &imported(), at(4)).await;
    assert_eq!(again.unwrap(), None, "it is ready already");

    assert_eq!(
        store.find_base_model(ada, model.id).await.unwrap().as_ref(),
        Some(&model)
    );
    assert_eq!(store.find_base_model(bob, model.id).await.unwrap(), None);
    assert_eq!(store.list_base_models(bob).await.unwrap(), []);
    assert!(!store.delete_base_model(bob, model.id, at(0)).await.unwrap());
    assert!(store.delete_base_model(ada, model.id, at(0)).await.unwrap());
    assert_eq!(
        store.find_import(ada, id).await.unwrap(),
        None,
        "it went along"
    );
}

async fn same_bytes_are_the_same_model(world: World) {
    let store = &world.store;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    store.register_base_model(&imported(), at(0)).await.unwrap();
    let mut ids = Vec::new();
    for owner in [ada, ada, bob] {
        let import = verifying(&world, owner).await;
        let model = store.finish_import(import, &imported(), at(3)).await;
        ids.push(model.unwrap().unwrap().id);
    }
    assert_eq!(ids[0], ids[1], "the same owner's");
    assert_ne!(ids[0], ids[2], "nobody learns what others have");
    assert_eq!(store.list_base_models(ada).await.unwrap().len(), 2);
}

async fn account_holds_only_so_many_imports(world: World) {
    let store = &world.store;
    let user = world.user("ada").await;
    let tries = (0..MAX_OPEN_IMPORTS + 3).map(|_| store.create_import(user, new_import(), at(0)));
    let results = join_all(tries).await;
    let refused = results
        .iter()
        .filter(|result| matches!(result, Err(Error::TooManyImports { open: 5 })))
        .count();
    assert_eq!(refused, 3);
    let open = store.list_imports(user, None, 100).await.unwrap();
    assert_eq!(open.len(), MAX_OPEN_IMPORTS);
    let files = store.delete_import(user, open[0].id).await.unwrap();
    assert_eq!(files.unwrap().len(), 2);
    store
        .create_import(user, new_import(), at(1))
        .await
        .unwrap();
}

async fn open_imports_need_the_room_of_their_files(world: World) {
    let user = world.user("ada").await;
    let limits = Limits {
        storage_bytes: Some(4_500),
        ..Limits::default()
    };
    let store = world.store.clone().with_limits(limits);
    let create = async |new| store.create_import(user, new, at(0)).await;
    let full = |used| move |error| matches!(error, Error::StorageFull { used: found, .. } if found == used);
    let first = create(new_import()).await.unwrap();
    // Object storage tells later what it has.
    let unknown = NewModelImport {
        files: Vec::new(),
        status: ImportStatus::Downloading,
        ..new_import()
    };
    let second = create(unknown).await.unwrap();
    let files = |count| (0..count).map(|number| new_file(&format!("{number}.safetensors"), number));
    let settle = async |count: u64| {
        let files = files(count).collect();
        store
            .replace_import_files(user, second.id, files, at(1))
            .await
    };
    assert!(settle(1).await.unwrap());
    assert!(settle(3).await.is_err_and(full(2_000)));
    let left = store.import_files(user, second.id).await.unwrap();
    assert_eq!(left.len(), 1, "what was known before stays");
    assert!(settle(2).await.unwrap(), "instead of the one");
    assert!(create(new_import()).await.is_err_and(full(4_000)));
    // One that is gone needs nothing; a model counts instead of the import that it was.
    store.delete_import(user, second.id).await.unwrap();
    let kept = verifying(&world, user).await;
    assert!(create(new_import()).await.is_err_and(full(4_000)));
    let model = store.finish_import(kept, &imported(), at(3)).await;
    assert!(model.unwrap().is_some());
    let usage = store.usage(user, at(4)).await.unwrap();
    assert_eq!(usage.storage_bytes, 4_000);
    store.delete_import(user, first.id).await.unwrap();
    create(new_import()).await.unwrap();
}

async fn steps_out_of_order_are_refused(world: World) {
    let store = &world.store;
    let user = world.user("ada").await;
    let import = store
        .create_import(user, new_import(), at(0))
        .await
        .unwrap();
    let from = [ImportStatus::Uploading];
    let verify = || store.move_import(user, import.id, &from, ImportStatus::Verifying, at(1));
    let missing = verify().await.unwrap_err();
    assert!(matches!(missing, Error::FilesMissing { names } if names.len() == 2));
    for (number, sha256) in [(0, hash(0x11)), (1, hash(0x12))] {
        let stored = store.mark_import_file_stored(import.id, number, &sha256, at(1));
        assert!(stored.await.unwrap());
    }
    verify().await.unwrap();
    let twice = verify().await.unwrap_err();
    let status = ImportStatus::Verifying;
    assert!(matches!(twice, Error::ImportState { status: found } if found == status));
    let late = store
        .mark_import_file_stored(import.id, 0, &hash(9), at(2))
        .await;
    assert!(!late.unwrap(), "a file that is being read never changes");
    store
        .fail_import(import.id, &failure("a pickle"), at(3))
        .await
        .unwrap();
    let found = store.find_import(user, import.id).await.unwrap().unwrap();
    assert_eq!(found.status, ImportStatus::Failed);
    assert_eq!(found.failure, Some(failure("a pickle")));
    store
        .fail_import(import.id, &failure("again"), at(4))
        .await
        .unwrap();
    let found = store.find_import(user, import.id).await.unwrap().unwrap();
    assert_eq!(
        found.failure,
        Some(failure("a pickle")),
        "the first cause counts"
    );
    let files = vec![new_file("a.safetensors", 1)];
    let replaced = store.replace_import_files(user, import.id, files, at(5));
    assert!(replaced.await.unwrap());
    assert_eq!(store.import_files(user, import.id).await.unwrap().len(), 1);
}

async fn abandoned_imports_are_given_up(world: World) {
    let store = &world.store;
    let user = world.user("ada").await;
    let busy = verifying(&world, user).await;
    let idle = store
        .create_import(user, new_import(), at(0))
        .await
        .unwrap();
    let kept = store
        .create_import(user, new_import(), at(0))
        .await
        .unwrap();
    store.touch_import(kept.id, at(50)).await.unwrap();
    assert_eq!(store.delete_abandoned_imports(at(50)).await.unwrap(), 1);
    assert_eq!(store.find_import(user, idle.id).await.unwrap(), None);
    let left = store.import_ids_any().await.unwrap();
    assert_eq!(left.len(), 2);
    assert!(left.contains(&busy) && left.contains(&kept.id));
}

async fn objects_of_imports_are_kept_while_they_are_named(world: World) {
    let store = &world.store;
    let user = world.user("ada").await;
    let import = store
        .create_import(user, new_import(), at(0))
        .await
        .unwrap();
    assert!(store.referenced_hashes().await.unwrap().is_empty());
    let stored = store
        .mark_import_file_stored(import.id, 0, &hash(0x11), at(1))
        .await;
    assert!(stored.unwrap());
    let needed = store.referenced_hashes().await.unwrap();
    assert_eq!(needed.into_iter().collect::<Vec<_>>(), [hash(0x11)]);
    store.delete_import(user, import.id).await.unwrap();
    assert!(store.referenced_hashes().await.unwrap().is_empty());
}

async fn model_with_jobs_stays(world: World) {
    let store = &world.store;
    let mut job = world.project("ada").await;
    let import = verifying(&world, job.owner_id).await;
    let model = store.finish_import(import, &imported(), at(3)).await;
    let model = model.unwrap().unwrap();
    job.spec.base_model_id = model.id;
    world.enqueue(&job, at(4)).await;
    let refused = store.delete_base_model(job.owner_id, model.id, at(0)).await;
    assert!(matches!(refused, Err(Error::ModelInUse)));
    let bob = world.user("bob").await;
    assert!(!store.delete_base_model(bob, model.id, at(0)).await.unwrap());
}

/// A report as it was before the objective had several kinds.
fn old_output() -> String {
    let rate = r#"{"value":0.25,"low":0,"high":1,"n":4}"#;
    let arm = format!(
        r#"{{"similarity":{rate},"hit_rate":{rate},"text_alignment":{rate},"class_rate":{rate},
        "target_rate":{rate}}}"#
    );
    let mut output = serde_json::to_value(crate::support::evaluation_output()).unwrap();
    output["report"]["verdict"] = "Its \"target_rate\": low.".into();
    let text = output.to_string();
    let checkpoint = format!(
        r#"{{"attack_step":0,"clean":{arm},"protected":{arm},"similarity_difference":{rate}}}"#
    );
    text.replace(
        "\"checkpoints\":[]",
        &format!("\"checkpoints\":[{checkpoint}]"),
    )
}

/// Rows of the first schema that the second one must not lose.
fn old_rows(kind: Kind) -> String {
    let id = |number: u32| match kind {
        Kind::Sqlite => format!("x'{number:032x}'"),
        Kind::Postgres => format!("'{number:032x}'"),
    };
    let (user, set, model, job, artifact) = (id(1), id(2), id(3), id(4), id(5));
    let (gallery, output) = (id(6), old_output());
    let public = match kind {
        Kind::Sqlite => "0",
        Kind::Postgres => "FALSE",
    };
    let (manifest, file, report) = (hash(0xaa), hash(0xab), hash(0xac));
    let spec = format!(
        r#"{{"protected_set_id":"set_{:032x}","base_model_id":"mdl_{:032x}","class_name":"dog",
        "identifier":"sks","objective":{{"kind":"target","target_class":"car"}},
        "seed":18446744073709551615}}"#,
        2, 3
    );
    format!(
        "INSERT INTO users VALUES ({user}, 'ada@example.org', 'ada', '$', 1);
        INSERT INTO protected_sets VALUES ({set}, {user}, 'x', 'draft', NULL, NULL, 1);
        INSERT INTO base_models VALUES ({model}, 'Old', 'tiny', 32, 'MIT', '{manifest}', 7,
            '[]', '[]', '[]', 1);
        INSERT INTO base_model_files VALUES ({model}, 'unet/config.json', 'model_file', '{file}', 7);
        INSERT INTO jobs (id, owner_id, set_id, model_id, kind, status, status_reason, spec,
            priority, attempts, token, last_sequence, progress, created_at)
            VALUES ({job}, {user}, {set}, {model}, 'protect', 'queued', 'Waits.', '{spec}', 0, 0,
            0, 0, '{{\"phase\":\"\",\"step\":0,\"total\":0}}', 1);
        INSERT INTO job_events VALUES ({job}, 1, 1,
            '{{\"status\":{{\"status\":\"queued\",\"reason\":\"Waits.\"}}}}');
        INSERT INTO galleries VALUES ({gallery}, {user}, {set}, {job}, {job}, 'x', '{output}',
            {public}, 1);
        INSERT INTO artifacts VALUES ({artifact}, {user}, {job}, 'report', 'report.json', '{report}',
            7, 1);"
    )
}

/// One subject became one concept, and nothing else changed.
fn check_specification(spec: &shared::job::JobSpec) {
    assert_eq!(spec.concepts.len(), 1);
    let concept = &spec.concepts[0];
    assert_eq!(
        (concept.class_name.as_str(), concept.identifier.as_str()),
        ("dog", "sks")
    );
    let target_class = "car".to_owned();
    assert_eq!(
        concept.objective,
        shared::objective::Objective::Target { target_class }
    );
    assert!(concept.is_protected());
    assert_eq!((spec.seed, spec.extends), (u64::MAX, None));
}

async fn upgrade_keeps_models_files_and_jobs(kind: Kind) {
    let Some(world) = World::upgraded(kind, &old_rows(kind)).await else {
        println!("SKIPPED: no PostgreSQL");
        return;
    };
    let user = OrganisationId::PREFIX.to_owned() + &format!("{:032x}", 1);
    let user = user.parse().unwrap();
    let models = world.store.list_base_models(user).await.unwrap();
    assert_eq!(models.len(), 1);
    assert_eq!((models[0].name.as_str(), models[0].owner_id), ("Old", None));
    let files = world.store.base_model_files(models[0].id).await.unwrap();
    assert_eq!(files.len(), 1);
    let jobs = world.store.list_jobs(user, None, 10).await.unwrap();
    assert_eq!(jobs[0].model_id, models[0].id);
    check_specification(&jobs[0].spec);
    let events = world.store.list_events(user, jobs[0].id, 0, 9).await;
    assert_eq!(events.unwrap().len(), 1);
    let files = world.store.list_artifacts(user, jobs[0].id).await.unwrap();
    assert_eq!(files[0].sha256, hash(0xac));
    let gallery = world.store.list_galleries(user, None, 9).await.unwrap()[0].id;
    let gallery = world.store.find_gallery(user, gallery).await.unwrap();
    let report = gallery.unwrap().output.report;
    assert!((report.checkpoints[0].clean.objective_rate.value - 0.25).abs() < 1e-9);
    assert!(
        report.verdict.contains("\"target_rate\":"),
        "sentences stay as they are"
    );
    let gone = world
        .store
        .delete_base_model(user, models[0].id, at(0))
        .await;
    assert!(matches!(gone, Ok(false)), "it is nobody's own");
}

#[tokio::test]
async fn sqlite_upgrade_keeps_models_files_and_jobs() {
    upgrade_keeps_models_files_and_jobs(Kind::Sqlite).await;
}

#[tokio::test]
async fn postgres_upgrade_keeps_models_files_and_jobs() {
    upgrade_keeps_models_files_and_jobs(Kind::Postgres).await;
}
