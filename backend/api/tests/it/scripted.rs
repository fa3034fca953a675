//! A node that does what a test tells it, and what it says when it succeeds.

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::node::{HeartbeatAnswer, Lease, NodeUpload};

use crate::support::{Person, body, client, png};

/// A node that does what a test tells it.
pub(crate) struct Node<'a> {
    pub(crate) person: Person<'a>,
    pub(crate) id: String,
}

impl Node<'_> {
    pub(crate) async fn ask(&self) -> Response {
        self.ask_for(None).await
    }

    /// The same for one of its devices.
    pub(crate) async fn ask_for(&self, device: Option<Value>) -> Response {
        let mut request = json!({
            "node_id": self.id, "name": "scripted", "threads": 1, "memory_bytes": 1_000_000
        });
        if let Some(device) = device {
            request["device"] = device;
        }
        self.person.post("/v1/node/leases", &request).await
    }

    pub(crate) async fn lease(&self) -> Lease {
        body(self.ask().await, StatusCode::OK).await
    }

    pub(crate) async fn post(&self, lease: &Lease, what: &str, body: &Value) -> Response {
        self.person
            .post(&format!("/v1/node/jobs/{}/{what}", lease.job_id), body)
            .await
    }

    pub(crate) async fn beat(&self, lease: &Lease, progress: Value) -> HeartbeatAnswer {
        let request = json!({ "token": lease.token, "running": true, "progress": progress });
        body(
            self.post(lease, "heartbeats", &request).await,
            StatusCode::OK,
        )
        .await
    }

    /// Sends a file; the answer is its hash.
    pub(crate) async fn store(&self, lease: &Lease, bytes: &[u8]) -> String {
        let sha256 = hex::encode(Sha256::digest(bytes));
        let request = json!({ "token": lease.token, "sha256": sha256, "size_bytes": bytes.len() });
        let response = self.post(lease, "uploads", &request).await;
        let upload: NodeUpload = body(response, StatusCode::CREATED).await;
        if let Some(url) = upload.url {
            let url = self.person.server.url(&url);
            let mut request = client().put(url).body(bytes.to_vec());
            for (name, value) in &upload.headers {
                request = request.header(name, value);
            }
            let sent = request.send().await.expect("an answer");
            assert_eq!(sent.status(), StatusCode::OK);
        }
        sha256
    }

    pub(crate) async fn finish(&self, lease: &Lease, outcome: Value) -> StatusCode {
        let request = json!({ "token": lease.token, "outcome": outcome });
        self.post(lease, "finish", &request).await.status()
    }

    pub(crate) async fn download(&self, url: &str) -> Vec<u8> {
        let response = client()
            .get(self.person.server.url(url))
            .send()
            .await
            .expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        response.bytes().await.expect("bytes").to_vec()
    }
}

const METRICS: &str = r#"{"milliseconds_per_step":12.5,"seconds":34.0,"peak_memory_bytes":1000000,"device":"NVIDIA Test 1"}"#;

pub(crate) fn succeeded(outputs: &Value) -> Value {
    let metrics: Value = serde_json::from_str(METRICS).expect("JSON");
    json!({ "result": "succeeded", "outputs": outputs, "metrics": metrics })
}

pub(crate) async fn protect(node: &Node<'_>, lease: &Lease) {
    let weights = b"not really weights".to_vec();
    let sha256 = node.store(lease, &weights).await;
    let output = json!([{ "kind": "protected_unet", "name": "unet.safetensors", "sha256": sha256, "size_bytes": weights.len() }]);
    assert_eq!(
        node.finish(lease, succeeded(&output)).await,
        StatusCode::NO_CONTENT
    );
}

fn estimate(value: f64) -> Value {
    json!({ "value": value, "low": value - 0.1, "high": value + 0.1, "n": 1 })
}

/// Side effects within every tolerance.
pub(crate) fn collateral() -> Value {
    let none = json!({ "value": 0.0, "low": 0.0, "high": 0.0, "n": 16 });
    json!({
        "class_drift": none, "class_fires": none, "class_fires_clean": none, "general_drift": none,
        "control": { "attack_step": 100, "images": 5, "clean": none, "protected": none, "difference": none },
    })
}

pub(crate) fn report() -> Value {
    let arm = |similarity: f64| {
        json!({ "similarity": estimate(similarity), "hit_rate": estimate(0.5),
            "text_alignment": estimate(0.5), "class_rate": estimate(0.5), "objective_rate": estimate(0.5) })
    };
    let image = |name: &str| json!({ "name": name, "similarity": 0.5, "hit": true });
    json!({
        "report": {
            "grade": "resisted", "verdict": "Resisted in a test.", "encoder": "test",
            "attack": { "family": "dreambooth_unet", "steps": 200, "learning_rate": 1e-4,
                "prior_preservation": true, "identifier": "zwx", "identifier_held_out": true,
                "prompt": "a photo of zwx dog", "instance_images": 3, "seed": 0 },
            "hit_threshold": 0.6,
            "checkpoints": [{ "attack_step": 200, "clean": arm(0.8), "protected": arm(0.3),
                "similarity_difference": estimate(-0.5) }],
            "limits": ["Other attacks were not tried."],
            "clean_sha256": "a".repeat(64), "protected_sha256": "b".repeat(64)
        },
        "pairs": [{ "attack_step": 200, "seed": 1, "prompt": "a photo of zwx dog",
            "clean": image("clean/200/00.png"), "protected": image("protected/200/00.png") }]
    })
}

pub(crate) async fn evaluation_outputs(node: &Node<'_>, lease: &Lease, report: &[u8]) -> Value {
    let mut outputs = Vec::new();
    let files = [
        ("report", "report.json", report.to_vec()),
        ("gallery_image", "clean/200/00.png", png(32, 32, 1)),
        ("gallery_image", "protected/200/00.png", png(32, 32, 2)),
    ];
    for (kind, name, bytes) in files {
        let sha256 = node.store(lease, &bytes).await;
        outputs.push(
            json!({ "kind": kind, "name": name, "sha256": sha256, "size_bytes": bytes.len() }),
        );
    }
    Value::Array(outputs)
}
