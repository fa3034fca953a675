//! What the method tells while it works. Refuses to know who listens.

use std::ops::ControlFlow;

use shared::{
    job::JobProgress,
    progress::{Bands, Losses, Progress},
};

use crate::{Error, Result, checkpoint::Checkpoint};

/// One report of a running protection.
#[derive(Clone, Debug)]
pub enum Event {
    /// For people: a step, the losses or a line.
    Progress(Progress),
    /// For a later attempt: everything that resumes the run exactly.
    Checkpoint(Box<Checkpoint>),
}

/// Receives events; `Break` stops the run before its next step.
pub type Report<'a> = &'a mut dyn FnMut(Event) -> ControlFlow<()>;

/// Wraps the callback and turns `Break` into [`Error::Canceled`].
pub(crate) struct Reporter<'a> {
    report: Report<'a>,
    /// Injection steps done, for the error.
    pub(crate) done: u32,
}

impl<'a> Reporter<'a> {
    pub(crate) fn new(report: Report<'a>, done: u32) -> Self {
        Self { report, done }
    }

    fn send(&mut self, event: Event) -> Result<()> {
        match (self.report)(event) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Canceled { step: self.done }),
        }
    }

    pub(crate) fn phase(&mut self, phase: &str, step: usize, total: usize) -> Result<()> {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.send(Event::Progress(Progress::Step(JobProgress {
            phase: phase.to_owned(),
            step: count(step),
            total: count(total),
        })))
    }

    pub(crate) fn losses(&mut self, losses: Losses) -> Result<()> {
        self.send(Event::Progress(Progress::Losses(losses)))
    }

    pub(crate) fn bands(&mut self, bands: Bands) -> Result<()> {
        self.send(Event::Progress(Progress::Bands(bands)))
    }

    pub(crate) fn log(&mut self, line: impl Into<String>) -> Result<()> {
        self.send(Event::Progress(Progress::Log { line: line.into() }))
    }

    pub(crate) fn checkpoint(&mut self, checkpoint: Checkpoint) -> Result<()> {
        self.send(Event::Checkpoint(Box::new(checkpoint)))
    }
}
