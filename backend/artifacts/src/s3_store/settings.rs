//! Where a bucket of ours is, with which keys, and how its objects are encrypted at rest.

use std::{fmt, path::PathBuf};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use shared::model_import::S3Credentials;

use crate::Error;

/// A bucket that holds artifacts.
#[derive(Clone, Debug)]
pub struct S3Settings {
    /// Origin of the service, as this process reaches it.
    pub endpoint: String,
    /// Origin of the service, as browsers and nodes reach it; by default the same.
    pub public_endpoint: Option<String>,
    /// Region that requests are signed for.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// What every key starts with: empty, or a folder that ends with `/`.
    pub prefix: String,
    /// Whether the bucket goes into the path; otherwise it goes into the host's name.
    pub path_style: bool,
    /// The keys.
    pub keys: KeySource,
    /// How the service encrypts what it stores, beyond its default.
    pub encryption: Option<Encryption>,
}

/// Where access keys come from.
#[derive(Clone)]
pub enum KeySource {
    /// They never change.
    Fixed(S3Credentials),
    /// A file in the form of AWS's shared credentials (`aws_access_key_id = …`); it is read again when it changes.
    File(PathBuf),
}

impl fmt::Debug for KeySource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(_) => formatter.write_str("Fixed"),
            Self::File(path) => formatter.debug_tuple("File").field(path).finish(),
        }
    }
}

/// Encryption by the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// With keys of the service.
    Aes256,
    /// With a key of its key management: the default one, or one by its id.
    Kms(Option<String>),
}

const ALGORITHM: HeaderName = HeaderName::from_static("x-amz-server-side-encryption");
const KEY: HeaderName = HeaderName::from_static("x-amz-server-side-encryption-aws-kms-key-id");

impl std::str::FromStr for Encryption {
    type Err = String;

    /// Reads `AES256`, `aws:kms` or `aws:kms:KEY`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("aws:kms") {
            None if text == "AES256" => Ok(Self::Aes256),
            Some("") => Ok(Self::Kms(None)),
            Some(key) if key.len() > 1 && key.starts_with(':') => {
                Ok(Self::Kms(Some(key[1..].to_owned())))
            }
            _ => Err("give AES256, aws:kms or aws:kms:KEY".to_owned()),
        }
    }
}

impl S3Settings {
    /// The origin of the addresses that browsers send files to.
    pub fn browser_origin(&self) -> String {
        let origin = self.public_endpoint.as_ref().unwrap_or(&self.endpoint);
        let origin = origin.trim_end_matches('/');
        match origin.split_once("://") {
            Some((scheme, host)) if !self.path_style => {
                format!("{scheme}://{}.{host}", self.bucket)
            }
            _ => origin.to_owned(),
        }
    }

    /// Refuses what no request could be built from.
    pub(super) fn check(&self) -> Result<(), Error> {
        let folder = self.prefix.is_empty() || self.prefix.ends_with('/');
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        if !folder || self.prefix.starts_with('/') || !self.prefix.bytes().all(plain) {
            return Err(Error::Settings(format!(
                "the prefix {:?} must be empty or a folder such as artifacts/",
                self.prefix
            )));
        }
        self.encryption_headers().map(drop)
    }

    /// What every request that creates an object says about encryption.
    pub(super) fn encryption_headers(&self) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::new();
        match &self.encryption {
            None => {}
            Some(Encryption::Aes256) => {
                headers.insert(ALGORITHM, HeaderValue::from_static("AES256"));
            }
            Some(Encryption::Kms(key)) => {
                headers.insert(ALGORITHM, HeaderValue::from_static("aws:kms"));
                if let Some(key) = key {
                    let value = HeaderValue::from_str(key)
                        .map_err(|_| Error::Settings("the KMS key has no valid id".into()))?;
                    headers.insert(KEY, value);
                }
            }
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encryption_is_read_from_text() {
        assert_eq!("AES256".parse(), Ok(Encryption::Aes256));
        assert_eq!("aws:kms".parse(), Ok(Encryption::Kms(None)));
        let key = Encryption::Kms(Some("arn:aws:kms:x:1:key/2".into()));
        assert_eq!("aws:kms:arn:aws:kms:x:1:key/2".parse(), Ok(key));
        for bad in ["", "aes256", "aws:kms:", "aws:kmsx"] {
            assert!(bad.parse::<Encryption>().is_err(), "{bad}");
        }
    }
}
