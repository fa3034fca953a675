//! A real S3 server in this process, and a line to it that can break.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use s3s_fs::FileSystem;
use shared::model_import::S3Credentials;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Names of the test account.
pub(crate) const ACCESS_KEY: &str = "AKIATESTACCOUNT";
pub(crate) const SECRET_KEY: &str = "very-secret-test-key";

/// Keys that the server accepts.
pub(crate) fn credentials() -> S3Credentials {
    S3Credentials {
        access_key_id: ACCESS_KEY.to_owned(),
        secret_access_key: SECRET_KEY.to_owned(),
        session_token: None,
    }
}

/// The server, and how many bytes its line carries before it breaks, once.
pub(crate) struct S3Server {
    pub(crate) endpoint: String,
    budget: Arc<AtomicU64>,
}

impl S3Server {
    /// Serves the folders below `root` as buckets.
    pub(crate) async fn start(root: &Path) -> Self {
        let server = listen(root).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let budget = Arc::new(AtomicU64::new(u64::MAX));
        let left = Arc::clone(&budget);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server, Arc::clone(&left)));
            }
        });
        Self {
            endpoint: format!("http://{address}"),
            budget,
        }
    }

    /// Breaks the line in the middle of an answer, after so many bytes from now; then it holds again.
    pub(crate) fn break_after(&self, bytes: u64) {
        self.budget.store(bytes, Ordering::SeqCst);
    }

    /// Whether the line broke.
    pub(crate) fn has_broken(&self) -> bool {
        self.budget.load(Ordering::SeqCst) == u64::MAX
    }
}

async fn listen(root: &Path) -> SocketAddr {
    let mut builder = S3ServiceBuilder::new(FileSystem::new(root).expect("the root exists"));
    builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
    let service = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let builder = Builder::new(TokioExecutor::new());
                let served = builder.serve_connection(TokioIo::new(stream), service);
                let _ = served.await; // a client that goes is no fault
            });
        }
    });
    address
}

/// Carries one connection until either side ends or the budget does.
async fn carry(client: TcpStream, server: SocketAddr, budget: Arc<AtomicU64>) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let mut chunk = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from_server.read(&mut chunk).await {
        let left = budget.load(Ordering::SeqCst);
        let fits = usize::try_from(left).unwrap_or(usize::MAX).min(count);
        if to_client.write_all(&chunk[..fits]).await.is_err() {
            break;
        }
        if left != u64::MAX {
            budget.store(left - fits as u64, Ordering::SeqCst);
        }
        if fits < count {
            budget.store(u64::MAX, Ordering::SeqCst);
            break;
        }
    }
    up.abort();
}
