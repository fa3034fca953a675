//! Revocations: signed when a concept's protection was trained out, published with the job, and listed.

use shared::{
    ArtifactId, JobId, OrganisationId,
    artifact::ArtifactKind,
    job::{Action, Concept},
    page::Page,
    revocation::{PublishedRevocation, Revocation},
};
use store::{ArtifactRecord, JobRecord, NewArtifact};

use super::{App, artifacts, blobs, paging::Paging};
use crate::{error::Error, signing};

/// A statement has about 2 KiB.
const MAX_BYTES: u64 = 64 * 1024;

/// Signs one statement for each concept that this job removes and the earlier one still protected.
pub(crate) async fn issue(
    app: &App,
    job: &JobRecord,
    unet_sha256: &str,
) -> Result<Vec<NewArtifact>, Error> {
    let mut issued = Vec::new();
    let removes = |concept: &Concept| concept.action == Action::Remove;
    let Some(earlier) = job
        .spec
        .extends
        .filter(|_| job.spec.concepts.iter().any(removes))
    else {
        return Ok(issued);
    };
    let owner = job.owner_id;
    let earlier = app.store().find_job(owner, earlier).await?;
    let earlier = earlier.ok_or_else(|| gone("job"))?;
    let pairs = job.spec.concepts.iter().zip(&earlier.spec.concepts);
    for (position, (concept, before)) in pairs.enumerate() {
        if removes(concept) && !removes(before) {
            let document = state(app, job, &earlier, concept, unet_sha256).await?;
            issued.push(publish(app, position, document).await?);
        }
    }
    Ok(issued)
}

async fn state(
    app: &App,
    job: &JobRecord,
    earlier: &JobRecord,
    concept: &Concept,
    unet_sha256: &str,
) -> Result<Revocation, Error> {
    let (store, owner) = (app.store(), job.owner_id);
    let set = store.find_set(owner, concept.protected_set_id).await?;
    let model = store.find_base_model(owner, job.model_id).await?;
    Ok(Revocation {
        version: signing::VERSION,
        class_name: concept.class_name.clone(),
        identifier: concept.identifier.clone(),
        objective: concept.objective.kind().into(),
        manifest_sha256: set
            .and_then(|set| set.manifest_sha256)
            .ok_or_else(|| gone("set"))?,
        base_sha256: model.ok_or_else(|| gone("model"))?.manifest_sha256,
        earlier_unet_sha256: weights(app, owner, earlier.id).await?,
        unet_sha256: unet_sha256.into(),
        earlier_job_id: earlier.id,
        job_id: job.id,
        revoked_at: app.now(),
        key_id: app.revocation_signer().key_id().into(),
    })
}

fn gone(what: &str) -> Error {
    Error::Internal(format!("the {what} of a revocation is gone"))
}

async fn weights(app: &App, owner: OrganisationId, job: JobId) -> Result<String, Error> {
    let files = app.store().list_artifacts(owner, job).await?;
    let mut files = files.into_iter();
    files
        .find(|file| file.kind == ArtifactKind::ProtectedUnet)
        .map(|file| file.sha256)
        .ok_or_else(|| gone("U-Net"))
}

async fn publish(app: &App, position: usize, document: Revocation) -> Result<NewArtifact, Error> {
    let file = app.revocation_signer().sign(document);
    let file = file.map_err(Error::internal)?;
    Ok(NewArtifact {
        kind: ArtifactKind::Revocation,
        name: format!("revocation-{position:02}.json"),
        sha256: blobs::keep(app, &file).await?,
        size_bytes: file.len() as u64,
    })
}

/// The owner's revocations, newest first.
pub async fn list(
    app: &App,
    owner: OrganisationId,
    paging: &Paging,
) -> Result<Page<PublishedRevocation>, Error> {
    let after: Option<ArtifactId> = paging.after()?;
    let files =
        app.store()
            .list_artifacts_of_kind(owner, ArtifactKind::Revocation, after, paging.rows());
    let mut published = Vec::new();
    for file in files.await? {
        published.push(read(app, file).await?);
    }
    Ok(paging.page(published, |revocation| revocation.id))
}

async fn read(app: &App, file: ArtifactRecord) -> Result<PublishedRevocation, Error> {
    Ok(PublishedRevocation {
        id: file.id,
        url: artifacts::url(file.id),
        revocation: blobs::read_json(app, &file.sha256, MAX_BYTES).await?,
        created_at: file.created_at,
    })
}
