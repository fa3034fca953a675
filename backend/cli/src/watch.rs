//! A job as it happens, and the evaluations that follow it.

use clap::Args;
use client::Client;
use futures::TryStreamExt;
use indicatif::ProgressBar;
use serde::Serialize;
use shared::{
    JobId,
    job::{Job, JobKind, JobStatus},
    progress::{JobEvent, JobEventBody, Progress},
};
use tokio::time::{Duration, Instant};

use crate::{Common, Terminal, failure::Failure, numbers::range, output::style};

/// Before there is anything to count.
const WAITING: &str = "{spinner} {msg}";
const BAR: &str = "{prefix} {bar:30} {pos}/{len} {msg}";
/// How often the time that is left is asked for.
const ESTIMATE: Duration = Duration::from_secs(4);

/// Follows a job and its evaluation to their end.
#[derive(Args, Debug)]
pub struct Watch {
    /// The job.
    job: JobId,
    /// Leave it at this job: do not follow the evaluation after it.
    #[arg(long)]
    alone: bool,
    /// Show what the device logs, too.
    #[arg(long)]
    log: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// One event with the job that it belongs to.
#[derive(Serialize)]
struct Told<'a> {
    job_id: JobId,
    #[serde(flatten)]
    event: &'a JobEvent,
}

impl Watch {
    pub(crate) async fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let client = terminal.client()?;
        terminal.on_interrupt("The job goes on without you; the same command looks at it again.");
        let view = View {
            terminal,
            client: &client,
            log: self.log,
        };
        let job = view.follow(self.job).await?;
        if self.alone {
            return Ok(());
        }
        view.evaluations(&job).await
    }
}

/// Follows a job and what comes after it.
pub(crate) async fn follow_to_the_end(
    terminal: &Terminal,
    client: &Client,
    job: JobId,
) -> Result<(), Failure> {
    let view = View {
        terminal,
        client,
        log: false,
    };
    let job = view.follow(job).await?;
    view.evaluations(&job).await
}

struct View<'a> {
    terminal: &'a Terminal,
    client: &'a Client,
    log: bool,
}

impl View<'_> {
    async fn evaluations(&self, job: &Job) -> Result<(), Failure> {
        if job.kind != JobKind::Protect {
            return Ok(());
        }
        for id in &job.evaluation_ids {
            self.follow(*id).await?;
        }
        Ok(())
    }

    /// Until the job is over; the job as it ended, or why it did not end well.
    async fn follow(&self, id: JobId) -> Result<Job, Failure> {
        let output = &self.terminal.output;
        let bar = output.bar(0, WAITING);
        let mut events = std::pin::pin!(self.client.follow(id, 0));
        let mut estimated: Option<Instant> = None;
        while let Some(event) = events.try_next().await? {
            output.document(&Told {
                job_id: id,
                event: &event,
            })?;
            self.show(&bar, id, &event)?;
            let due = estimated.is_none_or(|at| at.elapsed() >= ESTIMATE);
            if due && !output.is_json() && !bar.is_hidden() {
                estimated = Some(Instant::now());
                self.estimate(&bar, id).await?;
            }
        }
        bar.finish_and_clear();
        let job = self.client.find_job(id).await?;
        output.document(&job)?;
        output.line(summary(&job))?;
        if job.status == JobStatus::Succeeded {
            return Ok(job);
        }
        Err(ended(job))
    }

    fn show(&self, bar: &ProgressBar, id: JobId, event: &JobEvent) -> Result<(), Failure> {
        let line = match &event.event {
            JobEventBody::Status { status, reason } => {
                format!("{id} {}: {reason}", status.as_str())
            }
            JobEventBody::Progress(Progress::Step(progress)) => {
                if bar.length() == Some(0) {
                    bar.set_style(style(BAR));
                }
                bar.set_prefix(progress.phase.clone());
                // In one stroke: the last phase's position says nothing of this one's length.
                bar.update(|state| {
                    state.set_pos(u64::from(progress.step));
                    state.set_len(u64::from(progress.total));
                });
                return Ok(());
            }
            JobEventBody::Progress(Progress::Log { line }) if self.log => line.clone(),
            JobEventBody::Progress(_) => return Ok(()),
        };
        bar.suspend(|| self.terminal.output.line(line))?;
        Ok(())
    }

    async fn estimate(&self, bar: &ProgressBar, id: JobId) -> Result<(), Failure> {
        let job = self.client.find_job(id).await?;
        let waits = job
            .queue_position
            .map(|ahead| format!("{ahead} jobs ahead"));
        let left = job.eta_seconds.map(|left| format!("{} left", range(left)));
        bar.set_message(waits.or(left).unwrap_or_default());
        Ok(())
    }
}

fn summary(job: &Job) -> String {
    let time = job
        .metrics
        .as_ref()
        .map(|metrics| format!(" after {:.0} s on the device", metrics.seconds));
    let gallery = job
        .gallery_id
        .map(|id| format!(" Look at it: persguard gallery {id}"));
    format!(
        "{} {}{}.{}",
        job.id,
        job.status.as_str(),
        time.unwrap_or_default(),
        gallery.unwrap_or_default()
    )
}

fn ended(job: Job) -> Failure {
    let reason = match job.error {
        Some(error) => format!("{} {} ({})", error.cause, error.fix, error.evidence),
        None => job.status_reason,
    };
    Failure::Ended {
        job: job.id,
        status: job.status,
        reason,
    }
}
