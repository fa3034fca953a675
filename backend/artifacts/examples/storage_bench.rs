//! How fast objects go in and come out: of a directory against a bare copy of the same file on the same disk, of a
//! bucket against a plain client of the same service, which neither compares nor hashes whole files.
//!
//! All of them take turns and so meet the same load; medians count. The service is
//! `s3s-fs` in a process of its own, so that its memory is not ours. Run it with a size in MiB and a number of rounds.

#![expect(
    clippy::print_stdout,
    reason = "a benchmark talks to the person who runs it"
)]

#[path = "../tests/it/s3_server/mod.rs"]
mod s3_server;

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use artifacts::{ArtifactStore, LocalStore, ObjectHash, PART_BYTES, S3Settings, S3Store};
use futures::TryStreamExt;
use s3_server::{BUCKET, S3Server, credentials};
use sha2::{Digest, Sha256};
use tokio::{
    fs::File,
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
};
use tokio_util::io::StreamReader;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Seconds of every round.
#[derive(Default)]
struct Times {
    bare_upload: Vec<f64>,
    bare_download: Vec<f64>,
    upload: Vec<f64>,
    download: Vec<f64>,
}

impl Times {
    fn ratios(&self) -> (f64, f64) {
        (
            median(&self.bare_upload) / median(&self.upload),
            median(&self.bare_download) / median(&self.download),
        )
    }
}

/// What a store is measured against.
enum Bare {
    /// A copy on the same disk.
    Copy,
    /// A client of the service that sends parts and reads bodies.
    Client(s3::Client),
}

impl Bare {
    async fn upload(&self, file: &Path, copy: &Path) -> Outcome<()> {
        let Self::Client(client) = self else {
            let (from, to) = (file.to_owned(), copy.to_owned());
            tokio::task::spawn_blocking(move || copy_durably(&from, &to)).await??;
            return Ok(());
        };
        let objects = client.objects();
        let begun = objects
            .create_multipart_upload(BUCKET, "plain")
            .send()
            .await?;
        let mut complete = objects.complete_multipart_upload(BUCKET, "plain", &begun.upload_id);
        let mut file = File::open(file).await?;
        for number in 1.. {
            let mut part = Vec::new();
            let mut limited = (&mut file).take(PART_BYTES);
            if limited.read_to_end(&mut part).await? == 0 {
                break;
            }
            let request = objects.upload_part(BUCKET, "plain", &begun.upload_id, number);
            let sent = request.body_bytes(part).send().await?;
            complete = complete.part(number, sent.etag.ok_or("a part has a tag")?);
        }
        complete.send().await?;
        Ok(())
    }

    async fn download(&self, file: &Path, copy: &Path) -> Outcome<()> {
        let Self::Client(client) = self else {
            return self.upload(file, copy).await;
        };
        let answer = client.objects().get(BUCKET, "plain").send().await?;
        let body = answer.body.map_err(std::io::Error::other);
        save(StreamReader::new(body), copy).await
    }
}

