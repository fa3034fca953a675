//! `world publish`: puts the models of a run into package `demo`.

use std::fs;
use std::path::PathBuf;

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
    let bytes = fs::read(arguments.run.join("encoder.safetensors"))?;
    let encoder = Encoder::load(&bytes)?;
    let (pipeline, steps) =
        base_stage::load(&encoder, &arguments.run.join("base-run.safetensors"))?;
    world::publish::write(&arguments.demo, &pipeline, &bytes)?;
    say(format!("published the base model after {steps} steps"))?;
    Ok(())
}
