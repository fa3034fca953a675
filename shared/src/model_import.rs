//! Imports of base models: from the importer's own files or from object storage.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    ImportId, ModelId, Timestamp,
    job::Failure,
    limits,
    model_file::{check_model_file, is_model},
    problem::{FieldError, check},
};

/// Starts an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateModelImport {
    /// What to call the model.
    pub name: String,
    /// Licence of the weights, such as `CreativeML-OpenRAIL-M`.
    pub licence: String,
    /// Whether the importer declares that this licence lets them modify the model.
    pub licence_accepted: bool,
    /// Class words that it draws well; may be empty.
    #[serde(default)]
    pub classes: Vec<String>,
    /// Refuse the model unless its content hash is this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Where the files are.
    pub source: CreateImportSource,
}

/// Where the files of an import are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum CreateImportSource {
    /// With the importer, who sends them.
    Upload {
        /// Every file.
        files: Vec<AnnouncedFile>,
    },
    /// In object storage, from which the server fetches them.
    S3 {
        /// Origin of the service, one of those that the server's operator allows.
        endpoint: String,
        /// Region that requests are signed for.
        region: String,
        /// Bucket.
        bucket: String,
        /// What the keys of the model's files start with, or the key of one checkpoint file.
        prefix: String,
        /// Used for this import and never stored; absent for a public bucket.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credentials: Option<S3Credentials>,
    },
}

/// A file that the importer will send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AnnouncedFile {
    /// Path inside the model folder, such as `unet/config.json`.
    pub name: String,
    /// Exact size in bytes.
    pub size_bytes: u64,
    /// SHA-256 of the bytes, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// Keys of an object storage account. They are never logged, stored or answered.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct S3Credentials {
    /// Access key.
    pub access_key_id: String,
    /// Secret key.
    pub secret_access_key: String,
    /// Token of a temporary session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<String>,
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("S3Credentials")
            .finish_non_exhaustive()
    }
}

/// Goes on with a failed import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RetryModelImport {
    /// Keys of the object storage, where the import needs some: they were not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<S3Credentials>,
}

fn is_sha256(text: &str) -> bool {
    let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.len() == 64 && text.bytes().all(digit)
}

impl CreateModelImport {
    /// Every reason why this import cannot start.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let limit = limits::MAX_NAME_CHARACTERS;
        for (text, pointer) in [(&self.name, "#/name"), (&self.licence, "#/licence")] {
            let fine = (1..=limit).contains(&text.trim().chars().count());
            check(&mut errors, fine, pointer, "invalid_length", || {
                format!("Use 1 to {limit} characters.")
            });
        }
        check(
            &mut errors,
            self.licence_accepted,
            "#/licence_accepted",
            "not_accepted",
            || "Confirm that the licence lets you modify this model.".into(),
        );
        self.validate_classes(&mut errors);
        let pinned = self.sha256.as_deref().is_none_or(is_sha256);
        check(&mut errors, pinned, "#/sha256", "invalid_sha256", || {
            "Give the SHA-256 as 64 lower-case hexadecimal digits, or leave it out.".into()
        });
        match &self.source {
            CreateImportSource::Upload { files } => validate_files(files, &mut errors),
            CreateImportSource::S3 { bucket, prefix, .. } => {
                validate_place(bucket, prefix, &mut errors);
            }
        }
        errors
    }

    fn validate_classes(&self, errors: &mut Vec<FieldError>) {
        let limit = limits::MAX_MODEL_CLASSES;
        let word = |word: &String| {
            (1..=32).contains(&word.chars().count()) && word.chars().all(char::is_alphanumeric)
        };
        let fine = self.classes.len() <= limit && self.classes.iter().all(word);
        check(errors, fine, "#/classes", "invalid_word", || {
            format!("Give at most {limit} single words, such as `dog`.")
        });
    }
}

fn validate_files(files: &[AnnouncedFile], errors: &mut Vec<FieldError>) {
    const ALL: &str = "#/source/files";
    let limit = limits::MAX_MODEL_FILES;
    check(errors, files.len() <= limit, ALL, "too_many_files", || {
        format!("A model has at most {limit} files here.")
    });
    let mut total = 0_u64;
    for (number, file) in files.iter().enumerate().take(limit) {
        total = total.saturating_add(file.size_bytes);
        validate_file(file, &format!("{ALL}/{number}"), errors);
        let name = file.name.to_lowercase();
        let earlier = &files[..number];
        let twice = earlier
            .iter()
            .any(|other| other.name.to_lowercase() == name);
        check(
            errors,
            !twice,
            &format!("{ALL}/{number}/name"),
            "duplicate_name",
            || format!("`{}` is listed twice.", file.name),
        );
    }
    let limit = limits::MAX_MODEL_BYTES;
    check(errors, total <= limit, ALL, "too_large", || {
        format!("The files hold more than {} GiB.", limit >> 30)
    });
    let model = is_model(files.iter().map(|file| file.name.as_str()));
    check(errors, model, ALL, "not_a_model", || NO_MODEL.into());
}

/// Said where files make no model.
pub const NO_MODEL: &str = "These files are no model: a diffusers folder has model_index.json and safetensors in its \
     components' folders; a single checkpoint is one .safetensors file.";

