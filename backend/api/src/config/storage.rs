//! Which bucket holds artifacts: without one they lie in the data directory.

use std::path::PathBuf;

use anyhow::{Context, bail};
use artifacts::{Encryption, KeySource, S3Settings};
use clap::Args;
use shared::model_import::S3Credentials;

/// A bucket of an S3-compatible service, by flags or environment.
#[derive(Args, Clone, Default)]
pub struct StorageConfig {
    /// Bucket for artifacts; without one they lie in the data directory.
    #[arg(long = "storage-bucket", env = "PERSGUARD_STORAGE_BUCKET")]
    pub bucket: Option<String>,
    /// Origin of the service, such as `https://s3.eu-central-1.amazonaws.com`.
    #[arg(long = "storage-endpoint", env = "PERSGUARD_STORAGE_ENDPOINT", value_parser = super::origin)]
    pub endpoint: Option<String>,
    /// Origin under which browsers and nodes reach the service; by default the same.
    #[arg(long = "storage-public-endpoint", env = "PERSGUARD_STORAGE_PUBLIC_ENDPOINT", value_parser = super::origin)]
    pub public_endpoint: Option<String>,
    /// Region that requests are signed for.
    #[arg(
        long = "storage-region",
        env = "PERSGUARD_STORAGE_REGION",
        default_value = "us-east-1"
    )]
    pub region: String,
    /// Folder in the bucket, such as `persguard/`; by default its root.
    #[arg(
        long = "storage-prefix",
        env = "PERSGUARD_STORAGE_PREFIX",
        default_value = ""
    )]
    pub prefix: String,
    /// Put the bucket into the path; otherwise into the host's name.
    #[arg(long = "storage-path-style", env = "PERSGUARD_STORAGE_PATH_STYLE", default_value_t = true,
          action = clap::ArgAction::Set)]
    pub path_style: bool,
    /// Access key.
    #[arg(
        long = "storage-access-key-id",
        env = "PERSGUARD_STORAGE_ACCESS_KEY_ID",
        hide_env_values = true
    )]
    pub access_key_id: Option<String>,
    /// Secret key; the environment keeps it out of the list of processes.
    #[arg(
        long = "storage-secret-access-key",
        env = "PERSGUARD_STORAGE_SECRET_ACCESS_KEY",
        hide_env_values = true
    )]
    pub secret_access_key: Option<String>,
    /// Token of a temporary session.
    #[arg(
        long = "storage-session-token",
        env = "PERSGUARD_STORAGE_SESSION_TOKEN",
        hide_env_values = true
    )]
    pub session_token: Option<String>,
    /// File of keys in the form of AWS's shared credentials, instead of keys; read again when it changes.
    #[arg(
        long = "storage-credentials-file",
        env = "PERSGUARD_STORAGE_CREDENTIALS_FILE"
    )]
    pub credentials_file: Option<PathBuf>,
    /// Encryption by the service beyond its default: `AES256`, `aws:kms` or `aws:kms:KEY`.
    #[arg(long = "storage-encryption", env = "PERSGUARD_STORAGE_ENCRYPTION")]
    pub encryption: Option<Encryption>,
}

impl std::fmt::Debug for StorageConfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("StorageConfig")
            .field("bucket", &self.bucket)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl StorageConfig {
    /// The bucket, if one is configured.
    pub fn settings(&self) -> anyhow::Result<Option<S3Settings>> {
        let Some(bucket) = &self.bucket else {
            return Ok(None);
        };
        let endpoint = self.endpoint.clone();
        let endpoint = endpoint.context("a bucket needs PERSGUARD_STORAGE_ENDPOINT")?;
        Ok(Some(S3Settings {
            endpoint,
            public_endpoint: self.public_endpoint.clone(),
            region: self.region.clone(),
            bucket: bucket.clone(),
            prefix: self.prefix.clone(),
            path_style: self.path_style,
            keys: self.keys()?,
            encryption: self.encryption.clone(),
        }))
    }

    fn keys(&self) -> anyhow::Result<KeySource> {
        let pair = self
            .access_key_id
            .clone()
            .zip(self.secret_access_key.clone());
        match (&self.credentials_file, pair) {
            (Some(path), None) => Ok(KeySource::File(path.clone())),
            (None, Some((access_key_id, secret_access_key))) => {
                Ok(KeySource::Fixed(S3Credentials {
                    access_key_id,
                    secret_access_key,
                    session_token: self.session_token.clone(),
                }))
            }
            _ => bail!(
                "a bucket needs either PERSGUARD_STORAGE_CREDENTIALS_FILE, or PERSGUARD_STORAGE_ACCESS_KEY_ID and \
                 PERSGUARD_STORAGE_SECRET_ACCESS_KEY"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_needs_a_place_and_one_kind_of_keys() {
        assert!(StorageConfig::default().settings().unwrap().is_none());
        let mut config = StorageConfig {
            bucket: Some("b".into()),
            ..StorageConfig::default()
        };
        assert!(config.settings().is_err());
        config.endpoint = Some("http://127.0.0.1:9000".into());
        assert!(config.settings().is_err());
        config.access_key_id = Some("A".into());
        assert!(config.settings().is_err());
        config.secret_access_key = Some("hidden".into());
        assert_eq!(config.settings().unwrap().unwrap().bucket, "b");
        assert!(!format!("{config:?}").contains("hidden"));
        config.credentials_file = Some("/keys".into());
        assert!(config.settings().is_err());
    }
}
