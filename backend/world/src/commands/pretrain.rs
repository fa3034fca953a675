//! `world pretrain`: trains, gates and shows, stage by stage.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::ValueEnum;
use eval::encoder::Encoder;
use world::file;
use world::train::base_stage::{self, BaseStage};
use world::train::encoder_stage::{self, EncoderStage};
use world::train::sampling;
use world::train::text::Captions;

use super::{gate, pool, publish, say};

/// What is trained.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Stage {
    Encoder,
    Base,
    All,
}

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What to train.
    #[arg(long, value_enum, default_value = "all")]
    stage: Stage,
    /// Directory of checkpoints, sheets and results.
    #[arg(long, default_value = "target/world")]
    out: PathBuf,
    /// Directory of package `demo`, which gets the finished models.
    #[arg(long)]
    publish: Option<PathBuf>,
    /// Seed of initial weights, noise and order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Steps of the encoder's stage.
    #[arg(long, default_value_t = 2000)]
    encoder_steps: usize,
    /// Steps of the base model's stage.
    #[arg(long, default_value_t = 8000)]
    steps: usize,
    /// Pictures a step of the base model's stage.
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// Threads; results do not depend on them.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Steps between checkpoints.
    #[arg(long, default_value_t = 250)]
    every: usize,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    pool(arguments.threads)?;
    fs::create_dir_all(&arguments.out)?;
    diffusion::in_pool(|| train(arguments))
}

fn train(arguments: &Arguments) -> anyhow::Result<()> {
    let wanted = |stage| arguments.stage == stage || arguments.stage == Stage::All;
    if wanted(Stage::Encoder) {
        train_encoder(arguments)?;
    }
    if wanted(Stage::Base) {
        train_base(arguments)?;
    }
    match &arguments.publish {
        Some(demo) => publish::publish(&arguments.out, demo),
        None => Ok(()),
    }
}

fn train_encoder(arguments: &Arguments) -> anyhow::Result<()> {
    let checkpoint = arguments.out.join("encoder-run.safetensors");
    let (seed, steps) = (arguments.seed, arguments.encoder_steps);
    let stage = EncoderStage::open(Captions::new()?, seed, steps, &checkpoint)?;
    run_encoder(arguments, stage, &checkpoint)
}

fn run_encoder(
    arguments: &Arguments,
    mut stage: EncoderStage,
    checkpoint: &Path,
) -> anyhow::Result<()> {
    let started = Instant::now();
    let first = stage.run.taken();
    while !stage.run.is_finished() {
        let losses = stage.step()?;
        let taken = stage.run.taken();
        if taken.is_multiple_of(25) {
            let pace = started.elapsed().as_secs_f64() / (taken - first) as f64;
            say(format!(
                "encoder step={taken} {losses} seconds_per_step={pace:.3}"
            ))?;
        }
        if taken.is_multiple_of(arguments.every) || stage.run.is_finished() {
            stage.run.save(checkpoint)?;
            file::write(
                &arguments.out.join("encoder.safetensors"),
                &stage.encoder_bytes()?,
            )?;
            report_encoder(&load_encoder(&arguments.out)?, 512)?;
        }
    }
    file::write(
        &arguments.out.join("encoder.safetensors"),
        &stage.encoder_bytes()?,
    )?;
    report_encoder(&load_encoder(&arguments.out)?, 2048)
}

fn report_encoder(encoder: &Encoder, count: usize) -> anyhow::Result<()> {
    let report = encoder_stage::report(encoder, count)?;
    for (name, accuracy) in report.parts() {
        say(format!("encoder gate {name}: {accuracy}"))?;
    }
    Ok(())
}

fn load_encoder(directory: &Path) -> anyhow::Result<Encoder> {
    Ok(Encoder::load(&fs::read(
        directory.join("encoder.safetensors"),
    )?)?)
}

fn train_base(arguments: &Arguments) -> anyhow::Result<()> {
    let encoder = load_encoder(&arguments.out)?;
    let checkpoint = arguments.out.join("base-run.safetensors");
    let Arguments {
        batch, seed, steps, ..
    } = *arguments;
    let pipeline = base_stage::pipeline(&encoder, seed)?;
    let mut stage = BaseStage::open(pipeline, batch, seed, steps, &checkpoint)?;
    let started = Instant::now();
    let first = stage.run.taken();
    let mut sum = 0.0;
    while !stage.run.is_finished() {
        sum += stage.step()?;
        let taken = stage.run.taken();
        if taken.is_multiple_of(25) {
            let pace = started.elapsed().as_secs_f64() / (taken - first) as f64;
            let loss = sum / 25.0;
            say(format!(
                "base step={taken} loss={loss:.4} seconds_per_step={pace:.3}"
            ))?;
            append(&arguments.out.join("base-losses.csv"), taken, loss)?;
            sum = 0.0;
        }
        if taken.is_multiple_of(arguments.every) || stage.run.is_finished() {
            stage.run.save(&checkpoint)?;
            gate_base(&stage, &encoder, &arguments.out, stage.run.is_finished())?;
        }
    }
    Ok(())
}

/// Reads what the averaged model draws.
fn gate_base(stage: &BaseStage, encoder: &Encoder, out: &Path, last: bool) -> anyhow::Result<()> {
    let count = if last { 256 } else { 32 };
    let path = out.join(format!("base-{:05}.png", stage.run.taken()));
    gate::measure(&stage.averaged(), encoder, &sampling::CONFIG, count, &path)
}

/// One more line of the loss curve, `step,loss`; a resumed run repeats the steps since its checkpoint.
fn append(path: &Path, step: usize, loss: f32) -> anyhow::Result<()> {
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?;
    writeln!(file, "{step},{loss}")?;
    Ok(())
}