fn validate_file(file: &AnnouncedFile, pointer: &str, errors: &mut Vec<FieldError>) {
    if let Err(refusal) = check_model_file(&file.name) {
        let pointer = format!("{pointer}/name");
        check(errors, false, &pointer, "invalid_file", || {
            let shown: String = file.name.chars().take(120).collect();
            format!("`{shown}`: {}", refusal.detail())
        });
    }
    let limit = limits::MAX_MODEL_FILE_BYTES;
    let size = (1..=limit).contains(&file.size_bytes);
    let place = format!("{pointer}/size_bytes");
    check(errors, size, &place, "invalid_size", || {
        format!("A file holds 1 byte to {} GiB.", limit >> 30)
    });
    let place = format!("{pointer}/sha256");
    check(
        errors,
        is_sha256(&file.sha256),
        &place,
        "invalid_sha256",
        || "Give the SHA-256 as 64 lower-case hexadecimal digits.".into(),
    );
}

fn validate_place(bucket: &str, prefix: &str, errors: &mut Vec<FieldError>) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let fine = (3..=63).contains(&bucket.len()) && bucket.bytes().all(plain);
    let pointer = "#/source/bucket";
    check(errors, fine, pointer, "invalid_bucket", || {
        "Give the bucket's name: 3 to 63 letters, digits, dots and hyphens.".into()
    });
    let fine = prefix.len() <= 512 && !prefix.chars().any(char::is_control);
    let pointer = "#/source/prefix";
    check(errors, fine, pointer, "invalid_prefix", || {
        "Give at most 512 characters, such as `models/my-model/`.".into()
    });
}

/// Where an import stands. Ready is final; a failed one can be retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ImportStatus {
    /// The importer sends files.
    Uploading,
    /// The server fetches files.
    Downloading,
    /// The files are here; the model is read and checked.
    Verifying,
    /// It can be protected.
    Ready,
    /// It ended with a cause.
    Failed,
}

impl ImportStatus {
    /// Whether the server is at work by itself.
    pub const fn is_busy(self) -> bool {
        matches!(self, Self::Downloading | Self::Verifying)
    }
}

/// Where the files of an import come from, without any secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ImportSource {
    /// The importer sends them.
    Upload,
    /// The server fetches them.
    S3 {
        /// Origin of the service.
        endpoint: String,
        /// Region that requests are signed for.
        region: String,
        /// Bucket.
        bucket: String,
        /// What the keys start with.
        prefix: String,
        /// Whether it was started with keys, which a retry needs again.
        with_credentials: bool,
    },
}

/// One file of an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImportFile {
    /// Path inside the model folder.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256 of its bytes; unknown until fetched from object storage.
    pub sha256: Option<String>,
    /// Bytes that are here: an interrupted upload goes on at this one.
    pub received_bytes: u64,
    /// Whether it is here, with the right hash.
    pub complete: bool,
    /// PUT the file's bytes here, with `Content-Range` for a part.
    pub url: String,
}

/// An import as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelImport {
    /// Identifies the import.
    pub id: ImportId,
    /// What the model will be called.
    pub name: String,
    /// Licence of the weights.
    pub licence: String,
    /// Class words.
    pub classes: Vec<String>,
    /// Where it stands.
    pub status: ImportStatus,
    /// Where the files come from.
    pub source: ImportSource,
    /// Every file; empty until object storage was listed.
    pub files: Vec<ImportFile>,
    /// Bytes that are here.
    pub received_bytes: u64,
    /// Bytes of all files.
    pub size_bytes: u64,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// The model, once ready.
    pub base_model_id: Option<ModelId>,
    /// When it was started.
    pub created_at: Timestamp,
    /// When an import that waits for its importer is given up.
    pub expires_at: Option<Timestamp>,
}

/// Where models can be imported from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImportSources {
    /// Origins of the object storage services that the operator allows; empty: none.
    pub s3_endpoints: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> AnnouncedFile {
        AnnouncedFile {
            name: name.into(),
            size_bytes: 7,
            sha256: "a".repeat(64),
        }
    }

    fn import(names: &[&str]) -> CreateModelImport {
        CreateModelImport {
            name: "Mine".into(),
            licence: "MIT".into(),
            licence_accepted: true,
            classes: vec!["dog".into()],
            sha256: None,
            source: CreateImportSource::Upload {
                files: names.iter().map(|name| file(name)).collect(),
            },
        }
    }

    fn pointers(import: &CreateModelImport) -> Vec<String> {
        let errors = import.validate();
        errors.into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn a_folder_and_a_checkpoint_are_accepted() {
        assert!(pointers(&import(&["model_index.json", "unet/a.safetensors"])).is_empty());
        assert!(pointers(&import(&["a.safetensors"])).is_empty());
    }

    #[test]
    fn every_bad_field_is_pointed_at() {
        let twice = import(&[
            "model_index.json",
            "unet/a.safetensors",
            "unet/A.safetensors",
        ]);
        assert_eq!(pointers(&twice), ["#/source/files/2/name"]);
        let pickle = import(&["model_index.json", "unet/a.safetensors", "unet/a.bin"]);
        assert_eq!(pointers(&pickle), ["#/source/files/2/name"]);
        let mut bad = import(&["a.safetensors"]);
        bad.name = " ".into();
        bad.licence_accepted = false;
        bad.classes = vec!["two words".into()];
        bad.sha256 = Some("x".into());
        let expected = ["#/name", "#/licence_accepted", "#/classes", "#/sha256"];
        assert_eq!(pointers(&bad), expected);
    }

    #[test]
    fn secrets_are_not_printed() {
        let credentials = S3Credentials {
            access_key_id: "AKIA-visible".into(),
            secret_access_key: "hidden".into(),
            session_token: Some("hidden".into()),
        };
        let printed = format!("{credentials:?}");
        assert!(
            !printed.contains("hidden") && !printed.contains("AKIA"),
            "{printed}"
        );
    }
}
