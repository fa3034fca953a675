//! How a job ended when it did not succeed: cause, evidence, what to do, and once more.

use leptos::{prelude::*, task::spawn_local};
use leptos_router::{NavigateOptions, hooks::use_navigate};
use shared::{
    JobId,
    job::{Failure, Job, JobStatus},
};

use crate::{
    api::{self, ApiError},
    components::{
        as_curl::AsCurl,
        icon::{Glyph, Icon},
        notice::{ErrorNotice, Notice, Tone},
        prose::prose,
    },
    language::reply,
    state::fetch::Fetch,
};

#[component]
pub(super) fn Ending(job: Fetch<Job>) -> impl IntoView {
    let ending = Memo::new(move |_| {
        job.data.with(|job| {
            let job = job.as_ref()?;
            let ended = matches!(job.status, JobStatus::Failed | JobStatus::Canceled);
            ended.then(|| (job.id, job.status, job.error.clone()))
        })
    });
    move || {
        let (id, status, failure) = ending.get()?;
        let card = match (status, failure) {
            (JobStatus::Failed, Some(failure)) => view! { <FailureCard id=id failure=failure /> }.into_any(),
            (JobStatus::Failed, None) => view! {
                <Notice tone=Tone::Bad title=say!("The job failed")>
                    <p>{say!("The server named no cause. Run it again; if it fails again, read the log below.")}</p>
                    <RunAgain id=id />
                </Notice>
            }
            .into_any(),
            _ => view! {
                <Notice tone=Tone::Plain title=say!("The job was canceled")>
                    <p>{say!("Nothing was published. The set and its settings are still there.")}</p>
                    <RunAgain id=id />
                </Notice>
            }
            .into_any(),
        };
        Some(card)
    }
}

#[component]
fn FailureCard(id: JobId, failure: Failure) -> impl IntoView {
    let evidence = (!failure.evidence.is_empty())
        .then(|| view! { <pre class="code-block" tabindex="0">{failure.evidence}</pre> });
    view! {
        <div role="alert" data-test="failure">
            <Notice tone=Tone::Bad title=reply(&failure.cause)>
                {evidence}
                <p><span class="strong">{say!("What to do:")}</span>" "{prose(&failure.fix)}</p>
                <RunAgain id=id />
                <p class="small soft">{say!("Cause")} " " <code>{failure.code}</code></p>
            </Notice>
        </div>
    }
}

#[component]
fn RunAgain(id: JobId) -> impl IntoView {
    let busy = RwSignal::new(false);
    let error = RwSignal::new(None::<ApiError>);
    let navigate = use_navigate();
    let again = move |_| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        error.set(None);
        let navigate = navigate.clone();
        spawn_local(async move {
            let answer = api::retry_job(id).await;
            busy.try_set(false);
            match answer {
                Ok(job) => navigate(&format!("/jobs/{}", job.id), NavigateOptions::default()),
                Err(problem) => {
                    error.try_set(Some(problem));
                }
            }
        });
    };
    view! {
        <button type="button" class="button" data-test="retry-job" on:click=again>
            <Icon glyph=Glyph::Refresh />
            {move || if busy.get() { say!("Starting…") } else { say!("Run it again") }}
        </button>
        <AsCurl commands=Signal::derive(move || api::retry_job(id).curl()) test="curl-retry" />
        {move || error.get().map(|error| view! { <ErrorNotice error=error what=say!("The job was not started again") /> })}
    }
}
