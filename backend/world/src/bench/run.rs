//! Working through the matrix: several runs at once, within a budget of time, going on where an earlier start
//! stopped. Refuses to start a run that would not end in time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::clean::CleanArms;
use super::matrix::Unit;
use super::quality::Twins;
use super::unit::{self, Bench, Models, UnitResult};
use crate::file;
use crate::lock::lock;

/// What a start of the benchmark is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is run, in this order.
    pub units: Vec<Unit>,
    /// Whether what a protected model costs without an attack is measured too.
    pub quality: bool,
    /// Runs at once, each on one thread: two processes of one thread beat one of two.
    pub workers: usize,
    /// No run starts that would end later than this.
    pub budget: Duration,
    /// At most so many runs.
    pub limit: usize,
    /// Directory of results and pictures.
    pub out: PathBuf,
}

/// Runs and their order of completion do not matter: results come back in the order of the matrix.
///
/// `tell` hears of every run as it ends. Earlier results in `out` with the same fingerprint count.
pub fn run(
    settings: &Settings,
    models: Models<'_>,
    fingerprint: &str,
    tell: &(dyn Fn(&UnitResult) -> anyhow::Result<()> + Sync),
) -> anyhow::Result<Vec<UnitResult>> {
    let units = &settings.units[..settings.limit.min(settings.units.len())];
    let start = Instant::now();
    let twins = settings.quality.then(|| Twins::draw(models)).transpose()?;
    let bench = Bench {
        models,
        fingerprint,
        arms: CleanArms::default(),
        twins,
    };
    let done: Vec<Option<UnitResult>> = units
        .iter()
        .map(|unit| earlier(&settings.out, unit, fingerprint))
        .collect();
    let queue = Queue {
        waiting: Mutex::new(
            (0..units.len())
                .rev()
                .filter(|&at| done[at].is_none())
                .collect(),
        ),
        longest: Mutex::new(
            done.iter()
                .flatten()
                .map(|result| result.seconds)
                .fold(0.0, f64::max),
        ),
        start,
        budget: settings.budget,
    };
    let results = Mutex::new(done);
    let failure = Mutex::new(None);
    let work = || -> anyhow::Result<()> {
        while let Some(at) = queue.next() {
            let directory = settings.out.join(units[at].directory());
            let result = unit::run(&units[at], &bench, &directory)?;
            file::write(
                &directory.join("result.json"),
                &serde_json::to_vec(&result)?,
            )?;
            queue.took(result.seconds);
            tell(&result)?;
            lock(&results)[at] = Some(result);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        for _ in 0..settings.workers.max(1) {
            scope.spawn(|| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
                let ended = pool
                    .map_err(anyhow::Error::from)
                    .and_then(|pool| pool.install(work));
                if let Err(error) = ended {
                    lock(&queue.waiting).clear();
                    lock(&failure).get_or_insert(error);
                }
            });
        }
    });
    match failure.into_inner().ok().flatten() {
        Some(error) => Err(error),
        None => Ok(lock(&results).iter().flatten().cloned().collect()),
    }
}

struct Queue {
    /// Positions in the matrix, the next one last.
    waiting: Mutex<Vec<usize>>,
    /// Seconds of the longest run so far.
    longest: Mutex<f64>,
    start: Instant,
    budget: Duration,
}

impl Queue {
    fn next(&self) -> Option<usize> {
        let expected = Duration::from_secs_f64(*lock(&self.longest));
        if self.start.elapsed() + expected > self.budget {
            return None;
        }
        lock(&self.waiting).pop()
    }

    fn took(&self, seconds: f64) {
        let mut longest = lock(&self.longest);
        *longest = longest.max(seconds);
    }
}

fn earlier(out: &Path, unit: &Unit, fingerprint: &str) -> Option<UnitResult> {
    read(out, unit).filter(|result| result.fingerprint == fingerprint)
}

fn read(out: &Path, unit: &Unit) -> Option<UnitResult> {
    let text = fs::read(out.join(unit.directory()).join("result.json")).ok()?;
    let result: UnitResult = serde_json::from_slice(&text).ok()?;
    (result.unit == *unit).then_some(result)
}

/// Results in `out` that one and the same program wrote: the one of the first run found.
pub fn finished(settings: &Settings) -> Vec<UnitResult> {
    let mut results: Vec<UnitResult> = settings
        .units
        .iter()
        .take(settings.limit)
        .filter_map(|unit| read(&settings.out, unit))
        .collect();
    let program = results.first().map(|result| result.fingerprint.clone());
    results.retain(|result| Some(&result.fingerprint) == program.as_ref());
    results
}
