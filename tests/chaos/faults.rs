//! What goes wrong, in an order that a number chooses.

use std::{collections::BTreeMap, env, fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use e2e::{Machine, Nats, Postgres, Proxy, Server};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use crate::trainer;

/// Longer than a lease of two seconds, and its expiry.
const FROZEN: Duration = Duration::from_millis(4500);

/// What can go wrong.
const FAULTS: [(&str, u32); 13] = [
    ("node_killed", 5),
    ("trainer_killed", 3),
    ("node_frozen", 3),
    ("node_cut_off", 4),
    ("node_disk_full", 2),
    ("api_killed", 3),
    ("api_frozen", 2),
    ("api_clock_ahead", 2),
    ("api_clock_behind", 2),
    ("broker_killed", 3),
    ("broker_away", 1),
    ("postgres_crashed", 2),
    ("node_stopped", 2),
];

/// Seconds that a clock jumps: many leases, and less than a session's token lives.
const JUMP: &str = "300";
/// How long it stays wrong: longer than a lease.
const WRONG: Duration = Duration::from_secs(3);

/// A server's clock, as `libfaketime` reads it from a file whenever the server asks for the time.
pub(crate) struct WallClock(PathBuf);

impl WallClock {
    pub(crate) fn new(file: PathBuf) -> Result<Self> {
        let clock = Self(file);
        clock.set("+0")?;
        Ok(clock)
    }

    /// Seconds before or after the machine's time.
    fn set(&self, offset: &str) -> Result<()> {
        // Never half a file.
        let next = self.0.with_extension("next");
        fs::write(&next, offset)?;
        Ok(fs::rename(next, &self.0)?)
    }

    /// What its server is started with. Time that only passes is left alone: nothing sets that in a real machine.
    pub(crate) fn settings(&self) -> Result<[(String, String); 4]> {
        let library = env::var_os("PERSGUARD_FAKETIME")
            .context("PERSGUARD_FAKETIME is not set: run `cargo xtask test --chaos`")?;
        let library = library.to_str().context("a path in UTF-8")?;
        let file = self.0.to_str().context("a path in UTF-8")?;
        Ok([
            ("LD_PRELOAD", library),
            ("FAKETIME_TIMESTAMP_FILE", file),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())))
    }

    async fn jump(&self, sign: &str) -> Result<()> {
        self.set(&format!("{sign}{JUMP}"))?;
        sleep(WRONG).await;
        self.set("+0")
    }
}

/// A small generator of numbers: the same seed gives the same faults (Marsaglia, Xorshift RNGs, 2003).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % limit.max(1)
    }

    fn fault(&mut self) -> &'static str {
        let all: u32 = FAULTS.iter().map(|(_, weight)| weight).sum();
        let mut left = u32::try_from(self.below(all as usize)).unwrap_or(0);
        for (name, weight) in FAULTS {
            if left < weight {
                return name;
            }
            left -= weight;
        }
        FAULTS[0].0
    }
}

/// A node and its way to the servers.
pub(crate) struct Place {
    pub(crate) machine: Machine,
    pub(crate) way: Proxy,
}

/// A server and what it is told.
pub(crate) struct Replica {
    pub(crate) server: Option<Server>,
    pub(crate) clock: WallClock,
    pub(crate) settings: Vec<(String, String)>,
}

impl Replica {
    fn crash(&mut self) -> Result<()> {
        let server = self.server.take().context("a server runs")?;
        self.server = Some(server.crash(&named(&self.settings))?);
        Ok(())
    }

    async fn freeze(&self) -> Result<()> {
        let server = self.server.as_ref().context("a server runs")?;
        let pid = i32::try_from(server.pid())?;
        let pid = Pid::from_raw(pid).context("no process id")?;
        kill_process(pid, Signal::STOP)?;
        sleep(FROZEN).await;
        Ok(kill_process(pid, Signal::CONT)?)
    }
}

/// Settings as a server takes them.
pub(crate) fn named(settings: &[(String, String)]) -> Vec<(&str, &str)> {
    let named = settings.iter();
    named
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// Everything that can be hurt.
pub(crate) struct World {
    pub(crate) replicas: Vec<Replica>,
    pub(crate) broker: Nats,
    pub(crate) postgres: Postgres,
    pub(crate) places: Vec<Place>,
    pub(crate) counts: BTreeMap<&'static str, usize>,
}

impl World {
    /// How often something went wrong.
    pub(crate) fn kills(&self) -> usize {
        self.counts.values().sum()
    }

    /// Hurts something, and mends it where it does not mend itself.
    pub(crate) async fn hurt(&mut self, dice: &mut Dice) -> Result<()> {
        let fault = dice.fault();
        let hurt = match fault.split_once('_') {
            Some(("api", _)) => {
                let replica = dice.below(self.replicas.len());
                self.hurt_server(fault, replica).await?;
                true
            }
            Some(("broker", _)) => {
                self.broker.kill()?;
                // Away for longer than jobs take, or back, and empty, at once.
                let pause = if fault == "broker_away" { 5000 } else { 200 };
                sleep(Duration::from_millis(pause)).await;
                self.broker.start_again()?;
                true
            }
            Some(("postgres", _)) => {
                self.postgres.crash()?;
                true
            }
            _ => {
                let place = dice.below(self.places.len());
                hurt_node(fault, &mut self.places[place]).await?
            }
        };
        *self.counts.entry(fault).or_default() += usize::from(hurt);
        Ok(())
    }

    async fn hurt_server(&mut self, fault: &str, replica: usize) -> Result<()> {
        match fault {
            "api_killed" => self.replicas[replica].crash(),
            "api_frozen" => self.replicas[replica].freeze().await,
            "api_clock_ahead" => self.replicas[replica].clock.jump("+").await,
            _ => self.replicas[replica].clock.jump("-").await,
        }
    }

    /// Starts again what ended by itself: a node whose server refused it, or was away for too long.
    pub(crate) fn mend(&mut self) -> Result<()> {
        for Place { machine, .. } in &mut self.places {
            if !machine.is_running() {
                *self.counts.entry("node_ended_by_itself").or_default() += 1;
                machine.start()?;
            }
        }
        Ok(())
    }
}

/// Whether there was something to hurt.
async fn hurt_node(fault: &str, Place { machine, way }: &mut Place) -> Result<bool> {
    match fault {
        "node_killed" => {
            machine.kill()?;
            sleep(Duration::from_millis(500)).await;
            machine.start()?;
        }
        "trainer_killed" => return Ok(machine.kill_trainers() > 0),
        "node_frozen" => {
            machine.freeze()?;
            sleep(FROZEN).await;
            machine.thaw()?;
        }
        "node_cut_off" => {
            way.cut();
            sleep(FROZEN).await;
            way.mend();
        }
        "node_disk_full" => {
            let mark = machine.path().join(trainer::FULL);
            fs::write(&mark, "")?;
            sleep(Duration::from_millis(700)).await;
            fs::remove_file(mark)?;
        }
        _ => {
            machine.stop()?;
            machine.start()?;
        }
    }
    Ok(true)
}
