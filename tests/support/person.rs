//! Somebody who uses the REST API with an access token, as a script would.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::{
    JobId,
    auth::AccessToken,
    base_model::BaseModel,
    job::{Job, JobStatus},
    page::Page,
    progress::{JobEvent, JobEventBody, Progress},
    protected_set::ProtectedSet,
    upload::Upload,
};

use crate::{Server, wait::until};

/// What everybody here signs in with.
pub const PASSWORD: &str = "correct horse battery staple";

/// A signed-up person.
#[derive(Clone)]
pub struct Person {
    http: Client,
    url: String,
    token: String,
}

impl Person {
    /// Creates an account and takes an access token for it.
    pub async fn sign_up(server: &Server, email: &str) -> Result<Self> {
        Self::sign_up_at(&server.url(""), email).await
    }

    /// The same at an address.
    pub async fn sign_up_at(url: &str, email: &str) -> Result<Self> {
        let http = Client::new();
        let user = json!({"email": email, "password": PASSWORD, "name": "A Person"});
        let answer = http
            .post(format!("{url}/v1/users"))
            .json(&user)
            .send()
            .await?;
        expect(answer, StatusCode::CREATED).await?;
        Self::sign_in(url, email).await
    }

    /// Takes an access token for an account that [`Self::sign_up`] made, at this address.
    pub async fn sign_in(url: &str, email: &str) -> Result<Self> {
        let http = Client::builder().timeout(Duration::from_mins(1)).build()?;
        let session = json!({"email": email, "password": PASSWORD});
        let answer = http
            .post(format!("{url}/v1/tokens"))
            .json(&session)
            .send()
            .await?;
        let token: AccessToken = expect(answer, StatusCode::CREATED).await?.json().await?;
        Ok(Self {
            http,
            url: url.to_owned(),
            token: token.access_token,
        })
    }

    /// The same person at a server that was started again.
    #[must_use]
    pub fn at(mut self, server: &Server) -> Self {
        self.url = server.url("");
        self
    }

