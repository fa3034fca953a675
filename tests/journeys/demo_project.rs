//! The demo project as anybody sees it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{Server, wait::until};
use reqwest::Client;
use shared::{demo::Demo, job::JobStatus};

#[tokio::test]
async fn the_demo_starts_by_itself_and_is_public() -> Result<()> {
    let server = Server::start(&[("PERSGUARD_DEMO", "true")])?;
    let http = Client::new();
    let demo: Demo = http
        .get(server.url("/v1/demo"))
        .send()
        .await?
        .json()
        .await?;
    ensure!(demo.gallery.is_none(), "nothing was measured yet");
    for set in &demo.sample_sets {
        for url in &set.image_urls {
            let picture = http
                .get(server.url(url))
                .send()
                .await?
                .error_for_status()?
                .bytes()
                .await?;
            ensure!(picture.starts_with(b"\x89PNG"), "{url} is no PNG");
        }
    }
    until("the demo to train", Duration::from_mins(1), || async {
        let demo: Demo = http
            .get(server.url("/v1/demo"))
            .send()
            .await?
            .json()
            .await?;
        let job = demo.protect.context("no demo job")?;
        ensure!(job.status != JobStatus::Failed, "{}", job.status_reason);
        Ok((job.status == JobStatus::Running).then_some(()))
    })
    .await
}
