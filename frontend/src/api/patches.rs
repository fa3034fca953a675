//! The owner's own pictures for patterns.

use shared::{limits, objective::Patch, page::Page, patch::PatchImage, upload::IMAGE_MEDIA_TYPES};
use web_sys::File;

use super::{ApiError, Endpoint, http::send_file};
use crate::text;

/// Where a patch's picture is.
pub(crate) fn patch_url(patch: Patch) -> String {
    match patch {
        Patch::LicenceCard => "/v1/patches/licence-card/content".into(),
        Patch::Own { patch_id } => format!("/v1/patches/{patch_id}/content"),
    }
}

pub(crate) fn patches() -> Endpoint<Page<PatchImage>> {
    Endpoint::new("/v1/patches?limit=100".into())
}

/// Uploads a picture, unless it is plainly none that the server takes.
pub(crate) async fn create_patch(file: &File) -> Result<PatchImage, ApiError> {
    refuse_early(&file.type_(), file.size()).map_err(ApiError::Browser)?;
    send_file("/v1/patches", file).await
}

fn refuse_early(media_type: &str, size_bytes: f64) -> Result<(), String> {
    let limit = limits::MAX_PATCH_BYTES as f64;
    if !IMAGE_MEDIA_TYPES.contains(&media_type) {
        return Err(
            say!("This file is no JPEG, PNG, WebP or TIFF picture. Choose another one.").into(),
        );
    }
    if size_bytes > limit {
        return Err(say!(
            "The picture has {size}; at most {limit} are taken. Choose a smaller one.",
            size = text::bytes(size_bytes),
            limit = text::bytes(limit)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_would_refuse_is_not_sent() {
        assert!(refuse_early("image/svg+xml", 10.0).is_err());
        assert!(refuse_early("image/png", 2.1e6 * 2.0).is_err());
        assert_eq!(refuse_early("image/png", 2048.0), Ok(()));
    }
}
