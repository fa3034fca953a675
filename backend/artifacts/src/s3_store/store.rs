//! The bucket as an artifact store.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use bytes::Bytes;
use reqwest::Method;
use tokio::io::AsyncRead;

use super::{CHECKSUM, S3Store, http::Call, read, write::checksum};
use crate::{
    ArtifactStore, BoxFuture, Delivery, Error, Object, ObjectHash, ObjectInfo, Part, SignedRequest,
    Unfinished, Upload, object_store::cut,
};

impl S3Store {
    async fn sign(&self, call: &Call<'_>, lifetime: Duration) -> Result<SignedRequest, Error> {
        let signed = self.http.sign_for_others(call, lifetime).await?;
        let text = |value: &reqwest::header::HeaderValue| value.to_str().unwrap_or("").to_owned();
        let headers = signed.headers.iter();
        Ok(SignedRequest {
            url: signed.url.into(),
            headers: headers
                .map(|(name, value)| (name.as_str().to_owned(), text(value)))
                .collect::<BTreeMap<_, _>>(),
        })
    }

    async fn open_object(
        &self,
        hash: ObjectHash,
        range: Option<Range<u64>>,
    ) -> Result<Option<Object>, Error> {
        let key = self.key(hash);
        let Some(head) = self.head(&key).await? else {
            return Ok(None);
        };
        let size_bytes = head.size_bytes;
        let range = cut(range.as_ref(), size_bytes)?;
        let whole = (range == (0..size_bytes)).then_some(hash);
        let reader = read::read(self.http.clone(), key, head.etag, range.clone(), whole);
        Ok(Some(Object {
            size_bytes,
            range,
            reader,
        }))
    }

    async fn touch_object(&self, hash: ObjectHash) -> Result<bool, Error> {
        let key = self.key(hash);
        let Some(head) = self.head(&key).await? else {
            return Ok(false);
        };
        match self.copy(&key, &head, &key).await {
            Err(Error::Missing { .. }) => Ok(false),
            outcome => outcome.map(|()| true),
        }
    }

    async fn delete_object(&self, hash: ObjectHash) -> Result<bool, Error> {
        let key = self.key(hash);
        let there = self.head(&key).await?.is_some();
        if there {
            self.remove_key(&key).await?;
        }
        Ok(there)
    }
}

impl ArtifactStore for S3Store {
    fn put<'a>(
        &'a self,
        hash: ObjectHash,
        size_bytes: u64,
        body: &'a mut (dyn AsyncRead + Send + Unpin),
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.write(hash, size_bytes, body))
    }

    fn size(&self, hash: ObjectHash) -> BoxFuture<'_, Result<Option<u64>, Error>> {
        Box::pin(async move {
            let head = self.head(&self.key(hash)).await?;
            Ok(head.map(|head| head.size_bytes))
        })
    }

    fn open(
        &self,
        hash: ObjectHash,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'_, Result<Option<Object>, Error>> {
        Box::pin(self.open_object(hash, range))
    }

    fn delete(&self, hash: ObjectHash) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(self.delete_object(hash))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<ObjectInfo>, Error>> {
        Box::pin(self.list_objects())
    }

    fn touch(&self, hash: ObjectHash) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(self.touch_object(hash))
    }

    fn inspect(&self, hash: ObjectHash) -> BoxFuture<'_, Result<Option<ObjectInfo>, Error>> {
        Box::pin(async move {
            let head = self.head(&self.key(hash)).await?;
            Ok(head.map(|head| ObjectInfo {
                hash,
                size_bytes: head.size_bytes,
                stored_at: head.stored_at,
            }))
        })
    }

    fn sign_get(
        &self,
        hash: ObjectHash,
        lifetime: Duration,
    ) -> BoxFuture<'_, Result<Option<SignedRequest>, Error>> {
        Box::pin(async move {
            let key = self.key(hash);
            let call = Call::new(Method::GET, &key, "sign an address");
            self.sign(&call, lifetime).await.map(Some)
        })
    }

    fn sign_put<'a>(
        &'a self,
        delivery: &'a Delivery,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Option<SignedRequest>, Error>> {
        Box::pin(async move {
            let key = self.delivery_key(delivery)?;
            let mut call = Call::new(Method::PUT, &key, "sign an address");
            call.headers.clone_from(&self.encryption);
            call.headers.insert(CHECKSUM, checksum(delivery.hash));
            self.sign(&call, lifetime).await.map(Some)
        })
    }

    fn accept<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(self.take_in(delivery))
    }

    fn begin<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<Upload, Error>> {
        Box::pin(async move {
            let id = self.create_multipart(&self.delivery_key(delivery)?).await?;
            let delivery = delivery.clone();
            Ok(Upload { delivery, id })
        })
    }

    fn sign_part<'a>(
        &'a self,
        upload: &'a Upload,
        number: u32,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Option<SignedRequest>, Error>> {
        Box::pin(async move {
            let key = self.delivery_key(&upload.delivery)?;
            let mut call = Call::new(Method::PUT, &key, "sign an address");
            call.query.push(("partNumber", number.to_string()));
            call.query.push(("uploadId", upload.id.clone()));
            self.sign(&call, lifetime).await.map(Some)
        })
    }

    fn write_part<'a>(
        &'a self,
        upload: &'a Upload,
        number: u32,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let key = self.delivery_key(&upload.delivery)?;
            let sent = self.put_part(&key, &upload.id, number, bytes).await;
            sent.map(drop)
        })
    }

    fn parts<'a>(&'a self, upload: &'a Upload) -> BoxFuture<'a, Result<Vec<Part>, Error>> {
        Box::pin(async move {
            let key = self.delivery_key(&upload.delivery)?;
            let parts = self.list_parts(&key, &upload.id).await?;
            Ok(parts.into_iter().map(|(part, _)| part).collect())
        })
    }

    fn complete<'a>(&'a self, upload: &'a Upload) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.finish(upload))
    }

    fn abort<'a>(&'a self, upload: &'a Upload) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let key = self.delivery_key(&upload.delivery)?;
            self.abort_multipart(&key, &upload.id).await
        })
    }

    fn unfinished(&self) -> BoxFuture<'_, Result<Vec<Unfinished>, Error>> {
        Box::pin(self.list_unfinished())
    }

    fn remove<'a>(&'a self, unfinished: &'a Unfinished) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            match &unfinished.id {
                Some(id) => self.abort_multipart(&unfinished.place, id).await,
                None => self.remove_key(&unfinished.place).await,
            }
        })
    }
}
