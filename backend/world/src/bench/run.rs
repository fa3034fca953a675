//! Working through the matrix: several runs at once, within a budget of time, going on where an earlier start
//! stopped. Refuses to start a run that would not end in time.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::clean::CleanArms;
use super::matrix::Unit;
use super::quality::Twins;
use super::unit::{self, Bench, Models, UnitResult};
use super::workers::in_workers;
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
        longest: Mutex::default(),
        start,
        budget: settings.budget,
    };
    done.iter().flatten().for_each(|result| queue.took(result));
    let results = Mutex::new(done);
    let work = || -> anyhow::Result<()> {
        while let Some(at) = queue.next(units) {
            let directory = settings.out.join(units[at].directory());
            let result = unit::run(&units[at], &bench, &directory)?;
            file::write(
                &directory.join("result.json"),
                &serde_json::to_vec(&result)?,
            )?;
            queue.took(&result);
            tell(&result)?;
            lock(&results)[at] = Some(result);
        }
        Ok(())
    };
    in_workers(settings.workers, &work, &|| lock(&queue.waiting).clear())?;
    Ok(lock(&results).iter().flatten().cloned().collect())
}

struct Queue {
    /// Positions in the matrix, the next one last.
    waiting: Mutex<Vec<usize>>,
    /// Seconds of the longest run so far, by row.
    longest: Mutex<BTreeMap<String, f64>>,
    start: Instant,
    budget: Duration,
}

impl Queue {
    /// The next position, unless a run of its row would end too late. None is skipped: rows keep abreast.
    fn next(&self, units: &[Unit]) -> Option<usize> {
        let mut waiting = lock(&self.waiting);
        let row = &units[*waiting.last()?].row;
        let seconds = lock(&self.longest).get(row).copied().unwrap_or_default();
        let expected = Duration::from_secs_f64(seconds);
        if self.start.elapsed() + expected > self.budget {
            return None;
        }
        waiting.pop()
    }

    fn took(&self, result: &UnitResult) {
        let mut longest = lock(&self.longest);
        let longest = longest.entry(result.unit.row.clone()).or_default();
        *longest = longest.max(result.seconds);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::fixture::result;
    use crate::bench::rows::{by_unit, method};

    #[test]
    fn a_row_that_would_end_too_late_stops_the_queue_and_another_does_not() {
        let rows = method();
        let one = result(&rows[0], 0, [0.0; 3]);
        let units = by_unit(std::slice::from_ref(&one.unit), &rows);
        let queue = |waiting: Vec<usize>| Queue {
            waiting: Mutex::new(waiting),
            longest: Mutex::default(),
            start: Instant::now(),
            budget: Duration::from_secs(50),
        };
        let fresh = queue(vec![1, 0]);
        // The fixture's runs take 100 seconds.
        fresh.took(&one);
        assert_eq!(fresh.next(&units), None);
        let other = queue(vec![0, 1]);
        other.took(&one);
        assert_eq!(other.next(&units), Some(1));
        assert_eq!(other.next(&units), None);
        assert_eq!(queue(Vec::new()).next(&units), None);
    }
}
