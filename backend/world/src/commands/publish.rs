//! `world publish`: puts the models of a run into package `demo`.

use std::fs;
use std::path::{Path, PathBuf};

use eval::encoder::Encoder;
use world::train::base_stage;

use super::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Directory of the run.
    #[arg(long)]
    run: PathBuf,
    /// Directory of package `demo`.
    #[arg(long)]
    demo: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    publish(&arguments.run, &arguments.demo)
}

/// Writes the models of a run into the directory of package `demo`.
pub(crate) fn publish(run: &Path, demo: &Path) -> anyhow::Result<()> {
    let bytes = fs::read(run.join("encoder.safetensors"))?;
    let encoder = Encoder::load(&bytes)?;
    let (pipeline, steps) = base_stage::load(&encoder, &run.join("base-run.safetensors"))?;
    world::publish::write(demo, &pipeline, &bytes)?;
    say(format!("published the base model after {steps} steps"))?;
    Ok(())
}
