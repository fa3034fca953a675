//! A job's event stream as signals: losses, log, progress, state of the line.

use leptos::prelude::*;
use shared::{
    JobId,
    job::{JobProgress, JobStatus},
    progress::{Bands, JobEvent, JobEventBody, Losses, Progress},
};

use crate::{
    api::events::{JobStream, Line, Signal as StreamSignal},
    state::kept::keep,
};

/// Lines of the log that are kept.
const LOG_LINES: usize = 500;

/// What the stream has told so far.
#[derive(Clone, Copy)]
pub(crate) struct Feed {
    pub(crate) line: RwSignal<Line>,
    pub(crate) losses: RwSignal<Vec<Losses>>,
    pub(crate) bands: RwSignal<Vec<Bands>>,
    pub(crate) log: RwSignal<Vec<String>>,
    pub(crate) progress: RwSignal<Option<JobProgress>>,
    pub(crate) status: RwSignal<Option<(JobStatus, String)>>,
}

/// Opens the stream; it closes with the view, and goes on in another language.
pub(crate) fn use_feed(job: JobId) -> Feed {
    keep(&format!("feed-{job}"), || follow(job))
}

fn follow(job: JobId) -> Feed {
    let feed = Feed {
        line: RwSignal::new(Line::Connecting),
        losses: RwSignal::new(Vec::new()),
        bands: RwSignal::new(Vec::new()),
        log: RwSignal::new(Vec::new()),
        progress: RwSignal::new(None),
        status: RwSignal::new(None),
    };
    let stream = StoredValue::new_local(Some(JobStream::new(job, move |signal| match signal {
        StreamSignal::Line(line) => {
            feed.line.try_set(line);
        }
        StreamSignal::Events(events) => feed.take(events),
    })));
    on_cleanup(move || {
        stream.try_update_value(|stream| drop(stream.take()));
    });
    feed
}

impl Feed {
    /// Takes a batch in: one redraw, however many events.
    fn take(self, events: Vec<JobEvent>) {
        let mut losses = Vec::new();
        let mut bands = Vec::new();
        let mut log = Vec::new();
        let mut progress = None;
        let mut status = None;
        for event in events {
            match event.event {
                JobEventBody::Progress(Progress::Losses(step)) => losses.push(step),
                JobEventBody::Progress(Progress::Bands(step)) => bands.push(step),
                JobEventBody::Progress(Progress::Log { line }) => log.push(line),
                JobEventBody::Progress(Progress::Step(step)) => progress = Some(step),
                JobEventBody::Status {
                    status: next,
                    reason,
                } => {
                    log.push(format!("— {}: {reason}", next.as_str()));
                    status = Some((next, reason));
                }
            }
        }
        if !losses.is_empty() {
            self.losses
                .try_update(|all| append(all, losses, |losses| losses.step));
        }
        if !bands.is_empty() {
            self.bands
                .try_update(|all| append(all, bands, |bands| bands.step));
        }
        if !log.is_empty() {
            self.log.try_update(|all| {
                all.extend(log);
                let surplus = all.len().saturating_sub(LOG_LINES);
                all.drain(..surplus);
            });
        }
        if progress.is_some() {
            self.progress.try_set(progress);
        }
        if status.is_some() {
            self.status.try_set(status);
        }
    }
}

/// Adds reports; a job that resumed from a checkpoint repeats steps, and the later ones count.
fn append<T>(all: &mut Vec<T>, fresh: Vec<T>, step: fn(&T) -> u32) {
    for report in fresh {
        while all.last().is_some_and(|last| step(last) >= step(&report)) {
            all.pop();
        }
        all.push(report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_job_overwrites_the_steps_it_repeats() {
        let at = |step, backdoor| Losses {
            step,
            backdoor,
            prior: 0.0,
            retention: 0.0,
        };
        let mut all = vec![at(1, 1.0), at(2, 0.9), at(3, 0.8)];
        append(&mut all, vec![at(2, 0.7), at(3, 0.6)], |losses| losses.step);
        assert_eq!(all, vec![at(1, 1.0), at(2, 0.7), at(3, 0.6)]);
    }
}
