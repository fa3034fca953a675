//! Large outputs of nodes come in parts: what is missing is told and signed, and nothing is sent twice.

use std::{sync::Arc, time::Duration};

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::node::{LARGE_UPLOAD_BYTES, Lease, MissingPart, MissingParts, NodeUpload};

use crate::{
    kills::count,
    s3_server::BUCKET,
    scripted::{Node, succeeded},
    storage,
    support::{Server, body, client, refused},
};

const HOUR: i64 = 3_600_000;

/// Weights of three parts.
fn weights() -> Vec<u8> {
    let size = usize::try_from(2 * LARGE_UPLOAD_BYTES + 9).expect("a few megabytes");
    (0..size).map(|at| (at % 251).to_le_bytes()[0]).collect()
}

/// A file on its way in from a scripted node.
struct Sending<'a> {
    node: &'a Node<'a>,
    lease: &'a Lease,
    bytes: Vec<u8>,
    named: Value,
}

impl<'a> Sending<'a> {
    async fn begin(node: &'a Node<'a>, lease: &'a Lease, bytes: Vec<u8>) -> Self {
        let named = json!({ "token": lease.token, "size_bytes": bytes.len(),
            "sha256": hex::encode(Sha256::digest(&bytes)) });
        let mut sending = Self {
            node,
            lease,
            bytes,
            named,
        };
        let announced = sending.announce(true).await;
        let begun = announced.parts.expect("it is large");
        assert_eq!((begun.count, announced.url), (3, None));
        sending.named["upload_id"] = begun.upload_id.into();
        sending
    }

    async fn announce(&self, in_parts: bool) -> NodeUpload {
        let mut request = self.named.clone();
        let fields = request.as_object_mut().expect("an object");
        fields.remove("upload_id");
        if in_parts {
            request["in_parts"] = true.into();
        }
        let answer = self.node.post(self.lease, "uploads", &request).await;
        body(answer, StatusCode::CREATED).await
    }

    async fn missing(&self) -> Vec<MissingPart> {
        let answer = self.node.post(self.lease, "uploads/missing", &self.named);
        let missing: MissingParts = body(answer.await, StatusCode::OK).await;
        missing.parts
    }

    async fn numbers(&self) -> Vec<u32> {
        self.missing()
            .await
            .iter()
            .map(|part| part.number)
            .collect()
    }

    async fn complete(&self) -> Response {
        self.node
            .post(self.lease, "uploads/complete", &self.named)
            .await
    }

    /// Sends a part, as far as the line carries it.
    async fn send(&self, part: &MissingPart) -> reqwest::Result<Response> {
        let start = usize::try_from(part.offset).expect("a few megabytes");
        let size = usize::try_from(part.size_bytes).expect("a few megabytes");
        let url = self.node.person.server.url(&part.url);
        let bytes = self.bytes[start..start + size].to_vec();
        let mut request = client().put(url).body(bytes);
        for (name, value) in &part.headers {
            request = request.header(name, value);
        }
        request.send().await
    }

    async fn send_all(&self) {
        for part in self.missing().await {
            let sent = self.send(&part).await.expect("an answer");
            assert_eq!(sent.status(), StatusCode::OK);
        }
    }

    /// Ends the attempt with this file as its result.
    async fn deliver(&self) {
        let output = json!([{ "kind": "protected_unet", "name": "unet.safetensors",
            "sha256": self.named["sha256"], "size_bytes": self.named["size_bytes"] }]);
        let finished = self.node.finish(self.lease, succeeded(&output)).await;
        assert_eq!(finished, StatusCode::NO_CONTENT);
    }
}

/// The beginning of a part. Who refuses an address does not read what is sent there, and an answer can be lost with the
/// connection while millions of bytes are still on their way.
fn beginning(part: &MissingPart) -> MissingPart {
    MissingPart {
        size_bytes: 9,
        ..part.clone()
    }
}

/// A node that holds somebody's job.
async fn leased(server: &Server) -> (Node<'_>, Lease) {
    server.person("ada").await.job().await;
    let node = server.node();
    let lease = node.lease().await;
    (node, lease)
}

/// A server whose leases outlive an address.
async fn patient() -> Server {
    Server::start_with(|config| config.lease_seconds = 100 * 3600).await
}

