//! A bucket of somebody's object storage, to read from: listings, and parts of objects.
//!
//! Speaks to the one origin that it was opened for: buckets go into the path, and redirects are not followed. Keys
//! live as long as the value and are never printed.

use std::{fmt, ops::Range, time::Duration};

use futures::TryStreamExt;
use s3::{AddressingStyle, Auth, Client, Credentials};
use shared::model_import::S3Credentials;
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

/// Longest silence of the service.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Where a bucket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketPlace {
    /// Origin of the service.
    pub endpoint: String,
    /// Region that requests are signed for.
    pub region: String,
    /// Its name.
    pub bucket: String,
}

/// A bucket, open for reading.
pub struct Bucket {
    client: Client,
    name: String,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Bucket")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// An object of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteObject {
    /// Its whole key.
    pub key: String,
    /// Its size.
    pub size_bytes: u64,
    /// Changes with its bytes.
    pub etag: Option<String>,
}

/// Why a bucket gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// The address, region or keys cannot be used.
    #[error("the settings of the object storage cannot be used: {0}")]
    Settings(String),
    /// The keys do not permit it.
    #[error("the object storage refused the keys ({0})")]
    Denied(String),
    /// There is no such bucket or object.
    #[error("the object storage has no such bucket or object ({0})")]
    Missing(String),
    /// The object is another one than was listed.
    #[error("the object {0} changed since it was listed")]
    Changed(String),
    /// More objects than the caller wants to know of.
    #[error("there are more than {0} objects")]
    TooMany(usize),
    /// It does not answer, or the line broke.
    #[error("the object storage does not answer: {0}")]
    Unreachable(String),
    /// It answered something unexpected.
    #[error("the object storage failed: {0}")]
    Failed(String),
}

impl From<s3::Error> for BucketError {
    fn from(error: s3::Error) -> Self {
        let status = error.status().map(|status| status.as_u16());
        let code = error.code().unwrap_or("no code").to_owned();
        match (status, &error) {
            (Some(401 | 403), _) => Self::Denied(code),
            (Some(404), _) => Self::Missing(code),
            (Some(412), _) => Self::Changed(code),
            (Some(429 | 500..=599), _) | (_, s3::Error::Transport { .. }) => {
                Self::Unreachable(error.to_string())
            }
            (_, s3::Error::InvalidConfig { message } | s3::Error::Signing { message }) => {
                Self::Settings(message.clone())
            }
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl Bucket {
    /// Makes a client for a bucket; sends nothing yet.
    pub fn open(
        place: &BucketPlace,
        credentials: Option<&S3Credentials>,
    ) -> Result<Self, BucketError> {
        let auth = match credentials {
            None => Auth::Anonymous,
            Some(keys) => {
                let mut credentials =
                    Credentials::new(keys.access_key_id.as_str(), keys.secret_access_key.as_str())?;
                if let Some(token) = &keys.session_token {
                    credentials = credentials.with_session_token(token.as_str())?;
                }
                Auth::Static(credentials)
            }
        };
        let client = Client::builder(&place.endpoint)?
            .region(place.region.as_str())
            .auth(auth)
            .addressing_style(AddressingStyle::Path)
            .timeout(TIMEOUT)
            .max_attempts(2)
            .build()?;
        Ok(Self {
            client,
            name: place.bucket.clone(),
        })
    }

    /// Every object whose key starts with `prefix`, at most `limit` of them.
    pub async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<RemoteObject>, BucketError> {
        let request = self.client.objects().list_v2(&self.name).prefix(prefix);
        let mut pager = request.pager();
        let mut objects = Vec::new();
        while let Some(page) = pager.next_page().await? {
            objects.extend(page.contents.into_iter().map(|object| RemoteObject {
                key: object.key,
                size_bytes: object.size,
                etag: object.etag.as_deref().map(plain),
            }));
            if objects.len() > limit {
                return Err(BucketError::TooMany(limit));
            }
        }
        Ok(objects)
    }

    /// Opens a part of an object that must still be the one that was listed.
    pub async fn read(
        &self,
        key: &str,
        range: Range<u64>,
        etag: Option<&str>,
    ) -> Result<Box<dyn AsyncRead + Send + Unpin>, BucketError> {
        let last = range.end.saturating_sub(1);
        let mut request = self.client.objects().get(&self.name, key);
        request = request.range_bytes(range.start, last);
        if let Some(etag) = etag {
            request = request.if_match(format!("\"{etag}\""));
        }
        let answer = request.send().await?;
        let other = |found: &str| etag.is_some_and(|etag| plain(found) != etag);
        if answer.etag.as_deref().is_some_and(other) {
            return Err(BucketError::Changed(key.to_owned()));
        }
        let expected = range.end - range.start;
        if answer
            .content_length
            .is_some_and(|length| length != expected)
        {
            return Err(BucketError::Failed("it does not send parts".into()));
        }
        let body = answer.body.map_err(std::io::Error::other);
        Ok(Box::new(StreamReader::new(body)))
    }
}

/// An entity tag without its quotes: services differ in where they put some.
fn plain(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}
