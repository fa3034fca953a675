//! Consent, notices and the end of an account, on both databases.

use shared::{
    DeletionId, NoticeId, OrganisationId, Timestamp, UserId,
    artifact::ArtifactKind,
    notice::{NoticeAction, NoticeCategory, NoticeStatus},
    release::{ApprovalStatus, ReviewReason},
};
use store::{
    Deleted, Error, FinishJob, NewApproval, NewArtifact, NewGallery, NewNotice, NewWebhook,
};

use crate::support::{World, at, evaluation_output, hash, on_both, success};

on_both!(
    consent_is_somebody_elses_and_counts_for_its_weights,
    consent_outlives_the_account_that_asked_for_it,
    notices_suspend_and_another_reviewer_hears_appeals,
    notice_about_one_gallery_suspends_its_twins,
    deletion_removes_every_row_of_one_account,
    account_goes_with_its_receipt_or_not_at_all,
    owner_of_another_organisation_stays,
    files_go_when_their_time_is_over,
);

/// A finished protect job with a public gallery.
async fn finished(world: &World, name: &str) -> (OrganisationId, shared::JobId, shared::GalleryId) {
    let store = &world.store;
    let job = world.project(name).await;
    let queued = world.enqueue(&job, at(1)).await;
    let node = world.node().await;
    let claim = world.claim(node, at(2)).await.unwrap();
    let FinishJob::Succeeded { metrics, .. } = success() else {
        unreachable!("success succeeds")
    };
    let file = |kind, name: &str, number| NewArtifact {
        kind,
        name: name.into(),
        sha256: hash(number),
        size_bytes: 3,
    };
    let done = FinishJob::Succeeded {
        metrics,
        artifacts: vec![
            file(ArtifactKind::ProtectedUnet, "unet", 0xa),
            file(ArtifactKind::Commitment, "held-out.json", 0xb),
        ],
        issued: Vec::new(),
        follow_ups: Vec::new(),
        gallery: Some(Box::new(NewGallery {
            title: "My dog".into(),
            output: evaluation_output(),
            collateral: None,
            public: true,
        })),
    };
    let ended = store.finish_job(claim.job.id, claim.token, done, at(3));
    ended.await.unwrap();
    let galleries = store.list_galleries_of(job.owner_id, queued.id);
    let gallery = galleries.await.unwrap().remove(0);
    (job.owner_id, queued.id, gallery.id)
}

/// A person and their own organisation share an id.
fn person(organisation: OrganisationId) -> UserId {
    UserId::from_uuid(organisation.uuid())
}

async fn consent_is_somebody_elses_and_counts_for_its_weights(world: World) {
    let store = &world.store;
    let (ada, job, _) = finished(&world, "ada").await;
    let bob = world.user("bob").await;
    let ask = |email: &str| NewApproval {
        job_id: job,
        unet_sha256: hash(0xa),
        reasons: vec![ReviewReason::Person],
        reviewer_email: email.into(),
        note: String::new(),
    };
    let own = store.create_approval(ada, person(ada), ask("ada@example.org"), at(4));
    let own = own.await.unwrap();
    let yes = || (ApprovalStatus::Approved, String::new());
    let alone = store.decide_approval(
        (person(ada), Some("ada@example.org"), None),
        own.id,
        yes(),
        at(5),
    );
    assert!(alone.await.unwrap().is_none(), "nobody decides their own");
    let asked = store.create_approval(ada, person(ada), ask("bob@example.org"), at(6));
    let asked = asked.await.unwrap();
    let found = store
        .find_approval(bob, Some("bob@example.org"), asked.id)
        .await;
    assert_eq!(found.unwrap().unwrap(), asked);
    let hidden = store
        .find_approval(bob, Some("bob@example.org"), own.id)
        .await;
    assert!(hidden.unwrap().is_none());
    let unproven = store.find_approval(bob, None, asked.id).await;
    assert!(unproven.unwrap().is_none());
    let unproven = store.decide_approval((person(bob), None, None), asked.id, yes(), at(7));
    assert!(unproven.await.unwrap().is_none());
    assert!(!store.is_approved(ada, job, &hash(0xa)).await.unwrap());
    let tries = (0..6).map(|_| {
        let store = store.clone();
        let id = asked.id;
        tokio::spawn(async move {
            let yes = (ApprovalStatus::Approved, String::new());
            store
                .decide_approval((person(bob), Some("bob@example.org"), None), id, yes, at(7))
                .await
                .unwrap()
                .is_some()
        })
    });
    let tries = futures::future::join_all(tries).await;
    let decided = tries.into_iter().filter(|done| *done.as_ref().unwrap());
    assert_eq!(decided.count(), 1, "decided once");
    assert!(store.is_approved(ada, job, &hash(0xa)).await.unwrap());
    assert!(!store.is_approved(ada, job, &hash(0xc)).await.unwrap());
    let list = store
        .list_approvals(ada, Some("ada@example.org"), None, 9)
        .await;
    assert_eq!(list.unwrap().len(), 2);
}