#[tokio::test]
async fn large_output_goes_on_where_it_stopped() {
    let server = Server::start().await;
    let (node, lease) = leased(&server).await;
    let sending = Sending::begin(&node, &lease, weights()).await;
    let parts = sending.missing().await;
    let whole: u64 = parts.iter().map(|part| part.size_bytes).sum();
    assert_eq!(whole, sending.bytes.len() as u64);
    sending.send(&parts[1]).await.unwrap();
    assert_eq!(sending.numbers().await, [1, 3]);
    let early = refused(sending.complete().await, 409, "conflict").await;
    let detail = early["detail"].as_str().unwrap();
    assert!(detail.starts_with("2 parts are missing"), "{detail}");
    // More or fewer bytes than a part has are nothing.
    let short = client()
        .put(server.url(&parts[0].url))
        .body("short")
        .send()
        .await;
    refused(short.unwrap(), 422, "checksum_mismatch").await;
    assert_eq!(sending.numbers().await, [1, 3]);
    sending.send_all().await;
    assert_eq!(sending.numbers().await, [0; 0]);
    let done = sending.complete().await;
    assert_eq!(done.status(), StatusCode::NO_CONTENT);
    let again = sending.complete().await;
    assert_eq!(again.status(), StatusCode::NO_CONTENT, "a repeat is fine");
    let there = sending.announce(true).await;
    assert_eq!(there, NodeUpload::default(), "the bytes are here");
    sending.deliver().await;
}

#[tokio::test]
async fn many_completions_at_once_make_one_object() {
    let server = Server::start().await;
    let (node, lease) = leased(&server).await;
    let sending = Sending::begin(&node, &lease, weights()).await;
    sending.send_all().await;
    let (one, two, three) =
        tokio::join!(sending.complete(), sending.complete(), sending.complete());
    for done in [one, two, three] {
        assert_eq!(done.status(), StatusCode::NO_CONTENT);
    }
    assert_eq!(count(&server.data_dir().join("artifacts/uploads")), 0);
    sending.deliver().await;
}

