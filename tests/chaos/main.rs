//! Jobs among faults: real nodes, two real servers, their broker and PostgreSQL, killed, frozen, cut off and crashed while jobs go on.
//! `cargo xtask test --chaos` builds everything and starts this: `chaos [JOBS] [SEED]`.
//!
//! The last line is measured in the database and against what the trainers noted: `jobs` that the server accepted,
//! `kills` of every kind, jobs `lost` (gone, not ended, or ended by a result that nobody delivered), accepted `twice`,
//! `dead_without_cause`. Any of the last three above 0 is a failure.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

mod faults;
mod trainer;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use e2e::{
    Machine, Nats, Person, Postgres, Proxy, Server,
    machine::{ADMINISTRATOR, administrator},
};
use faults::{Dice, Place, Replica, WallClock, World, named};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use shared::{JobId, job::Job};
use tempfile::TempDir;
use tokio::{sync::Mutex, task::JoinSet, time::sleep};

const SERVERS: usize = 2;
const MACHINES: usize = 4;
/// An account has twenty jobs at a time.
const ACCOUNTS: usize = 5;
/// For everything to end once nothing goes wrong any more.
const CALM: Duration = Duration::from_mins(4);
/// Between two faults.
const PAUSE: Duration = Duration::from_millis(1200);

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().collect();
    if words.get(1).is_some_and(|word| word == "work") {
        return trainer::work(Path::new(words.get(2).context("work needs a directory")?));
    }
    let number = |at: usize, default: u64| match words.get(at) {
        Some(word) => word.parse().context("a number"),
        None => Ok(default),
    };
    let (jobs, seed) = (number(1, 120)?, number(2, 1)?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(run(usize::try_from(jobs)?, seed))
}

async fn run(jobs: usize, seed: u64) -> Result<()> {
    let start = Instant::now();
    let folder = TempDir::new()?;
    let journal = folder.path().join("journal");
    let mut world = prepare(folder.path(), &journal).await?;
    let accepted: Accepted = Arc::default();
    let mut launching = JoinSet::new();
    for account in 0..ACCOUNTS {
        let email = format!("person{account}@example.org");
        let server = &world.replicas[account % SERVERS].server;
        let person = Person::sign_up(server.as_ref().context("it runs")?, &email).await?;
        let set = person.sealed_set(demo::SUBJECT).await?;
        let spec = person.short_spec(&set).await?;
        let count = jobs / ACCOUNTS + usize::from(account < jobs % ACCOUNTS);
        launching.spawn(launch(person, spec, count, Arc::clone(&accepted)));
    }
    println!("chaos: {jobs} jobs, seed {seed}, {SERVERS} servers, {MACHINES} nodes");
    let mut dice = Dice::new(seed);
    while !is_over(&world, jobs, &accepted).await? {
        world.hurt(&mut dice).await?;
        world.mend()?;
        while let Some(launched) = launching.try_join_next() {
            launched??;
        }
        sleep(PAUSE).await;
        if start.elapsed() > Duration::from_mins(12) {
            println!("chaos: no more faults after twelve minutes");
            break;
        }
    }
    while let Some(launched) = launching.join_next().await {
        launched??;
    }
    let calm = Instant::now();
    while unended(&world)? > 0 && calm.elapsed() < CALM {
        world.mend()?;
        sleep(Duration::from_secs(1)).await;
    }
    let accepted = accepted.lock().await.clone();
    report(&world, &accepted, &journal, start.elapsed())
}

/// Nodes come back to the address that they joined: it stays the same over deaths of its server.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Two servers on one database and one data directory, as `settings` say, each with a clock of its own.
fn start_servers(
    folder: &Path,
    settings: &[(String, String)],
) -> Result<(Vec<SocketAddr>, Vec<Replica>)> {
    let (mut addresses, mut replicas) = (Vec::new(), Vec::<Replica>::new());
    for number in 0..SERVERS {
        let address = free_address()?;
        let clock = WallClock::new(folder.join(format!("clock{number}")))?;
        let mut settings = settings.to_vec();
        settings.extend(clock.settings()?);
        settings.push(("PERSGUARD_ADDRESS".to_owned(), address.to_string()));
        let first = replicas.first().and_then(|first| first.server.as_ref());
        let server = match first {
            Some(first) => first.beside(&named(&settings))?,
            None => Server::start(&named(&settings))?,
        };
        addresses.push(address);
        replicas.push(Replica {
            server: Some(server),
            clock,
            settings,
        });
    }
    Ok((addresses, replicas))
}

