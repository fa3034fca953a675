//! One job, live: training, then the attack that follows by itself, then the gallery.

mod failure;
mod feed;
mod judgements;
mod log;
mod panel;
mod previews;
mod report;

use gloo_timers::callback::Timeout;
use leptos::prelude::*;
use leptos_router::{NavigateOptions, hooks::use_navigate};
use shared::{
    GalleryId, JobId,
    job::{Job, JobKind, JobStatus},
};

use crate::{
    api,
    components::{
        badge::StatusBadge,
        heading::PageHeading,
        loaded::Skeleton,
        notice::{ErrorNotice, Notice, Tone},
    },
    pages::{not_found::NotFoundPage, use_id},
    state::fetch::{Fetch, use_fetch},
    text,
};
pub(crate) use feed::use_feed;
use judgements::Judgements;
use panel::JobPanel;

/// How long "stay here" is offered before the gallery opens.
const OPEN_MILLISECONDS: u32 = 4_000;

#[component]
pub(crate) fn JobPage() -> impl IntoView {
    let id = use_id::<JobId>();
    move || match id.get() {
        Some(id) => view! { <JobView id=id /> }.into_any(),
        None => view! { <NotFoundPage /> }.into_any(),
    }
}

#[component]
fn JobView(id: JobId) -> impl IntoView {
    let job = use_fetch(move || api::job(id));
    let evaluation = RwSignal::new(None::<Job>);
    let follow_ups = Memo::new(move |_| job.data.with(|job| job.as_ref().map(follow_ups)));
    let title = Signal::derive(move || {
        job.data.with(|job| {
            job.as_ref().map_or_else(
                || say!("Job").to_owned(),
                |job| {
                    let subject = text::subject_of(job);
                    match job.kind {
                        JobKind::Protect => say!("Protecting {subject}", subject),
                        JobKind::Evaluate => say!("Judging {subject}", subject),
                        JobKind::Probe => say!("Looking at the base model for {subject}", subject),
                        JobKind::Study => say!("Attack matrix on {subject}", subject),
                    }
                },
            )
        })
    });
    let loaded = Memo::new(move |_| job.data.with(Option::is_some));
    let retry = Callback::new(move |()| job.reload());
    view! {
        <div class="page-head">
            <a class="crumb" href="/jobs">{say!("Jobs")}</a>
            <PageHeading title=title />
        </div>
        {move || {
            job.error.get().map(|error| view! { <ErrorNotice error=error what=say!("The job could not be loaded") retry=retry /> })
        }}
        <Trail job=job evaluation=evaluation />
        <GalleryReady job=job evaluation=evaluation />
        {move || match follow_ups.get().unwrap_or_default().as_slice() {
            [] => ().into_any(),
            [id] => view! { <FollowUp id=*id evaluation=evaluation /> }.into_any(),
            several => view! { <Judgements ids=several.to_vec() /> }.into_any(),
        }}
        {move || {
            if loaded.get() {
                view! { <JobPanel id=id job=job /> }.into_any()
            } else if job.error.with(Option::is_some) {
                ().into_any()
            } else {
                view! { <Skeleton class="skeleton-panel" times=2 /> }.into_any()
            }
        }}
    }
}

/// The evaluations of a job, in the order of its concepts.
fn follow_ups(job: &Job) -> Vec<JobId> {
    if job.evaluation_ids.is_empty() {
        return job.evaluation_id.into_iter().collect();
    }
    job.evaluation_ids.clone()
}

/// The evaluation that a finished protection started.
#[component]
fn FollowUp(id: JobId, evaluation: RwSignal<Option<Job>>) -> impl IntoView {
    let job = use_fetch(move || api::job(id));
    Effect::new(move || evaluation.set(job.data.get()));
    let loaded = Memo::new(move |_| job.data.with(Option::is_some));
    let retry = Callback::new(move |()| job.reload());
    view! {
        {move || {
            job.error.get().map(|error| view! { <ErrorNotice error=error what=say!("The judgement could not be loaded") retry=retry /> })
        }}
        {move || {
            if loaded.get() {
                view! { <JobPanel id=id job=job /> }.into_any()
            } else {
                view! { <Skeleton class="skeleton-panel" /> }.into_any()
            }
        }}
    }
}

