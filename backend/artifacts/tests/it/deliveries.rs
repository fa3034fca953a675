//! What every store must do with objects that others send: at once by a signed request, or in parts.

use std::{sync::Arc, time::Duration};

use artifacts::{ArtifactStore, Delivery, Error, ObjectHash, SignedRequest, Upload};
use bytes::Bytes;
use reqwest::{Client, Method, Response};

use crate::conformance::{PART, bytes, get};

const LIFETIME: Duration = Duration::from_mins(1);

pub(crate) fn delivery(bytes: &[u8], subject: &str) -> Delivery {
    Delivery {
        hash: ObjectHash::of(bytes),
        size_bytes: bytes.len() as u64,
        subject: subject.to_owned(),
    }
}

/// Sends a signed request as somebody without keys would.
pub(crate) async fn send(method: Method, signed: &SignedRequest, body: Bytes) -> Response {
    let mut request = Client::new().request(method, &signed.url).body(body);
    for (name, value) in &signed.headers {
        request = request.header(name, value);
    }
    request.send().await.expect("an answer")
}

pub(crate) async fn conform(store: Arc<dyn ArtifactStore>) {
    takes_what_was_sent_at_once(&*store).await;
    takes_parts(&*store).await;
    keeps_parts_for_another_try(&*store).await;
    refuses_wrong_parts(&*store).await;
    completes_once_for_many(Arc::clone(&store)).await;
    tells_and_removes_what_is_unfinished(&*store).await;
}

async fn takes_what_was_sent_at_once(store: &dyn ArtifactStore) {
    let bytes = Bytes::from(bytes(20, 70_000));
    let delivery = delivery(&bytes, "upl_1");
    let Some(put) = store.sign_put(&delivery, LIFETIME).await.unwrap() else {
        assert!(!store.accept(&delivery).await.unwrap());
        return; // whoever serves this store takes the bytes and puts them
    };
    assert!(!store.accept(&delivery).await.unwrap(), "nothing was sent");
    let mut lie = bytes.to_vec();
    lie[5] ^= 1;
    let refused = send(Method::PUT, &put, lie.into()).await;
    assert!(refused.status().is_client_error(), "the hash is signed");
    assert!(!store.accept(&delivery).await.unwrap());
    let sent = send(Method::PUT, &put, bytes.clone()).await;
    assert!(sent.status().is_success(), "{}", sent.text().await.unwrap());
    assert!(
        !store.exists(delivery.hash).await.unwrap(),
        "not accepted yet"
    );
    assert!(store.accept(&delivery).await.unwrap());
    assert!(store.exists(delivery.hash).await.unwrap());
    assert!(
        !store.accept(&delivery).await.unwrap(),
        "a hash is no proof of having the bytes"
    );
    assert_eq!(store.unfinished().await.unwrap(), []);
    let address = store
        .sign_get(delivery.hash, LIFETIME)
        .await
        .unwrap()
        .unwrap();
    let fetched = send(Method::GET, &address, Bytes::new()).await;
    assert!(fetched.bytes().await.unwrap() == bytes);
    let forged = SignedRequest {
        url: address.url.replace("/objects/", "/uploads/"),
        ..address
    };
    assert_eq!(send(Method::GET, &forged, Bytes::new()).await.status(), 403);
}

/// Sends every part, by signed requests where the store has them.
pub(crate) async fn send_parts(store: &dyn ArtifactStore, upload: &Upload, bytes: &Bytes) {
    for number in 1..=upload.delivery.parts() {
        send_part(store, upload, bytes, number).await;
    }
}

async fn send_part(store: &dyn ArtifactStore, upload: &Upload, bytes: &Bytes, number: u32) {
    let start = (number as usize - 1) * PART;
    let end = bytes.len().min(start + PART);
    let part = bytes.slice(start..end);
    match store.sign_part(upload, number, LIFETIME).await.unwrap() {
        Some(signed) => {
            let sent = send(Method::PUT, &signed, part).await;
            assert!(sent.status().is_success(), "{}", sent.text().await.unwrap());
        }
        None => store.write_part(upload, number, part).await.unwrap(),
    }
}