async fn prepare(folder: &Path, journal: &Path) -> Result<World> {
    let (postgres, broker) = (Postgres::start()?, Nats::start()?);
    let mut settings: Vec<(String, String)> = [
        ("PERSGUARD_DATABASE_URL", postgres.url().as_str()),
        ("PERSGUARD_LEASE_SECONDS", "2"),
        ("PERSGUARD_LOCAL_NODE", "false"),
        ("PERSGUARD_ADMINISTRATORS", ADMINISTRATOR),
        ("PERSGUARD_REQUESTS_PER_MINUTE", "1000000"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    let broker_settings = broker.settings();
    settings.extend(broker_settings.map(|(name, value)| (name.to_owned(), value)));
    let (addresses, replicas) = start_servers(folder, &settings)?;
    let admin = administrator(replicas[0].server.as_ref().context("it runs")?).await?;
    let own = std::env::current_exe()?;
    let own = own.to_str().context("a path in UTF-8")?;
    let journal = journal.to_str().context("a path in UTF-8")?;
    let mut places = Vec::new();
    for number in 0..MACHINES {
        let settings = [
            ("PERSGUARD_NODE_TRAINER", own),
            ("PERSGUARD_NODE_THREADS", "1"),
            (trainer::JOURNAL, journal),
        ];
        // Half of them prefer the second server.
        let mut targets = addresses.clone();
        targets.rotate_left(number % SERVERS);
        let way = Proxy::to(targets).await?;
        let (name, url) = (format!("node {number}"), way.url());
        let machine = Machine::join_through(&admin, (&name, &url), &settings).await?;
        places.push(Place { machine, way });
    }
    Ok(World {
        replicas,
        broker,
        postgres,
        places,
        counts: BTreeMap::new(),
    })
}

/// Jobs that the server said it took.
type Accepted = Arc<Mutex<BTreeSet<JobId>>>;

/// Launches probes, each with a key of its own, as often as it takes: whatever dies in between, one key makes one job.
async fn launch(person: Person, spec: Value, count: usize, accepted: Accepted) -> Result<()> {
    for number in 0..count {
        let start = Instant::now();
        let job = loop {
            let request = person
                .request(Method::POST, "/v1/probes")
                .header("Idempotency-Key", format!("chaos-{number}"))
                .json(&spec);
            match request.send().await {
                Ok(answer) if answer.status() == StatusCode::ACCEPTED => {
                    if let Ok(job) = answer.json::<Job>().await {
                        break job;
                    }
                }
                // The account has as many as it may, or the server is in trouble.
                Ok(answer) => {
                    let status = answer.status();
                    let passing = status == StatusCode::CONFLICT
                        || status == StatusCode::TOO_MANY_REQUESTS
                        || status.is_server_error();
                    ensure!(passing, "{status}: {}", answer.text().await?);
                }
                Err(_) => {}
            }
            ensure!(
                start.elapsed() < Duration::from_mins(10),
                "a job is not taken for ten minutes"
            );
            sleep(Duration::from_millis(200)).await;
        };
        accepted.lock().await.insert(job.id);
    }
    Ok(())
}

fn unended(world: &World) -> Result<usize> {
    let sql = "SELECT count(*) FROM jobs WHERE status NOT IN ('succeeded', 'failed', 'canceled')";
    Ok(world.postgres.ask(sql)?.parse()?)
}

async fn is_over(world: &World, jobs: usize, accepted: &Accepted) -> Result<bool> {
    Ok(accepted.lock().await.len() >= jobs && unended(world)? == 0)
}

fn number(world: &World, sql: &str) -> Result<usize> {
    let text = world.postgres.ask(sql)?;
    text.parse().with_context(|| format!("{sql}: {text}"))
}

/// `job_0198…` of a UUID column.
const JOB: &str = "'job_' || replace(job_id::text, '-', '')";

/// Jobs that ended, whichever way.
fn ended(world: &World) -> Result<HashSet<String>> {
    let known = "SELECT 'job_' || replace(id::text, '-', '') FROM jobs WHERE status IN ('succeeded', 'failed', 'canceled')";
    let found = world.postgres.ask(known)?;
    Ok(found.lines().map(str::to_owned).collect())
}

fn report(
    world: &World,
    accepted: &BTreeSet<JobId>,
    journal: &PathBuf,
    took: Duration,
) -> Result<()> {
    let ended = ended(world)?;
    let all = number(world, "SELECT count(*) FROM jobs")?;
    let unfinished = accepted
        .iter()
        .filter(|job| !ended.contains(&job.to_string()))
        .count();
    // A result counts only if some trainer noted that it delivered exactly this for this job.
    let journal = fs::read_to_string(journal).unwrap_or_default();
    let delivered: HashSet<&str> = journal.lines().collect();
    let kept = world.postgres.ask(&format!(
        "SELECT {JOB} || ' ' || sha256 FROM artifacts WHERE kind = 'probe'"
    ))?;
    let forged = kept
        .lines()
        .filter(|line| !delivered.contains(line))
        .count();
    let empty = number(
        world,
        "SELECT count(*) FROM jobs WHERE status = 'succeeded' AND id NOT IN (SELECT job_id FROM artifacts)",
    )?;
    let doubled = number(
        world,
        "SELECT count(*) FROM (SELECT job_id FROM job_attempts WHERE ended_as = 'succeeded' \
            GROUP BY job_id HAVING count(*) > 1) AS twice",
    )?;
    let files = number(
        world,
        "SELECT count(*) FROM (SELECT job_id FROM artifacts WHERE kind = 'probe' \
            GROUP BY job_id HAVING count(*) > 1) AS twice",
    )?;
    let open = number(
        world,
        "SELECT count(*) FROM job_attempts JOIN jobs ON jobs.id = job_id \
            WHERE ended_at IS NULL AND jobs.status IN ('succeeded', 'failed', 'canceled')",
    )?;
    let without = number(
        world,
        "SELECT count(*) FROM jobs WHERE status = 'failed' \
            AND (failure IS NULL OR coalesce(failure::json ->> 'cause', '') = '')",
    )?;
    let failed = number(world, "SELECT count(*) FROM jobs WHERE status = 'failed'")?;
    let succeeded = number(
        world,
        "SELECT count(*) FROM jobs WHERE status = 'succeeded'",
    )?;
    let tries = number(world, "SELECT count(*) FROM job_attempts")?;
    let resumed = number(
        world,
        "SELECT count(DISTINCT job_id) FROM job_events WHERE body LIKE '%Going on from the snapshot%'",
    )?;
    let redelivered = delivered.len();
    for (fault, count) in &world.counts {
        println!("{fault}: {count}");
    }
    println!(
        "succeeded: {succeeded}; tries: {tries}; jobs that went on from a snapshot: {resumed}; delivered: {redelivered}; dead with a cause: {}; \
         {:.0} s",
        failed - without,
        took.as_secs_f64()
    );
    let lost = unfinished + forged + empty + (accepted.len().abs_diff(all));
    let twice = doubled + files;
    println!(
        "jobs={} kills={} lost={lost} twice={twice} dead_without_cause={without}",
        accepted.len(),
        world.kills()
    );
    ensure!(
        succeeded * 2 > accepted.len(),
        "only {succeeded} jobs succeeded: what was tried is not what dispatch is for"
    );
    ensure!(open == 0, "{open} tries of ended jobs have no end");
    ensure!(
        lost + twice + without == 0 && world.kills() > 0,
        "jobs were lost, accepted twice or dead without a cause; or nothing was tried"
    );
    Ok(())
}
