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

/// Media type of an archive of pictures.
pub const ARCHIVE_MEDIA_TYPE: &str = "application/zip";

/// The media type of a picture by its first bytes; names lie.
pub fn image_media_type(head: &[u8]) -> Option<&'static str> {
    match head {
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Some("image/tiff"),
        _ if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") => Some("image/webp"),
        _ => None,
    }
}

/// The media type of a picture, or of an archive that is called one, by its first bytes.
pub fn upload_media_type(name: &str, head: &[u8]) -> Option<&'static str> {
    // Documents of many programs are archives, too.
    let is_called = name.to_ascii_lowercase().ends_with(".zip");
    if is_called && head.starts_with(b"PK\x03\x04") {
        return Some(ARCHIVE_MEDIA_TYPE);
    }
    image_media_type(head)
}

/// Whether a file or a folder on its path is hidden or of a system's own: nobody means it with what lies beside it.
pub fn is_clutter(path: &str) -> bool {
    let hidden = |part: &str| part.starts_with('.') && !matches!(part, "." | "..");
    let clutter = |part: &str| hidden(part) || matches!(part, "__MACOSX" | "Thumbs.db");
    path.split(['/', '\\']).any(clutter)
}

/// Announces one image file, or a ZIP archive of them.
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
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 268_435_456))]
    pub size_bytes: u64,
    /// SHA-256 of the bytes, 64 lower-case hexadecimal digits.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[0-9a-f]{64}$"))]
    pub sha256: String,
    /// `image/jpeg`, `image/png`, `image/webp`, `image/tiff`, or `application/zip` for an archive of such pictures.
    #[cfg_attr(
        feature = "openapi",
        schema(pattern = "^(image/(jpeg|png|webp|tiff)|application/zip)$")
    )]
    pub media_type: String,
}

impl CreateUpload {
    /// Whether it is an archive of pictures.
    pub fn is_archive(&self) -> bool {
        self.media_type == ARCHIVE_MEDIA_TYPE
    }

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
        let limit = if self.is_archive() {
            limits::MAX_ARCHIVE_BYTES
        } else {
            limits::MAX_IMAGE_BYTES
        };
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
        let known = IMAGE_MEDIA_TYPES.contains(&self.media_type.as_str()) || self.is_archive();
        check(
            &mut errors,
            known,
            "#/media_type",
            "unsupported_media_type",
            || {
                format!(
                    "Use one of {}, {ARCHIVE_MEDIA_TYPE}.",
                    IMAGE_MEDIA_TYPES.join(", ")
                )
            },
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
    /// What became of the files of an archive, once completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpacked: Option<Unpacked>,
}

/// What became of the files of an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Unpacked {
    /// Pictures that joined the set, or were in it.
    pub added: Vec<crate::ImageId>,
    /// Files that did not.
    pub left_out: Vec<LeftOut>,
}

/// A file of an archive that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LeftOut {
    /// Its name without folders.
    pub filename: String,
    /// Why.
    pub detail: String,
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
