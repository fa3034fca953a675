//! A look at the base model before anything is trained: offered, followed, and read by the next preflight.

use leptos::{prelude::*, task::spawn_local};
use shared::{
    JobId,
    job::{JobProgress, JobStatus},
};

use super::review::{Looked, Spec, as_curl};
use crate::{
    api::{self, ApiError},
    components::{
        as_curl::AsCurl,
        notice::{ErrorNotice, Notice, Tone},
        progress::ProgressBar,
    },
    language::reply,
    pages::job::use_feed,
    state::{browser::random_key, kept::keep},
};

/// Offers a probe, follows the one under way, links to the one that was read.
#[component]
pub(super) fn ProbeOffer(
    spec: Spec,
    /// The current answer; nothing while it is asked for.
    answer: Signal<Option<Looked>>,
    /// Runs the preflight again.
    again: Callback<()>,
) -> impl IntoView {
    // While the preflight is asked again, what was known stays.
    let known = Memo::new(move |old: Option<&Option<Looked>>| {
        let valid = spec.with(Result::is_ok);
        answer
            .get()
            .or_else(|| old.copied().flatten())
            .filter(|_| valid)
    });
    // A probe that ended is read once; what it left out is not asked for again and again.
    let ended = keep("probes", || RwSignal::new(Vec::<(JobId, JobStatus)>::new()));
    let end = Callback::new(move |(id, status): (JobId, JobStatus)| {
        ended.update(|ended| ended.push((id, status)));
        again.run(());
    });
    move || {
        let looked = known.get()?;
        let fate = ended.with(|ended| ended.last().copied());
        let over = |id| ended.with(|ended| ended.iter().any(|(other, _)| *other == id));
        Some(match (looked.probe, looked.missing) {
            (Some(id), false) => view! {
                <p class="small"><a href=format!("/jobs/{id}") data-test="probe-report">{say!("What the look at the base model found")}</a></p>
            }
            .into_any(),
            (None, false) => ().into_any(),
            (Some(id), true) if !over(id) => view! { <Underway id=id end=end /> }.into_any(),
            _ if fate.is_some_and(|fate| fate.1 == JobStatus::Succeeded)
                && answer.with(Option::is_none) =>
            {
                view! { <p class="field-hint">{say!("Reading what was found…")}</p> }.into_any()
            }
            _ => {
                let failed = fate.filter(|fate| fate.1 == JobStatus::Failed);
                let failed = failed.map(|(id, _)| view! { <Failed id=id /> });
                view! { {failed} <Start spec=spec again=again /> }.into_any()
            }
        })
    }
}

#[component]
fn Failed(id: JobId) -> impl IntoView {
    view! {
        <Notice tone=Tone::Warn title=say!("The look at the base model failed")>
            <p>{weave!("Nothing is known of what the base model already draws. {link}; you can launch without it or look again.", link = view! { <a href=format!("/jobs/{id}")>{say!("See why")}</a> })}</p>
        </Notice>
    }
}

#[component]
fn Start(spec: Spec, again: Callback<()>) -> impl IntoView {
    let busy = keep("probe", || RwSignal::new(false));
    let error = keep("probe", || RwSignal::new(None::<ApiError>));
    let start = move |_| {
        let Ok(spec) = spec.get_untracked() else {
            return;
        };
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        error.set(None);
        spawn_local(async move {
            let answer = api::create_probe(&spec, &random_key()).await;
            busy.try_set(false);
            match answer {
                // Whoever left the page does not wait for it.
                Ok(_) => {
                    again.try_run(());
                }
                Err(problem) => {
                    error.try_set(Some(problem));
                }
            }
        });
    };
    view! {
        <div class="stack-tight">
            <button type="button" class="button button-wide" data-test="probe" aria-disabled=move || if busy.get() { "true" } else { "false" } on:click=start>
                {move || if busy.get() { say!("Starting…") } else { say!("Look at the base model first") }}
            </button>
            <p class="field-hint">{say!("Optional. It shows whether the base model knows your subject already, and which other prompts lie near the trigger.")}</p>
            {move || error.get().map(|error| view! { <ErrorNotice error=error what=say!("The look at the base model did not start") /> })}
            <AsCurl commands=as_curl(spec, |spec, key| api::create_probe(spec, key).curl()) test="curl-probe" />
        </div>
    }
}

/// How far a probe is; tells its owner when it ended.
#[component]
fn Underway(id: JobId, end: Callback<(JobId, JobStatus)>) -> impl IntoView {
    let feed = use_feed(id);
    Effect::new(move || {
        let status = feed.status.get().map(|(status, _)| status);
        if let Some(status) = status.filter(|status| status.is_final()) {
            end.run((id, status));
        }
    });
    let progress = move |read: fn(&JobProgress) -> f64| {
        feed.progress
            .with(|progress| progress.as_ref().map_or(0.0, read))
    };
    let share = Signal::derive(move || {
        progress(|progress| f64::from(progress.step) / f64::from(progress.total.max(1)))
    });
    let phase = Signal::derive(move || {
        let phase = feed
            .progress
            .with(|progress| progress.as_ref().map(|progress| reply(&progress.phase)));
        phase.unwrap_or_else(|| say!("Waiting for a node").to_owned())
    });
    view! {
        <div class="stack-tight" data-test="probe-progress">
            <p class="strong">{say!("Looking at the base model")}</p>
            <ProgressBar share=share label=phase small=true />
            <p class="small soft"><span role="status">{phase}</span> ". " <a href=format!("/jobs/{id}")>{say!("Follow it")}</a></p>
        </div>
    }
}