/// The whole way at a glance: train, judge, look.
#[component]
fn Trail(job: Fetch<Job>, evaluation: RwSignal<Option<Job>>) -> impl IntoView {
    move || {
        let job = job.data.get()?;
        let several = follow_ups(&job).len() > 1;
        let (protect, judge) = match job.kind {
            JobKind::Protect => (Some(job), evaluation.get()),
            JobKind::Evaluate => (None, Some(job)),
            JobKind::Probe | JobKind::Study => return None,
        };
        let parent = judge.as_ref().and_then(|judge| judge.parent_id);
        let train = match (&protect, parent) {
            (Some(job), _) => view! { <StatusBadge status=job.status /> }.into_any(),
            (None, Some(parent)) => {
                view! { <a href=format!("/jobs/{parent}")>{say!("see this job")}</a> }.into_any()
            }
            (None, None) => ().into_any(),
        };
        let gallery = gallery_of(protect.as_ref(), judge.as_ref());
        let stopped = [&protect, &judge]
            .into_iter()
            .flatten()
            .any(|job| matches!(job.status, JobStatus::Failed | JobStatus::Canceled));
        let judged = match &judge {
            _ if several => {
                view! { <span class="soft">{say!("one for each set, below")}</span> }.into_any()
            }
            Some(job) => view! { <StatusBadge status=job.status /> }.into_any(),
            None if stopped => view! { <span class="soft">{say!("not reached")}</span> }.into_any(),
            None => view! { <span class="soft">{say!("follows by itself")}</span> }.into_any(),
        };
        let shown = match gallery {
            Some(id) => view! { <a href=format!("/galleries/{id}")>{say!("ready")}</a> }.into_any(),
            None if several => {
                view! { <span class="soft">{say!("one for each set, below")}</span> }.into_any()
            }
            None if stopped => view! { <span class="soft">{say!("not reached")}</span> }.into_any(),
            None => view! { <span class="soft">{say!("comes last")}</span> }.into_any(),
        };
        Some(view! {
            <ol class="trail" aria-label=say!("Steps of this protection")>
                <li><span class="strong">{say!("1. Train")}</span> {train}</li>
                <li><span class="strong">{say!("2. Attack and judge")}</span> {judged}</li>
                <li><span class="strong">{say!("3. Gallery")}</span> {shown}</li>
            </ol>
        })
    }
}

fn gallery_of(protect: Option<&Job>, judge: Option<&Job>) -> Option<GalleryId> {
    judge
        .and_then(|job| job.gallery_id)
        .or_else(|| protect.and_then(|job| job.gallery_id))
}

/// Announces the gallery; opens it for whoever watched the job get there.
#[component]
fn GalleryReady(job: Fetch<Job>, evaluation: RwSignal<Option<Job>>) -> impl IntoView {
    let gallery = Memo::new(move |_| {
        job.data.with(|job| {
            let job = job.as_ref()?;
            // With several there is none to open by itself.
            if follow_ups(job).len() > 1 {
                return None;
            }
            let own = job.gallery_id;
            evaluation
                .with(|judge| judge.as_ref().and_then(|judge| judge.gallery_id))
                .or(own)
        })
    });
    let watched = StoredValue::new(false);
    let opening = RwSignal::new(false);
    let timer = StoredValue::new_local(None::<Timeout>);
    let navigate = use_navigate();
    Effect::new(move || {
        let Some(id) = gallery.get() else {
            let moving = |job: &Option<Job>| job.as_ref().is_some_and(|job| !job.status.is_final());
            if job.data.with(moving) || evaluation.with(moving) {
                watched.set_value(true);
            }
            return;
        };
        if watched.get_value() && timer.with_value(Option::is_none) {
            opening.set(true);
            let navigate = navigate.clone();
            timer.set_value(Some(Timeout::new(OPEN_MILLISECONDS, move || {
                navigate(&format!("/galleries/{id}"), NavigateOptions::default());
            })));
        }
    });
    on_cleanup(move || {
        timer.try_update_value(Option::take);
    });
    let stay = move |_| {
        timer.update_value(|timer| drop(timer.take()));
        opening.set(false);
        watched.set_value(false);
    };
    view! {
        <div role="status">
            {move || {
                gallery
                    .get()
                    .map(|id| {
                        view! {
                            <Notice tone=Tone::Good title=say!("The gallery is ready")>
                                <p>{say!("Both models were attacked with the same seeds. See what came out, side by side.")}</p>
                                <div class="row">
                                    <a class="button button-primary" href=format!("/galleries/{id}") data-test="open-gallery">{say!("Open the gallery")}</a>
                                    {move || {
                                        opening
                                            .get()
                                            .then(|| {
                                                view! {
                                                    <span class="small soft">{say!("It opens by itself in a moment.")}</span>
                                                    <button type="button" class="button button-quiet" data-test="stay" on:click=stay>{say!("Stay here")}</button>
                                                }
                                            })
                                    }}
                                </div>
                            </Notice>
                        }
                    })
            }}
        </div>
    }
}
