//! A server for one test, people who use it, and a scripted node.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use api::{
    app::{App, tokens::Audience},
    clock::ShiftedClock,
    config::{Config, broker::BrokerConfig, storage::StorageConfig},
    server,
};
use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode,
    header::{HeaderName, HeaderValue},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::{
    base_model::BaseModel, job::Job, page::Page, preflight::Preflight, protected_set::ProtectedSet,
    upload::Upload,
};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::scripted::Node;

/// What every server here is configured with.
pub(crate) fn config(address: SocketAddr, data_dir: &Path) -> Config {
    Config {
        address,
        data_dir: data_dir.to_owned(),
        database_url: None,
        database_url_file: None,
        frontend_dir: None,
        public_url: None,
        local_node: false,
        node_threads: None,
        demo: false,
        lease_seconds: 30,
        s3_endpoints: Vec::new(),
        storage: StorageConfig::default(),
        broker: BrokerConfig::default(),
        traces: telemetry::TraceConfig::default(),
        inspector: None,
        decoder: Some(env!("CARGO_BIN_EXE_persguard").into()),
        master_keys: None,
        administrators: vec!["admin@example.org".into(), "second@example.org".into()],
        retention_days: None,
        security_contact: None,
        identity_providers: None,
        webhook_loopback: true,
        smtp_url: None,
        smtp_url_file: None,
        metrics_token_file: None,
        metrics_token: None,
        mail_sender: "PersGuard <persguard@localhost>".into(),
        trusted_proxies: Vec::new(),
        requests_per_minute: 600,
        response_cache_bytes: api::config::DEFAULT_RESPONSE_CACHE_BYTES,
        active_jobs: shared::limits::MAX_ACTIVE_JOBS as u64,
        study_jobs: 64,
        storage_quota: None,
        node_log: None,
        log: "info".into(),
    }
}