async fn consent_outlives_the_account_that_asked_for_it(world: World) {
    let store = &world.store;
    let (ada, job, _) = finished(&world, "ada").await;
    let (bob, eve) = (world.person("bob").await, world.person("eve").await);
    let ask = NewApproval {
        job_id: job,
        unet_sha256: hash(0xa),
        reasons: vec![ReviewReason::Person],
        reviewer_email: "eve@example.org".into(),
        note: String::new(),
    };
    // Bob, a member of Ada's organisation, asks Eve, and goes.
    let asked = store.create_approval(ada, bob, ask, at(4)).await.unwrap();
    let by = (eve, Some("eve@example.org"), None);
    let yes = (ApprovalStatus::Approved, String::new());
    let decided = store.decide_approval(by, asked.id, yes, at(5)).await;
    assert!(decided.unwrap().is_some());
    world.delete_account(bob).await.unwrap();
    assert!(store.find_user(bob).await.unwrap().is_none());
    assert!(store.is_approved(ada, job, &hash(0xa)).await.unwrap());
    // It is the organisation's, and goes with it.
    world.delete_account(person(ada)).await.unwrap();
    assert!(!store.is_approved(ada, job, &hash(0xa)).await.unwrap());
}

async fn notice_about_one_gallery_suspends_its_twins(world: World) {
    let store = &world.store;
    let (ada, job, gallery) = finished(&world, "ada").await;
    let reviewer = world.person("first").await;
    let again = store::NewJob {
        owner_id: ada,
        spec: world.job(job).await.spec,
        kind: shared::job::JobKind::Evaluate,
        parent_id: Some(job),
        priority: 0,
        required_memory_bytes: 0,
        idempotency_key: None,
        traceparent: None,
    };
    let judging = world.enqueue(&again, at(4)).await.id;
    let node = world.node().await;
    let claim = world.claim(node, at(5)).await.unwrap();
    let FinishJob::Succeeded { metrics, .. } = success() else {
        unreachable!("success succeeds")
    };
    let done = FinishJob::Succeeded {
        metrics,
        artifacts: vec![NewArtifact {
            kind: ArtifactKind::GalleryImage,
            name: "clean/200/00.png".into(),
            sha256: hash(0xc),
            size_bytes: 3,
        }],
        issued: Vec::new(),
        follow_ups: Vec::new(),
        gallery: Some(Box::new(NewGallery {
            title: "My dog".into(),
            output: evaluation_output(),
            collateral: None,
            public: true,
        })),
    };
    let ended = store.finish_job(claim.job.id, claim.token, done, at(6));
    ended.await.unwrap();
    let galleries = store.list_galleries_of(ada, job).await.unwrap();
    let twin = galleries
        .iter()
        .find(|found| found.id != gallery)
        .unwrap()
        .id;
    let shown = async || {
        let mut shown = Vec::new();
        for id in [gallery, twin] {
            shown.push(store.find_public_gallery(id).await.unwrap().is_some());
        }
        let pictures = store.list_public_artifacts(judging).await.unwrap();
        shown.push(!pictures.is_empty());
        shown
    };
    assert_eq!(shown().await, [true; 3]);
    // Also what an earlier version took down: it named what it was told.
    for object in [job.uuid(), judging.uuid(), gallery.uuid(), twin.uuid()] {
        let notice = NewNotice {
            category: NoticeCategory::DepictsMe,
            object: "told".into(),
            object_id: object,
            owner_id: ada,
            explanation: "me".into(),
            name: "Eve".into(),
            email: "eve@example.org".into(),
            receipt_hash: hash(0xee),
            due_at: at(99),
        };
        let taken = store.create_notice(notice, at(7)).await.unwrap();
        assert_eq!(shown().await, [true; 3], "nobody has decided");
        for (action, left) in [
            (NoticeAction::Suspend, false),
            (NoticeAction::Restore, true),
        ] {
            let decided = store.decide_notice(reviewer, taken.id, (action, "so".into()), at(8));
            decided.await.unwrap().unwrap();
            assert_eq!(shown().await, [left; 3]);
        }
    }
}

