//! Files that jobs produced.

use shared::{
    ArtifactId, OrganisationId, Timestamp,
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
