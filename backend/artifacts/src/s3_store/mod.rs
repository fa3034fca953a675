//! Objects in a bucket of an S3-compatible service: `objects/ab/cdef…`, deliveries under `uploads/` until their bytes
//! are known to be right.

mod accept;
mod check;
mod http;
mod keys;
mod listing;
mod read;
mod settings;
mod store;
mod write;
pub(crate) mod xml;

use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use shared::Timestamp;
use time::{
    OffsetDateTime,
    format_description::well_known::{Rfc2822, Rfc3339},
};

pub use check::{Finding, check};
pub use settings::{Encryption, KeySource, S3Settings};

use crate::{Delivery, Error, ObjectHash};
use http::{Call, Http};

/// SHA-256 of a body in base64, which the service compares.
const CHECKSUM: HeaderName = HeaderName::from_static("x-amz-checksum-sha256");
/// Asks for the checksum that the service itself computed.
const CHECKSUM_MODE: HeaderName = HeaderName::from_static("x-amz-checksum-mode");
const COPY_SOURCE: HeaderName = HeaderName::from_static("x-amz-copy-source");
const COPY_IF_MATCH: HeaderName = HeaderName::from_static("x-amz-copy-source-if-match");
const COPY_RANGE: HeaderName = HeaderName::from_static("x-amz-copy-source-range");
const METADATA_DIRECTIVE: HeaderName = HeaderName::from_static("x-amz-metadata-directive");

/// Objects in a bucket. Clones share connections.
#[derive(Clone)]
pub struct S3Store {
    http: Http,
    settings: S3Settings,
    encryption: HeaderMap,
    /// Above this the service does not copy or take an object in one request.
    single_bytes: u64,
}

/// Largest object that every service takes and copies in one request.
const SINGLE_BYTES: u64 = 5 * 1024 * 1024 * 1024;

impl std::fmt::Debug for S3Store {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("S3Store")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// What is known of an object without reading it.
#[derive(Clone, Debug)]
struct Head {
    size_bytes: u64,
    etag: Option<HeaderValue>,
    /// In base64, where the service keeps one of the whole object.
    sha256: Option<String>,
    stored_at: Timestamp,
}

impl Head {
    /// Whether the object came in parts: its tag ends with their number.
    fn in_parts(&self) -> bool {
        let tag = self.etag.as_ref().map(HeaderValue::as_bytes);
        tag.is_none_or(|tag| tag.contains(&b'-'))
    }
}

impl S3Store {
    /// Takes settings; sends nothing yet.
    pub fn open(settings: S3Settings) -> Result<Self, Error> {
        settings.check()?;
        Ok(Self {
            http: Http::new(&settings)?,
            encryption: settings.encryption_headers()?,
            settings,
            single_bytes: SINGLE_BYTES,
        })
    }

    /// The same with another limit of what is copied in one request; services have 5 GiB.
    #[must_use]
    pub const fn with_single_bytes(mut self, single_bytes: u64) -> Self {
        self.single_bytes = single_bytes;
        self
    }

    fn objects(&self) -> String {
        format!("{}objects/", self.settings.prefix)
    }

    fn uploads(&self) -> String {
        format!("{}uploads/", self.settings.prefix)
    }

    fn key(&self, hash: ObjectHash) -> String {
        let text = hash.to_string();
        format!("{}{}/{}", self.objects(), &text[..2], &text[2..])
    }

    fn delivery_key(&self, delivery: &Delivery) -> Result<String, Error> {
        Ok(format!("{}{}", self.uploads(), delivery.name()?))
    }

    /// Tells a missing object from a missing bucket, which must not look like an empty one.
    async fn absent<T>(&self, error: Error) -> Result<Option<T>, Error> {
        if !matches!(error, Error::Missing { .. }) {
            return Err(error);
        }
        let bucket = &self.http.bucket;
        let page = || {
            let objects = self.http.client.objects();
            objects.list_v2(bucket).max_keys(1).send()
        };
        self.http.ask("look at the bucket", page).await?;
        Ok(None)
    }

    async fn head(&self, key: &str) -> Result<Option<Head>, Error> {
        let mut call = Call::new(Method::HEAD, key, "look at an object");
        call.headers
            .insert(CHECKSUM_MODE, HeaderValue::from_static("ENABLED"));
        match self.http.send(&call).await {
            Ok(response) => Ok(Some(head(response.headers())?)),
            Err(error) => self.absent(error).await,
        }
    }

    async fn remove_key(&self, key: &str) -> Result<(), Error> {
        let call = Call::new(Method::DELETE, key, "delete an object");
        match self.http.send(&call).await {
            Ok(_) => Ok(()),
            Err(error) => self.absent(error).await.map(|_: Option<()>| ()),
        }
    }
}

fn head(headers: &HeaderMap) -> Result<Head, Error> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let size_bytes = text("content-length").and_then(|length| length.parse().ok());
    let modified =
        text("last-modified").and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok());
    Ok(Head {
        size_bytes: size_bytes.ok_or_else(|| strange("it does not tell an object's size"))?,
        etag: headers.get("etag").cloned(),
        sha256: text(CHECKSUM.as_str()).map(str::to_owned),
        stored_at: timestamp(modified),
    })
}

/// A missing date counts as now: a collector spares what is young.
fn timestamp(date: Option<OffsetDateTime>) -> Timestamp {
    let date = date.unwrap_or_else(OffsetDateTime::now_utc);
    let milliseconds = date.unix_timestamp_nanos() / 1_000_000;
    Timestamp::from_milliseconds(i64::try_from(milliseconds).unwrap_or(i64::MAX))
}

fn listed_at(date: Option<&str>) -> Timestamp {
    timestamp(date.and_then(|date| OffsetDateTime::parse(date, &Rfc3339).ok()))
}

fn strange(what: &str) -> Error {
    Error::Refused {
        action: "understand the object storage",
        reason: what.to_owned(),
    }
}

/// A hash as the service writes it.
fn base64(hash: ObjectHash) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(hash.as_bytes())
}
