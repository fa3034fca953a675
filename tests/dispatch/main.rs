//! What dispatch costs, over the node protocol: `cargo xtask bench dispatch [SECONDS]` builds the server as it is
//! released and starts this.
//!
//! Twice, all on this machine: with one server on `SQLite`; and with two on one PostgreSQL that a broker wakes, of which one
//! takes the jobs and the nodes ask the other. With 1, 10, 100 and 1,000 nodes that joined: the time from the moment at
//! which a job is asked for until a waiting node has it in hand, one job at a time; then jobs a second, each created durably
//! by one of several accounts, leased, its file announced, and ended well. Then the bytes that one idle node moves, both
//! ways, counted on its own line. The last line tells the latency and the rate of 100 nodes with the broker.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

mod board;
mod node;

use std::{
    collections::HashMap,
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use board::Board;
use e2e::{
    Nats, Person, Postgres, Server,
    machine::{ADMINISTRATOR, administrator},
    person::expect,
};
use node::Node;
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use shared::{JobId, job::Job};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::sleep,
};

const SIZES: [usize; 4] = [1, 10, 100, 1000];
/// The last line is theirs.
const REPORTED: usize = 100;
const ACCOUNTS: usize = 12;
/// An account has so many jobs at a time.
const ACTIVE_JOBS: usize = 20;
const SAMPLES: usize = 100;
/// Several questions of an idle node, which it asks every nine seconds.
const IDLE: Duration = Duration::from_secs(30);

/// Somebody who asks for probes.
struct Account {
    person: Person,
    spec: Value,
    /// As many jobs as an account may have at a time: asking for more would measure refusals.
    room: Arc<Semaphore>,
}

impl Account {
    async fn open(server: &Server, number: usize) -> Result<Self> {
        let person = Person::sign_up(server, &format!("bench{number}@example.org")).await?;
        let set = person.sealed_set(demo::SUBJECT).await?;
        let spec = person.short_spec(&set).await?;
        Ok(Self {
            person,
            spec,
            room: Arc::new(Semaphore::new(ACTIVE_JOBS)),
        })
    }

    async fn launch(&self, key: &str) -> Result<JobId> {
        let request = self.person.request(Method::POST, "/v1/probes");
        let request = request.header("Idempotency-Key", key).json(&self.spec);
        let answer = expect(request.send().await?, StatusCode::ACCEPTED).await?;
        Ok(answer.json::<Job>().await?.id)
    }
}

struct Found {
    p50: f64,
    p95: f64,
    jobs_per_second: f64,
}

/// From the request for a job until a waiting node has it, one at a time.
async fn latencies(account: &Account, nodes: &[Node]) -> Result<(f64, f64)> {
    let mut milliseconds = Vec::new();
    let until = Instant::now() + Duration::from_mins(1);
    let mut working = JoinSet::new();
    let (sender, mut taken) = tokio::sync::mpsc::unbounded_channel();
    for node in nodes {
        let (sender, node) = (sender.clone(), node.clone());
        working.spawn(async move {
            while Instant::now() < until {
                if let Some(lease) = node.lease().await? {
                    let _ = sender.send(Instant::now());
                    node.succeed(&lease).await?;
                }
            }
            anyhow::Ok(())
        });
    }
    // Every node asks and waits.
    sleep(Duration::from_secs(2)).await;
    for number in 0..SAMPLES {
        let asked = Instant::now();
        let key = format!("latency-{}-{number}", nodes.len());
        account.launch(&key).await?;
        let got = tokio::time::timeout(Duration::from_secs(20), taken.recv()).await;
        let got = got.context("nobody took the job")?.context("nodes work")?;
        milliseconds.push((got - asked).as_secs_f64() * 1000.0);
        sleep(Duration::from_millis(50)).await;
    }
    working.abort_all();
    milliseconds.sort_by(f64::total_cmp);
    let at =
        |share: usize| milliseconds[(milliseconds.len() * share / 100).min(milliseconds.len() - 1)];
    Ok((at(50), at(95)))
}

/// Jobs a second that are created, taken and ended, all at once.
async fn rate(accounts: &[Arc<Account>], nodes: &[Node], length: Duration) -> Result<f64> {
    let until = Instant::now() + length;
    let board = Board::default();
    let mut creating = JoinSet::new();
    for account in accounts {
        let (account, board, size) = (Arc::clone(account), board.clone(), nodes.len());
        creating.spawn(async move {
            let mut number = 0;
            while Instant::now() < until {
                let room = Arc::clone(&account.room).acquire_owned();
                let Ok(room) = tokio::time::timeout_at(until.into(), room).await else {
                    break;
                };
                let job = account.launch(&format!("rate-{size}-{number}")).await?;
                board.created(job, room?);
                number += 1;
            }
            anyhow::Ok(())
        });
    }
    let mut working = JoinSet::new();
    for node in nodes {
        working.spawn(node.clone().work(board.clone(), until));
    }
    while let Some(created) = creating.join_next().await {
        created??;
    }
    let mut done: HashMap<JobId, u32> = HashMap::new();
    let mut within = 0_u32;
    while let Some(worked) = working.join_next().await {
        for (job, at) in worked?? {
            *done.entry(job).or_default() += 1;
            within += u32::from(at < until);
        }
    }
    ensure!(
        done.values().all(|count| *count == 1),
        "a job was lent twice"
    );
    Ok(f64::from(within) / length.as_secs_f64())
}

/// Works until nothing waits any more: what is left would be found by the next measurement.
async fn drain(nodes: &[Node]) -> Result<()> {
    loop {
        let mut ending = JoinSet::new();
        for node in nodes {
            ending.spawn(
                node.clone()
                    .work(Board::default(), Instant::now() + Duration::from_secs(1)),
            );
        }
        let mut done = 0;
        while let Some(ended) = ending.join_next().await {
            done += ended??.len();
        }
        if done == 0 {
            return Ok(());
        }
    }
}

