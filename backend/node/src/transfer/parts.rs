//! A large file in parts: what the store lacks is sent, again where a line broke, and nothing else.

use std::{path::Path, time::Duration};

use shared::{
    JobId,
    node::{MissingPart, NodeDelivery},
    problem::ErrorCode,
};

use crate::{
    Error, Result,
    client::{Client, Slice},
};

/// Rounds in a row that bring nothing before it counts as final; each call in them is patient by itself.
const ROUNDS: u32 = 4;
/// How often the server is asked whether the parts are together; it waits ten seconds each time.
const ASKS: u32 = 360;
/// Pause before it is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// Sends what is missing of an upload until it is complete.
pub(super) async fn send(
    client: &Client,
    job: JobId,
    upload: &NodeDelivery,
    path: &Path,
) -> Result<()> {
    let mut before = None;
    let mut left = ROUNDS;
    loop {
        let missing = client.missing_parts(job, upload).await?.parts;
        let outcome = if missing.is_empty() {
            complete(client, job, upload).await
        } else {
            send_parts(client, &missing, path).await
        };
        match outcome {
            Ok(()) if missing.is_empty() => return Ok(()),
            Err(error) if !asking_helps(&error) => return Err(error),
            outcome => {
                // The server tells the first that are missing: others than before are progress.
                let first = missing.first().map(|part| part.number);
                let moved = before.replace(first) != Some(first);
                left = if moved { ROUNDS } else { left - 1 };
                match outcome {
                    Err(error) if left == 0 => return Err(error),
                    Ok(()) if left == 0 => return Err(never_arrives(upload)),
                    Err(error) => tracing::warn!(%error, "asking what is missing"),
                    Ok(()) => {}
                }
            }
        }
    }
}

async fn send_parts(client: &Client, parts: &[MissingPart], path: &Path) -> Result<()> {
    for part in parts {
        let slice = Slice {
            file: path,
            offset: part.offset,
            size_bytes: part.size_bytes,
        };
        client.put(&part.url, &part.headers, slice).await?;
    }
    Ok(())
}

async fn complete(client: &Client, job: JobId, upload: &NodeDelivery) -> Result<()> {
    for _ in 0..ASKS {
        if client.complete_upload(job, upload).await? {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(Error::Unreachable("parts are put together for ever".into()))
}

fn never_arrives(upload: &NodeDelivery) -> Error {
    let size = upload.size_bytes;
    Error::Unreachable(format!(
        "parts of {size} bytes were taken and are not there"
    ))
}

/// Whether asking what is missing may help: the line broke, addresses expired, or a part is not whole.
fn asking_helps(error: &Error) -> bool {
    match error {
        Error::Unreachable(_) => true,
        Error::Refused { status, code, .. } => {
            *code != ErrorCode::ChecksumMismatch && matches!(status, 400 | 403 | 404 | 409 | 410)
        }
        _ => false,
    }
}

/// Whether the store has nothing of the upload any more: it was swept, or its bytes were wrong.
pub(super) fn is_lost(error: &Error) -> bool {
    matches!(
        error,
        Error::Refused {
            code: ErrorCode::NotFound | ErrorCode::ChecksumMismatch,
            ..
        }
    )
}

#[cfg(test)]
mod tests;
