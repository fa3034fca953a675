//! The whole system under mixed traffic for a while: readers, visitors of shared pages, people who upload, launch real
//! jobs, cancel, sign up and sign in, and strangers who send rubbish. `cargo xtask bench soak [SECONDS]` builds the
//! server as it is released and starts this.
//!
//! Every answer that is not the expected one is an error, and so is a server that grows. The last line is measured:
//! `rss_growth_mb` is the median of the server's memory in the last quarter less that in the second; the first quarter
//! fills caches.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

mod figures;
mod traffic;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use e2e::{Server, machine::administrator};
use figures::{Figures, Memory};
use tokio::{
    runtime::Builder,
    task::{JoinSet, LocalSet},
    time::sleep,
};
use traffic::World;

/// Between two looks at the server's memory.
const LOOK: Duration = Duration::from_secs(2);
/// More than this between the second and the last quarter is a leak.
const GROWTH_MEGABYTES: f64 = 24.0;
const READERS: usize = 3;

fn main() -> Result<()> {
    let seconds: u64 = match std::env::args().nth(1) {
        Some(seconds) => seconds.parse().context("seconds of the whole run")?,
        None => 900,
    };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, run(Duration::from_secs(seconds)))
}

async fn run(length: Duration) -> Result<()> {
    let server = Server::start(&[
        ("PERSGUARD_REQUESTS_PER_MINUTE", "1000000"),
        ("PERSGUARD_ACTIVE_JOBS", "1000"),
        ("PERSGUARD_NODE_THREADS", "1"),
        ("PERSGUARD_LOG", "warn"),
    ])?;
    // Who shares has a proven address.
    let person = administrator(&server).await?;
    let set = person.sealed_set(demo::SUBJECT).await?;
    let spec = person.short_spec(&set).await?;
    let figures = Arc::new(Figures::default());
    let world = World {
        url: server.url(""),
        figures: Arc::clone(&figures),
        end: Instant::now() + length,
        person,
        actors: Arc::default(),
        set: set.id,
        spec,
    };
    let mut actors = JoinSet::new();
    for _ in 0..READERS {
        actors.spawn_local(world.clone().read());
    }
    actors.spawn_local(world.clone().visit());
    actors.spawn_local(world.clone().upload());
    actors.spawn_local(world.clone().work());
    actors.spawn_local(world.clone().cancel());
    actors.spawn_local(world.clone().come_and_go());
    actors.spawn_local(world.clone().send_rubbish());
    let mut memory = Memory::default();
    let mut minute = 0;
    while Instant::now() < world.end {
        sleep(LOOK).await;
        memory.add(server.resident_megabytes()?);
        let passed = length.saturating_sub(world.end.duration_since(Instant::now()));
        if passed.as_secs() / 60 > minute {
            minute = passed.as_secs() / 60;
            println!("{minute} min: {}, {:.0} MB", figures.say(), memory.last());
        }
    }
    while let Some(actor) = actors.join_next().await {
        actor?;
    }
    println!(
        "soak_seconds={} {} rss_mb={:.0} rss_growth_mb={:.1}",
        length.as_secs(),
        figures.say(),
        memory.last(),
        memory.growth(),
    );
    ensure!(!figures.has_errors(), "requests failed");
    ensure!(figures.all_kinds(), "some of the traffic never came");
    ensure!(memory.growth() <= GROWTH_MEGABYTES, "the server grows");
    Ok(())
}
