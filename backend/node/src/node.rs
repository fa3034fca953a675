//! A node: its directory, its devices, and a slot for every job that runs at once.

use std::{
    fs, panic,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use diffusion::device::DeviceName;
use shared::{
    NodeId,
    node::{CreateLease, LeaseDevice},
    training_node::{NodeDevice, NodeFacts},
};
use tokio::task::JoinSet;

use crate::{
    Error, Result,
    attempt::Workshop,
    client::Client,
    config::{Config, Settings, Token},
    device::{self, Told},
    machine,
    room::Room,
    shutdown,
    slot::Slot,
    transfer::Cache,
};

/// Runs the node until a signal, the parent's death, or a token that the server refuses.
pub async fn run(config: &Config, token: Token, program: PathBuf) -> Result<()> {
    let settings = &config.settings;
    let stop = shutdown::requested(settings.watch_stdin);
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
    let devices = device::find(&program, &settings.devices, &directory).await?;
    let count = u32::try_from(devices.len()).unwrap_or(u32::MAX);
    let slots = count.saturating_mul(settings.jobs_per_device);
    let request = request(settings, machine::node_id(&directory)?, &devices);
    let workshop = Workshop {
        client: Client::new(&config.url, token)?,
        cache: Cache::new(cache),
        teacher,
        work,
        threads: part(settings.threads(), slots),
        drain: Duration::from_secs(settings.drain_seconds),
        device: DeviceName::Auto,
        networks: networks.transpose()?,
        program: settings.trainer.clone().unwrap_or(program),
    };
    let models: Vec<&str> = devices.iter().map(|device| device.model.as_str()).collect();
    tracing::info!(node.id = %request.node_id, threads = request.threads, devices = ?models, slots, "node is up");
    let mut working = JoinSet::new();
    for device in &devices {
        let room = Room::new(device.memory_bytes, settings.jobs_per_device);
        for _ in 0..settings.jobs_per_device {
            let slot = Slot {
                workshop: Workshop {
                    // What was found once: a trainer must not fall back to another device than the lease promised.
                    device: device.name,
                    ..workshop.clone()
                },
                request: CreateLease {
                    // A single one is the node, to servers of before, too.
                    device: (slots > 1).then(|| offer(device)),
                    ..request.clone()
                },
                room: Arc::clone(&room),
                stop: stop.clone(),
            };
            working.spawn(slot.run());
        }
    }
    let mut ended = Ok(());
    while let Some(slot) = working.join_next().await {
        // Who starts the node again does it for one that broke down as a whole.
        ended = ended.and(slot.unwrap_or_else(|error| panic::resume_unwind(error.into_panic())));
    }
    tracing::info!("node stops");
    ended
}

/// What every slot asks by.
fn request(settings: &Settings, node_id: NodeId, devices: &[Told]) -> CreateLease {
    CreateLease {
        node_id,
        name: machine::name(),
        threads: settings.threads(),
        memory_bytes: largest(devices),
        families: machine::FAMILIES.map(str::to_owned).to_vec(),
        facts: Some(facts(devices)),
        device: None,
    }
}

fn largest(devices: &[Told]) -> u64 {
    let memory = devices.iter().map(|device| device.memory_bytes);
    memory.max().unwrap_or_default()
}

/// What the operator sees of this machine.
fn facts(devices: &[Told]) -> NodeFacts {
    let device = |device: &Told| NodeDevice {
        name: device.name.to_string(),
        model: device.model.clone(),
        memory_bytes: device.memory_bytes,
        gigaflops: device.gigaflops,
    };
    NodeFacts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        devices: devices.iter().map(device).collect(),
        cpu_features: machine::cpu_features(),
        free_memory_bytes: machine::free_memory_bytes(),
    }
}

/// A device that does nothing yet.
fn offer(device: &Told) -> LeaseDevice {
    LeaseDevice {
        name: device.name.to_string(),
        memory_bytes: device.memory_bytes,
        free_memory_bytes: device.memory_bytes,
    }
}

/// The threads of one trainer of several.
fn part(threads: u32, slots: u32) -> u32 {
    (threads / slots).max(1)
}

fn lock(directory: &Path) -> Result<fs::File> {
    let path = directory.join("lock");
    let file = fs::File::create(&path).map_err(Error::file(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::Occupied(directory.display().to_string())),
        Err(fs::TryLockError::Error(source)) => Err(Error::file(&path)(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: DeviceName, memory_bytes: u64) -> Told {
        Told {
            name,
            model: "Test".to_owned(),
            memory_bytes,
            gigaflops: None,
        }
    }

    #[test]
    fn threads_are_divided_and_nobody_is_left_without() {
        assert_eq!(part(8, 1), 8);
        assert_eq!(part(8, 3), 2);
        assert_eq!(part(2, 4), 1);
    }

    #[test]
    fn the_node_tells_of_every_device_and_offers_the_largest() {
        let devices = [
            told(DeviceName::Cuda(0), 50),
            told(DeviceName::Cuda(1), 100),
        ];
        let told = facts(&devices).devices;
        let names: Vec<&str> = told.iter().map(|device| device.name.as_str()).collect();
        assert_eq!(names, ["cuda:0", "cuda:1"]);
        assert_eq!(largest(&devices), 100);
        let offer = offer(&devices[0]);
        assert_eq!((offer.memory_bytes, offer.free_memory_bytes), (50, 50));
    }
}
