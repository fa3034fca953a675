//! What a node uploads while it holds a lease: outputs and states to resume from.

use shared::{
    JobId, NodeId,
    node::{CreateNodeUpload, MissingParts, NodeDelivery, NodeUpload, SaveResume},
};
use store::{JobRecord, ResumePoint};

use crate::{
    app::{App, blobs, parts},
    error::Error,
};

/// Largest file that a node may upload: 16 GiB, above any U-Net in full precision with its
/// optimizer state.
const MAX_BYTES: u64 = 16 * 1024 * 1024 * 1024;

/// The job, if this token holds its lease.
pub(crate) async fn held(
    app: &App,
    node: Option<NodeId>,
    id: JobId,
    token: i64,
) -> Result<JobRecord, Error> {
    let job = app.store().find_job_any(id).await?;
    job.filter(|job| is_by(job, node, token) && job.lease_until.is_some())
        .ok_or(Error::Fenced)
}

/// Whether this token is a job's last, and the node's: tokens are small numbers, a node guesses those of others.
pub(super) fn is_by(job: &JobRecord, node: Option<NodeId>, token: i64) -> bool {
    job.token == token && node.is_none_or(|node| job.node_id == Some(node))
}

/// Where to send a file; nowhere if the store holds it already.
pub async fn announce(
    app: &App,
    node: Option<NodeId>,
    id: JobId,
    request: &CreateNodeUpload,
) -> Result<NodeUpload, Error> {
    held(app, node, id, request.token).await?;
    let (sha256, size) = (request.sha256.as_str(), request.size_bytes);
    check(sha256, size)?;
    if blobs::claim(app, sha256, size).await? {
        return Ok(NodeUpload::default());
    }
    if request.in_parts && parts::is_large(size) {
        let begun = parts::begin(app, (id, request.token), (sha256, size)).await?;
        return Ok(NodeUpload {
            parts: Some(begun),
            ..NodeUpload::default()
        });
    }
    let signed = blobs::output_request(app, id, request.token, sha256, size).await?;
    Ok(NodeUpload {
        url: Some(signed.url),
        headers: signed.headers,
        parts: None,
    })
}

fn check(sha256: &str, size_bytes: u64) -> Result<(), Error> {
    blobs::check_hash(sha256, "#/sha256")?;
    if size_bytes > MAX_BYTES {
        return Err(Error::field(
            "#/size_bytes",
            "too_large",
            "The file is too large.",
        ));
    }
    Ok(())
}

/// The upload that a node names, if it holds the job.
async fn begun(
    app: &App,
    node: Option<NodeId>,
    id: JobId,
    request: &NodeDelivery,
) -> Result<artifacts::Upload, Error> {
    held(app, node, id, request.token).await?;
    let file = (request.sha256.as_str(), request.size_bytes);
    check(file.0, file.1)?;
    parts::upload((id, request.token), file, &request.upload_id)
}

/// What of an upload is missing, and where to send it.
pub async fn missing(
    app: &App,
    node: Option<NodeId>,
    id: JobId,
    request: &NodeDelivery,
) -> Result<MissingParts, Error> {
    let upload = begun(app, node, id, request).await?;
    let parts = parts::missing(app, &upload).await?;
    Ok(MissingParts { parts })
}

/// Makes an upload an output; `false` while that goes on.
pub async fn complete(
    app: &App,
    node: Option<NodeId>,
    id: JobId,
    request: &NodeDelivery,
) -> Result<bool, Error> {
    let upload = begun(app, node, id, request).await?;
    parts::complete(app, &upload).await
}

/// Registers uploaded state from which another attempt can go on.
pub async fn save_resume(
    app: &App,
    node: Option<NodeId>,
    id: JobId,
    request: &SaveResume,
) -> Result<(), Error> {
    held(app, node, id, request.token).await?;
    blobs::check_hash(&request.sha256, "#/sha256")?;
    let _publishing = app.publishing().await?;
    let (sha256, size) = (&request.sha256, request.size_bytes);
    if !blobs::has_output(app, id, request.token, sha256, size).await? {
        return Err(Error::field(
            "#/sha256",
            "not_uploaded",
            "This file was not uploaded.",
        ));
    }
    let resume = ResumePoint {
        step: request.step,
        sha256: request.sha256.clone(),
        size_bytes: request.size_bytes,
    };
    if app.store().save_resume(id, request.token, &resume).await? {
        Ok(())
    } else {
        Err(Error::Fenced)
    }
}
