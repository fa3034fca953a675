//! One job: where it stands, how far it is, its losses, its log, and how it ended.

use leptos::{html::Dialog, prelude::*, task::spawn_local};
use shared::{
    JobId,
    artifact::Artifact,
    job::{Job, JobKind, JobMetrics, JobPlace, JobProgress, JobStatus},
    page::Page,
};

use super::{
    failure::Ending,
    feed::{Feed, use_feed},
    log::LogTail,
    previews::previews,
    report::report,
};
use crate::{
    api::{self, ApiError, events::Line},
    components::{
        as_curl::AsCurl,
        badge::StatusBadge,
        chart::LossChart,
        confirm::{Confirm, open},
        loaded::{Loaded, Skeleton},
        notice::ErrorNotice,
        progress::ProgressBar,
    },
    language::{decimal, reply},
    state::fetch::{Fetch, use_fetch, use_interval},
    text,
};

pub(super) const POLL_MILLISECONDS: u64 = 3_000;

#[component]
pub(super) fn JobPanel(id: JobId, job: Fetch<Job>) -> impl IntoView {
    let feed = use_feed(id);
    let (kind, total) = job.data.with_untracked(|job| {
        job.as_ref().map_or((JobKind::Protect, 0), |job| {
            (job.kind, job.spec.injection.steps)
        })
    });
    // The stream is faster; the job itself knows the estimate and what follows.
    Effect::new(move || {
        if feed.status.with(Option::is_some) {
            job.reload();
        }
    });
    use_interval(POLL_MILLISECONDS, move || {
        let settled = job
            .data
            .with_untracked(|job| job.as_ref().is_some_and(is_settled));
        if !settled {
            job.poll();
        }
    });
    let title = match kind {
        JobKind::Protect => say!("Training the trigger"),
        JobKind::Evaluate => say!("Attack and judgement"),
        JobKind::Probe => say!("Looking at the base model"),
        JobKind::Study => say!("A part of the attack matrix"),
    };
    let succeeded = Memo::new(move |_| {
        let done = |job: &Option<Job>| {
            job.as_ref()
                .is_some_and(|job| job.status == JobStatus::Succeeded)
        };
        job.data.with(done)
    });
    let chart = (kind == JobKind::Protect).then(|| {
        view! {
            <section class="card">
                <h3>{say!("Losses")}</h3>
                <LossChart losses=feed.losses bands=feed.bands total=total />
            </section>
        }
    });
    let outcome = move || {
        let shown = succeeded.get() && kind != JobKind::Evaluate;
        shown.then(|| view! { <Outcome id=id job=job /> })
    };
    let heading = format!("panel-{}", kind_name(kind));
    let labelled = heading.clone();
    view! {
        <section class="stack" aria-labelledby=labelled data-test=format!("job-{}", kind_name(kind))>
            <h2 id=heading>{title}</h2>
            <Standing id=id job=job feed=feed />
            <Ending job=job />
            {outcome}
            {chart}
            <LogTail log=feed.log />
        </section>
    }
}

/// What a job that succeeded has to show by itself.
#[component]
fn Outcome(id: JobId, job: Fetch<Job>) -> impl IntoView {
    let artifacts = use_fetch(move || api::artifacts(id));
    let draw = move |page: Page<Artifact>| {
        job.data.with_untracked(|job| match job {
            Some(job) if job.kind == JobKind::Probe => report(page.data, &job.spec.concepts),
            Some(job) => previews(&page.data, &job.spec.concepts),
            None => ().into_any(),
        })
    };
    view! {
        <Loaded
            fetch=artifacts
            what=say!("What the job produced could not be loaded")
            skeleton=|| view! { <Skeleton class="skeleton-card" /> }
            draw=draw
        />
    }
}

const fn kind_name(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Protect => "protect",
        JobKind::Evaluate => "evaluate",
        JobKind::Probe => "probe",
        JobKind::Study => "study",
    }
}

