//! Every job, newest first, moving while it moves.

use leptos::prelude::*;
use shared::job::{Job, JobKind, JobStatus};

use crate::{
    api,
    components::{badge::StatusBadge, heading::PageHeading, moment::Moment, progress::ProgressBar},
    language::reply,
    pages::home::Listed,
    state::{fetch::use_interval, pages::Pages},
    text,
};

const POLL_MILLISECONDS: u64 = 3_000;

#[component]
pub(crate) fn JobsPage() -> impl IntoView {
    let jobs = Pages::new(api::jobs);
    use_interval(POLL_MILLISECONDS, move || {
        let active = jobs
            .items
            .with_untracked(|jobs| jobs.iter().flatten().any(|job| !job.status.is_final()));
        if active {
            jobs.refresh(|job| job.id.to_string());
        }
    });
    let list = |items: Vec<Job>| {
        if items.is_empty() {
            return view! {
                <div class="empty">
                    <h2>{say!("No job yet")}</h2>
                    <p>{say!("Seal an image set, then launch its protection.")}</p>
                    <a class="button button-primary" href="/home">{say!("Go to your sets")}</a>
                </div>
            }
            .into_any();
        }
        let cards = items
            .into_iter()
            .map(|job| view! { <JobCard job=job /> })
            .collect_view();
        view! {
            <h2 class="visually-hidden">{say!("Newest first")}</h2>
            <div class="stack-tight">{cards}</div>
        }
        .into_any()
    };
    view! {
        <PageHeading title=say!("Jobs") />
        <Listed pages=jobs what=say!("Your jobs could not be loaded") draw=list />
    }
}

#[component]
pub(crate) fn JobCard(job: Job) -> impl IntoView {
    let subject = text::subject_of(&job);
    let title = match job.kind {
        JobKind::Protect => say!("Protect {subject}", subject),
        JobKind::Evaluate => say!("Attack and judge {subject}", subject),
        JobKind::Probe => say!("Look at the base model for {subject}", subject),
        JobKind::Study => say!("Attack matrix on {subject}", subject),
    };
    let moving =
        matches!(job.status, JobStatus::Running | JobStatus::Canceling) && job.progress.total > 0;
    let share = f64::from(job.progress.step) / f64::from(job.progress.total.max(1));
    let words = if moving {
        say!(
            "{phase}: {step} of {total}",
            phase = reply(&job.progress.phase),
            step = job.progress.step,
            total = job.progress.total
        )
    } else {
        let reason = job.status_reason;
        reply(&reason)
    };
    view! {
        <article class="card card-tight card-link job-row" data-test="job-card">
            <div class="stack-tight">
                <h3>
                    <a class="card-anchor" href=format!("/jobs/{}", job.id)>{title}</a>
                </h3>
                <p class="small soft">{words}</p>
                {moving.then(|| view! { <ProgressBar share=share label=say!("Progress") small=true /> })}
            </div>
            <div class="stack-tight small">
                <StatusBadge status=job.status />
                <span class="soft"><Moment at=job.created_at /></span>
            </div>
        </article>
    }
}
