//! A look at a bucket as the product will use it: every line says what works, or what to do about it.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, StatusCode, header::HeaderMap};
use tokio::io::AsyncReadExt;

use super::{S3Settings, S3Store, http::Call};
use crate::{ArtifactStore, Delivery, Error, ObjectHash, PART_BYTES, SignedRequest};

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was tried.
    pub name: &'static str,
    /// What was seen, or what to do.
    pub outcome: Result<String, String>,
}

type Outcome = Result<String, String>;

const LIFETIME: Duration = Duration::from_mins(5);

/// Tries everything that the product does with a bucket, also from the origin of the browser's page where one is
/// given. Nothing is left behind.
pub async fn check(settings: S3Settings, origin: Option<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let store = match S3Store::open(settings) {
        Ok(store) => store,
        Err(error) => {
            findings.push(finding("settings", Err(advice(&error))));
            return findings;
        }
    };
    let impatient = S3Store {
        http: store.http.impatient(),
        ..store.clone()
    };
    let bucket = impatient.list_objects().await;
    let reachable = bucket.is_ok();
    let counted = bucket.map(|objects| format!("{} objects are in it", objects.len()));
    findings.push(finding("bucket", counted.map_err(|error| advice(&error))));
    if reachable {
        let random = getrandom::u64().unwrap_or_default();
        let probe = Probe {
            store: impatient,
            subject: format!("check-{random:016x}"),
        };
        probe.run(origin, &mut findings).await;
    }
    findings
}

fn finding(name: &'static str, outcome: Outcome) -> Finding {
    Finding { name, outcome }
}

struct Probe {
    store: S3Store,
    subject: String,
}

impl Probe {
    async fn run(&self, origin: Option<&str>, findings: &mut Vec<Finding>) {
        let small = Bytes::from(format!("persguard storage check {}", self.subject));
        let delivery = self.delivery(&small);
        findings.push(finding("put", self.put(&delivery, &small).await));
        findings.push(finding("get", self.get(&delivery, &small).await));
        findings.push(finding("range", self.range(&delivery, &small).await));
        findings.push(finding("checksum", self.checksum(&small).await));
        findings.push(finding("multipart", self.multipart().await));
        findings.push(finding("uploads", self.uploads().await));
        findings.push(finding("presign", self.presign(&delivery, &small).await));
        if let Some(origin) = origin {
            findings.push(finding("cors", self.cors(&delivery, origin).await));
        }
        findings.push(finding("delete", self.delete(&delivery).await));
    }

    fn delivery(&self, bytes: &[u8]) -> Delivery {
        Delivery {
            hash: ObjectHash::of(bytes),
            size_bytes: bytes.len() as u64,
            subject: self.subject.clone(),
        }
    }

    async fn put(&self, delivery: &Delivery, bytes: &Bytes) -> Outcome {
        let put = async {
            let mut body = &bytes[..];
            let size = bytes.len() as u64;
            self.store.put(delivery.hash, size, &mut body).await
        };
        put.await.map_err(|error| advice(&error))?;
        Ok("an object was written".into())
    }