async fn takes_parts(store: &dyn ArtifactStore) {
    for (seed, size) in [(21, PART + 1), (22, 1), (23, PART)] {
        let bytes = Bytes::from(bytes(seed, size));
        let upload = store.begin(&delivery(&bytes, "job_1")).await.unwrap();
        send_parts(store, &upload, &bytes).await;
        let parts = store.parts(&upload).await.unwrap();
        assert_eq!(
            parts.iter().map(|part| part.size_bytes).sum::<u64>(),
            size as u64
        );
        assert!(!store.exists(upload.delivery.hash).await.unwrap());
        store.complete(&upload).await.unwrap();
        store.complete(&upload).await.expect("a repeat is no error");
        assert!(get(store, upload.delivery.hash).await.unwrap() == bytes);
        assert_eq!(store.unfinished().await.unwrap(), []);
        let late = store
            .write_part(&upload, 1, bytes.slice(..1.min(size)))
            .await;
        assert!(late.is_err(), "nothing can be added to what is complete");
    }
}

async fn keeps_parts_for_another_try(store: &dyn ArtifactStore) {
    let bytes = Bytes::from(bytes(24, PART + 9));
    let upload = store.begin(&delivery(&bytes, "job_2")).await.unwrap();
    send_part(store, &upload, &bytes, 1).await;
    let early = store.complete(&upload).await;
    assert!(
        matches!(early, Err(Error::SizeMismatch { .. })),
        "{early:?}"
    );
    assert_eq!(store.parts(&upload).await.unwrap().len(), 1);
    send_part(store, &upload, &bytes, 2).await;
    send_part(store, &upload, &bytes, 2).await;
    store.complete(&upload).await.unwrap();
    assert!(get(store, upload.delivery.hash).await.unwrap() == bytes);
}

async fn refuses_wrong_parts(store: &dyn ArtifactStore) {
    let bytes = Bytes::from(bytes(25, PART + 9));
    let mut lie = bytes.to_vec();
    lie[PART + 3] ^= 1;
    let upload = store.begin(&delivery(&bytes, "job_3")).await.unwrap();
    send_parts(store, &upload, &lie.into()).await;
    let refused = store.complete(&upload).await;
    assert!(
        matches!(refused, Err(Error::HashMismatch { .. })),
        "{refused:?}"
    );
    assert!(!store.exists(upload.delivery.hash).await.unwrap());
    let gone = store.complete(&upload).await;
    assert!(matches!(gone, Err(Error::NoUpload)), "{gone:?}");
    assert_eq!(
        store.unfinished().await.unwrap(),
        [],
        "wrong bytes are removed"
    );
}

async fn completes_once_for_many(store: Arc<dyn ArtifactStore>) {
    let bytes = Bytes::from(bytes(26, PART + 9));
    let upload = store.begin(&delivery(&bytes, "job_4")).await.unwrap();
    send_parts(&*store, &upload, &bytes).await;
    let completing: Vec<_> = (0..4)
        .map(|_| {
            let (store, upload) = (Arc::clone(&store), upload.clone());
            tokio::spawn(async move { store.complete(&upload).await })
        })
        .collect();
    for completed in completing {
        completed.await.unwrap().expect("each finds the object");
    }
    assert!(get(&*store, upload.delivery.hash).await.unwrap() == bytes);
    assert_eq!(store.unfinished().await.unwrap(), []);
}

async fn tells_and_removes_what_is_unfinished(store: &dyn ArtifactStore) {
    let bytes = Bytes::from(bytes(27, 1_000));
    let first = store.begin(&delivery(&bytes, "job_5")).await.unwrap();
    let second = store.begin(&delivery(&bytes, "job_6")).await.unwrap();
    assert_ne!(first, second);
    send_parts(store, &first, &bytes).await;
    let unfinished = store.unfinished().await.unwrap();
    assert_eq!(unfinished.len(), 2);
    assert!(
        unfinished
            .iter()
            .all(|one| one.started_at.milliseconds() > 0)
    );
    for one in &unfinished {
        store.remove(one).await.unwrap();
        store
            .remove(one)
            .await
            .expect("what is gone is removed already");
    }
    store
        .abort(&first)
        .await
        .expect("what is gone is given up already");
    assert_eq!(store.unfinished().await.unwrap(), []);
    let gone = store.complete(&first).await;
    assert!(matches!(gone, Err(Error::NoUpload)), "{gone:?}");
}
