//! Links that show a gallery to somebody without an account.

use shared::{
    GalleryId, ShareLinkId,
    page::Page,
    share_link::{CreateShareLink, CreatedShareLink, ShareLink, ShareView},
};

use super::{
    Endpoint,
    http::{Call, Method},
};

/// The newest links of a gallery, as many as one page holds.
pub(crate) fn of_gallery(id: GalleryId) -> Endpoint<Page<ShareLink>> {
    Endpoint::new(format!("/v1/share-links?gallery_id={id}&limit=100"))
}

/// The newest visits of a link.
pub(crate) fn views(id: ShareLinkId) -> Endpoint<Page<ShareView>> {
    Endpoint::new(format!("/v1/share-links/{id}/views?limit=20"))
}

pub(crate) fn create(body: &CreateShareLink, key: &str) -> Call<CreatedShareLink> {
    Call::new(Method::Post, "/v1/share-links")
        .json(body)
        .once(key)
}

pub(crate) fn revoke(id: ShareLinkId) -> Call<()> {
    Call::unread(Method::Delete, format!("/v1/share-links/{id}"))
}
