//! A Garage of one node, where there is a `garage` on the path (version 2.3 or later).

use std::{
    fs,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use artifacts::{ArtifactStore, KeySource, S3Settings, S3Store};
use shared::model_import::S3Credentials;
use tempfile::TempDir;

const BUCKET: &str = "artifacts";
const ACCESS_KEY: &str = "GK31c2f218a2e44f485b94239e31c2f218";
const SECRET_KEY: &str = "b892c0665f0ada8a4755dae98baa3b133590e11dae3bcc1f9d769d67f16c3835";

/// It ends with this.
pub(crate) struct Garage {
    child: Child,
    root: TempDir,
    s3_port: u16,
}

impl Drop for Garage {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

impl Garage {
    /// Starts one and waits until it answers; `None` where there is none to start.
    pub(crate) async fn start() -> Option<Self> {
        let known = Command::new("garage").arg("--version").output().ok()?;
        assert!(known.status.success(), "garage does not run: {known:?}");
        let root = TempDir::new().expect("a directory can be made");
        let (s3_port, rpc_port) = (free_port(), free_port());
        let (place, secret) = (root.path().display(), "5f".repeat(32));
        let config = format!(
            "metadata_dir = \"{place}/meta\"\ndata_dir = \"{place}/data\"\ndb_engine = \"sqlite\"\n\
            replication_factor = 1\nrpc_bind_addr = \"127.0.0.1:{rpc_port}\"\n\
            rpc_public_addr = \"127.0.0.1:{rpc_port}\"\nrpc_secret = \"{secret}\"\n\
            [s3_api]\ns3_region = \"garage\"\napi_bind_addr = \"127.0.0.1:{s3_port}\"\n\
            root_domain = \".s3.garage.localhost\"\n"
        );
        let path = root.path().join("garage.toml");
        fs::write(&path, config).expect("written");
        let log = fs::File::create(root.path().join("log")).expect("a file");
        let child = Command::new("garage")
            .arg("-c")
            .arg(&path)
            .args(["server", "--single-node", "--default-bucket"])
            .env("GARAGE_DEFAULT_ACCESS_KEY", ACCESS_KEY)
            .env("GARAGE_DEFAULT_SECRET_KEY", SECRET_KEY)
            .env("GARAGE_DEFAULT_BUCKET", BUCKET)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let garage = Self {
            child: child.expect("garage starts"),
            root,
            s3_port,
        };
        let store = S3Store::open(garage.settings()).expect("the settings are fine");
        for _ in 0..60 {
            if store.list().await.is_ok() {
                return Some(garage);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let log = fs::read_to_string(garage.root.path().join("log"));
        panic!("garage does not answer: {}", log.unwrap_or_default());
    }

    pub(crate) fn settings(&self) -> S3Settings {
        S3Settings {
            endpoint: format!("http://127.0.0.1:{}", self.s3_port),
            public_endpoint: None,
            region: "garage".into(),
            bucket: BUCKET.into(),
            prefix: "persguard/".into(),
            path_style: true,
            keys: KeySource::Fixed(S3Credentials {
                access_key_id: ACCESS_KEY.into(),
                secret_access_key: SECRET_KEY.into(),
                session_token: None,
            }),
            encryption: None,
        }
    }
}