#[tokio::test]
async fn address_of_a_part_ends_and_is_signed_anew() {
    let server = patient().await;
    let (node, lease) = leased(&server).await;
    let sending = Sending::begin(&node, &lease, weights()).await;
    let old = sending.missing().await;
    sending.send(&old[0]).await.unwrap();
    server.clock.advance(2 * HOUR);
    let expired = sending.send(&beginning(&old[1])).await;
    refused(expired.unwrap(), 410, "gone").await;
    let node = Node {
        person: server.node().person,
        id: node.id.clone(),
    };
    let sending = Sending {
        node: &node,
        ..sending
    };
    assert_eq!(sending.numbers().await, [2, 3]);
    let forged = MissingPart {
        url: old[1].url.replace("subject=part.2", "subject=part.3"),
        ..beginning(&old[1])
    };
    refused(sending.send(&forged).await.unwrap(), 403, "forbidden").await;
    sending.send_all().await;
    assert_eq!(sending.complete().await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn wrong_bytes_are_removed_and_sent_again() {
    let server = Server::start().await;
    let (node, lease) = leased(&server).await;
    let mut sending = Sending::begin(&node, &lease, weights()).await;
    sending.bytes[77] ^= 1;
    sending.send_all().await;
    refused(sending.complete().await, 422, "checksum_mismatch").await;
    let gone = node.post(&lease, "uploads/missing", &sending.named).await;
    refused(gone, 404, "not_found").await;
    let anew = Sending::begin(&node, &lease, weights()).await;
    anew.send_all().await;
    assert_eq!(anew.complete().await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn node_that_knows_no_parts_sends_all_at_once() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    ada.job().await;
    let node = server.node();
    let lease = node.lease().await;
    let bytes = weights();
    let sha256 = node.store(&lease, &bytes).await;
    let named = json!({ "token": lease.token, "sha256": sha256, "size_bytes": bytes.len() });
    let sending = Sending {
        node: &node,
        lease: &lease,
        bytes,
        named,
    };
    sending.deliver().await;
    // What is small comes at once, whatever its sender can.
    ada.job().await;
    let lease = node.lease().await;
    let small = json!({ "token": lease.token, "sha256": "0".repeat(64), "size_bytes": 9, "in_parts": true });
    let announced: NodeUpload = body(
        node.post(&lease, "uploads", &small).await,
        StatusCode::CREATED,
    )
    .await;
    assert!(announced.url.is_some() && announced.parts.is_none());
}

#[tokio::test]
async fn uploads_of_other_attempts_are_out_of_reach() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    ada.job().await;
    ada.job().await;
    let node = server.node();
    let lease = node.lease().await;
    let sending = Sending::begin(&node, &lease, weights()).await;
    let other = node.lease().await;
    let mut named = sending.named.clone();
    named["token"] = other.token.into();
    for what in ["uploads/missing", "uploads/complete"] {
        let strange = node.post(&other, what, &named).await;
        refused(strange, 404, "not_found").await;
        let mut late = named.clone();
        late["token"] = (other.token + 1).into();
        refused(node.post(&lease, what, &late).await, 409, "fenced").await;
    }
    assert_eq!(sending.numbers().await, [1, 2, 3]);
}

#[tokio::test]
async fn what_an_attempt_leaves_half_sent_goes_when_it_ends_or_is_swept() {
    let server = Server::start().await;
    let ada = server.person("ada").await;
    let uploads = server.data_dir().join("artifacts/uploads");
    ada.job().await;
    let node = server.node();
    let lease = node.lease().await;
    let sending = Sending::begin(&node, &lease, weights()).await;
    let first = sending.missing().await.swap_remove(0);
    sending.send(&first).await.unwrap();
    assert_eq!(count(&uploads), 1);
    let given_back = node.finish(&lease, json!({ "result": "released" })).await;
    assert_eq!(given_back, StatusCode::NO_CONTENT);
    emptied(&uploads).await;
    let lease = node.lease().await;
    let sending = Sending::begin(&node, &lease, weights()).await;
    sending.send(&sending.missing().await[0]).await.unwrap();
    // As after a restart: the server knows of nothing.
    let directory = server.stop().await;
    let server = Server::start_in(directory, |_| ()).await;
    server.clock.advance(3 * 24 * HOUR);
    api::dispatch::expiry::sweep(&server.app).await.unwrap();
    emptied(&uploads).await;
}

async fn emptied(folder: &std::path::Path) {
    for _ in 0..100 {
        if count(folder) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{} parts are still there", count(folder));
}

#[tokio::test]
async fn parts_go_past_the_server_and_a_cut_line_costs_one() {
    let (root, bucket, server) = storage::start().await;
    let (node, lease) = leased(&server).await;
    let sending = Sending::begin(&node, &lease, weights()).await;
    let parts = sending.missing().await;
    assert!(
        parts
            .iter()
            .all(|part| part.url.starts_with(&bucket.endpoint))
    );
    sending.send(&parts[0]).await.unwrap();
    let line = Arc::clone(&bucket.line);
    line.up.break_after(LARGE_UPLOAD_BYTES / 2);
    let cut = sending.send(&parts[1]).await;
    assert!(cut.is_err(), "the line broke: {cut:?}");
    assert!(line.up.is_quiet());
    assert_eq!(sending.numbers().await, [2, 3]);
    let forged = MissingPart {
        url: parts[1].url.replace("partNumber=2", "partNumber=1"),
        ..beginning(&parts[1])
    };
    assert_eq!(sending.send(&forged).await.unwrap().status(), 403);
    sending.send_all().await;
    let (one, two) = tokio::join!(sending.complete(), sending.complete());
    assert_eq!(
        (one.status(), two.status()),
        (StatusCode::NO_CONTENT, StatusCode::NO_CONTENT)
    );
    sending.deliver().await;
    let sent = bucket.manners.seen();
    let sent = |part: &str| {
        let puts = sent
            .iter()
            .filter(|seen| seen.starts_with("PUT /artifacts/here/uploads/"));
        puts.filter(|seen| seen.contains(part)).count()
    };
    assert_eq!(
        (sent("partNumber=1&"), sent("partNumber=3&")),
        (2, 1),
        "the forged one, too"
    );
    assert_eq!(count(&root.path().join(BUCKET).join("here/uploads")), 0);
    assert_eq!(count(&server.data_dir().join("artifacts")), 0);
}
