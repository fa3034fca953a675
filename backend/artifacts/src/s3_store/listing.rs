//! What is in the bucket: objects, parts, and what was never finished.

use reqwest::Method;

use super::{S3Store, http::Call, listed_at, strange, xml};
use crate::{Delivery, Error, ObjectInfo, Part, Unfinished};

impl S3Store {
    /// Every object; keys that are none are skipped.
    pub(super) async fn list_objects(&self) -> Result<Vec<ObjectInfo>, Error> {
        let prefix = self.objects();
        let mut objects = Vec::new();
        self.each(&prefix, |object| {
            let name = object.key.strip_prefix(&prefix)?;
            let hash = name.replacen('/', "", 1).parse().ok()?;
            objects.push(ObjectInfo {
                hash,
                size_bytes: object.size,
                stored_at: listed_at(object.last_modified.as_deref()),
            });
            Some(())
        })
        .await?;
        objects.sort_by_key(|info| info.hash);
        Ok(objects)
    }

    async fn each(
        &self,
        prefix: &str,
        mut take: impl FnMut(s3::types::Object) -> Option<()> + Send,
    ) -> Result<(), Error> {
        let mut token: Option<String> = None;
        loop {
            let request = || {
                let objects = self.http.client.objects();
                let request = objects.list_v2(&self.http.bucket).prefix(prefix);
                match &token {
                    Some(token) => request.continuation_token(token).send(),
                    None => request.send(),
                }
            };
            let page = self.http.ask("list objects", request).await?;
            for object in page.contents {
                take(object);
            }
            match page.next_continuation_token {
                Some(next) if page.is_truncated => token = Some(next),
                _ => return Ok(()),
            }
        }
    }

    /// The parts of an upload with their tags, in order.
    pub(super) async fn list_parts(
        &self,
        key: &str,
        id: &str,
    ) -> Result<Vec<(Part, String)>, Error> {
        let mut parts = Vec::new();
        let mut marker: Option<u32> = None;
        loop {
            let request = || {
                let objects = self.http.client.objects();
                let request = objects.list_parts(&self.http.bucket, key, id);
                match marker {
                    Some(marker) => request.part_number_marker(marker).send(),
                    None => request.send(),
                }
            };
            let page = self.http.ask("list parts", request).await?;
            for part in page.parts {
                let tag = part
                    .etag
                    .ok_or_else(|| strange("it lists a part without a tag"))?;
                let size_bytes = part.size;
                let number = part.part_number;
                parts.push((Part { number, size_bytes }, tag));
            }
            match page.next_part_number_marker {
                Some(next) if page.is_truncated && marker != Some(next) => marker = Some(next),
                _ => break,
            }
        }
        parts.sort_by_key(|(part, _)| part.number);
        Ok(parts)
    }

    /// Deliveries that nobody accepted, and uploads that nobody completed.
    pub(super) async fn list_unfinished(&self) -> Result<Vec<Unfinished>, Error> {
        let prefix = self.uploads();
        let mut found = Vec::new();
        self.each(&prefix, |object| {
            Delivery::from_name(object.key.strip_prefix(&prefix)?)?;
            found.push(Unfinished {
                started_at: listed_at(object.last_modified.as_deref()),
                place: object.key,
                id: None,
            });
            Some(())
        })
        .await?;
        self.list_multiparts(&mut found).await?;
        Ok(found)
    }

    async fn list_multiparts(&self, found: &mut Vec<Unfinished>) -> Result<(), Error> {
        let mut marker: Option<(String, String)> = None;
        loop {
            let mut call = Call::new(Method::GET, "", "list uploads");
            call.query.push(("uploads", String::new()));
            if !self.settings.prefix.is_empty() {
                call.query.push(("prefix", self.settings.prefix.clone()));
            }
            if let Some((key, id)) = &marker {
                call.query.push(("key-marker", key.clone()));
                call.query.push(("upload-id-marker", id.clone()));
            }
            let text = self
                .http
                .send(&call)
                .await?
                .text()
                .await
                .unwrap_or_default();
            let page = xml::uploads(&text).ok_or_else(|| strange("it lists uploads as no list"))?;
            let ours =
                |key: &str| key.starts_with(&self.objects()) || key.starts_with(&self.uploads());
            let uploads = page.upload.into_iter().filter(|upload| ours(&upload.key));
            found.extend(uploads.map(|upload| Unfinished {
                started_at: listed_at(Some(&upload.initiated)),
                place: upload.key,
                id: Some(upload.id),
            }));
            let next = page.next_key_marker.zip(page.next_upload_id_marker);
            if !page.is_truncated || next.is_none() || next == marker {
                return Ok(());
            }
            marker = next;
        }
    }
}
