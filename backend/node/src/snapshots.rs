//! Sends snapshots while the training goes on: always the newest, never two at a time.

use std::path::{Path, PathBuf};

use shared::{JobId, node::SaveResume};
use tokio::sync::{mpsc, watch};

use crate::{
    Error, Result,
    client::Client,
    heart::{Order, give},
    transfer,
};

/// A snapshot on the disk, with the injection steps that it holds.
pub(crate) type Snapshot = (u32, PathBuf);

/// Sends every newest snapshot until nobody makes them any more. One that was overtaken while another was on its way is removed: each is as large as model
/// and optimizer together.
pub(crate) async fn send_newest(
    client: Client,
    job: JobId,
    token: i64,
    mut made: mpsc::UnboundedReceiver<Snapshot>,
    orders: watch::Sender<Order>,
) {
    let mut next = made.recv().await;
    while let Some((step, path)) = next.take() {
        let mut sending = std::pin::pin!(send(&client, job, token, step, &path));
        let sent = loop {
            tokio::select! {
                sent = &mut sending => break sent,
                Some(newer) = made.recv() => {
                    if let Some((_, overtaken)) = next.replace(newer) {
                        let _ = tokio::fs::remove_file(overtaken).await;
                    }
                }
            }
        };
        match sent {
            Ok(()) => tracing::info!(job.id = %job, step, "snapshot saved"),
            Err(Error::Fenced) => give(&orders, Order::Fenced),
            // The job can do without: a later attempt starts from an older one.
            Err(error) => tracing::warn!(job.id = %job, step, %error, "snapshot not saved"),
        }
        let _ = tokio::fs::remove_file(&path).await;
        if next.is_none() {
            next = made.recv().await;
        }
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
