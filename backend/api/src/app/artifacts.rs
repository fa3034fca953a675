//! Files that jobs produced.

use shared::{
    ArtifactId, JobId, OrganisationId, Timestamp,
    artifact::{Artifact, ArtifactKind},
};
use store::ArtifactRecord;

use super::App;
use crate::error::Error;

/// Where a file is fetched.
pub(crate) fn url(id: ArtifactId) -> String {
    format!("/v1/artifacts/{id}/content")
}

pub(crate) fn view(app: &App, file: ArtifactRecord) -> Artifact {
    let expires_at = expiry(app, &file);
    Artifact {
        expires_at,
        url: url(file.id),
        id: file.id,
        job_id: file.job_id,
        kind: file.kind,
        name: file.name,
        sha256: file.sha256,
        size_bytes: file.size_bytes,
        created_at: file.created_at,
    }
}

/// When the server removes it; what was promised or withdrawn stays.
fn expiry(app: &App, file: &ArtifactRecord) -> Option<Timestamp> {
    let stays = ArtifactKind::KEPT.contains(&file.kind);
    let days = app.config().retention_days.filter(|_| !stays)?;
    let kept = i64::from(days) * 24 * 3_600_000;
    let end = file.created_at.milliseconds() + kept;
    Some(Timestamp::from_milliseconds(end))
}

/// Why nothing is done on weights that are there no more.
pub(crate) const WEIGHTS_GONE: &str = "The protected weights of that job were removed after the time for which this \
    server keeps files. Protect the set again, then go on from the new job.";

/// Whether the protected weights of a job of this owner are still there.
pub(crate) async fn has_weights(
    app: &App,
    owner: OrganisationId,
    job: JobId,
) -> Result<bool, Error> {
    let files = app.store().list_artifacts(owner, job).await?;
    let mut files = files.iter();
    Ok(files.any(|file| file.kind == ArtifactKind::ProtectedUnet))
}

/// Refuses work on weights that were removed.
pub(crate) async fn require_weights(
    app: &App,
    owner: OrganisationId,
    job: JobId,
) -> Result<(), Error> {
    if has_weights(app, owner, job).await? {
        return Ok(());
    }
    Err(Error::Conflict(WEIGHTS_GONE.into()))
}

/// A file of the viewer, or a picture of a public gallery.
pub async fn find(
    app: &App,
    viewer: Option<OrganisationId>,
    id: ArtifactId,
) -> Result<ArtifactRecord, Error> {
    if let Some(viewer) = viewer
        && let Some(file) = app.store().find_artifact(viewer, id).await?
    {
        return Ok(file);
    }
    app.store()
        .find_public_artifact(id)
        .await?
        .ok_or(Error::NotFound)
}
