//! Writing an object of this process: small ones at once, large ones in parts that nobody sees before the last is right.

use bytes::Bytes;
use reqwest::{Method, header::HeaderValue};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{CHECKSUM, S3Store, base64, http::Call, strange, xml};
use crate::{Delivery, Error, ObjectHash, PART_BYTES};

type Body<'a> = &'a mut (dyn AsyncRead + Send + Unpin);

impl S3Store {
    pub(super) async fn write(
        &self,
        hash: ObjectHash,
        size_bytes: u64,
        body: Body<'_>,
    ) -> Result<(), Error> {
        if size_bytes > PART_BYTES {
            return self.write_in_parts(hash, size_bytes, body).await;
        }
        let bytes = read_exactly(body, size_bytes, size_bytes, 0).await?;
        expect_end(body, size_bytes).await?;
        compare(hash, ObjectHash::of(&bytes))?;
        self.put_object(&self.key(hash), hash, bytes).await
    }

    /// Stores bytes under a key; the service compares their hash.
    pub(super) async fn put_object(
        &self,
        key: &str,
        hash: ObjectHash,
        bytes: Bytes,
    ) -> Result<(), Error> {
        let mut call = Call::new(Method::PUT, key, "write an object");
        call.headers.clone_from(&self.encryption);
        call.headers.insert(CHECKSUM, checksum(hash));
        call.body = bytes;
        self.http.send(&call).await.map(drop)
    }

    async fn write_in_parts(
        &self,
        hash: ObjectHash,
        size_bytes: u64,
        body: Body<'_>,
    ) -> Result<(), Error> {
        let key = self.key(hash);
        let id = self.create_multipart(&key).await?;
        let delivery = Delivery {
            hash,
            size_bytes,
            subject: String::new(),
        };
        let written = match self.send_parts(&key, &id, &delivery, body).await {
            Ok(tags) => self.complete_multipart(&key, &id, tags).await,
            Err(error) => Err(error),
        };
        match written {
            // The answer to a first try may have been lost.
            Err(Error::NoUpload) if self.has(&key, size_bytes).await? => Ok(()),
            Err(error) => {
                let given_up = self.abort_multipart(&key, &id).await;
                if let Err(error) = given_up {
                    tracing::warn!(%error, "an unfinished upload was left to the collector");
                }
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }

    pub(super) async fn has(&self, key: &str, size_bytes: u64) -> Result<bool, Error> {
        let head = self.head(key).await?;
        Ok(head.is_some_and(|head| head.size_bytes == size_bytes))
    }

    /// Sends every part; gives their tags. The next part is read while one is on its way.
    async fn send_parts(
        &self,
        key: &str,
        id: &str,
        delivery: &Delivery,
        body: Body<'_>,
    ) -> Result<Vec<String>, Error> {
        let mut digest = Sha256::new();
        let mut tags = Vec::new();
        let mut read = 0;
        let mut part = self
            .next_part(delivery, 1, &mut read, &mut digest, body)
            .await?;
        for number in 1..=delivery.parts() {
            let sending = self.put_part(key, id, number, part);
            if number == delivery.parts() {
                tags.push(sending.await?);
                break;
            }
            let reading = self.next_part(delivery, number + 1, &mut read, &mut digest, body);
            let (tag, next) = tokio::try_join!(sending, reading)?;
            tags.push(tag);
            part = next;
        }
        Ok(tags)
    }

    /// Reads a part; the last one only if all bytes together are the right ones.
    async fn next_part(
        &self,
        delivery: &Delivery,
        number: u32,
        read: &mut u64,
        digest: &mut Sha256,
        body: Body<'_>,
    ) -> Result<Bytes, Error> {
        let length = delivery.part_size(number).unwrap_or_default();
        let bytes = read_exactly(body, length, delivery.size_bytes, *read).await?;
        *read += length;
        digest.update(&bytes);
        if number == delivery.parts() {
            expect_end(body, delivery.size_bytes).await?;
            compare(delivery.hash, ObjectHash::from_digest(digest.clone()))?;
        }
        Ok(bytes)
    }

    pub(super) async fn create_multipart(&self, key: &str) -> Result<String, Error> {
        let mut call = Call::new(Method::POST, key, "begin an upload");
        call.headers.clone_from(&self.encryption);
        call.query.push(("uploads", String::new()));
        let response = self.http.send(&call).await?;
        let text = response.text().await.unwrap_or_default();
        xml::text_of(&text, "UploadId").ok_or_else(|| strange("it begins an upload without an id"))
    }

    /// Sends a part whose hash is signed, so that damaged bytes are refused; gives its tag.
    pub(super) async fn put_part(
        &self,
        key: &str,
        id: &str,
        number: u32,
        bytes: Bytes,
    ) -> Result<String, Error> {
        let request = || {
            let objects = self.http.client.objects();
            let request = objects.upload_part(&self.http.bucket, key, id, number);
            request.body_bytes(bytes.clone()).send()
        };
        let answer = self.http.ask("send a part", request).await?;
        answer
            .etag
            .ok_or_else(|| strange("it takes a part without a tag"))
    }

    /// Joins the parts. A service begins to answer before it is done, so that a failure may come with a success's status:
    /// only a tag says that there is an object.
    pub(super) async fn complete_multipart(
        &self,
        key: &str,
        id: &str,
        tags: Vec<String>,
    ) -> Result<(), Error> {
        let request = || {
            let objects = self.http.client.objects();
            let mut request = objects.complete_multipart_upload(&self.http.bucket, key, id);
            for (number, tag) in (1..).zip(&tags) {
                request = request.part(number, tag);
            }
            request.send()
        };
        let action = "complete an upload";
        let answer = self.http.ask(action, request).await?;
        let reason = || "it completed an upload without a tag".to_owned();
        answer.etag.map(drop).ok_or_else(|| Error::Unreachable {
            action,
            reason: reason(),
        })
    }

    pub(super) async fn abort_multipart(&self, key: &str, id: &str) -> Result<(), Error> {
        let request = || {
            let objects = self.http.client.objects();
            objects
                .abort_multipart_upload(&self.http.bucket, key, id)
                .send()
        };
        match self.http.ask("give an upload up", request).await {
            Err(Error::NoUpload | Error::Missing { .. }) => Ok(()),
            outcome => outcome.map(drop),
        }
    }
}

pub(super) fn checksum(hash: ObjectHash) -> HeaderValue {
    HeaderValue::from_str(&base64(hash)).expect("base64 is fine in a header")
}

fn compare(expected: ObjectHash, received: ObjectHash) -> Result<(), Error> {
    if expected == received {
        Ok(())
    } else {
        Err(Error::HashMismatch { expected, received })
    }
}

/// Reads `length` bytes of a body that has `total`, of which `before` came already.
async fn read_exactly(
    body: Body<'_>,
    length: u64,
    total: u64,
    before: u64,
) -> Result<Bytes, Error> {
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    let read = body.take(length).read_to_end(&mut bytes).await;
    read.map_err(Error::Body)?;
    if bytes.len() as u64 == length {
        return Ok(bytes.into());
    }
    Err(Error::SizeMismatch {
        expected: total,
        received: before + bytes.len() as u64,
    })
}

async fn expect_end(body: Body<'_>, total: u64) -> Result<(), Error> {
    let more = body.read(&mut [0; 1]).await.map_err(Error::Body)?;
    if more == 0 {
        return Ok(());
    }
    Err(Error::SizeMismatch {
        expected: total,
        received: total + 1,
    })
}