/// A running server.
pub(crate) struct Server {
    pub(crate) app: App,
    pub(crate) clock: ShiftedClock,
    pub(crate) address: SocketAddr,
    directory: tempfile::TempDir,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self::start_in(directory, change).await
    }

    /// Starts on what an earlier server left behind.
    pub(crate) async fn start_in(
        directory: tempfile::TempDir,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let mut config = config(address, directory.path());
        change(&mut config);
        let clock = ShiftedClock::default();
        let app = server::open(config, address, Arc::new(clock.clone()))
            .await
            .expect("it opens");
        let task = tokio::spawn(server::run(app.clone(), listener));
        Self {
            app,
            clock,
            address,
            directory,
            task,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        if path.starts_with("http") {
            path.into()
        } else {
            format!("http://{}{path}", self.address)
        }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    /// Somebody without a session.
    pub(crate) fn stranger(&self) -> Person<'_> {
        Person {
            server: self,
            client: client(),
            bearer: None,
            organisation: None,
        }
    }

    /// Somebody with a new account and its session cookie.
    pub(crate) async fn person(&self, name: &str) -> Person<'_> {
        let person = self.stranger();
        let account = json!({
            "email": format!("{name}@example.org"), "password": "correct horse battery", "name": name
        });
        let response = person.post("/v1/users", &account).await;
        assert_eq!(
            response.status(),
            StatusCode::CREATED,
            "{:?}",
            response.text().await
        );
        person
    }

    /// Somebody whose address is proven theirs.
    pub(crate) async fn confirmed(&self, name: &str) -> Person<'_> {
        let person = self.person(name).await;
        self.confirm(&person, name).await;
        person
    }

    /// Proves somebody's address by the letter that they got.
    pub(crate) async fn confirm(&self, person: &Person<'_>, name: &str) {
        let token = self
            .token(&format!("{name}@example.org"), "verify-email")
            .await;
        let confirm = "/v1/email-verifications/confirm";
        let done = person.post(confirm, &json!({ "token": token })).await;
        assert_eq!(done.status(), StatusCode::NO_CONTENT);
    }

    /// The newest letter to an address that holds a text, once it is there.
    pub(crate) async fn letter(&self, to: &str, text: &str) -> String {
        let outbox = self.data_dir().join("outbox");
        for _ in 0..600 {
            let mut files: Vec<_> = std::fs::read_dir(&outbox)
                .into_iter()
                .flatten()
                .map(|entry| entry.expect("a file").path())
                .filter(|path| path.extension().is_some_and(|kind| kind == "eml"))
                .collect();
            files.sort();
            for path in files.iter().rev() {
                let letter = plain(&std::fs::read_to_string(path).expect("a letter"));
                if letter.contains(&format!("To: {to}")) && letter.contains(text) {
                    return letter;
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no letter to {to} holds {text}");
    }

    /// The token of the newest link to a page that somebody got.
    pub(crate) async fn token(&self, to: &str, page: &str) -> String {
        let mark = format!("/{page}#token=");
        let letter = self.letter(to, &mark).await;
        let (_, rest) = letter.split_once(&mark).expect("a link");
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        rest[..end].to_owned()
    }

    /// What `persguard keys rotate` does beside this server.
    pub(crate) async fn rotate_keys(&self) -> api::app::vault::Rotated {
        let config = self.app.config().clone();
        server::rotate_keys(config).await.expect("new keys")
    }

    /// The server's own node.
    pub(crate) fn node(&self) -> Node<'_> {
        let token = self
            .app
            .tokens()
            .issue(Audience::Node, "test", self.app.now())
            .expect("signed");
        let id = format!("nod_{:032x}", 7);
        Node {
            person: Person {
                server: self,
                client: client(),
                bearer: Some(token),
                organisation: None,
            },
            id,
        }
    }

    /// Stops cleanly; what it left behind may be started again.
    pub(crate) async fn stop(self) -> tempfile::TempDir {
        self.app.stop().cancel();
        self.task.await.expect("no panic").expect("a clean end");
        self.directory
    }
}

pub(crate) fn client() -> Client {
    client_with(&[])
}

/// A browser that sends these headers with everything.
pub(crate) fn client_with(headers: &[(HeaderName, &'static str)]) -> Client {
    let headers = headers.iter().cloned();
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    Client::builder()
        .default_headers(headers.collect())
        .cookie_store(true)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_mins(1))
        .build()
        .expect("a client")
}

/// A client of the API.
pub(crate) struct Person<'a> {
    pub(crate) server: &'a Server,
    pub(crate) client: Client,
    pub(crate) bearer: Option<String>,
    /// The organisation to work in, where it is not their own.
    pub(crate) organisation: Option<String>,
}

impl Person<'_> {
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.client.request(method, self.server.url(path));
        if let Some(organisation) = &self.organisation {
            request = request.header("organisation", organisation);
        }
        match &self.bearer {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path)
            .send()
            .await
            .expect("an answer")
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Response {
        self.request(Method::POST, path)
            .json(body)
            .send()
            .await
            .expect("an answer")
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Response {
        self.request(Method::PUT, path)
            .json(body)
            .send()
            .await
            .expect("an answer")
    }

    /// Changes what was read under the same path by a merge patch.
    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Response {
        let read = self.get(path).await;
        let tag = read.headers().get("etag").cloned();
        let request = self
            .request(Method::PATCH, path)
            .header("content-type", "application/merge-patch+json");
        let request = match tag {
            Some(tag) => request.header("if-match", tag),
            None => request,
        };
        let request = request.body(body.to_string());
        request.send().await.expect("an answer")
    }

    pub(crate) async fn delete(&self, path: &str) -> Response {
        self.request(Method::DELETE, path)
            .send()
            .await
            .expect("an answer")
    }

    pub(crate) async fn read<T: DeserializeOwned>(&self, path: &str) -> T {
        body(self.get(path).await, StatusCode::OK).await
    }

    pub(crate) async fn set(&self, name: &str) -> ProtectedSet {
        let response = self
            .post("/v1/protected-sets", &json!({ "name": name }))
            .await;
        body(response, StatusCode::CREATED).await
    }

    pub(crate) async fn announce(&self, set: &ProtectedSet, name: &str, bytes: &[u8]) -> Response {
        let kind = if name == "lie.jpg" || name == "cut.jpg" {
            "image/jpeg"
        } else {
            "image/png"
        };
        let request = json!({
            "protected_set_id": set.id, "filename": name, "size_bytes": bytes.len(),
            "sha256": hex::encode(Sha256::digest(bytes)), "media_type": kind,
        });
        self.post("/v1/uploads", &request).await
    }

    pub(crate) async fn send(&self, upload: &Upload, bytes: &[u8]) -> Response {
        let url = self.server.url(&upload.url);
        let mut request = client().put(url).body(bytes.to_vec());
        for (name, value) in &upload.headers {
            request = request.header(name, value);
        }
        request.send().await.expect("an answer")
    }

    /// Announces and sends; the answer is that of `complete`.
    pub(crate) async fn upload(&self, set: &ProtectedSet, name: &str, bytes: &[u8]) -> Response {
        let upload: Upload = body(self.announce(set, name, bytes).await, StatusCode::CREATED).await;
        let sent = self.send(&upload, bytes).await;
        assert_eq!(sent.status(), StatusCode::OK, "{:?}", sent.text().await);
        self.post(&format!("/v1/uploads/{}/complete", upload.id), &json!({}))
            .await
    }

    pub(crate) async fn sealed_set(&self, name: &str) -> ProtectedSet {
        let set = self.set(name).await;
        for shade in 0..3 {
            let response = self
                .upload(&set, &format!("{shade}.png"), &png(64, 64, shade))
                .await;
            let _: Upload = body(response, StatusCode::OK).await;
        }
        self.seal(&set, &attestation()).await
    }

    /// A set of one recognisable person, who consented.
    pub(crate) async fn portraits(&self, name: &str) -> ProtectedSet {
        let set = self.set(name).await;
        for shade in 0..3 {
            let bytes = png(64, 64, 100 + shade);
            let response = self.upload(&set, &format!("{shade}.png"), &bytes).await;
            let _: Upload = body(response, StatusCode::OK).await;
        }
        let mut attestation = attestation();
        attestation["basis"] = json!("consent");
        attestation["depicts_person"] = json!(true);
        self.seal(&set, &attestation).await
    }

    async fn seal(&self, set: &ProtectedSet, attestation: &Value) -> ProtectedSet {
        let path = format!("/v1/protected-sets/{}/attestation", set.id);
        body(self.put(&path, attestation).await, StatusCode::OK).await
    }

    pub(crate) async fn preflight(&self, spec: &Value) -> Preflight {
        body(self.post("/v1/preflights", spec).await, StatusCode::OK).await
    }

    pub(crate) async fn model(&self) -> BaseModel {
        let page: Page<BaseModel> = self.read("/v1/base-models").await;
        page.data.into_iter().next().expect("the embedded model")
    }

    pub(crate) async fn spec(&self, set: &ProtectedSet) -> Value {
        let model = self.model().await;
        json!({ "base_model_id": model.id, "concepts": [concept(set)] })
    }

    pub(crate) async fn launch(&self, spec: &Value, key: &str) -> Response {
        let request = self
            .request(Method::POST, "/v1/jobs")
            .header("idempotency-key", key);
        request.json(spec).send().await.expect("an answer")
    }

    pub(crate) async fn probe(&self, spec: &Value, key: &str) -> Response {
        let request = self
            .request(Method::POST, "/v1/probes")
            .header("idempotency-key", key);
        request.json(spec).send().await.expect("an answer")
    }

    pub(crate) async fn job(&self) -> Job {
        let set = self.sealed_set("subject").await;
        let spec = self.spec(&set).await;
        body(
            self.launch(&spec, &set.id.to_string()).await,
            StatusCode::ACCEPTED,
        )
        .await
    }
}

/// A dog that becomes an apple.
pub(crate) fn concept(set: &ProtectedSet) -> Value {
    json!({
        "protected_set_id": set.id, "class_name": "dog", "identifier": "sks",
        "objective": { "kind": "target", "target_class": "apple" },
    })
}

/// Reads a body of the expected status.
pub(crate) async fn body<T: DeserializeOwned>(response: Response, status: StatusCode) -> T {
    let found = response.status();
    let text = response.text().await.expect("a body");
    assert_eq!(found, status, "{text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Checks a refusal: status, problem document, request id, code. Returns the problem.
pub(crate) async fn refused(response: Response, status: u16, code: &str) -> Value {
    let found = response.status().as_u16();
    let headers = response.headers().clone();
    let text = response.text().await.expect("a body");
    assert_eq!(found, status, "{text}");
    assert_eq!(
        headers["content-type"], "application/problem+json",
        "{text}"
    );
    let problem: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(problem["code"], code, "{text}");
    assert_eq!(problem["status"], status, "{text}");
    assert_eq!(
        problem["request_id"],
        headers["request-id"].to_str().expect("text"),
        "{text}"
    );
    for field in ["type", "title", "detail", "instance"] {
        assert!(
            problem[field].as_str().is_some_and(|text| !text.is_empty()),
            "{field}: {text}"
        );
    }
    problem
}

/// A letter without the marks of its quoted-printable encoding.
pub(crate) fn plain(letter: &str) -> String {
    letter
        .replace("=\r\n", "")
        .replace("=\n", "")
        .replace("=3D", "=")
        .replace("\r\n", "\n")
}

/// A picture that differs with its shade.
pub(crate) fn png(width: u32, height: u32, shade: u8) -> Vec<u8> {
    let picture = image::RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([(x * 3).to_le_bytes()[0], (y * 5).to_le_bytes()[0], shade])
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, image::ImageFormat::Png)
        .expect("an encoder");
    bytes.into_inner()
}

pub(crate) fn attestation() -> Value {
    json!({
        "basis": "own", "name": "Ada Example", "jurisdiction": "Germany",
        "depicts_person": false, "confirmed": true,
    })
}

/// The files of an instance's master keys; what locks them lies beside.
pub(crate) fn master_keys(data_dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data_dir.join("master-keys")).expect("the folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| path.extension().is_some_and(|end| end == "key"))
        .collect()
}