    async fn read(
        &self,
        hash: ObjectHash,
        range: Option<std::ops::Range<u64>>,
    ) -> Result<Vec<u8>, String> {
        let opened = self.store.open(hash, range).await;
        let object = opened.map_err(|error| advice(&error))?;
        let mut object =
            object.ok_or("what was written cannot be found: the service is not consistent")?;
        let mut bytes = Vec::new();
        let read = object.reader.read_to_end(&mut bytes).await;
        read.map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    async fn get(&self, delivery: &Delivery, bytes: &Bytes) -> Outcome {
        let read = self.read(delivery.hash, None).await?;
        if read == bytes[..] {
            return Ok("it came back unchanged".into());
        }
        Err("it came back changed: something between here and the bucket alters bodies".into())
    }

    async fn range(&self, delivery: &Delivery, bytes: &Bytes) -> Outcome {
        let read = self.read(delivery.hash, Some(3..9)).await?;
        if read == bytes[3..9] {
            return Ok("parts of objects can be read".into());
        }
        Err("a part came back wrong: a proxy must pass the header Range on".into())
    }

    /// Whether the service compares and keeps hashes; if not, the server reads what arrives once more.
    async fn checksum(&self, bytes: &Bytes) -> Outcome {
        let text = |error: Error| advice(&error);
        let mut delivery = self.delivery(bytes);
        delivery.subject += "-sum";
        let key = self.store.delivery_key(&delivery).map_err(text)?;
        let wrong = self
            .store
            .put_object(&key, ObjectHash::of(b"other"), bytes.clone())
            .await;
        let right = self
            .store
            .put_object(&key, delivery.hash, bytes.clone())
            .await;
        let head = self.store.head(&key).await.map_err(text)?;
        self.store.remove_key(&key).await.map_err(text)?;
        right.map_err(text)?;
        let kept = head.is_some_and(|head| head.sha256 == Some(super::base64(delivery.hash)));
        Ok(match (wrong, kept) {
            (Err(Error::Damaged { .. } | Error::Refused { .. }), true) => {
                "the service compares and keeps SHA-256: uploads never pass the server".into()
            }
            _ => "the service does not keep SHA-256: the server reads every upload once to compare"
                .into(),
        })
    }

    async fn multipart(&self) -> Outcome {
        let size = usize::try_from(PART_BYTES).unwrap_or_default() + 1;
        let bytes = Bytes::from(self.subject.bytes().cycle().take(size).collect::<Vec<_>>());
        let delivery = self.delivery(&bytes);
        let sent = self.send_in_parts(&delivery, &bytes).await;
        sent.map_err(|error| advice(&error))?;
        let deleted = self.store.delete(delivery.hash).await;
        deleted.map_err(|error| advice(&error))?;
        Ok("an object of two parts was sent, compared and removed".into())
    }

    async fn send_in_parts(&self, delivery: &Delivery, bytes: &Bytes) -> Result<(), Error> {
        let upload = self.store.begin(delivery).await?;
        let part = usize::try_from(PART_BYTES).unwrap_or_default();
        let sent = async {
            self.store
                .write_part(&upload, 1, bytes.slice(..part))
                .await?;
            self.store
                .write_part(&upload, 2, bytes.slice(part..))
                .await?;
            self.store.complete(&upload).await
        };
        let sent = sent.await;
        if sent.is_err() {
            self.store.abort(&upload).await?;
        }
        sent
    }

    async fn uploads(&self) -> Outcome {
        match self.store.list_unfinished().await {
            Ok(unfinished) => Ok(format!("{} uploads are unfinished", unfinished.len())),
            Err(error) => Err(format!(
                "unfinished uploads cannot be listed ({error}): permit s3:ListBucketMultipartUploads, or give the \
                 bucket a lifecycle rule that aborts incomplete multipart uploads after two days"
            )),
        }
    }

    async fn presign(&self, delivery: &Delivery, bytes: &Bytes) -> Outcome {
        let text = |error: Error| advice(&error);
        let put = self
            .store
            .sign_put(delivery, LIFETIME)
            .await
            .map_err(text)?;
        let put = put.ok_or("no address was signed")?;
        let status = send(Method::PUT, &put, bytes.clone()).await?;
        if !status.is_success() {
            return Err(refused(status));
        }
        self.store.accept(delivery).await.map_err(text)?;
        let get = self
            .store
            .sign_get(delivery.hash, LIFETIME)
            .await
            .map_err(text)?;
        let mut get = get.ok_or("no address was signed")?;
        let status = send(Method::GET, &get, Bytes::new()).await?;
        if !status.is_success() {
            return Err(refused(status));
        }
        let last = get.url.pop();
        get.url.push(if last == Some('0') { '1' } else { '0' });
        if send(Method::GET, &get, Bytes::new()).await?.is_success() {
            return Err("the service accepts a forged signature: do not use it".into());
        }
        Ok("signed addresses work, forged ones do not".into())
    }

    /// Asks as a browser would before it sends a file from a page of this origin.
    async fn cors(&self, delivery: &Delivery, origin: &str) -> Outcome {
        let call = self.store.sign_put(delivery, LIFETIME).await;
        let put = call
            .map_err(|error| advice(&error))?
            .ok_or("no address was signed")?;
        let wanted: Vec<&str> = put.headers.keys().map(String::as_str).collect();
        let request = outsider()?
            .request(Method::OPTIONS, &put.url)
            .header("origin", origin)
            .header("access-control-request-method", "PUT")
            .header("access-control-request-headers", wanted.join(","));
        let sent = request.send().await;
        let response = sent.map_err(|error| unreachable_outside(&error.without_url()))?;
        if response.status().is_success() && permits(response.headers(), origin, &wanted) {
            return Ok(format!("pages of {origin} may upload"));
        }
        Err(format!(
            "pages of {origin} may not upload: give the bucket a CORS rule with AllowedOrigins [\"{origin}\"], \
             AllowedMethods [\"GET\", \"PUT\"] and AllowedHeaders [\"{}\"]",
            wanted.join("\", \"")
        ))
    }

    async fn delete(&self, delivery: &Delivery) -> Outcome {
        let text = |error: Error| advice(&error);
        let key = self.store.delivery_key(delivery).map_err(text)?;
        self.store.remove_key(&key).await.map_err(text)?;
        let removed = self.store.delete(delivery.hash).await.map_err(text)?;
        let gone = self
            .store
            .size(delivery.hash)
            .await
            .map_err(text)?
            .is_none();
        if removed && gone {
            return Ok("what was written is removed".into());
        }
        Err("what was removed is still there: versioned buckets need a lifecycle rule".into())
    }
}

fn permits(headers: &HeaderMap, origin: &str, wanted: &[&str]) -> bool {
    let list = |name: &str| {
        let values = headers.get_all(name).iter();
        let values = values.filter_map(|value| value.to_str().ok());
        values
            .flat_map(|value| value.split(','))
            .map(|value| value.trim().to_ascii_lowercase())
            .collect::<Vec<_>>()
    };
    let holds = |name: &str, wanted: &str| {
        let wanted = wanted.to_ascii_lowercase();
        let list = list(name);
        list.iter().any(|found| *found == "*" || *found == wanted)
    };
    holds("access-control-allow-origin", origin)
        && holds("access-control-allow-methods", "PUT")
        && wanted
            .iter()
            .all(|header| holds("access-control-allow-headers", header))
}

/// Somebody without keys.
fn outsider() -> Result<reqwest::Client, String> {
    let client = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(5))
        .read_timeout(Duration::from_secs(30))
        .redirect(reqwest::redirect::Policy::none());
    client.build().map_err(|error| error.to_string())
}