/// Whether nothing about this job will change any more.
pub(super) fn is_settled(job: &Job) -> bool {
    let waits_for_more = job.status == JobStatus::Succeeded
        && match job.kind {
            JobKind::Protect => job.evaluation_id.is_none(),
            JobKind::Evaluate => job.gallery_id.is_none(),
            JobKind::Probe | JobKind::Study => false,
        };
    job.status.is_final() && !waits_for_more
}

/// What the stream told; while the line is cut, the polled job is ahead of it.
fn told<T>(last: Option<T>, line: Line) -> Option<T> {
    last.filter(|_| line != Line::Reconnecting)
}

/// The freshest state that is known.
fn current(job: &Job, feed: Feed) -> (JobStatus, String) {
    if job.status.is_final() {
        return (job.status, job.status_reason.clone());
    }
    told(feed.status.get(), feed.line.get())
        .unwrap_or_else(|| (job.status, job.status_reason.clone()))
}

#[component]
fn Standing(id: JobId, job: Fetch<Job>, feed: Feed) -> impl IntoView {
    let state = Memo::new(move |_| {
        job.data
            .with(|job| job.as_ref().map(|job| current(job, feed)))
    });
    let status = Memo::new(move |_| state.with(|state| state.as_ref().map(|state| state.0)));
    let reason = move || state.with(|state| state.as_ref().map(|state| reply(&state.1)));
    let progress = Memo::new(move |_| {
        told(feed.progress.get(), feed.line.get())
            .or_else(|| {
                job.data
                    .with(|job| job.as_ref().map(|job| job.progress.clone()))
            })
            .unwrap_or_default()
    });
    let metrics = move || {
        job.data
            .with(|job| job.as_ref().and_then(|job| job.metrics.clone()))
    };
    let place = move || {
        job.data.with(|job| {
            let place = job.as_ref()?.place.as_ref()?;
            Some(view! { <p class="small soft" data-test="job-place">{place_words(place)}</p> })
        })
    };
    view! {
        <div class="card">
            <div class="row-between">
                <div class="row" role="status">
                    {move || {
                        status.get().map(|status| view! { <span data-test="job-status" data-status=status.as_str()><StatusBadge status=status /></span> })
                    }}
                    <span data-test="job-reason">{reason}</span>
                </div>
                <LineState line=feed.line />
            </div>
            {place}
            {move || {
                let moving = status.get().is_some_and(|status| !status.is_final());
                moving.then(|| view! { <Steps job=job progress=progress /> })
            }}
            {move || metrics().map(|metrics| view! { <Metrics metrics=metrics /> })}
            <Cancel id=id job=job status=status />
        </div>
    }
}

#[component]
fn Steps(job: Fetch<Job>, progress: Memo<JobProgress>) -> impl IntoView {
    let share = Signal::derive(move || {
        progress.with(|progress| f64::from(progress.step) / f64::from(progress.total.max(1)))
    });
    let phase = Signal::derive(move || {
        let phase = progress.with(|progress| progress.phase.clone());
        if phase.is_empty() {
            say!("Waiting for the first step").to_owned()
        } else {
            reply(&phase)
        }
    });
    let counter = move || {
        progress.with(|progress| {
            (progress.total > 0).then(|| {
                say!(
                    "{step} of {total}",
                    step = progress.step,
                    total = progress.total
                )
            })
        })
    };
    let left = move || {
        job.data.with(|job| {
            let job = job.as_ref()?;
            if let (JobStatus::Queued, Some(ahead)) = (job.status, job.queue_position) {
                return Some(queue_words(ahead));
            }
            let range = job.eta_seconds?;
            Some(say!("{time} left", time = text::duration_range(range)))
        })
    };
    view! {
        <div class="stack-tight">
            <div class="progress-head">
                <span><span class="strong">{phase}</span> " " <span class="number" data-test="step-counter">{counter}</span></span>
                <span class="soft" data-test="eta">{left}</span>
            </div>
            <ProgressBar share=share label=phase />
        </div>
    }
}

