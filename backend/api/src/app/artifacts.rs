//! Files that jobs produced.

use shared::{ArtifactId, OrganisationId, artifact::Artifact};
use store::ArtifactRecord;

use super::App;
use crate::error::Error;

/// Where a file is fetched.
pub(crate) fn url(id: ArtifactId) -> String {
    format!("/v1/artifacts/{id}/content")
}

pub(crate) fn view(file: ArtifactRecord) -> Artifact {
    Artifact {
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
