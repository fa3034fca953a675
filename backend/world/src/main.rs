//! The `world` command: looks at the demo world and trains its models. Refuses to keep anything outside the given
//! directory, except when told to publish.

mod commands;

use clap::{Parser, Subcommand};
use diffusion::device::DeviceName;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "The demo world: pictures, captions, and the models trained on them")]
struct Arguments {
    /// Where the embedded models compute: `auto`, `cpu`, `cuda` or `cuda:N`. Training and runs that must give the same
    /// value everywhere use the processor.
    #[arg(long, global = true, default_value_t = DeviceName::Cpu)]
    device: DeviceName,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes contact sheets of rendered pictures.
    Look(commands::look::Arguments),
    /// Trains the metric encoder and the base model; continues where it stopped.
    Pretrain(commands::pretrain::Arguments),
    /// Samples a base model and reads what it drew.
    Gate(commands::gate::Arguments),
    /// Puts the models of a run into package `demo`.
    Publish(commands::publish::Arguments),
    /// Personalizes the clean base model on held-out subjects and counts the hits.
    Competence(commands::competence::Arguments),
    /// Runs attack recipes on the clean embedded model: hits by step, and milliseconds a step.
    Attacks(commands::attacks::Arguments),
    /// Writes the embedded model's start noise, for reference pictures drawn by diffusers.
    Noise(commands::noise::Arguments),
    /// Runs the demo benchmark: protects, attacks and judges over a fixed matrix.
    Bench(commands::bench::Arguments),
    /// Runs the attack matrix on a protected model: report, page and signed certificate.
    Evaluate(commands::evaluate::Arguments),
    /// Draws the pages of a published evaluation again, in every language.
    Redraw(commands::redraw::Arguments),
    /// Compares the paper's method with ours on held-out subjects: persistence, the innocent user, drift.
    Method(commands::method::Arguments),
    /// Varies losses, persistence, weights and steps one at a time on subjects for tuning.
    Ablation(commands::ablation::Arguments),
    /// Protects 1 to 10 concepts in one model and compares each with itself alone.
    Capacity(commands::capacity::Arguments),
}

fn main() -> anyhow::Result<()> {
    let Arguments { device, command } = Arguments::parse();
    match command {
        Command::Look(arguments) => commands::look::run(&arguments),
        Command::Pretrain(arguments) => commands::pretrain::run(&arguments),
        Command::Gate(arguments) => commands::gate::run(&arguments),
        Command::Publish(arguments) => commands::publish::run(&arguments),
        Command::Competence(arguments) => commands::competence::run(&arguments),
        Command::Attacks(arguments) => commands::attacks::run(&arguments, device),
        Command::Noise(arguments) => commands::noise::run(&arguments),
        Command::Bench(arguments) => commands::bench::run(&arguments, device),
        Command::Evaluate(arguments) => commands::evaluate::run(&arguments, device),
        Command::Redraw(arguments) => commands::redraw::run(&arguments),
        Command::Method(arguments) => commands::method::run(&arguments, device),
        Command::Ablation(arguments) => commands::ablation::run(&arguments, device),
        Command::Capacity(arguments) => commands::capacity::run(&arguments, device),
    }
}