async fn save(mut from: impl AsyncRead + Unpin, to: &Path) -> Outcome<()> {
    let mut out = File::create(to).await?;
    let mut from = tokio::io::BufReader::with_capacity(1 << 18, &mut from);
    tokio::io::copy_buf(&mut from, &mut out).await?;
    out.flush().await?;
    out.sync_all().await?;
    Ok(())
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The service in a process of its own; dropped, it ends.
struct Service(Child, String);

impl Service {
    fn start(root: &Path) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .arg(root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut endpoint = String::new();
        let out = child.stdout.take().ok_or("no output")?;
        BufReader::new(out).read_line(&mut endpoint)?;
        Ok(Self(child, endpoint.trim().to_owned()))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [verb, root] = &arguments[..]
        && verb == "serve"
    {
        let server = S3Server::with_bucket(Path::new(root)).await;
        println!("{}", server.endpoint);
        std::io::stdout().flush()?;
        std::future::pending::<()>().await;
    }
    let size = arguments.first().map_or(Ok(256), |text| text.parse())?;
    let rounds = arguments.get(1).map_or(Ok(5), |text| text.parse())?;
    measure(size, rounds).await
}

async fn measure(mebibytes: usize, rounds: usize) -> Outcome<()> {
    // Ignored by git: a killed run leaves it behind.
    std::fs::create_dir_all("target")?;
    let root = tempfile::tempdir_in("target")?;
    let (file, hash) = write_file(root.path(), mebibytes)?;
    let local = LocalStore::open(root.path().join("local")).await?;
    let buckets = root.path().join("buckets");
    std::fs::create_dir(&buckets)?;
    let service = Service::start(&buckets)?;
    let bucket = S3Store::open(settings(&service.1))?;
    let before = peak_after_reset()?;
    let mut worst = (f64::MAX, f64::MAX);
    let client = Bare::Client(plain(&service.1)?);
    let stores = [
        ("directory", &local as &dyn ArtifactStore, Bare::Copy),
        ("bucket", &bucket, client),
    ];
    for (name, store, bare) in stores {
        let times = take_turns(store, &bare, &file, hash, rounds).await?;
        let (upload, download) = times.ratios();
        let speed = |values: &[f64]| mebibytes as f64 / median(values);
        println!(
            "{name}: upload {:.0} of {:.0} MiB/s ({upload:.2}), download {:.0} of {:.0} MiB/s ({download:.2})",
            speed(&times.upload),
            speed(&times.bare_upload),
            speed(&times.download),
            speed(&times.bare_download)
        );
        worst = (worst.0.min(upload), worst.1.min(download));
    }
    let growth = peak()? - before;
    println!("{mebibytes} MiB, {rounds} rounds; the worse of directory and bucket:");
    println!(
        "upload_ratio={:.2} download_ratio={:.2} rss_growth_mb={growth:.1}",
        worst.0, worst.1
    );
    Ok(())
}

async fn take_turns(
    store: &dyn ArtifactStore,
    bare: &Bare,
    file: &Path,
    hash: ObjectHash,
    rounds: usize,
) -> Outcome<Times> {
    let mut times = Times::default();
    let target = file.with_extension("copy");
    let size = std::fs::metadata(file)?.len();
    for _ in 0..rounds {
        let start = Instant::now();
        bare.upload(file, &target).await?;
        times.bare_upload.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        store.put(hash, size, &mut File::open(file).await?).await?;
        times.upload.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        bare.download(file, &target).await?;
        times.bare_download.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        let object = store.open(hash, None).await?.ok_or("it was stored")?;
        save(object.reader, &target).await?;
        times.download.push(start.elapsed().as_secs_f64());
        std::fs::remove_file(&target)?;
        store.delete(hash).await?;
    }
    Ok(times)
}

/// What the disk and the kernel can do: the same bytes, durable as an object is.
fn copy_durably(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::copy(from, to)?;
    std::fs::File::open(to)?.sync_all()
}

fn write_file(root: &Path, mebibytes: usize) -> Outcome<(PathBuf, ObjectHash)> {
    let path = root.join("file");
    let mut file = std::fs::File::create(&path)?;
    let mut digest = Sha256::new();
    let mut state = 1_u64;
    for _ in 0..mebibytes {
        let words = (0..(1 << 17)).flat_map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state.to_le_bytes()
        });
        let piece: Vec<u8> = words.collect();
        digest.update(&piece);
        file.write_all(&piece)?;
    }
    file.sync_all()?;
    Ok((path, hex::encode(digest.finalize()).parse()?))
}

fn plain(endpoint: &str) -> Outcome<s3::Client> {
    let keys = credentials();
    let keys = s3::Credentials::new(keys.access_key_id, keys.secret_access_key)?;
    Ok(s3::Client::builder(endpoint)?
        .region("us-east-1")
        .auth(s3::Auth::Static(keys))
        .addressing_style(s3::AddressingStyle::Path)
        .build()?)
}

fn settings(endpoint: &str) -> S3Settings {
    S3Settings {
        endpoint: endpoint.to_owned(),
        public_endpoint: None,
        region: "us-east-1".into(),
        bucket: BUCKET.into(),
        prefix: String::new(),
        path_style: true,
        keys: artifacts::KeySource::Fixed(credentials()),
        encryption: None,
    }
}

/// Peak resident memory of this process from now on, in MB.
fn peak_after_reset() -> Outcome<f64> {
    std::fs::write("/proc/self/clear_refs", "5")?;
    peak()
}

fn peak() -> Outcome<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let text = line.and_then(|line| line.split_whitespace().next());
    Ok(text.ok_or("no VmHWM")?.parse::<f64>()? * 1024.0 / 1e6)
}
