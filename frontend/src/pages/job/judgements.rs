//! The judgements of a job with several sets: one line each, with the way to its job and gallery.

use leptos::prelude::*;
use shared::{
    JobId,
    job::{Job, JobStatus},
};

use super::panel::{POLL_MILLISECONDS, is_settled};
use crate::{
    api,
    components::{badge::StatusBadge, notice::ErrorNotice},
    language::reply,
    state::fetch::{use_fetch, use_interval},
    text,
};

/// Asks for each by itself: a stream for each would use up the browser's connections.
#[component]
pub(super) fn Judgements(ids: Vec<JobId>) -> impl IntoView {
    let rows = ids
        .into_iter()
        .map(|id| view! { <Judgement id=id /> })
        .collect_view();
    view! {
        <section class="stack" aria-labelledby="judgements" data-test="judgements">
            <h2 id="judgements">{say!("Attack and judgement of every set")}</h2>
            <ul class="stack-tight">{rows}</ul>
        </section>
    }
}

#[component]
fn Judgement(id: JobId) -> impl IntoView {
    let job = use_fetch(move || api::job(id));
    use_interval(POLL_MILLISECONDS, move || {
        let settled = |job: &Option<Job>| job.as_ref().is_some_and(is_settled);
        if !job.data.with_untracked(settled) {
            job.poll();
        }
    });
    let retry = Callback::new(move |()| job.reload());
    view! {
        <li>
            {move || job.error.get().map(|error| view! { <ErrorNotice error=error what=say!("A judgement could not be loaded") retry=retry /> })}
            {move || job.data.get().map(|job| view! { <Line job=job /> })}
        </li>
    }
}

#[component]
fn Line(job: Job) -> impl IntoView {
    let subject = text::subject_of(&job);
    let words = if job.status == JobStatus::Running && job.progress.total > 0 {
        let progress = &job.progress;
        say!(
            "{phase}: {step} of {total}",
            phase = reply(&progress.phase),
            step = progress.step,
            total = progress.total
        )
    } else {
        reply(&job.status_reason)
    };
    let gallery = job.gallery_id.map(|gallery| {
        view! { <a class="button button-small" href=format!("/galleries/{gallery}") data-test="judgement-gallery">{say!("Open its gallery")}</a> }
    });
    view! {
        <div class="card card-tight job-row">
            <div class="stack-tight">
                <h3><a href=format!("/jobs/{}", job.id)>{subject}</a></h3>
                <p class="small soft">{words}</p>
            </div>
            <div class="row">
                <StatusBadge status=job.status />
                {gallery}
            </div>
        </div>
    }
}