async fn send(method: Method, signed: &SignedRequest, body: Bytes) -> Result<StatusCode, String> {
    let mut request = outsider()?.request(method, &signed.url).body(body);
    for (name, value) in &signed.headers {
        request = request.header(name, value);
    }
    let sent = request.send().await;
    let response = sent.map_err(|error| unreachable_outside(&error.without_url()))?;
    Ok(response.status())
}

fn unreachable_outside(error: &reqwest::Error) -> String {
    let error = super::http::unreachable("use a signed address", error);
    format!("{error}: set the public endpoint to an address that browsers and nodes reach")
}

fn refused(status: StatusCode) -> String {
    format!(
        "a signed address was refused ({status}): the public endpoint must reach the same bucket under the same \
         host name that was signed, and a proxy must not change paths, queries or the header Host"
    )
}

/// What to do about an error.
fn advice(error: &Error) -> String {
    let fix = match error {
        Error::Denied { .. } => {
            "check the access key, the secret key, the session token and the region, and that the keys may list, \
             read, write and delete in this bucket"
        }
        Error::NoBucket | Error::Missing { .. } => {
            "create the bucket, or correct its name or the path style"
        }
        Error::ClockSkew { .. } => "let NTP set the clock of this machine",
        Error::Unreachable { .. } => "check the endpoint, its port and its certificate",
        Error::NoSpace => "make room in the bucket",
        Error::Settings(_) => "correct the settings",
        _ => "the service does not speak enough of S3",
    };
    format!("{error}: {fix}")
}

impl S3Store {
    /// Tries whether the bucket answers at all.
    pub async fn reach(&self) -> Result<(), Error> {
        let call = Call::new(Method::GET, "", "look at the bucket");
        let call = Call {
            query: vec![("list-type", "2".into()), ("max-keys", "1".into())],
            ..call
        };
        self.http.send(&call).await.map(drop)
    }
}
