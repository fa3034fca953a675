//! The preflight, asked again whenever the specification changes, and launch.

use gloo_timers::callback::Timeout;
use leptos::{prelude::*, task::spawn_local};
use shared::{
    JobId,
    job::JobSpec,
    preflight::{CheckStatus, Preflight, PreflightCheck},
    problem::FieldError,
};

use super::probe::ProbeOffer;
use crate::{
    api::{self, ApiError},
    components::{
        as_curl::AsCurl,
        button::SubmitButton,
        icon::{Glyph, Icon},
        loaded::Skeleton,
        notice::ErrorNotice,
        prose::prose,
    },
    language::{reply, say},
    state::{
        browser::{copy, focus, random_key},
        form::{FormState, field_id},
    },
    text,
};

pub(super) type Spec = Memo<Result<JobSpec, Vec<FieldError>>>;

/// Typing settles before the server is asked.
const DEBOUNCE_MILLISECONDS: u32 = 400;

#[derive(Clone, Copy)]
struct Check {
    answer: RwSignal<Option<Result<Preflight, ApiError>>>,
    again: RwSignal<u32>,
}

/// Asks for a preflight of every valid specification, once it has settled.
fn use_preflight(spec: Spec) -> Check {
    let check = Check {
        answer: RwSignal::new(None),
        again: RwSignal::new(0),
    };
    let turn = StoredValue::new(0_u32);
    let timer = StoredValue::new_local(None::<Timeout>);
    Effect::new(move || {
        check.again.track();
        let spec = spec.get();
        check.answer.set(None);
        turn.update_value(|turn| *turn += 1);
        let own = turn.get_value();
        let Ok(spec) = spec else {
            timer.set_value(None);
            return;
        };
        timer.set_value(Some(Timeout::new(DEBOUNCE_MILLISECONDS, move || {
            spawn_local(async move {
                let answer = api::create_preflight(&spec).await;
                // An answer to an older form is dropped.
                if turn.try_get_value() == Some(own) {
                    check.answer.try_set(Some(answer));
                }
            });
        })));
    });
    check
}

#[component]
pub(super) fn Review(spec: Spec, state: FormState) -> impl IntoView {
    let check = use_preflight(spec);
    let retry = Callback::new(move |()| check.again.update(|count| *count += 1));
    let preflight = move || match (spec.get(), check.answer.get()) {
        (Err(errors), _) => view! { <Unfinished errors=errors /> }.into_any(),
        (Ok(_), None) => view! {
            <div class="stack-tight" aria-busy="true">
                <Skeleton class="skeleton-line" times=4 />
            </div>
        }
        .into_any(),
        (Ok(_), Some(Err(error))) => {
            view! { <ErrorNotice error=error what=say!("The preflight did not run") retry=retry /> }
                .into_any()
        }
        (Ok(spec), Some(Ok(preflight))) => {
            let names = spec.concepts.iter().map(text::trigger).collect();
            view! { <Findings preflight=preflight names=names /> }.into_any()
        }
    };
    let looked = Signal::derive(move || {
        check.answer.with(|answer| match answer {
            Some(Ok(preflight)) => Some(Looked::of(preflight)),
            _ => None,
        })
    });
    view! {
        <aside class="card launch-side" aria-labelledby="review" data-test="review">
            <h2 id="review">{say!("Review and launch")}</h2>
            <div aria-live="polite">{preflight}</div>
            <ProbeOffer spec=spec answer=looked again=retry />
            <p class="field-hint">
                {say!("The protected model will state that it holds a trigger. Judging follows by itself: both models are attacked with the same seeds.")}
            </p>
            {move || state.error.get().map(|error| view! { <ErrorNotice error=error what=say!("The job was not launched") /> })}
            <SubmitButton label=say!("Launch protection") busy_label=say!("Launching…") busy=state.busy class="button button-primary button-wide" test="launch" />
            <AsCurl commands=as_curl(spec, |spec, key| api::create_job(spec, key).curl()) test="curl-launch" />
        </aside>
    }
}

/// A key of its own: pasted twice it happens once, beside what the button does.
pub(super) fn as_curl(spec: Spec, write: fn(&JobSpec, &str) -> String) -> Signal<String> {
    let key = random_key();
    Signal::derive(move || {
        spec.with(|spec| match spec {
            Ok(spec) => write(spec, &key),
            Err(_) => say(UNFINISHED).to_owned(),
        })
    })
}

const UNFINISHED: &str = mark!("The form has errors; there is no specification yet.");

/// What the preflight knows of a look at the base model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Looked {
    /// The probe that was read, or that is under way.
    pub(super) probe: Option<JobId>,
    /// Whether the checks lack what a probe would tell.
    pub(super) missing: bool,
}

impl Looked {
    fn of(preflight: &Preflight) -> Self {
        let mut checks = preflight.checks.iter();
        Self {
            probe: preflight.probe,
            missing: checks.any(|check| check.code == "not_probed"),
        }
    }
}

#[component]
fn Unfinished(errors: Vec<FieldError>) -> impl IntoView {
    let items = errors
        .into_iter()
        .map(|error| view! { <CheckLine status=CheckStatus::Fail title=to_fix(&error.pointer) detail=error.detail pointer=Some(error.pointer) /> })
        .collect_view();
    view! { <ul class="checks">{items}</ul> }
}

/// The position of the concept that a pointer leads into.
fn concept_of(pointer: Option<&str>) -> Option<usize> {
    let rest = pointer?.strip_prefix("#/concepts/")?;
    rest.split('/').next()?.parse().ok()
}

/// Names the set where there are several.
fn to_fix(pointer: &str) -> String {
    match concept_of(Some(pointer)) {
        Some(position) if position > 0 => say!("To fix in set {number}", number = position + 1),
        _ => say!("To fix").to_owned(),
    }
}

