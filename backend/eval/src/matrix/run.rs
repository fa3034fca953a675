//! Working through a plan: several cells at once, each on one thread, going on where an earlier start stopped.
//!
//! Owns the queue. Refuses to start a cell that would not end within the budget, and to skip one for a later one: what
//! runs is always the first part of the plan.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use shared::matrix::{Cell, CellResult};

use super::{
    cell::{Outcome, Stage, run_cell},
    folder::Folder,
};
use crate::{Error, Result};

/// How a plan is worked through.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Cells at once; two threads of one core each beat one of two.
    pub workers: usize,
    /// No cell starts that would end later than this.
    pub budget: Duration,
}

/// A cell that ended, for whoever watches.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Number and grade.
    pub result: CellResult,
    /// Whether an earlier start had done it.
    pub was_ready: bool,
    /// Whether the attack on the clean base was there already.
    pub base_was_ready: bool,
    /// Seconds that it took now.
    pub seconds: f64,
}

/// Hears of every cell as it ends; an error stops the run.
pub type Told<'a> = &'a (dyn Fn(&Finished) -> Result<()> + Sync);

/// Runs the kept cells of a plan that `folder` does not have; gives all finished ones in the plan's order.
pub fn run(
    stage: &Stage<'_>,
    folder: &Folder,
    settings: &Settings,
    told: Told<'_>,
) -> Result<Vec<CellResult>> {
    let cells = stage.plan.kept();
    let work = Work {
        stage,
        folder,
        told,
        queue: Mutex::new(Queue {
            next: 0,
            longest: 0.0,
        }),
        failure: Mutex::new(None),
        start: Instant::now(),
        budget: settings.budget,
    };
    std::thread::scope(|scope| {
        for _ in 0..settings.workers.clamp(1, 256) {
            scope.spawn(|| work.in_own_pool());
        }
    });
    if let Some(error) = work
        .failure
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
    {
        return Err(error);
    }
    Ok(cells
        .iter()
        .filter_map(|cell| folder.result(stage.plan, cell))
        .collect())
}

struct Queue {
    /// Position of the next cell.
    next: usize,
    /// Seconds of the longest cell so far.
    longest: f64,
}

struct Work<'a> {
    stage: &'a Stage<'a>,
    folder: &'a Folder,
    told: Told<'a>,
    queue: Mutex<Queue>,
    failure: Mutex<Option<Error>>,
    start: Instant,
    budget: Duration,
}

impl Work<'_> {
    /// Tensors of this thread are computed on it alone.
    fn in_own_pool(&self) {
        match rayon::ThreadPoolBuilder::new().num_threads(1).build() {
            Ok(pool) => pool.install(|| self.until_done()),
            Err(error) => self.fail(Error::Threads(error.to_string())),
        }
    }

    fn until_done(&self) {
        while let Some(cell) = self.next() {
            if let Err(error) = self.one(cell) {
                self.fail(error);
            }
        }
    }

    /// The first error counts.
    fn fail(&self, error: Error) {
        lock(&self.failure).get_or_insert(error);
    }

    fn next(&self) -> Option<&Cell> {
        if lock(&self.failure).is_some() {
            return None;
        }
        let mut queue = lock(&self.queue);
        let cell = self.stage.plan.kept().get(queue.next)?;
        let expected = Duration::try_from_secs_f64(queue.longest).unwrap_or(Duration::MAX);
        let is_ready = self.folder.result(self.stage.plan, cell).is_some();
        if !is_ready && self.start.elapsed().saturating_add(expected) > self.budget {
            return None;
        }
        queue.next += 1;
        Some(cell)
    }

    fn one(&self, cell: &Cell) -> Result<()> {
        let (plan, start) = (self.stage.plan, Instant::now());
        if let Some(result) = self.folder.result(plan, cell) {
            return (self.told)(&Finished {
                result,
                was_ready: true,
                base_was_ready: true,
                seconds: 0.0,
            });
        }
        let base = self.folder.base(plan, cell);
        let base_was_ready = base.is_some();
        let outcome: Outcome = run_cell(self.stage, cell, base, &mut |_, _, _| Ok(()))?;
        self.folder.keep(plan, &outcome).map_err(Error::Folder)?;
        let seconds = start.elapsed().as_secs_f64();
        let mut queue = lock(&self.queue);
        queue.longest = queue.longest.max(seconds);
        drop(queue);
        (self.told)(&Finished {
            result: outcome.result,
            was_ready: false,
            base_was_ready,
            seconds,
        })
    }
}

/// A thread that panicked left nothing half done behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
