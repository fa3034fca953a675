//! Uploads: announce, send to a signed URL, complete.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    SetId, Timestamp, UploadId,
    image::ProtectedImage,
    limits,
    problem::{FieldError, check},
};

/// Media types that a protected set accepts.
pub const IMAGE_MEDIA_TYPES: &[&str] = &["image/jpeg", "image/png", "image/webp", "image/tiff"];

/// Announces one image file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateUpload {
    /// The set that the image joins.
    pub protected_set_id: SetId,
    /// File name; directories are cut off.
    #[cfg_attr(feature = "openapi", schema(min_length = 1))]
    pub filename: String,
    /// Exact size in bytes.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 20_971_520))]
    pub size_bytes: u64,
    /// SHA-256 of the bytes, 64 lower-case hexadecimal digits.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[0-9a-f]{64}$"))]
    pub sha256: String,
    /// `image/jpeg`, `image/png`, `image/webp` or `image/tiff`.
    #[cfg_attr(feature = "openapi", schema(pattern = "^image/(jpeg|png|webp|tiff)$"))]
    pub media_type: String,
}

impl CreateUpload {
    /// Every reason why this file cannot be accepted.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        check(
            &mut errors,
            self.size_bytes > 0,
            "#/size_bytes",
            "empty_file",
            || "The file is empty. Choose the original picture.".into(),
        );
        let limit = limits::MAX_IMAGE_BYTES;
        check(
            &mut errors,
            self.size_bytes <= limit,
            "#/size_bytes",
            "too_large",
            || format!("The file is larger than {} MiB.", limit / 1024 / 1024),
        );
        let hexadecimal = self.sha256.len() == 64
            && self
                .sha256
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        check(
            &mut errors,
            hexadecimal,
            "#/sha256",
            "invalid_sha256",
            || "Give the SHA-256 as 64 lower-case hexadecimal digits.".into(),
        );
        let known = IMAGE_MEDIA_TYPES.contains(&self.media_type.as_str());
        check(
            &mut errors,
            known,
            "#/media_type",
            "unsupported_media_type",
            || format!("Use one of {}.", IMAGE_MEDIA_TYPES.join(", ")),
        );
        let name = clean_file_name(&self.filename);
        check(
            &mut errors,
            name.is_some(),
            "#/filename",
            "invalid_filename",
            || "The file needs a name.".into(),
        );
        errors
    }
}

/// The last path component without control characters, cut to the limit; `None` if nothing is left.
pub fn clean_file_name(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last
        .chars()
        .filter(|c| !c.is_control())
        .take(limits::MAX_FILE_NAME_CHARACTERS)
        .collect();
    let clean = clean.trim();
    (!clean.is_empty() && clean != "." && clean != "..").then(|| clean.to_owned())
}

/// What is known of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum UploadStatus {
    /// Announced; the bytes are not here yet.
    Pending,
    /// The bytes are here and wait for `complete`.
    Received,
    /// Became an image of its set.
    Completed,
}

/// An announced upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Upload {
    /// Identifies the upload.
    pub id: UploadId,
    /// What is known of it.
    pub status: UploadStatus,
    /// Send the bytes here with PUT before `expires_at`.
    pub url: String,
    /// Headers that were signed with the URL and must be sent with the bytes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// When the signed URL stops working; ask for the upload again to get a new one.
    pub expires_at: Timestamp,
    /// The image, once completed.
    pub image: Option<ProtectedImage>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_parts_are_cut_off() {
        assert_eq!(
            clean_file_name("../../etc/passwd").as_deref(),
            Some("passwd")
        );
        assert_eq!(
            clean_file_name("C:\\photos\\dog.png").as_deref(),
            Some("dog.png")
        );
        assert_eq!(clean_file_name("a\u{0}b\n.png").as_deref(), Some("ab.png"));
        assert_eq!(clean_file_name("photos/.."), None);
        assert_eq!(clean_file_name("  "), None);
    }
}
