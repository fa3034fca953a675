//! Galleries: the owner's, and public ones for anyone.

use axum::{Json as Body, extract::State};
use shared::{
    GalleryId,
    gallery::{Gallery, GallerySummary},
    page::Page,
};

use crate::{
    app::{App, galleries, paging::Paging},
    error::Error,
    extract::{Id, Listing, Tenant, Visitor},
};

/// The caller's galleries, newest first.
#[utoipa::path(get, path = "/v1/galleries", tag = "results", params(Paging),
    responses((status = 200, body = Page<GallerySummary>)))]
pub(crate) async fn list_galleries(
    State(app): State<App>,
    Tenant(owner): Tenant,
    paging: Paging,
) -> Result<Listing<GallerySummary>, Error> {
    galleries::list(&app, owner, &paging).await.map(Listing)
}

/// One gallery; a public one needs no session.
#[utoipa::path(get, path = "/v1/galleries/{id}", tag = "results",
    params(("id" = GalleryId, Path)), responses((status = 200, body = Gallery)))]
pub(crate) async fn find_gallery(
    State(app): State<App>,
    visitor: Visitor,
    Id(id): Id<GalleryId>,
) -> Result<Body<Gallery>, Error> {
    galleries::find(&app, visitor.tenant(), id).await.map(Body)
}
