//! Both sides in turns, and what comes of it.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};

use crate::{
    count, files,
    jobs::{Job, Kind, Outcome},
    peak,
    sides::Side,
    sizes,
    table::{self, Row},
};

/// Rounds before anything is measured: kernels are chosen, memory is mapped.
const WARM_UP: usize = 2;

/// How far numbers that both sides compute may differ, relative to the larger of them and one.
const TOLERANCE: f64 = 1e-4;

/// How long `PyTorch`'s compiler may take for the demo's training step.
const COMPILER: Duration = Duration::from_secs(100);

/// Compares everything and prints the table; fails where the sides do not compute the same.
pub(crate) fn compare(python: &Path, folder: &Path, steps: usize) -> Result<()> {
    files::write(folder)?;
    let rows = table(python, folder, steps, jobs())?;
    let memory = memory(python, folder)?;
    for (size, [ours, theirs]) in sizes::unets().iter().zip(&memory) {
        println!(
            "peak memory, train {}: {ours:.0} MB, PyTorch {theirs:.0} MB, ratio {:.2}",
            size.0,
            theirs / ours
        );
    }
    compiled(python, folder, steps, &rows)?;
    peaks(folder, &rows)?;
    table::summary(&rows, &memory);
    Ok(())
}

/// The table alone, of the jobs whose names have this part.
pub(crate) fn some(python: &Path, folder: &Path, steps: usize, part: &str) -> Result<()> {
    files::write(folder)?;
    let jobs = jobs().into_iter().filter(|job| job.name().contains(part));
    table(python, folder, steps, jobs.collect())?;
    Ok(())
}

/// Times jobs and prints a row for each phase.
fn table(python: &Path, folder: &Path, steps: usize, jobs: Vec<Job>) -> Result<Vec<Row>> {
    let mut sides = [Side::ours(folder)?, Side::theirs(python, folder, false)?];
    let mut rows = Vec::new();
    busy();
    table::head();
    for job in jobs {
        let rounds = run(&mut sides, &job, job.rounds(steps))?;
        for row in Row::all(&job, &rounds) {
            row.print();
            rows.push(row);
        }
    }
    Ok(rows)
}

/// Warns where other programs want the processors: that flatters the side that waits less for its
/// own threads, which is mostly this one.
fn busy() {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().and_then(|load| load.parse().ok());
    if let Some(load) = load.filter(|load: &f64| *load > 0.7) {
        println!("this machine is busy (load {load}): ratios under two threads are no evidence");
    }
}

/// Everything that is timed, under one thread and under two.
fn jobs() -> Vec<Job> {
    let mut jobs = Vec::new();
    for threads in [1, 2] {
        jobs.extend(sizes::unets().map(|(size, _)| Job::train(size, threads)));
        for (size, _) in sizes::unets() {
            let model = format!("unet-{size}");
            jobs.extend([1, 8].map(|batch| Job::new(Kind::Sample, &model, batch, threads)));
        }
        for (side, count) in sizes::IMAGES {
            let model = format!("vae-{side}");
            jobs.push(Job::new(Kind::Encode, &model, count, threads));
            jobs.push(Job::new(Kind::Decode, &model, count, threads));
        }
        for (size, _) in sizes::texts() {
            let model = format!("text-{size}");
            jobs.extend([2, 16].map(|batch| Job::new(Kind::Text, &model, batch, threads)));
        }
    }
    jobs
}

/// Runs a job in turns; the rounds that count.
fn run(sides: &mut [Side; 2], job: &Job, rounds: usize) -> Result<Vec<[Outcome; 2]>> {
    let mut outcomes = Vec::new();
    for round in 0..rounds + WARM_UP {
        let [ours, theirs] = sides;
        let pair = [ours.run(job)?, theirs.run(job)?];
        let [ours, theirs] = [pair[0].check, pair[1].check];
        let allowed = TOLERANCE * ours.abs().max(theirs.abs()).max(1.0);
        ensure!(
            (ours - theirs).abs() <= allowed,
            "{} gives {ours} in round {round}, PyTorch {theirs}: not the same computation",
            job.name()
        );
        outcomes.push(pair);
    }
    Ok(outcomes.split_off(WARM_UP))
}

/// Peak megabytes of training, each size and side in a process of its own.
fn memory(python: &Path, folder: &Path) -> Result<Vec<[f64; 2]>> {
    let mut peaks = Vec::new();
    for (size, _) in sizes::unets() {
        let job = Job::train(size, 1);
        let mut sides = [Side::ours(folder)?, Side::theirs(python, folder, false)?];
        let rounds = run(&mut sides, &job, 1)?;
        peaks.push([rounds[0][0].peak, rounds[0][1].peak]);
    }
    Ok(peaks)
}

/// The demo's training step under `PyTorch`'s compiler, or why there is none.
fn compiled(python: &Path, folder: &Path, steps: usize, rows: &[Row]) -> Result<()> {
    let job = Job::train("demo", 1);
    let eager = rows
        .iter()
        .find(|row| row.is(&job, "step"))
        .context("a row of each job")?;
    let mut side = Side::theirs(python, folder, true)?;
    let warm = side.run_within(&job, COMPILER);
    let times = warm.and_then(|_| {
        let times = (0..=steps).map(|_| Ok(side.run(&job)?.times["step"]));
        times.skip(1).collect::<Result<Vec<f64>>>()
    });
    match times {
        Ok(times) => {
            let time = table::median(times);
            println!(
                "torch.compile, train demo, 1 thread: {time:.1} ms, ratio {:.2}",
                time / eager.ours
            );
        }
        Err(error) => println!("torch.compile, train demo: does not run here: {error:#}"),
    }
    Ok(())
}

/// How near training comes to the machine's own matrix products.
fn peaks(folder: &Path, rows: &[Row]) -> Result<()> {
    for threads in [1, 2] {
        let peak = peak::gigaflops(threads)?;
        println!("matrix product 2048^3, {threads} thread(s): {peak:.0} GFLOP/s");
        for (size, config) in sizes::unets() {
            let job = Job::train(size, threads);
            let weights = files::weights(&folder.join(&job.model), "diffusion_pytorch_model")?;
            let work = 2.0 * sizes::BATCH as f64 * count::training(&config, &weights);
            let row = rows.iter().find(|row| row.is(&job, "step"));
            let row = row.context("a row of each job")?;
            let (ours, theirs) = (work / row.ours / 1e6, work / row.theirs / 1e6);
            println!(
                "train {size}: {:.1} GFLOP a step counted directly: {ours:.0} GFLOP/s, {:.0} % of that product; \
                 PyTorch {theirs:.0} GFLOP/s, {:.0} %",
                work / 1e9,
                100.0 * ours / peak,
                100.0 * theirs / peak
            );
        }
    }
    Ok(())
}