fn place_words(place: &JobPlace) -> String {
    let node = &place.node;
    match &place.device {
        Some(device) => say!("On {node}, {device}", node = node, device = device),
        None => say!("On {node}", node = node),
    }
}

fn queue_words(ahead: u32) -> String {
    match ahead {
        0 => say!("Next in line").into(),
        more => plural!(more, "{count} job ahead", "{count} jobs ahead"),
    }
}

#[component]
fn LineState(line: RwSignal<Line>) -> impl IntoView {
    let class = move || match line.get() {
        Line::Live => "live live-on",
        Line::Reconnecting => "live live-wait",
        Line::Connecting | Line::Ended => "live",
    };
    let word = move || match line.get() {
        Line::Connecting => say!("Connecting"),
        Line::Live => say!("Live"),
        Line::Reconnecting => say!("Reconnecting…"),
        Line::Ended => say!("Complete"),
    };
    view! {
        <span class=class data-test="live">
            <span class="dot" aria-hidden="true"></span>
            {word}
        </span>
    }
}

#[component]
fn Metrics(metrics: JobMetrics) -> impl IntoView {
    view! {
        <dl class="facts" data-test="metrics">
            <div>
                <dt>{say!("One training step (median)")}</dt>
                <dd>{say!("{value} ms", value = decimal(metrics.milliseconds_per_step, 0))}</dd>
            </div>
            <div>
                <dt>{say!("On the device")}</dt>
                <dd>{text::duration(metrics.seconds)}{metrics.device.map(|device| format!(" ({device})"))}</dd>
            </div>
            <div>
                <dt>{say!("Peak memory of the process")}</dt>
                <dd>{text::bytes(metrics.peak_memory_bytes as f64)}</dd>
            </div>
        </dl>
    }
}

#[component]
fn Cancel(id: JobId, job: Fetch<Job>, status: Memo<Option<JobStatus>>) -> impl IntoView {
    let dialog = NodeRef::<Dialog>::new();
    let error = RwSignal::new(None::<ApiError>);
    let asked = RwSignal::new(false);
    let cancel = Callback::new(move |()| {
        asked.set(true);
        error.set(None);
        spawn_local(async move {
            match api::cancel_job(id).await {
                Ok(canceled) => {
                    job.data.try_set(Some(canceled));
                }
                Err(problem) => {
                    asked.try_set(false);
                    error.try_set(Some(problem));
                }
            }
        });
    });
    let possible = move || {
        matches!(
            status.get(),
            Some(JobStatus::Queued | JobStatus::Starting | JobStatus::Running)
        ) && !asked.get()
    };
    view! {
        {move || error.get().map(|error| view! { <ErrorNotice error=error what=say!("The job was not canceled") /> })}
        <div class="row" hidden=move || !possible()>
            <button type="button" class="button button-danger" data-test="cancel" on:click=move |_| open(dialog)>{say!("Cancel this job")}</button>
            <AsCurl commands=Signal::derive(move || api::cancel_job(id).curl()) test="curl-cancel" />
        </div>
        <Confirm
            dialog=dialog
            title=say!("Cancel this job?")
            detail=say!("It stops within seconds. What it trained so far is not published. You can run it again later.")
            yes=say!("Cancel the job")
            no=say!("Let it run")
            test="confirm-cancel"
            on_yes=cancel
        />
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_before_a_cut_counts_no_longer() {
        assert_eq!(told(Some(JobStatus::Queued), Line::Reconnecting), None);
        for line in [Line::Connecting, Line::Live, Line::Ended] {
            assert_eq!(told(Some(JobStatus::Queued), line), Some(JobStatus::Queued));
        }
        assert_eq!(told(None::<JobStatus>, Line::Live), None);
    }
}
