//! Takedown: whichever of its results a notice names, everything that came from a protection goes, and nothing of it
//! comes back under another id.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::{
    gallery::GallerySummary,
    job::Job,
    notice::{NoticeReceipt, QueuedNotice},
    page::Page,
    release::GateStatus,
    share_link::CreatedShareLink,
    study::Study,
};

use crate::{
    releases::{closed, evaluate, judge, judged, release},
    scripted::collateral,
    support::{Person, Server, body, refused},
};

/// Publishes a gallery by a link; gives its address.
async fn share(person: &Person<'_>, gallery: &str) -> String {
    let request = person.request(Method::POST, "/v1/share-links");
    let request = request
        .header("idempotency-key", gallery)
        .json(&json!({ "gallery_id": gallery, "download": true }));
    let made = request.send().await.expect("an answer");
    let made: CreatedShareLink = body(made, StatusCode::CREATED).await;
    made.url
}

async fn decide(admin: &Person<'_>, notice: &NoticeReceipt, action: &str) {
    let path = format!("/v1/admin/notices/{}/decision", notice.id);
    let said = json!({ "action": action, "statement": "The pictures show who complains." });
    let _: QueuedNotice = body(admin.post(&path, &said).await, StatusCode::OK).await;
}

fn complaint(object: &str) -> Value {
    json!({
        "category": "depicts_me", "object": object, "name": "Eve Example", "email": "eve@example.org",
        "explanation": "The pictures in this gallery show me.", "good_faith": true, "signature": "Eve Example",
    })
}

#[tokio::test]
async fn notice_about_any_result_suspends_every_gallery_of_its_job() {
    let server = Server::start().await;
    let ada = server.confirmed("ada").await;
    let job: Job = judged(&server, &ada, collateral()).await;
    let first = job.gallery_id.expect("a gallery").to_string();
    let study = ada.request(Method::POST, "/v1/studies");
    let study = study
        .header("idempotency-key", "study")
        .json(&json!({ "protect_job_id": job.id }));
    let study: Study = body(study.send().await.expect("an answer"), StatusCode::ACCEPTED).await;
    let canceled = ada
        .post(&format!("/v1/studies/{}/cancel", study.id), &json!({}))
        .await;
    assert_eq!(canceled.status(), StatusCode::ACCEPTED);
    // Judged again: the same pictures under another id.
    evaluate(&ada, &job, "twin", json!({})).await;
    judge(&server, collateral()).await;
    let galleries: Page<GallerySummary> = ada.read("/v1/galleries").await;
    let twin = galleries.data[0].id.to_string();
    assert_ne!(twin, first);
    let mut pages = Vec::new();
    for gallery in [&first, &twin] {
        pages.push(share(&ada, gallery).await);
    }
    let admin = server.confirmed("admin").await;
    let stranger = server.stranger();
    let evaluation = job.evaluation_ids[0].to_string();
    for object in [evaluation, study.id.to_string(), first, job.id.to_string()] {
        for page in &pages {
            assert_eq!(stranger.get(page).await.status(), StatusCode::OK);
        }
        let taken = stranger.post("/v1/notices", &complaint(&object)).await;
        let taken: NoticeReceipt = body(taken, StatusCode::CREATED).await;
        decide(&admin, &taken, "suspend").await;
        for page in &pages {
            for part in ["", "/pictures/0", "/archive"] {
                let answer = stranger.get(&format!("{page}{part}")).await;
                refused(answer, 404, "not_found").await;
            }
        }
        let gates = closed(&release(&ada, &job).await);
        assert_eq!(gates.len(), 1, "{object}: {gates:?}");
        assert_eq!(gates[0].1, GateStatus::Failed);
        decide(&admin, &taken, "restore").await;
        assert_eq!(closed(&release(&ada, &job).await), []);
    }
}
