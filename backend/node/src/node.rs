//! The lease loop: ask, work, ask again, until told to stop.

use std::{fs, path::PathBuf, time::Duration};

use shared::{
    node::CreateLease,
    training_node::{NodeDevice, NodeFacts},
};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    Error, Result,
    attempt::{self, Workshop},
    client::Client,
    config::{Config, Token},
    device, machine, shutdown,
};

/// Pause while there is nothing to do.
const IDLE_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause while the server is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Runs the node until a signal, the parent's death, or a token that the server refuses.
pub async fn run(config: &Config, token: Token, program: PathBuf) -> Result<()> {
    let settings = &config.settings;
    let mut stop = shutdown::requested(settings.watch_stdin);
    let directory =
        std::path::absolute(&settings.directory).map_err(Error::file(&settings.directory))?;
    let (cache, work) = (directory.join("cache"), directory.join("work"));
    let networks = settings.networks.as_deref();
    let networks = networks.map(|path| fs::canonicalize(path).map_err(Error::file(path)));
    let teacher = directory.join("teacher");
    for folder in [&cache, &teacher] {
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
    }
    // Held to the end: two nodes in one directory would delete each other's jobs.
    let _lock = lock(&directory)?;
    // An earlier process may have died with protected images in there.
    let _ = fs::remove_dir_all(&work);
    let device = device::ask_measured(&program, settings.device, &directory).await?;
    let request = CreateLease {
        node_id: machine::node_id(&directory)?,
        name: machine::name(),
        threads: settings.threads(),
        memory_bytes: device.memory_bytes,
        families: machine::FAMILIES.map(str::to_owned).to_vec(),
        facts: Some(facts(&device)),
    };
    let workshop = Workshop {
        client: Client::new(&config.url, token)?,
        cache,
        teacher,
        work,
        threads: settings.threads(),
        drain: Duration::from_secs(settings.drain_seconds),
        // What was found once: a trainer must not fall back to another device than the lease promised.
        device: device.name,
        networks: networks.transpose()?,
        program: settings.trainer.clone().unwrap_or(program),
    };
    tracing::info!(node.id = %request.node_id, threads = request.threads, device = device.model, "node is up");
    let mut pause = IDLE_PAUSE;
    while !*stop.borrow() {
        // The server answers late while there is nothing to do.
        let asked = Instant::now();
        let lease = tokio::select! {
            lease = workshop.client.lease(&request) => lease,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match lease {
            Ok(Some(lease)) => {
                tracing::info!(job.id = %lease.job_id, attempt = lease.attempt, "lease taken");
                pause = IDLE_PAUSE;
                attempt::run(&workshop, lease, stop.clone()).await;
                continue;
            }
            Ok(None) => {
                pause = IDLE_PAUSE;
                if asked.elapsed() > IDLE_PAUSE {
                    continue;
                }
            }
            Err(
                error @ Error::Refused {
                    status: 401 | 403, ..
                },
            ) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "no lease");
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(uneven(pause)) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
    tracing::info!("node stops");
    Ok(())
}

/// What the operator sees of this machine.
fn facts(device: &device::Told) -> NodeFacts {
    NodeFacts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        devices: vec![NodeDevice {
            name: device.name.to_string(),
            model: device.model.clone(),
            memory_bytes: device.memory_bytes,
            gigaflops: device.gigaflops,
        }],
        cpu_features: machine::cpu_features(),
        free_memory_bytes: machine::free_memory_bytes(),
    }
}

/// Half to one and a half of a pause: nodes that lost their server at once do not all come back at once.
fn uneven(pause: Duration) -> Duration {
    let random = Uuid::now_v7().as_bytes()[15];
    pause / 2 + pause * u32::from(random) / 255
}

fn lock(directory: &std::path::Path) -> Result<fs::File> {
    let path = directory.join("lock");
    let file = fs::File::create(&path).map_err(Error::file(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::Occupied(directory.display().to_string())),
        Err(fs::TryLockError::Error(source)) => Err(Error::file(&path)(source)),
    }
}
