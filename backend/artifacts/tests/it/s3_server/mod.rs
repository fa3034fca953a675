//! A real S3 server in this process, with faults on order: on the line to it, and in what it answers.

#![expect(
    dead_code,
    reason = "two packages share this server, and each orders other faults"
)]

mod files;
pub(crate) mod line;

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use artifacts::{KeySource, S3Settings};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use s3s::{
    Body, HttpError, HttpRequest, HttpResponse, S3Result,
    auth::{S3Auth, SecretKey},
    config::{S3Config, StaticConfigProvider},
    s3_error,
    service::{S3Service, S3ServiceBuilder},
};
use shared::model_import::S3Credentials;
use tokio::net::TcpListener;
use tower::service_fn;

use files::Files;
use line::{Line, lay};

/// Names of the test account.
pub(crate) const ACCESS_KEY: &str = "AKIATESTACCOUNT";
pub(crate) const SECRET_KEY: &str = "very-secret-test-key";
/// The bucket that [`S3Server::with_bucket`] makes.
pub(crate) const BUCKET: &str = "artifacts";

/// Keys that the server accepts.
pub(crate) fn credentials() -> S3Credentials {
    S3Credentials {
        access_key_id: ACCESS_KEY.to_owned(),
        secret_access_key: SECRET_KEY.to_owned(),
        session_token: None,
    }
}

/// What an answer is replaced with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The request is never carried out.
    Refuse(u16, &'static str),
    /// The request is carried out, and its answer is lost.
    Forget(u16, &'static str),
    /// The request is never carried out; the answer began as a success's and has nothing in it.
    Hollow,
}

/// How the server misbehaves.
#[derive(Default)]
pub(crate) struct Manners {
    due: Mutex<VecDeque<(String, Fault)>>,
    keys: Mutex<HashMap<String, String>>,
    cors: Mutex<Option<String>>,
    requests: AtomicU64,
    seen: Mutex<Vec<String>>,
}

impl Manners {
    /// The next request whose method and address contain this text gets this fault.
    pub(crate) fn order(&self, request: &str, fault: Fault) {
        let mut due = self.due.lock().expect("no panic");
        due.push_back((request.to_owned(), fault));
    }

    /// Faults that have not happened yet.
    pub(crate) fn left(&self) -> usize {
        self.due.lock().expect("no panic").len()
    }

    /// From now on these keys alone are accepted.
    pub(crate) fn rotate(&self, access: &str, secret: &str) {
        let mut keys = self.keys.lock().expect("no panic");
        keys.clear();
        keys.insert(access.to_owned(), secret.to_owned());
    }

    /// Pages of this origin may send files.
    pub(crate) fn allow(&self, origin: &str) {
        *self.cors.lock().expect("no panic") = Some(origin.to_owned());
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    /// Method, path and query of every request.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").clone()
    }

    fn next(&self, request: &str) -> Option<Fault> {
        let mut due = self.due.lock().expect("no panic");
        let position = due.iter().position(|(text, _)| request.contains(text))?;
        due.remove(position).map(|(_, fault)| fault)
    }
}

struct Keys(Arc<Manners>);

impl S3Auth for Keys {
    fn get_secret_key<'life0, 'life1, 'async_trait>(
        &'life0 self,
        access_key: &'life1 str,
    ) -> Pin<Box<dyn Future<Output = S3Result<SecretKey>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        let keys = self.0.keys.lock().expect("no panic");
        let key = keys.get(access_key).cloned();
        Box::pin(async {
            key.map(Into::into)
                .ok_or_else(|| s3_error!(InvalidAccessKeyId))
        })
    }
}

/// The server and the line to it.
pub(crate) struct S3Server {
    pub(crate) endpoint: String,
    pub(crate) line: Arc<Line>,
    pub(crate) manners: Arc<Manners>,
    pub(crate) root: PathBuf,
}

impl S3Server {
    /// Serves the folders below `root` as buckets.
    pub(crate) async fn start(root: &Path) -> Self {
        Self::start_with(root, 900).await
    }

