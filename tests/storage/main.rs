//! What many files and one large file cost the server: `cargo xtask bench storage` builds the server and starts this.
//!
//! Pictures come as an impatient page sends them, four at a time, each announced, sent, cleaned, sealed and looked at
//! again; then a node sends weights as large as it is told and the next job's node fetches them. All of it passes the
//! server, whose store is a directory. The last line tells how far its resident memory rose above what it had after a
//! first set of pictures.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use e2e::{
    Person, Server,
    machine::{ADMINISTRATOR, administrator},
    person::expect,
};
use futures::StreamExt;
use reqwest::{Body, Client, Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::{
    limits::MAX_IMAGES,
    node::{JoinedNode, Lease, NodeUpload},
    protected_set::ProtectedSet,
    training_node::CreatedNode,
};
use tokio::task::JoinSet;

/// Files on their way at once, as the page and the command line have it.
const AT_ONCE: usize = 4;
const PIECE: usize = 1 << 20;

/// A line of the server's status, in MB.
fn memory(server: &Server, name: &str) -> Result<f64> {
    Ok(server.memory(name)? * 1024.0 / 1e6)
}

/// A picture of the bundled subject that is another file each time: what follows the end is no part of it.
fn picture(number: usize) -> Result<Vec<u8>> {
    let sets = demo::sample_sets();
    let images: Vec<_> = sets.iter().flat_map(|set| set.images).collect();
    let (_, bytes) = images.get(number % images.len()).context("no samples")?;
    Ok([bytes, &number.to_be_bytes()[..]].concat())
}

/// Fills a set, and looks at every picture again.
async fn fill(person: &Person, first: usize, count: usize) -> Result<()> {
    let name = json!({ "name": format!("from {first}") });
    let path = "/v1/protected-sets";
    let set: ProtectedSet = person
        .send(Method::POST, path, &name, StatusCode::CREATED)
        .await?;
    for number in first..first + count {
        let name = format!("{number}.png");
        let done = person.upload(&set, &name, &picture(number)?).await?;
        let image = done.image.context("a picture")?;
        let seen = person.download(&image.url).await?;
        ensure!(seen.len() as u64 == image.size_bytes, "half a picture");
    }
    Ok(())
}

/// Fills as many sets as hold these files; files a second.
async fn many(person: &Arc<Person>, files: usize) -> Result<f64> {
    let start = Instant::now();
    let mut sets = (0..files).step_by(MAX_IMAGES);
    let mut filling = JoinSet::new();
    loop {
        while filling.len() < AT_ONCE
            && let Some(first) = sets.next()
        {
            let (person, count) = (Arc::clone(person), MAX_IMAGES.min(files - first));
            // A first set was filled before.
            filling.spawn(async move { fill(&person, MAX_IMAGES + first, count).await });
        }
        match filling.join_next().await {
            Some(filled) => filled??,
            None => break,
        }
    }
    Ok(files as f64 / start.elapsed().as_secs_f64())
}

/// Bytes that no compression makes fewer, without ever holding them all.
struct Weights {
    piece: Bytes,
    pieces: u64,
}

impl Weights {
    fn new(bytes: u64) -> Self {
        let mut state = 1_u64;
        let words = (0..PIECE / 8).flat_map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state.to_le_bytes()
        });
        Self {
            piece: words.collect::<Vec<u8>>().into(),
            pieces: bytes / PIECE as u64,
        }
    }

    fn size(&self) -> u64 {
        self.pieces * PIECE as u64
    }

    fn sha256(&self) -> String {
        let mut digest = Sha256::new();
        for _ in 0..self.pieces {
            digest.update(&self.piece);
        }
        hex::encode(digest.finalize())
    }

    fn body(&self) -> Body {
        let (piece, pieces) = (self.piece.clone(), self.pieces);
        let pieces = (0..pieces).map(move |_| Ok::<_, std::io::Error>(piece.clone()));
        Body::wrap_stream(futures::stream::iter(pieces))
    }
}

/// A node that joined, without a trainer.
struct Node {
    http: Client,
    server: String,
    joined: JoinedNode,
}

impl Node {
    async fn join(server: &Server) -> Result<Self> {
        let admin = administrator(server).await?;
        let request = json!({ "name": "bench" });
        let made: CreatedNode = admin
            .send(Method::POST, "/v1/nodes", &request, StatusCode::CREATED)
            .await?;
        let http = Client::builder().timeout(Duration::from_mins(10)).build()?;
        let token = json!({ "token": made.join_token });
        let joins = http.post(server.url("/v1/node/joins")).json(&token);
        let joined = expect(joins.send().await?, StatusCode::CREATED).await?;
        Ok(Self {
            http,
            server: server.url(""),
            joined: joined.json().await?,
        })
    }

