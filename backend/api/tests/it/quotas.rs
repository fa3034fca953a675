//! Quotas: what is used is told, and what does not fit is refused before it is sent.

use reqwest::StatusCode;
use serde_json::json;
use shared::quota::{Quota, QuotaName, Quotas};

use crate::support::{Person, Server, png, refused};

async fn quota(person: &Person<'_>, name: QuotaName) -> Quota {
    let all: Quotas = person.read("/v1/quotas").await;
    all.data
        .into_iter()
        .find(|quota| quota.name == name)
        .expect("it is counted")
}

#[tokio::test]
async fn use_is_counted_for_each_organisation_alone() {
    let server = Server::start().await;
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    let jobs = quota(&ada, QuotaName::ActiveJobs).await;
    assert_eq!((jobs.used, jobs.limit), (0, Some(20)));
    let job = ada.job().await;
    assert_eq!(quota(&ada, QuotaName::ActiveJobs).await.used, 1);
    let kept = quota(&ada, QuotaName::StorageBytes).await;
    assert!(kept.used > 0 && kept.limit.is_none());
    ada.post(&job.urls.cancel, &json!({})).await;
    assert_eq!(quota(&ada, QuotaName::ActiveJobs).await.used, 0);
    for name in [
        QuotaName::ActiveJobs,
        QuotaName::StorageBytes,
        QuotaName::Patches,
    ] {
        assert_eq!(quota(&bob, name).await.used, 0);
    }
    assert_eq!(quota(&bob, QuotaName::Members).await.used, 1);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_at_its_announcement() {
    let bytes = png(200, 200, 1);
    let room = bytes.len() as u64 * 3 / 2;
    let server = Server::start_with(|config| {
        config.storage_quota = Some(room);
        config.active_jobs = 1;
    })
    .await;
    let ada = server.person("ada").await;
    let set = ada.set("x").await;
    assert_eq!(
        ada.upload(&set, "a.png", &bytes).await.status(),
        StatusCode::OK
    );
    let kept = quota(&ada, QuotaName::StorageBytes).await;
    assert_eq!(kept.limit, Some(room));
    let refusal = refused(
        ada.announce(&set, "b.png", &png(200, 200, 2)).await,
        409,
        "conflict",
    )
    .await;
    assert!(
        refusal["detail"].to_string().contains(&room.to_string()),
        "{refusal}"
    );
    // Others have room of their own.
    let bob = server.person("bob").await;
    let his = bob.set("x").await;
    assert_eq!(
        bob.upload(&his, "a.png", &bytes).await.status(),
        StatusCode::OK
    );
    assert_eq!(quota(&bob, QuotaName::ActiveJobs).await.limit, Some(1));
}