    /// The same with a clock that may differ by so many seconds.
    pub(crate) async fn start_with(root: &Path, skew_seconds: u32) -> Self {
        let manners = Arc::new(Manners::default());
        manners.rotate(ACCESS_KEY, SECRET_KEY);
        let server = listen(root, Arc::clone(&manners), skew_seconds).await;
        let line = Arc::new(Line::default());
        let address = lay(server, Arc::clone(&line)).await;
        Self {
            endpoint: format!("http://{address}"),
            line,
            manners,
            root: root.to_owned(),
        }
    }

    /// The same with an empty bucket.
    pub(crate) async fn with_bucket(root: &Path) -> Self {
        std::fs::create_dir_all(root.join(BUCKET)).expect("a bucket is a folder");
        Self::start(root).await
    }

    /// Settings of a store in the bucket.
    pub(crate) fn settings(&self) -> S3Settings {
        S3Settings {
            endpoint: self.endpoint.clone(),
            public_endpoint: None,
            region: "us-east-1".into(),
            bucket: BUCKET.into(),
            prefix: "persguard/".into(),
            path_style: true,
            keys: KeySource::Fixed(credentials()),
            encryption: None,
        }
    }

    /// Breaks the line in the middle of an answer, after so many bytes from now; then it holds again.
    pub(crate) fn break_after(&self, bytes: u64) {
        self.line.down.break_after(bytes);
    }

    /// Whether the line broke.
    pub(crate) fn has_broken(&self) -> bool {
        self.line.down.is_quiet()
    }
}

async fn listen(root: &Path, manners: Arc<Manners>, skew_seconds: u32) -> SocketAddr {
    let mut builder = S3ServiceBuilder::new(Files::new(root));
    builder.set_auth(Keys(Arc::clone(&manners)));
    let mut config = S3Config::default();
    config.presigned_url_max_skew_time_secs = skew_seconds;
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    let service = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (service, manners) = (service.clone(), Arc::clone(&manners));
            let answering = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                answer(
                    service.clone(),
                    Arc::clone(&manners),
                    request.map(Body::from),
                )
            });
            tokio::spawn(async move {
                let builder = Builder::new(TokioExecutor::new());
                let io = TokioIo::new(stream);
                let served = builder.serve_connection(io, TowerToHyperService::new(answering));
                let _ = served.await; // a client that goes is no fault
            });
        }
    });
    address
}

async fn answer(
    service: S3Service,
    manners: Arc<Manners>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let text = format!("{} {}", request.method(), request.uri());
    manners.requests.fetch_add(1, Ordering::SeqCst);
    manners.seen.lock().expect("no panic").push(text.clone());
    let origin = request.headers().get("origin").cloned();
    let permitted = manners.cors.lock().expect("no panic").clone();
    let permitted = permitted
        .filter(|permitted| origin.is_some_and(|origin| origin.as_bytes() == permitted.as_bytes()));
    let mut response = match manners.next(&text) {
        Some(Fault::Refuse(status, code)) => refusal(status, code),
        Some(Fault::Forget(status, code)) => {
            service.call(request).await?;
            refusal(status, code)
        }
        Some(Fault::Hollow) => HttpResponse::default(),
        None if request.method() == "OPTIONS" && permitted.is_some() => HttpResponse::default(),
        None => service.call(request).await?,
    };
    if let Some(origin) = permitted {
        let headers = response.headers_mut();
        let value = origin.parse().expect("an origin is fine in a header");
        headers.insert("access-control-allow-origin", value);
        for (name, value) in [("methods", "GET, PUT"), ("headers", "*")] {
            let name = format!("access-control-allow-{name}");
            let name: hyper::header::HeaderName = name.parse().expect("a header");
            headers.insert(name, value.parse().expect("a value"));
        }
    }
    Ok(response)
}

fn refusal(status: u16, code: &str) -> HttpResponse {
    let body = format!("<Error><Code>{code}</Code><Message>on order</Message></Error>");
    let mut response = HttpResponse::new(Body::from(body));
    *response.status_mut() = status.try_into().expect("a status");
    response
}