    async fn post(
        &self,
        path: &str,
        body: &Value,
        status: StatusCode,
    ) -> Result<reqwest::Response> {
        let request = self.http.post(format!("{}{path}", self.server));
        let request = request.bearer_auth(&self.joined.credential).json(body);
        expect(request.send().await?, status).await
    }

    async fn lease(&self) -> Result<Lease> {
        let request = json!({ "node_id": self.joined.node_id, "name": "bench", "threads": 1,
            "memory_bytes": 64_000_000_000_u64, "families": ["tiny"] });
        let answer = self
            .post("/v1/node/leases", &request, StatusCode::OK)
            .await?;
        Ok(answer.json().await?)
    }

    /// Sends weights and ends the job with them; the seconds of the sending.
    async fn send(&self, lease: &Lease, weights: &Weights, sha256: &str) -> Result<f64> {
        let job = format!("/v1/node/jobs/{}", lease.job_id);
        let size = weights.size();
        let file = json!({ "token": lease.token, "sha256": sha256, "size_bytes": size });
        let uploads = format!("{job}/uploads");
        let answer = self.post(&uploads, &file, StatusCode::CREATED).await?;
        let upload: NodeUpload = answer.json().await?;
        let url = upload.url.context("the weights are new")?;
        let start = Instant::now();
        let put = self.http.put(format!("{}{url}", self.server));
        let put = put.header("content-length", size).body(weights.body());
        expect(put.send().await?, StatusCode::OK).await?;
        let seconds = start.elapsed().as_secs_f64();
        let output = json!([{ "kind": "protected_unet", "name": "unet.safetensors", "sha256": sha256,
            "size_bytes": size }]);
        let metrics =
            json!({ "milliseconds_per_step": 1.0, "seconds": 1.0, "peak_memory_bytes": 1 });
        let outcome = json!({ "result": "succeeded", "outputs": output, "metrics": metrics });
        let finish = json!({ "token": lease.token, "outcome": outcome });
        self.post(&format!("{job}/finish"), &finish, StatusCode::NO_CONTENT)
            .await?;
        Ok(seconds)
    }

    /// Fetches an input and compares its hash; the seconds of it.
    async fn fetch(&self, lease: &Lease, sha256: &str) -> Result<f64> {
        let mut inputs = lease.inputs.iter();
        let input = inputs.find(|input| input.sha256 == sha256);
        let input = input.context("the next job needs the weights")?;
        let start = Instant::now();
        let get = self.http.get(format!("{}{}", self.server, input.url));
        let answer = expect(get.send().await?, StatusCode::OK).await?;
        let mut digest = Sha256::new();
        let mut body = answer.bytes_stream();
        while let Some(piece) = body.next().await {
            digest.update(&piece?);
        }
        ensure!(hex::encode(digest.finalize()) == sha256, "other bytes");
        Ok(start.elapsed().as_secs_f64())
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let files: usize = arguments.next().map_or(Ok(1_000), |text| text.parse())?;
    let mebibytes: u64 = arguments.next().map_or(Ok(1_024), |text| text.parse())?;
    let server = Server::start(&[
        ("PERSGUARD_LOCAL_NODE", "false"),
        ("PERSGUARD_REQUESTS_PER_MINUTE", "100000000"),
        ("PERSGUARD_ADMINISTRATORS", ADMINISTRATOR),
        ("PERSGUARD_LEASE_SECONDS", "600"),
        ("PERSGUARD_LOG", "warn"),
    ])?;
    let person = Arc::new(Person::sign_up(&server, "storage@example.org").await?);
    let set = person.sealed_set(demo::SUBJECT).await?;
    let spec = person.short_spec(&set).await?;
    person.launch(&spec, "weights").await?;
    let node = Node::join(&server).await?;
    fill(&person, 0, MAX_IMAGES).await?;
    let before = memory(&server, "VmRSS:")?;
    // The peak counts from here.
    fs::write(format!("/proc/{}/clear_refs", server.pid()), "5")?;
    let rate = many(&person, files).await?;
    let after_files = memory(&server, "VmHWM:")?;
    println!("{files} pictures: {rate:.1} a second, peak {after_files:.0} MB from {before:.0} MB");
    let weights = Weights::new(mebibytes << 20);
    let sha256 = weights.sha256();
    let sent = node.send(&node.lease().await?, &weights, &sha256).await?;
    let fetched = node.fetch(&node.lease().await?, &sha256).await?;
    let speed = |seconds: f64| mebibytes as f64 / seconds;
    let peak = memory(&server, "VmHWM:")?;
    println!(
        "{mebibytes} MiB of weights: sent at {:.0} MiB/s, fetched at {:.0} MiB/s",
        speed(sent),
        speed(fetched)
    );
    println!("rss_growth_mb={:.1}", peak - before);
    Ok(())
}
