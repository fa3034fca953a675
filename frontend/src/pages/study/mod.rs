//! A study: how far the attack matrix is, the verdict over all cells, the breaking points, the gates, and the papers to
//! hand on.

mod atlas;
mod findings;
mod papers;
mod start;
mod twins;

use leptos::{html::Dialog, prelude::*};
use shared::{
    JobId,
    job::JobStatus,
    study::{Study, StudyStatus, StudyTask},
};

pub(crate) use self::start::StartStudy;
use self::{
    atlas::{Atlas, Look},
    findings::Findings,
    papers::Papers,
};
use crate::{
    api,
    components::{
        badge::StudyBadge,
        confirm::{self, Confirm},
        heading::PageHeading,
        loaded::{Loaded, Skeleton},
        notice::{ErrorNotice, Notice, Tone},
        progress::ProgressBar,
    },
    pages::{not_found::NotFoundPage, use_id},
    state::{
        fetch::{Fetch, use_fetch, use_interval},
        form::FormState,
    },
    text,
};

const POLL_MILLISECONDS: u64 = 4_000;

#[component]
pub(crate) fn StudyPage() -> impl IntoView {
    let id = use_id::<JobId>();
    move || match id.get() {
        Some(id) => view! { <StudyView id=id /> }.into_any(),
        None => view! { <NotFoundPage /> }.into_any(),
    }
}

const fn is_over(status: StudyStatus) -> bool {
    matches!(
        status,
        StudyStatus::Succeeded | StudyStatus::Failed | StudyStatus::Canceled
    )
}

#[component]
fn StudyView(id: JobId) -> impl IntoView {
    let study = use_fetch(move || api::studies::study(id));
    use_interval(POLL_MILLISECONDS, move || {
        let over =
            |study: &Option<Study>| study.as_ref().is_some_and(|study| is_over(study.status));
        if !study.data.with_untracked(over) {
            study.poll();
        }
    });
    let known = Memo::new(move |_| study.data.with(Option::is_some));
    // What somebody looks at stays while cells end below it.
    let look = Look::kept();
    let title = Signal::derive(move || {
        study.data.with(|study| {
            study.as_ref().map_or_else(
                || say!("Attack matrix").to_owned(),
                |study| say!("Attack matrix on {subject}", subject = study.title),
            )
        })
    });
    let back = move || {
        let job = study
            .data
            .with(|study| study.as_ref().map(|study| study.request.protect_job_id));
        job.map(|job| view! { <a class="crumb" href=format!("/jobs/{job}")>{say!("The protected model's job")}</a> })
    };
    view! {
        <div class="page-head">
            {back}
            <PageHeading title=title />
        </div>
        <Loaded
            fetch=study
            what=say!("The study could not be loaded")
            skeleton=|| view! { <Skeleton class="skeleton-panel" times=2 /> }
            draw=|_| ().into_any()
        />
        {move || known.get().then(|| view! { <Content id=id fetch=study look=look /> })}
    }
}

/// A part of the study, drawn anew when that part changes.
fn part<T: Clone + PartialEq + Send + Sync + 'static>(
    fetch: Fetch<Study>,
    read: fn(&Study) -> T,
) -> Memo<Option<T>> {
    Memo::new(move |_| fetch.data.with(|study| study.as_ref().map(read)))
}

#[component]
fn Content(id: JobId, fetch: Fetch<Study>, look: Look) -> impl IntoView {
    let report = part(fetch, |study| study.report.clone());
    let papers = part(fetch, |study| {
        (study.report_url.clone(), study.certificate_url.clone())
    });
    let findings = move || {
        let report = report.get()??;
        let limits = report.limits.clone();
        Some(view! { <Findings report=report limits=limits /> })
    };
    view! {
        <State id=id fetch=fetch />
        {findings}
        <Atlas fetch=fetch look=look />
        {move || papers.get().map(|(page, certificate)| view! { <Papers page=page certificate=certificate /> })}
    }
}