async fn notices_suspend_and_another_reviewer_hears_appeals(world: World) {
    let store = &world.store;
    let (ada, job, gallery) = finished(&world, "ada").await;
    let (first, second) = (world.person("first").await, world.person("second").await);
    assert!(store.find_public_gallery(gallery).await.unwrap().is_some());
    let notice = |object: uuid::Uuid| NewNotice {
        category: NoticeCategory::DepictsMe,
        object: gallery.to_string(),
        object_id: object,
        owner_id: ada,
        explanation: "me".into(),
        name: "Eve".into(),
        email: "eve@example.org".into(),
        receipt_hash: hash(0xee),
        due_at: at(99),
    };
    let decide = async |reviewer, id: NoticeId, action| {
        let words = (action, "because".to_owned());
        store.decide_notice(reviewer, id, words, at(5)).await
    };
    for object in [gallery.uuid(), job.uuid()] {
        let taken = store.create_notice(notice(object), at(4)).await.unwrap();
        let early = store.appeal_notice(taken.id, (Some(ada), None), "no".into(), at(4));
        assert!(early.await.unwrap().is_none(), "nothing to appeal yet");
        decide(first, taken.id, NoticeAction::Suspend)
            .await
            .unwrap();
        assert!(store.find_public_gallery(gallery).await.unwrap().is_none());
        assert!(store.latest_public_gallery(ada).await.unwrap().is_none());
        assert!(store.find_gallery(ada, gallery).await.unwrap().is_some());
        let found = store.suspensions_of(&[gallery.uuid(), job.uuid()]).await;
        assert_eq!(found.unwrap(), [taken.id]);
        assert_eq!(store.count_suspensions(ada).await.unwrap(), 1);
        let receipt = hash(0xee);
        let appealed = store.appeal_notice(taken.id, (None, Some(&receipt)), "no".into(), at(6));
        assert!(appealed.await.unwrap().is_some());
        let same = decide(first, taken.id, NoticeAction::Restore).await;
        assert!(matches!(same, Err(Error::SameReviewer)));
        let restored = decide(second, taken.id, NoticeAction::Restore).await;
        assert_eq!(restored.unwrap().unwrap().status, NoticeStatus::Restored);
        assert!(store.find_public_gallery(gallery).await.unwrap().is_some());
        let wrong = store.find_notice_any(taken.id, Some("guess")).await;
        assert!(wrong.unwrap().is_none());
    }
    let counts = store.transparency().await.unwrap();
    assert_eq!(counts.notices_by_status["restored"], 2);
    assert_eq!(counts.protections_by_objective["target"], 1);
    let against = store
        .list_notices(Some(OrganisationId::from_uuid(first.uuid())), None, None, 9)
        .await;
    assert!(against.unwrap().is_empty());
}

