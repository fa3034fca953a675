//! Our side: jobs in, times out.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs,
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Result;
use diffusion::Threads;

use crate::{
    autoencoder::Coding,
    jobs::{Job, Kind, Outcome},
    sampling::Sampling,
    text::Encoding,
    train::Training,
};

/// A model that can run one kind of job.
pub(crate) trait Case: Send {
    /// Runs once: milliseconds by phase, and the number that must agree.
    fn run(&mut self) -> Result<(Vec<(&'static str, f64)>, f64)>;
}

/// Models that were built, by job, and pools by number of threads.
pub(crate) struct Worker {
    folder: PathBuf,
    cases: BTreeMap<Job, Box<dyn Case>>,
    pools: BTreeMap<usize, Threads>,
}

impl Worker {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            cases: BTreeMap::new(),
            pools: BTreeMap::new(),
        }
    }

    /// Runs a job once.
    pub(crate) fn run(&mut self, job: &Job) -> Result<Outcome> {
        let case = match self.cases.entry(job.clone()) {
            Entry::Occupied(case) => case.into_mut(),
            Entry::Vacant(place) => place.insert(build(&self.folder, job)?),
        };
        let threads = match self.pools.entry(job.threads) {
            Entry::Occupied(threads) => threads.into_mut(),
            Entry::Vacant(place) => place.insert(Threads::new(job.threads)?),
        };
        let (times, check) = threads.run(|| case.run())?;
        Ok(Outcome {
            times: times
                .into_iter()
                .map(|(phase, time)| (phase.to_owned(), time))
                .collect(),
            check,
            peak: peak_megabytes(),
        })
    }
}

fn build(folder: &Path, job: &Job) -> Result<Box<dyn Case>> {
    let place = folder.join(&job.model);
    Ok(match job.kind {
        Kind::Train => Box::new(Training::new(&place, job.batch)?),
        Kind::Sample => Box::new(Sampling::new(&place, job.batch)?),
        Kind::Encode => Box::new(Coding::new(&place, job.batch, true)?),
        Kind::Decode => Box::new(Coding::new(&place, job.batch, false)?),
        Kind::Text => Box::new(Encoding::new(&place, job.batch)?),
    })
}

/// Answers jobs until the input ends.
pub(crate) fn serve(folder: &Path) -> Result<()> {
    let mut worker = Worker::new(folder);
    let mut answers = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let outcome = worker.run(&serde_json::from_str(&line?)?)?;
        writeln!(answers, "{}", serde_json::to_string(&outcome)?)?;
        answers.flush()?;
    }
    Ok(())
}

/// Milliseconds since `start`.
pub(crate) fn since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// Most memory that this process has held, in megabytes.
pub(crate) fn peak_megabytes() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(f64::NAN) / 1024.0
}