/// Checks by concept, those of the whole job first; one concept needs no headings.
fn grouped(
    checks: Vec<PreflightCheck>,
    names: Vec<String>,
) -> Vec<(Option<String>, Vec<PreflightCheck>)> {
    if names.len() < 2 {
        return vec![(None, checks)];
    }
    let mut groups = vec![(Some(say!("The job as a whole").to_owned()), Vec::new())];
    groups.extend(names.into_iter().map(|name| (Some(name), Vec::new())));
    for check in checks {
        let position = concept_of(check.pointer.as_deref()).map_or(0, |position| position + 1);
        let group = position.min(groups.len() - 1);
        groups[group].1.push(check);
    }
    groups.retain(|(_, checks)| !checks.is_empty());
    groups
}

fn check_line(check: PreflightCheck) -> impl IntoView + use<> {
    view! { <CheckLine status=check.status title=check.title detail=check.detail pointer=check.pointer /> }
}

#[component]
fn Findings(preflight: Preflight, names: Vec<String>) -> impl IntoView {
    let lines = grouped(preflight.checks, names)
        .into_iter()
        .map(|(name, checks)| {
            let heading = name.map(|name| view! { <h3 class="check-group">{name}</h3> });
            let lines = checks.into_iter().map(check_line).collect_view();
            view! { <div>{heading} <ul class="checks">{lines}</ul></div> }
        })
        .collect_view();
    let time = preflight.estimate_seconds.map_or_else(
        || {
            (
                say!("Not known yet").to_owned(),
                say!("No job has run on this server so far."),
            )
        },
        |range| {
            (
                text::duration_range(range),
                say!("Until the gallery, from earlier jobs on this server."),
            )
        },
    );
    let ready = if preflight.ready { "true" } else { "false" };
    view! {
        <div class="stack" data-test="preflight" data-ready=ready>
            <p class="strong">{prose(&preflight.summary)}</p>
            {lines}
            <dl class="facts">
                <div>
                    <dt>{say!("Time")}</dt>
                    <dd>{time.0}</dd>
                    <dd class="field-hint">{time.1}</dd>
                </div>
                <div>
                    <dt>{say!("Nodes online")}</dt>
                    <dd>{preflight.nodes_online}</dd>
                </div>
            </dl>
        </div>
    }
}

#[component]
fn CheckLine(
    status: CheckStatus,
    title: String,
    detail: String,
    pointer: Option<String>,
) -> impl IntoView {
    let (class, glyph, word) = match status {
        CheckStatus::Pass => ("check check-pass", Glyph::Check, say!("Passed:")),
        CheckStatus::Warn => ("check check-warn", Glyph::Warning, say!("Note:")),
        CheckStatus::Fail => ("check check-fail", Glyph::Cross, say!("Not possible:")),
    };
    let link = pointer.filter(|_| status != CheckStatus::Pass).map(|pointer| {
        view! {
            <button type="button" class="button button-quiet button-small" on:click=move |_| focus(&field_id(&pointer))>
                {say!("Go to the field")}
            </button>
        }
    });
    view! {
        <li class=class>
            <Icon glyph=glyph />
            <div class="stack-tight">
                <p class="strong"><span class="visually-hidden">{word}" "</span>{reply(&title)}</p>
                <p class="small soft">{prose(&detail)}</p>
                {link}
            </div>
        </li>
    }
}

#[component]
pub(super) fn JsonView(spec: Spec) -> impl IntoView {
    let json = Memo::new(move |_| {
        spec.with(|spec| match spec {
            Ok(spec) => serde_json::to_string_pretty(spec).unwrap_or_default(),
            Err(_) => say(UNFINISHED).to_owned(),
        })
    });
    view! {
        <details class="fold" data-test="json-view">
            <summary>{say!("The same as JSON, for the REST API")}</summary>
            <div class="fold-body">
                <p class="field-hint">{say!("This is the body of POST /v1/jobs, with an Idempotency-Key of your own.")}</p>
                <pre class="code-block" tabindex="0" data-test="spec-json">{move || json.get()}</pre>
                <div class="row">
                    <button type="button" class="button button-small" on:click=move |_| copy(&json.get_untracked())>{say!("Copy")}</button>
                </div>
            </div>
        </details>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(pointer: Option<&str>) -> PreflightCheck {
        PreflightCheck {
            code: "code".into(),
            status: CheckStatus::Pass,
            title: "Title".into(),
            detail: String::new(),
            pointer: pointer.map(str::to_owned),
        }
    }

    #[test]
    fn pointers_into_a_concept_name_it() {
        assert_eq!(concept_of(Some("#/concepts/12/objective/size")), Some(12));
        assert_eq!(concept_of(Some("#/concepts")), None);
        assert_eq!(concept_of(Some("#/concepts/x/size")), None);
        assert_eq!(concept_of(None), None);
    }

    #[test]
    fn checks_stand_under_their_concept_and_none_is_lost() {
        let checks = || {
            vec![
                at(Some("#/concepts/1/class_name")),
                at(None),
                at(Some("#/concepts/9/class_name")),
            ]
        };
        let one = grouped(checks(), vec!["sks dog".into()]);
        assert_eq!(one.len(), 1);
        assert_eq!(one[0].1.len(), 3);
        let two = grouped(checks(), vec!["sks dog".into(), "sks cat".into()]);
        let sizes: Vec<usize> = two.iter().map(|(_, checks)| checks.len()).collect();
        assert_eq!(sizes, [1, 2]);
        assert_eq!(two[1].0.as_deref(), Some("sks cat"));
    }
}
