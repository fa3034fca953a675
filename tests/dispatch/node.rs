//! A node without a trainer: it speaks the node protocol as fast as the server answers.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use e2e::{Person, Server, person::expect};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::{
    JobId, NodeId,
    node::{JoinedNode, Lease, NodeUpload},
    training_node::CreatedNode,
};

use crate::board::Board;

/// A node that joined.
#[derive(Clone)]
pub(crate) struct Node {
    http: Client,
    url: String,
    id: NodeId,
    credential: String,
}

impl Node {
    /// Connections are shared: a thousand clients of their own would be mostly certificates.
    pub(crate) async fn join(
        server: &Server,
        admin: &Person,
        (name, http): (&str, Client),
    ) -> Result<Self> {
        let request = json!({ "name": name });
        let made: CreatedNode = admin
            .send(Method::POST, "/v1/nodes", &request, StatusCode::CREATED)
            .await?;
        let token = json!({ "token": made.join_token });
        let joins = http.post(server.url("/v1/node/joins")).json(&token);
        let joined = expect(joins.send().await?, StatusCode::CREATED).await?;
        let joined: JoinedNode = joined.json().await?;
        Ok(Self {
            http,
            url: server.url(""),
            id: joined.node_id,
            credential: joined.credential,
        })
    }

    /// The same node behind another address.
    pub(crate) fn through(&self, url: String) -> Self {
        Self {
            url,
            ..self.clone()
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Result<reqwest::Response> {
        let request = self.http.post(format!("{}{path}", self.url));
        let request = request.bearer_auth(&self.credential).json(body);
        Ok(request.send().await?)
    }

    /// Asks for work once.
    pub(crate) async fn lease(&self) -> Result<Option<Lease>> {
        let request = json!({ "node_id": self.id, "name": "bench", "threads": 1, "memory_bytes": 1_000_000_000_u64,
            "families": ["tiny"] });
        let answer = self.post("/v1/node/leases", &request).await?;
        if answer.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        Ok(Some(expect(answer, StatusCode::OK).await?.json().await?))
    }

    /// Ends a probe well: one file, announced and named.
    pub(crate) async fn succeed(&self, lease: &Lease) -> Result<()> {
        let concept =
            json!({ "identifier_tokens": 1, "class_tokens": 1, "familiarity": null, "nearby": [] });
        let report = json!({ "concepts": [concept], "memory_bytes": 1, "seconds_per_step": 0.1 })
            .to_string();
        let sha256 = hex::encode(Sha256::digest(&report));
        let job = format!("/v1/node/jobs/{}", lease.job_id);
        let file = json!({ "token": lease.token, "sha256": sha256, "size_bytes": report.len() });
        let answer = self.post(&format!("{job}/uploads"), &file).await?;
        let upload: NodeUpload = expect(answer, StatusCode::CREATED).await?.json().await?;
        if let Some(url) = upload.url {
            ensure!(url.starts_with('/'), "the bench has no bucket");
            let put = self
                .http
                .put(format!("{}{url}", self.url))
                .body(report.clone());
            expect(put.send().await?, StatusCode::OK).await?;
        }
        let outputs = json!([{ "kind": "probe", "name": "probe.json", "sha256": sha256, "size_bytes": report.len() }]);
        let metrics =
            json!({ "milliseconds_per_step": 1.0, "seconds": 1.0, "peak_memory_bytes": 1 });
        let outcome = json!({ "result": "succeeded", "outputs": outputs, "metrics": metrics });
        let finish = json!({ "token": lease.token, "outcome": outcome });
        let answer = self.post(&format!("{job}/finish"), &finish).await?;
        expect(answer, StatusCode::NO_CONTENT).await?;
        Ok(())
    }

    /// Works until a moment; when it took each job, with the job.
    pub(crate) async fn work(self, board: Board, until: Instant) -> Result<Vec<(JobId, Instant)>> {
        let mut taken = Vec::new();
        while Instant::now() < until {
            if let Some(lease) = self.lease().await.context("a lease")? {
                taken.push((lease.job_id, Instant::now()));
                self.succeed(&lease).await?;
                board.ended(lease.job_id);
            }
        }
        Ok(taken)
    }
}