    /// What requests carry as their bearer token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A request with this person's token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with('/') {
            format!("{}{path}", self.url)
        } else {
            path.to_owned()
        };
        self.http.request(method, url).bearer_auth(&self.token)
    }

    /// Reads a document.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let answer = expect(
            self.request(Method::GET, path).send().await?,
            StatusCode::OK,
        )
        .await?;
        answer.json().await.with_context(|| format!("GET {path}"))
    }

    /// Reads a file.
    pub async fn download(&self, path: &str) -> Result<Vec<u8>> {
        let answer = expect(
            self.request(Method::GET, path).send().await?,
            StatusCode::OK,
        )
        .await?;
        Ok(answer.bytes().await?.to_vec())
    }

    /// Sends a document and reads the answer.
    pub async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        status: StatusCode,
    ) -> Result<T> {
        let answer = self.request(method, path).json(body).send().await?;
        expect(answer, status)
            .await?
            .json()
            .await
            .with_context(|| path.to_owned())
    }

    /// Announces, sends and completes one image.
    pub async fn upload(&self, set: &ProtectedSet, name: &str, bytes: &[u8]) -> Result<Upload> {
        let upload = self.send_file(set, (name, "image/png"), bytes).await?;
        let complete = format!("/v1/uploads/{}/complete", upload.id);
        self.send(Method::POST, &complete, &json!({}), StatusCode::OK)
            .await
    }

    /// Announces and sends one file of a type, which nobody completes.
    pub async fn send_file(
        &self,
        set: &ProtectedSet,
        (name, media_type): (&str, &str),
        bytes: &[u8],
    ) -> Result<Upload> {
        let announced = json!({
            "protected_set_id": set.id, "filename": name, "size_bytes": bytes.len(),
            "sha256": hex::encode(Sha256::digest(bytes)), "media_type": media_type,
        });
        let upload: Upload = self
            .send(Method::POST, "/v1/uploads", &announced, StatusCode::CREATED)
            .await?;
        let url = if upload.url.starts_with('/') {
            format!("{}{}", self.url, upload.url)
        } else {
            upload.url.clone()
        };
        // The signature is the permission: no token goes along.
        let mut put = self.http.put(url).body(bytes.to_vec());
        for (name, value) in &upload.headers {
            put = put.header(name, value);
        }
        expect(put.send().await?, StatusCode::OK).await?;
        Ok(upload)
    }

    /// A sealed set of a bundled subject.
    pub async fn sealed_set(&self, sample: &str) -> Result<ProtectedSet> {
        let sets = demo::sample_sets();
        let sample = sets
            .iter()
            .find(|set| set.name == sample)
            .context("no such sample")?;
        let name = json!({"name": sample.title});
        let set: ProtectedSet = self
            .send(
                Method::POST,
                "/v1/protected-sets",
                &name,
                StatusCode::CREATED,
            )
            .await?;
        for (name, bytes) in sample.images {
            self.upload(&set, name, bytes).await?;
        }
        let attestation = json!({"basis": "own", "name": "A Person", "jurisdiction": "Utopia",
            "depicts_person": false, "confirmed": true});
        let path = format!("/v1/protected-sets/{}/attestation", set.id);
        self.send(Method::PUT, &path, &attestation, StatusCode::OK)
            .await
    }

    /// A specification of real but short work on a set of dogs.
    pub async fn short_spec(&self, set: &ProtectedSet) -> Result<Value> {
        let models: Page<BaseModel> = self.get("/v1/base-models").await?;
        let model = models
            .data
            .first()
            .context("the server has no base model")?;
        Ok(json!({
            "base_model_id": model.id,
            "concepts": [{
                "protected_set_id": set.id, "class_name": "dog", "identifier": demo::IDENTIFIER,
                "objective": {"kind": "target", "target_class": demo::TARGET},
            }],
            "injection": {"steps": 6, "batch_size": 2, "class_images": 4, "target_images": 4},
            "evaluation": {"checkpoints": [0, 4], "images_per_arm": 4},
            "seed": 7,
        }))
    }

    /// Launches a job.
    pub async fn launch(&self, spec: &Value, key: &str) -> Result<Job> {
        let request = self
            .request(Method::POST, "/v1/jobs")
            .header("Idempotency-Key", key);
        let answer = request.json(spec).send().await?;
        Ok(expect(answer, StatusCode::ACCEPTED).await?.json().await?)
    }

    /// A job as it stands.
    pub async fn job(&self, id: JobId) -> Result<Job> {
        self.get(&format!("/v1/jobs/{id}")).await
    }

    /// Waits until a job told of so many steps of training.
    pub async fn trained(&self, job: JobId, wanted: u32) -> Result<()> {
        until("some steps", Duration::from_mins(4), || async {
            let events = self.events(job).await?;
            let mut steps = events.iter().rev().filter_map(|event| match &event.event {
                JobEventBody::Progress(Progress::Losses(losses)) => Some(losses.step),
                _ => None,
            });
            Ok((steps.next().unwrap_or(0) >= wanted).then_some(()))
        })
        .await
    }

    /// Everything that a job told so far, oldest first.
    pub async fn events(&self, id: JobId) -> Result<Vec<JobEvent>> {
        let mut events = Vec::new();
        loop {
            let after = events.last().map_or(0, |event: &JobEvent| event.sequence);
            let path = format!("/v1/jobs/{id}/events?format=json&after={after}");
            let page: Page<JobEvent> = self.get(&path).await?;
            let done = page.data.is_empty() || !page.has_more;
            events.extend(page.data);
            if done {
                return Ok(events);
            }
        }
    }

    /// Waits until a job has this status; another final one is an error with its cause.
    pub async fn wait_for(&self, id: JobId, status: JobStatus, seconds: u64) -> Result<Job> {
        let what = format!("job {id} to be {}", status.as_str());
        until(&what, Duration::from_secs(seconds), || async {
            let job = self.job(id).await?;
            if job.status == status {
                return Ok(Some(job));
            }
            ensure!(
                !job.status.is_final(),
                "{} instead: {:?}",
                job.status.as_str(),
                job.error
            );
            Ok(None)
        })
        .await
    }
}

/// The answer, if it has this status; else an error with its body.
pub async fn expect(answer: Response, status: StatusCode) -> Result<Response> {
    if answer.status() == status {
        return Ok(answer);
    }
    let (got, url) = (answer.status(), answer.url().path().to_owned());
    bail!(
        "{url}: expected {status}, got {got}: {}",
        answer.text().await?
    );
}
