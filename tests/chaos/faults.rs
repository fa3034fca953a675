//! What goes wrong, in an order that a number chooses.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use e2e::{Machine, Postgres, Server};
use tokio::time::sleep;

/// Longer than a lease of two seconds, and its expiry.
const FROZEN: Duration = Duration::from_millis(4500);

/// What can go wrong.
const FAULTS: [(&str, u32); 6] = [
    ("node_killed", 5),
    ("trainer_killed", 3),
    ("node_frozen", 3),
    ("api_killed", 3),
    ("postgres_crashed", 2),
    ("node_stopped", 2),
];

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

/// Everything that can be hurt.
pub(crate) struct World {
    pub(crate) server: Option<Server>,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) postgres: Postgres,
    pub(crate) machines: Vec<Machine>,
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
        let index = dice.below(self.machines.len());
        let machine = &mut self.machines[index];
        match fault {
            "node_killed" => {
                machine.kill()?;
                sleep(Duration::from_millis(500)).await;
                machine.start()?;
            }
            "node_stopped" => {
                machine.stop()?;
                machine.start()?;
            }
            "trainer_killed" => {
                if machine.kill_trainers() == 0 {
                    return Ok(());
                }
            }
            "node_frozen" => {
                machine.freeze()?;
                sleep(FROZEN).await;
                machine.thaw()?;
            }
            "api_killed" => {
                let server = self.server.take().context("a server runs")?;
                let settings = self.settings.iter();
                let settings: Vec<(&str, &str)> = settings
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                self.server = Some(server.crash(&settings)?);
            }
            _ => self.postgres.crash()?,
        }
        *self.counts.entry(fault).or_default() += 1;
        Ok(())
    }

    /// Starts again what ended by itself: a node whose server refused it, or was away for too long.
    pub(crate) fn mend(&mut self) -> Result<()> {
        for machine in &mut self.machines {
            if !machine.is_running() {
                *self.counts.entry("node_ended_by_itself").or_default() += 1;
                machine.start()?;
            }
        }
        Ok(())
    }
}
