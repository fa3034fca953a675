//! Galleries: the owner sees everything, anyone else what is public.

use std::collections::HashMap;

use shared::{
    GalleryId, OrganisationId,
    artifact::ArtifactKind,
    evaluation::{ScoredImage, ScoredPair},
    gallery::{Gallery, GalleryImage, GalleryPair, GallerySummary},
    page::Page,
};
use store::{ArtifactRecord, GalleryRecord};

use super::{App, artifacts, images, paging::Paging, releases};
use crate::error::Error;

/// The owner's galleries, newest first.
pub async fn list(
    app: &App,
    owner: OrganisationId,
    paging: &Paging,
) -> Result<Page<GallerySummary>, Error> {
    let records = app
        .store()
        .list_galleries(owner, paging.after()?, paging.rows())
        .await?;
    let summaries = records.into_iter().map(|gallery| GallerySummary {
        id: gallery.id,
        title: gallery.title,
        verdict: gallery.verdict,
        created_at: gallery.created_at,
    });
    Ok(paging.page(summaries.collect(), |gallery| gallery.id))
}

/// A gallery of the viewer, or a public one.
pub async fn find(
    app: &App,
    viewer: Option<OrganisationId>,
    id: GalleryId,
) -> Result<Gallery, Error> {
    if let Some(viewer) = viewer
        && let Some(gallery) = app.store().find_gallery(viewer, id).await?
    {
        return owned(app, gallery).await;
    }
    let gallery = app
        .store()
        .find_public_gallery(id)
        .await?
        .ok_or(Error::NotFound)?;
    public(app, gallery).await
}

async fn owned(app: &App, gallery: GalleryRecord) -> Result<Gallery, Error> {
    let owner = gallery.owner_id;
    let pictures = app
        .store()
        .list_artifacts(owner, gallery.evaluation_job_id)
        .await?;
    let weights = app
        .store()
        .list_artifacts(owner, gallery.protect_job_id)
        .await?;
    let release = releases::find(app, owner, gallery.protect_job_id).await?;
    let weights = weights
        .into_iter()
        .find(|file| file.kind == ArtifactKind::ProtectedUnet && release.releasable);
    let references = app.store().list_images(owner, gallery.set_id).await?;
    let judge = app
        .store()
        .find_job(owner, gallery.evaluation_job_id)
        .await?;
    Ok(Gallery {
        references: references
            .iter()
            .map(|image| images::url(image.id))
            .collect(),
        concept: judge.map_or(0, |job| job.spec.evaluation.concept),
        protected_unet_url: weights.map(|file| artifacts::url(file.id)),
        ..view(gallery, &pictures)
    })
}

/// What anyone may see of a public gallery: no references, no download.
pub(crate) async fn public(app: &App, gallery: GalleryRecord) -> Result<Gallery, Error> {
    let pictures = app
        .store()
        .list_public_artifacts(gallery.evaluation_job_id)
        .await?;
    Ok(view(gallery, &pictures))
}

fn view(gallery: GalleryRecord, pictures: &[ArtifactRecord]) -> Gallery {
    let urls: HashMap<&str, String> = pictures
        .iter()
        .map(|file| (file.name.as_str(), artifacts::url(file.id)))
        .collect();
    let pairs = gallery
        .output
        .pairs
        .into_iter()
        .map(|pair| twins(pair, &urls));
    Gallery {
        id: gallery.id,
        title: gallery.title,
        protected_set_id: gallery.set_id,
        protect_job_id: gallery.protect_job_id,
        evaluation_job_id: gallery.evaluation_job_id,
        concept: 0,
        report: gallery.output.report,
        references: Vec::new(),
        pairs: pairs.collect(),
        protected_unet_url: None,
        created_at: gallery.created_at,
    }
}

fn twins(pair: ScoredPair, urls: &HashMap<&str, String>) -> GalleryPair {
    let image = |scored: ScoredImage| GalleryImage {
        url: urls.get(scored.name.as_str()).cloned().unwrap_or_default(),
        similarity: scored.similarity,
        hit: scored.hit,
    };
    GalleryPair {
        attack_step: pair.attack_step,
        seed: pair.seed,
        prompt: pair.prompt,
        clean: image(pair.clean),
        protected: image(pair.protected),
    }
}
