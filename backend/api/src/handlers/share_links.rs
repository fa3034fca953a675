//! Links to galleries, for those who make them.

use axum::{
    Json as Body,
    extract::{Query, State},
    http::{StatusCode, header},
    response::IntoResponse,
};
use serde::Deserialize;
use shared::{
    GalleryId, ShareLinkId,
    page::Page,
    share_link::{CreateShareLink, CreatedShareLink, ShareLink, ShareView, UpdateShareLink},
};
use utoipa::IntoParams;

use super::location;
use crate::{
    app::{App, paging::Paging, principal::Principal, share_links},
    error::Error,
    etag::IfMatch,
    extract::{Id, Json, Listing, MergePatch, Tenant, VersionHeader},
};

/// Which links are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// Only links to this gallery.
    #[serde(default)]
    #[param(value_type = GalleryId, required = false)]
    gallery_id: Option<String>,
}

impl Filter {
    fn gallery(&self) -> Result<Option<GalleryId>, Error> {
        let parse = |text: &String| {
            text.parse().map_err(|_| {
                let detail = "Give the id of a gallery, such as gal_….";
                Error::field("#/gallery_id", "invalid_id", detail)
            })
        };
        self.gallery_id.as_ref().map(parse).transpose()
    }
}

/// With the tag of what can be changed about it: a visit is no change.
fn tagged(link: ShareLink) -> Result<impl IntoResponse, Error> {
    Ok(([(header::ETAG, share_links::tag(&link)?)], Body(link)))
}

/// Shares a gallery; the address of its page is shown this once.
#[utoipa::path(post, path = "/v1/share-links", tag = "sharing", request_body = CreateShareLink,
    responses((status = 201, body = CreatedShareLink)))]
pub(crate) async fn create_share_link(
    State(app): State<App>,
    caller: Principal,
    Json(request): Json<CreateShareLink>,
) -> Result<impl IntoResponse, Error> {
    let link = share_links::create(&app, &caller, request).await?;
    Ok((
        StatusCode::CREATED,
        location(format!("/v1/share-links/{}", link.share_link.id)),
        [(header::CACHE_CONTROL, "no-store")],
        Body(link),
    ))
}

/// The organisation's links without their addresses, newest first.
#[utoipa::path(get, path = "/v1/share-links", tag = "sharing", params(Filter, Paging),
    responses((status = 200, body = Page<ShareLink>)))]
pub(crate) async fn list_share_links(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Query(filter): Query<Filter>,
    paging: Paging,
) -> Result<Listing<ShareLink>, Error> {
    let gallery = filter.gallery()?;
    share_links::list(&app, owner, gallery, &paging)
        .await
        .map(Listing)
}

/// One link without its address.
#[utoipa::path(get, path = "/v1/share-links/{id}", tag = "sharing", params(("id" = ShareLinkId, Path)),
    responses((status = 200, body = ShareLink)))]
pub(crate) async fn find_share_link(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<ShareLinkId>,
) -> Result<impl IntoResponse, Error> {
    tagged(share_links::find(&app, owner, id).await?)
}

/// Changes who gets a link, when it ends, its password, or whether there is an archive to save.
#[utoipa::path(patch, path = "/v1/share-links/{id}", tag = "sharing",
    params(("id" = ShareLinkId, Path), VersionHeader),
    request_body(content = UpdateShareLink, content_type = "application/merge-patch+json"),
    responses((status = 200, body = ShareLink)))]
pub(crate) async fn update_share_link(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<ShareLinkId>,
    condition: IfMatch,
    MergePatch(request): MergePatch<UpdateShareLink>,
) -> Result<impl IntoResponse, Error> {
    tagged(share_links::update(&app, owner, id, &condition, request).await?)
}

/// Ends a link at once; it stays in the list.
#[utoipa::path(delete, path = "/v1/share-links/{id}", tag = "sharing", params(("id" = ShareLinkId, Path)),
    responses((status = 204)))]
pub(crate) async fn revoke_share_link(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<ShareLinkId>,
) -> Result<StatusCode, Error> {
    share_links::revoke(&app, owner, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The visits of a link, newest first: the last 500 of the last 90 days.
#[utoipa::path(get, path = "/v1/share-links/{id}/views", tag = "sharing",
    params(("id" = ShareLinkId, Path), Paging), responses((status = 200, body = Page<ShareView>)))]
pub(crate) async fn list_share_views(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<ShareLinkId>,
    paging: Paging,
) -> Result<Listing<ShareView>, Error> {
    share_links::views(&app, owner, id, &paging)
        .await
        .map(Listing)
}