/// Bytes a second of a node that has nothing to do, as they pass between it and the server.
async fn idle(node: &Node, server: &Server) -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let target = server.url("").trim_start_matches("http://").to_owned();
    let bytes = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&bytes);
    let line = tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let Ok(far) = TcpStream::connect(&target).await else {
                return;
            };
            let (mut near_in, mut near_out) = near.into_split();
            let (mut far_in, mut far_out) = far.into_split();
            let (up, down) = (Arc::clone(&counted), Arc::clone(&counted));
            tokio::spawn(async move { pump(&mut near_in, &mut far_out, &up).await });
            tokio::spawn(async move { pump(&mut far_in, &mut near_out, &down).await });
        }
    });
    let node = node.through(format!("http://{address}"));
    let start = Instant::now();
    while start.elapsed() < IDLE {
        ensure!(node.lease().await?.is_none(), "it was not idle");
    }
    let seconds = start.elapsed().as_secs_f64();
    line.abort();
    Ok(bytes.load(Ordering::Relaxed) as f64 / seconds)
}

async fn pump(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    counted: &AtomicU64,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        counted.fetch_add(count as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').context("a stat line")?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| words.get(at).and_then(|word| word.parse::<f64>().ok());
    // utime and stime; a hundred ticks a second on Linux.
    Ok((ticks(11).context("utime")? + ticks(12).context("stime")?) / 100.0)
}

/// Servers, and what they stand on.
struct Bed {
    name: &'static str,
    /// The first takes the jobs, the last speaks with the nodes.
    servers: Vec<Server>,
    /// Both end with this.
    _beneath: Option<(Postgres, Nats)>,
}

const SETTINGS: [(&str, &str); 4] = [
    ("PERSGUARD_LOCAL_NODE", "false"),
    ("PERSGUARD_ADMINISTRATORS", ADMINISTRATOR),
    ("PERSGUARD_REQUESTS_PER_MINUTE", "100000000"),
    ("PERSGUARD_LOG", "warn"),
];

impl Bed {
    fn alone() -> Result<Self> {
        Ok(Self {
            name: "one server, SQLite",
            servers: vec![Server::start(&SETTINGS)?],
            _beneath: None,
        })
    }

    fn with_broker() -> Result<Self> {
        let (database, broker) = (Postgres::start()?, Nats::start()?);
        let (url, broker_settings) = (database.url(), broker.settings());
        let mut settings = SETTINGS.to_vec();
        settings.push(("PERSGUARD_DATABASE_URL", &url));
        settings.extend(
            broker_settings
                .iter()
                .map(|(name, value)| (*name, value.as_str())),
        );
        let first = Server::start(&settings)?;
        let second = first.beside(&settings)?;
        Ok(Self {
            name: "two servers, PostgreSQL, broker",
            servers: vec![first, second],
            _beneath: Some((database, broker)),
        })
    }

    fn people(&self) -> &Server {
        &self.servers[0]
    }

    fn nodes(&self) -> &Server {
        &self.servers[self.servers.len() - 1]
    }

    /// Processor time of the servers so far, without what they stand on.
    fn cpu_seconds(&self) -> Result<f64> {
        self.servers
            .iter()
            .map(|server| cpu_seconds(server.pid()))
            .sum()
    }
}

/// What the reported number of nodes found, and the bytes a second of an idle one.
async fn measure(bed: &Bed, length: Duration) -> Result<(Found, f64)> {
    println!("{}:", bed.name);
    let admin = administrator(bed.people()).await?;
    let mut accounts = Vec::new();
    for number in 0..ACCOUNTS {
        accounts.push(Arc::new(Account::open(bed.people(), number).await?));
    }
    let mut nodes = Vec::new();
    let http = Client::builder().timeout(Duration::from_mins(1)).build()?;
    for number in 0..SIZES[SIZES.len() - 1] {
        let name = format!("node {number}");
        nodes.push(Node::join(bed.nodes(), &admin, (&name, http.clone())).await?);
    }
    let mut reported = None;
    for size in SIZES {
        let some = &nodes[..size];
        let (p50, p95) = latencies(&accounts[0], some).await?;
        drain(&nodes).await?;
        let before = bed.cpu_seconds()?;
        let jobs_per_second = rate(&accounts, some, length).await?;
        let busy = (bed.cpu_seconds()? - before) / length.as_secs_f64();
        println!(
            "{size} nodes: p50 {p50:.1} ms, p95 {p95:.1} ms, {jobs_per_second:.0} jobs/s with {busy:.2} cores of the servers"
        );
        drain(&nodes).await?;
        if size == REPORTED {
            reported = Some(Found {
                p50,
                p95,
                jobs_per_second,
            });
        }
    }
    let bytes = idle(&nodes[0], bed.nodes()).await?;
    Ok((reported.context("nothing was measured")?, bytes))
}

async fn measure_both(length: Duration) -> Result<()> {
    measure(&Bed::alone()?, length).await?;
    let (found, bytes) = measure(&Bed::with_broker()?, length).await?;
    println!(
        "p50_ms={:.1} p95_ms={:.1} jobs_per_s={:.0} idle_node_bytes_per_s={bytes:.0}",
        found.p50, found.p95, found.jobs_per_second
    );
    Ok(())
}

fn main() -> Result<()> {
    let seconds = match std::env::args().nth(1) {
        Some(seconds) => seconds.parse().context("seconds of each load")?,
        None => 10,
    };
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(measure_both(Duration::from_secs(seconds)))
}