/// Where it stands, in words and as a bar, with the way to stop it.
#[component]
fn State(id: JobId, fetch: Fetch<Study>) -> impl IntoView {
    let status = part(fetch, |study| study.status);
    let running = Memo::new(move |_| status.get().is_some_and(|status| !is_over(status)));
    let words = part(fetch, words);
    let kept = part(fetch, kept);
    let share = Signal::derive(move || {
        let done = fetch
            .data
            .with(|study| study.as_ref().map_or(0, |study| study.cells.len()));
        done as f64 / f64::from(kept.get().unwrap_or(0).max(1))
    });
    let bar = Memo::new(move |_| running.get() && kept.get().is_some_and(|kept| kept > 0));
    let failed = part(fetch, |study| {
        let failed = study.status == StudyStatus::Failed;
        let mut jobs = study.jobs.iter();
        let job = jobs.find(|job| job.status == JobStatus::Failed);
        failed.then(|| job.map(|job| job.id))
    });
    let failed = move || {
        let job = failed.get()??;
        Some(view! {
            <Notice tone=Tone::Bad title=say!("The study ended without a report")>
                <p>{say!("The job that failed says why and what to do.")}</p>
                {job.map(|id| view! { <a class="button button-small" href=format!("/jobs/{id}")>{say!("Open that job")}</a> })}
            </Notice>
        })
    };
    view! {
        <section class="card" aria-label=say!("Progress") data-test="study-state">
            <div class="row-between">
                {move || status.get().map(|status| view! { <StudyBadge status=status /> })}
                {move || running.get().then(|| view! { <Cancel id=id fetch=fetch /> })}
            </div>
            <p data-test="study-words">{move || words.get()}</p>
            {move || bar.get().then(|| view! { <ProgressBar share=share label=say!("Cells that ended") /> })}
            {failed}
        </section>
    }
}

fn kept(study: &Study) -> u32 {
    study.plan.as_ref().map_or(0, |plan| plan.kept)
}

fn words(study: &Study) -> String {
    let done = study.cells.len();
    let Some(plan) = &study.plan else {
        return say!("The cells are being planned and the pace of this machine is measured.")
            .to_owned();
    };
    let cut = plan.cells - plan.kept;
    let more = match cut {
        0 => String::new(),
        cut => say!(", {cut} more were planned and do not fit the budget", cut),
    };
    let words = say!(
        "{done} of {total} cells tested{more}",
        done,
        total = plan.kept,
        more
    );
    if is_over(study.status) {
        return words + ".";
    }
    let left = 1.0 - done as f64 / f64::from(plan.kept.max(1));
    let minutes = text::duration(60.0 * plan.cost.minutes * left);
    let jobs = study
        .jobs
        .iter()
        .filter(|job| matches!(job.task, StudyTask::Run { .. }));
    say!(
        "{words}, in {jobs} jobs; about {minutes} of work are left on one node.",
        words,
        jobs = jobs.count(),
        minutes
    )
}

#[component]
fn Cancel(id: JobId, fetch: Fetch<Study>) -> impl IntoView {
    let dialog = NodeRef::<Dialog>::new();
    let form = FormState::kept("cancel-study");
    let cancel = Callback::new(move |()| {
        let stopped = async move { api::studies::cancel(id).await };
        form.submit(Vec::new(), stopped, move |study| {
            fetch.data.set(Some(study));
        });
    });
    view! {
        <button type="button" class="button button-small" data-test="cancel-study" on:click=move |_| confirm::open(dialog)>
            {say!("Cancel")}
        </button>
        <Confirm
            dialog=dialog
            title=say!("Stop the study?")
            detail=say!("Cells that are done stay and are put together; the others count as not tested.")
            yes=say!("Stop it")
            no=say!("Let it run")
            test="confirm-cancel-study"
            on_yes=cancel
            commands=Signal::derive(move || api::studies::cancel(id).curl())
        />
        {move || form.error.get().map(|error| view! { <ErrorNotice error=error what=say!("The study could not be canceled") /> })}
    }
}
