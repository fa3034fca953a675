//! What others sent becomes an object: by the service's own hash where it keeps one, else by reading every byte.

use std::time::Duration;

use futures::TryStreamExt;
use reqwest::{
    Method,
    header::{HeaderMap, HeaderValue},
};
use sha2::{Digest, Sha256};

use super::{
    COPY_IF_MATCH, COPY_RANGE, COPY_SOURCE, Head, METADATA_DIRECTIVE, S3Store, base64, http::Call,
    read::pieces, strange, xml,
};
use crate::{Delivery, Error, ObjectHash, Upload};

/// Readings of a delivery that somebody replaces while it is being read.
const TRIES: u32 = 3;
/// Pauses before looking again for what somebody else may be completing: a service may give an upload up before its
/// object is seen.
const LOOKS: [u64; 5] = [20, 60, 180, 540, 1_600];

impl S3Store {
    pub(super) async fn take_in(&self, delivery: &Delivery) -> Result<bool, Error> {
        let key = self.delivery_key(delivery)?;
        for _ in 0..TRIES {
            let Some(head) = self.head(&key).await? else {
                return Ok(false);
            };
            match self.take_in_once(&key, &head, delivery).await {
                Err(Error::Changed { .. } | Error::Missing { .. }) => {}
                outcome => return outcome.map(|()| true),
            }
        }
        Err(Error::Changed {
            action: "accept an object",
        })
    }

    async fn take_in_once(&self, key: &str, head: &Head, delivery: &Delivery) -> Result<(), Error> {
        let refused = self.judge(key, head, delivery).await;
        if let Err(Error::SizeMismatch { .. } | Error::HashMismatch { .. }) = refused {
            self.remove_key(key).await?;
        }
        refused?;
        self.copy(key, head, &self.key(delivery.hash)).await?;
        self.remove_key(key).await
    }

    async fn judge(&self, key: &str, head: &Head, delivery: &Delivery) -> Result<(), Error> {
        if head.size_bytes != delivery.size_bytes {
            return Err(Error::SizeMismatch {
                expected: delivery.size_bytes,
                received: head.size_bytes,
            });
        }
        // Of an object that came in parts services know the hashes of the parts alone.
        if !head.in_parts() && head.sha256.as_deref() == Some(base64(delivery.hash).as_str()) {
            return Ok(());
        }
        let range = 0..head.size_bytes;
        let mut bytes = Box::pin(pieces(
            self.http.clone(),
            key.to_owned(),
            head.etag.clone(),
            range,
            None,
        ));
        let mut digest = Sha256::new();
        while let Some(piece) = bytes.try_next().await.map_err(reading)? {
            digest.update(&piece);
        }
        let received = ObjectHash::from_digest(digest);
        if received != delivery.hash {
            let expected = delivery.hash;
            return Err(Error::HashMismatch { expected, received });
        }
        Ok(())
    }

    /// Copies inside the bucket, if the source is still the one that was looked at.
    pub(super) async fn copy(&self, from: &str, head: &Head, to: &str) -> Result<(), Error> {
        if head.size_bytes > self.single_bytes {
            return self.copy_in_parts(from, head, to).await;
        }
        let mut call = Call::new(Method::PUT, to, "publish an object");
        call.headers = self.copy_headers(from, head)?;
        call.headers.extend(self.encryption.clone());
        if from == to {
            call.headers
                .insert(METADATA_DIRECTIVE, HeaderValue::from_static("REPLACE"));
        }
        let answer = self.http.send(&call).await?.text().await;
        copied(&answer.map_err(|error| not_copied(error.to_string()))?)
    }

    fn copy_headers(&self, from: &str, head: &Head) -> Result<HeaderMap, Error> {
        let source = format!("/{}/{from}", self.http.bucket);
        let source = HeaderValue::from_str(&source)
            .map_err(|_| Error::Settings("the bucket's name is none".into()))?;
        let mut headers = HeaderMap::from_iter([(COPY_SOURCE, source)]);
        if let Some(etag) = &head.etag {
            headers.insert(COPY_IF_MATCH, etag.clone());
        }
        Ok(headers)
    }

