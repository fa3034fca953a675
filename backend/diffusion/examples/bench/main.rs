//! Times this package against `PyTorch` and diffusers: training, sampling, autoencoder, text.
//!
//! `bench compare PYTHON FOLDER [STEPS [PART]]` writes weights and inputs below the folder, starts
//! one process a side, and has them run the same jobs in turns, so that noise of the machine meets
//! both. With a part of their names (`decode`, `2 threads`) only those jobs run.
//!
//! `bench train SIZE THREADS [STEPS]` times our training step alone, `bench work FOLDER` is one
//! side: a job a line on the standard input, its times a line on the standard output.
//! `bench memory THREADS` compares ways to train in less memory.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

mod autoencoder;
mod compare;
mod count;
mod files;
mod jobs;
mod memory;
mod peak;
mod sampling;
mod sides;
mod sizes;
mod table;
mod text;
mod train;
mod work;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["compare", python, folder] => compare::compare(Path::new(python), Path::new(folder), 10),
        ["compare", python, folder, steps] => {
            compare::compare(Path::new(python), Path::new(folder), steps.parse()?)
        }
        ["compare", python, folder, steps, part] => {
            compare::some(Path::new(python), Path::new(folder), steps.parse()?, part)
        }
        ["memory", threads] => memory::compare(threads.parse()?, 5),
        ["memory-of", size, dtype, memory, moments, threads, steps] => {
            let choices = [size, dtype, memory, moments];
            memory::row(choices, threads.parse()?, steps.parse()?)
        }
        ["work", folder] => work::serve(Path::new(folder)),
        ["train", size, threads] => alone(size, threads.parse()?, 10),
        ["train", size, threads, steps] => alone(size, threads.parse()?, steps.parse()?),
        _ => bail!(
            "compare PYTHON FOLDER [STEPS [PART]] | train SIZE THREADS [STEPS] | memory THREADS | work FOLDER"
        ),
    }
}

/// Our training step without the other side.
fn alone(size: &str, threads: usize, steps: usize) -> Result<()> {
    let folder: PathBuf = std::env::temp_dir().join("diffusion-bench");
    files::write(&folder)?;
    let job = jobs::Job::train(size, threads);
    let mut worker = work::Worker::new(&folder);
    let mut rounds = Vec::new();
    for _ in 0..steps + 2 {
        rounds.push(worker.run(&job)?);
    }
    let last = rounds.last().context("two warm-up steps at least")?.clone();
    for phase in &job.phases() {
        let times = rounds[2..].iter().map(|round| round.times[*phase]);
        println!("{phase:10} {:8.2} ms", table::median(times.collect()));
    }
    println!("loss {:.6}, peak {:.0} MB", last.check, last.peak);
    Ok(())
}
