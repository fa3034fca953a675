//! Sends snapshots while the training goes on: always the newest, never two at a time.

use std::path::{Path, PathBuf};

use shared::{JobId, node::SaveResume};
use tokio::sync::watch;

use crate::{
    Error, Result,
    client::Client,
    heart::{Order, give},
    transfer,
};

/// A snapshot on the disk, with the injection steps that it holds.
pub(crate) type Snapshot = Option<(u32, PathBuf)>;

/// Sends every newest snapshot until the sender is gone.
pub(crate) async fn send_newest(
    client: Client,
    job: JobId,
    token: i64,
    mut newest: watch::Receiver<Snapshot>,
    orders: watch::Sender<Order>,
) {
    while newest.changed().await.is_ok() {
        let Some((step, path)) = newest.borrow_and_update().clone() else {
            continue;
        };
        match send(&client, job, token, step, &path).await {
            Ok(()) => tracing::info!(job.id = %job, step, "snapshot saved"),
            Err(Error::Fenced) => give(&orders, Order::Fenced),
            // The job can do without: a later attempt starts from an older one.
            Err(error) => tracing::warn!(job.id = %job, step, %error, "snapshot not saved"),
        }
        let _ = tokio::fs::remove_file(&path).await;
    }
}

async fn send(client: &Client, job: JobId, token: i64, step: u32, path: &Path) -> Result<()> {
    let (sha256, size_bytes) = transfer::send(client, job, token, path).await?;
    let resume = SaveResume {
        token,
        step,
        sha256,
        size_bytes,
    };
    client.save_resume(job, &resume).await
}