    async fn copy_in_parts(&self, from: &str, head: &Head, to: &str) -> Result<(), Error> {
        let id = self.create_multipart(to).await?;
        let copied = match self.copy_parts(from, head, to, &id).await {
            Ok(tags) => self.complete_multipart(to, &id, tags).await,
            Err(error) => Err(error),
        };
        if copied.is_err() {
            self.abort_multipart(to, &id).await?;
        }
        copied
    }

    async fn copy_parts(
        &self,
        from: &str,
        head: &Head,
        to: &str,
        id: &str,
    ) -> Result<Vec<String>, Error> {
        let mut tags = Vec::new();
        let mut start = 0;
        while start < head.size_bytes {
            let end = (start + self.single_bytes).min(head.size_bytes);
            let mut call = Call::new(Method::PUT, to, "publish a part");
            call.query
                .push(("partNumber", (tags.len() + 1).to_string()));
            call.query.push(("uploadId", id.to_owned()));
            call.headers = self.copy_headers(from, head)?;
            let range = HeaderValue::from_str(&format!("bytes={start}-{}", end - 1));
            call.headers
                .insert(COPY_RANGE, range.expect("digits are fine in a header"));
            let answer = self
                .http
                .send(&call)
                .await?
                .text()
                .await
                .unwrap_or_default();
            let tag = xml::text_of(&answer, "ETag");
            tags.push(tag.ok_or_else(|| strange("it copies a part without a tag"))?);
            start = end;
        }
        Ok(tags)
    }

    /// Completes what was sent in parts, then accepts it as if it had been sent at once.
    pub(super) async fn finish(&self, upload: &Upload) -> Result<(), Error> {
        let key = self.delivery_key(&upload.delivery)?;
        match self.join(&key, upload).await {
            // Completed before: by a first try whose answer was lost, or by somebody else at the same time.
            Ok(()) | Err(Error::NoUpload) => {}
            Err(error) => return Err(error),
        }
        for pause in LOOKS {
            if self.is_finished(&upload.delivery).await? {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        if self.is_finished(&upload.delivery).await? {
            Ok(())
        } else {
            Err(Error::NoUpload)
        }
    }

    /// Takes in what is there; whether it is an object, by us or by somebody else.
    async fn is_finished(&self, delivery: &Delivery) -> Result<bool, Error> {
        let key = self.key(delivery.hash);
        Ok(self.take_in(delivery).await? || self.has(&key, delivery.size_bytes).await?)
    }

    async fn join(&self, key: &str, upload: &Upload) -> Result<(), Error> {
        let parts = self.list_parts(key, &upload.id).await?;
        let received = parts.iter().map(|(part, _)| part.size_bytes).sum();
        let in_order = (1..)
            .zip(&parts)
            .all(|(number, (part, _))| part.number == number);
        if received != upload.delivery.size_bytes || !in_order {
            return Err(Error::SizeMismatch {
                expected: upload.delivery.size_bytes,
                received,
            });
        }
        let tags = parts.into_iter().map(|(_, tag)| tag).collect();
        self.complete_multipart(key, &upload.id, tags).await
    }
}

/// A copy may fail after its status was sent: only a tag says that it is there.
fn copied(answer: &str) -> Result<(), Error> {
    if let Some(code) = xml::text_of(answer, "Code") {
        return Err(not_copied(code));
    }
    match xml::text_of(answer, "ETag") {
        Some(_) => Ok(()),
        None => Err(not_copied("it copied an object without a tag".to_owned())),
    }
}

fn not_copied(reason: String) -> Error {
    Error::Unreachable {
        action: "publish an object",
        reason,
    }
}

/// The error inside a stream's error.
fn reading(error: std::io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(source) => Error::Storage {
            action: "read an object",
            source,
        },
    }
}