async fn deletion_removes_every_row_of_one_account(world: World) {
    let store = &world.store;
    let (ada, job, gallery) = finished(&world, "ada").await;
    let bob = world.project("bob").await;
    world.enqueue(&bob, at(1)).await;
    let hook = NewWebhook {
        url: "https://example.org/".into(),
        description: String::new(),
        events: Vec::new(),
    };
    let hook = store.create_webhook(ada, hook, at(4)).await.unwrap();
    store.test_webhook(ada, hook.id, at(4)).await.unwrap();
    store.create_export(ada, at(99), at(4)).await.unwrap();
    let draft = world.draft(ada).await;
    world.received(ada, draft, 0xf).await;
    let head = store.audit_head(ada, at(5)).await.unwrap();
    let waiting = store::NewJob {
        owner_id: ada,
        spec: world.job(job).await.spec,
        kind: shared::job::JobKind::Protect,
        parent_id: None,
        priority: 0,
        required_memory_bytes: 0,
        idempotency_key: None,
        traceparent: None,
    };
    let waiting = world.enqueue(&waiting, at(5)).await;
    let busy = world.delete_account(person(ada)).await;
    assert!(matches!(busy, Err(Error::TooManyJobs { active: 1 })));
    store.request_cancel(ada, waiting.id, at(6)).await.unwrap();
    let deleted = world.delete_account(person(ada)).await.unwrap();
    assert_ne!(deleted.audit_head, head.hash, "the log went on");
    for number in [0xa, 0xb, 0xf, 0xc1eb, 0xc1ec] {
        assert!(deleted.objects.contains(&hash(number)), "{number:x}");
    }
    assert_eq!((deleted.rows["users"], deleted.rows["jobs"]), (1, 2));
    assert!(store.find_user(person(ada)).await.unwrap().is_none());
    assert!(store.find_job_any(job).await.unwrap().is_none());
    assert!(store.find_gallery_any(gallery).await.unwrap().is_none());
    assert!(store.audit_rows(ada, 0, 9).await.unwrap().is_empty());
    let needed = store.referenced_hashes().await.unwrap();
    assert!(!needed.contains(&hash(0xa)) && needed.contains(&hash(0xc1eb)));
    assert_eq!(
        store.list_jobs(bob.owner_id, None, 9).await.unwrap().len(),
        1
    );
    assert!(
        !store
            .audit_rows(bob.owner_id, 0, 9)
            .await
            .unwrap()
            .is_empty()
    );
    let again = world.delete_account(person(ada)).await.unwrap();
    assert_eq!(again.rows["users"], 0);
}

async fn account_goes_with_its_receipt_or_not_at_all(world: World) {
    let store = &world.store;
    let (ada, job, _) = finished(&world, "ada").await;
    let id = |number| DeletionId::from_uuid(uuid::Uuid::from_u128(number));
    let unwritable = |_: &Deleted| serde_json::from_str::<String>("no JSON");
    let kept = store
        .delete_account(person(ada), (id(1), at(5)), unwritable)
        .await;
    assert!(matches!(kept, Err(Error::Corrupt { .. })), "{kept:?}");
    assert_eq!(store.find_deletion(id(1)).await.unwrap(), None);
    assert!(store.find_user(person(ada)).await.unwrap().is_some());
    assert_eq!(store.list_artifacts(ada, job).await.unwrap().len(), 2);

    let counted = |deleted: &Deleted| Ok(format!("{} objects", deleted.objects.len()));
    let gone = store
        .delete_account(person(ada), (id(2), at(6)), counted)
        .await;
    let receipt = format!("{} objects", gone.unwrap().objects.len());
    assert_eq!(store.find_deletion(id(2)).await.unwrap(), Some(receipt));
    assert!(store.find_user(person(ada)).await.unwrap().is_none());
    // What was not removed at once is nobody's: the collector finds it.
    let needed = store.referenced_hashes().await.unwrap();
    assert!(!needed.contains(&hash(0xa)) && !needed.contains(&hash(0xc1eb)));
}

async fn owner_of_another_organisation_stays(world: World) {
    let store = &world.store;
    let ada = world.person("ada").await;
    let studio = store.create_organisation(ada, "Studio", at(1)).await;
    let studio = studio.unwrap().id;
    let gone = world.delete_account(ada).await;
    assert!(matches!(gone, Err(Error::LastOwner)), "{gone:?}");
    assert!(store.find_user(ada).await.unwrap().is_some());
    assert!(store.find_role(ada, studio).await.unwrap().is_some());
    store.delete_organisation(studio, None).await.unwrap();
    world.delete_account(ada).await.unwrap();
    assert!(store.find_user(ada).await.unwrap().is_none());
}

async fn files_go_when_their_time_is_over(world: World) {
    let store = &world.store;
    let (ada, job, _) = finished(&world, "ada").await;
    let before = |milliseconds| Timestamp::from_milliseconds(at(milliseconds).milliseconds());
    assert_eq!(store.delete_old_artifacts(before(3)).await.unwrap(), 0);
    assert_eq!(store.delete_old_artifacts(before(4)).await.unwrap(), 1);
    let left = store.list_artifacts(ada, job).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].kind, ArtifactKind::Commitment, "a promise stays");
}
