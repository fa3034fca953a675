//! Links that show a gallery to somebody without an account.

use shared::{
    GalleryId, ShareLinkId,
    page::Page,
    share_link::{CreateShareLink, CreatedShareLink, ShareLink, ShareView},
};

use super::{
    ApiError, Endpoint,
    http::{Method, send, send_unit},
};

/// The newest links of a gallery, as many as one page holds.
pub(crate) fn of_gallery(id: GalleryId) -> Endpoint<Page<ShareLink>> {
    Endpoint::new(format!("/v1/share-links?gallery_id={id}&limit=100"))
}

/// The newest visits of a link.
pub(crate) fn views(id: ShareLinkId) -> Endpoint<Page<ShareView>> {
    Endpoint::new(format!("/v1/share-links/{id}/views?limit=20"))
}

pub(crate) async fn create(
    body: &CreateShareLink,
    key: &str,
) -> Result<CreatedShareLink, ApiError> {
    send(Method::Post, "/v1/share-links", Some(body), Some(key)).await
}

pub(crate) async fn revoke(id: ShareLinkId) -> Result<(), ApiError> {
    send_unit(Method::Delete, &format!("/v1/share-links/{id}")).await
}
