//! What an attacker shall get instead, how it is trained, a preflight, and launch.

mod advanced;
mod form;
mod model;
mod objective;
mod review;

use leptos::{ev::SubmitEvent, prelude::*};
use leptos_router::{NavigateOptions, hooks::use_navigate};
use shared::{
    SetId,
    base_model::BaseModel,
    demo::Demo,
    problem::FieldError,
    protected_set::{ProtectedSet, SetStatus},
};

use crate::{
    api,
    components::{
        heading::PageHeading,
        loaded::Skeleton,
        notice::{ErrorNotice, Notice, Tone},
    },
    pages::{not_found::NotFoundPage, use_id},
    state::{
        browser::random_key,
        fetch::use_fetch,
        form::{FormState, focus_first},
    },
};
use advanced::Advanced;
use form::ProtectForm;
use model::ModelCards;
use objective::{ObjectiveSection, SubjectSection};
use review::{JsonView, Review};

#[component]
pub(crate) fn ProtectPage() -> impl IntoView {
    let id = use_id::<SetId>();
    move || match id.get() {
        Some(id) => view! { <ProtectView id=id /> }.into_any(),
        None => view! { <NotFoundPage /> }.into_any(),
    }
}

#[component]
fn ProtectView(id: SetId) -> impl IntoView {
    let set = use_fetch(move || api::protected_set(id));
    let models = use_fetch(api::base_models);
    let demo = use_fetch(api::demo);
    // The samples only suggest a class word: the form does not wait for ever for them.
    let ready = Memo::new(move |_| {
        if demo.data.with(Option::is_none) && demo.error.with(Option::is_none) {
            return None;
        }
        let class = set
            .data
            .with(|set| suggested_class(set.as_ref()?, demo.data.get()?));
        Some((
            set.data.get()?,
            models.data.get()?.data,
            class.unwrap_or_default(),
        ))
    });
    let retry = Callback::new(move |()| {
        set.reload();
        models.reload();
    });
    let problem = move || set.error.get().or_else(|| models.error.get());
    let title = Signal::derive(move || {
        set.data.with(|set| {
            set.as_ref().map_or_else(
                || "Protect".to_owned(),
                |set| format!("Protect “{}”", set.name),
            )
        })
    });
    view! {
        <div class="page-head">
            <a class="crumb" href=format!("/sets/{id}")>"Back to the set"</a>
            <PageHeading title=title />
            <p class="lead">"The defaults are the method's own. Three words are yours to choose."</p>
        </div>
        {move || problem().map(|error| view! { <ErrorNotice error=error what="This page could not be loaded" retry=retry /> })}
        {move || match ready.get() {
            Some((set, models, class)) => body(set.id, set.status, models, class),
            None if problem().is_some() => ().into_any(),
            None => view! { <div class="launch"><Skeleton class="skeleton-panel" times=2 /></div> }.into_any(),
        }}
    }
}

/// A sample's class, if the set was made from that sample.
fn suggested_class(set: &ProtectedSet, demo: Demo) -> Option<String> {
    demo.sample_sets
        .into_iter()
        .find(|sample| sample.title == set.name)
        .map(|sample| sample.class_name)
}

fn body(id: SetId, status: SetStatus, models: Vec<BaseModel>, class: String) -> AnyView {
    if status == SetStatus::Draft {
        return view! {
            <Notice tone=Tone::Warn title="This set is not sealed yet">
                <p>"Declare your rights first. Then its images cannot change under a running job."</p>
                <a class="button" href=format!("/sets/{id}")>"Declare rights"</a>
            </Notice>
        }
        .into_any();
    }
    if models.is_empty() {
        return view! {
            <Notice tone=Tone::Bad title="This server has no base model">
                <p>"Whoever runs it registers one first. Then reload this page."</p>
            </Notice>
        }
        .into_any();
    }
    view! { <LaunchForm id=id models=models class=class /> }.into_any()
}

#[component]
fn LaunchForm(id: SetId, models: Vec<BaseModel>, class: String) -> impl IntoView {
    let form = ProtectForm::new(&models, class);
    let state = FormState::new();
    let attempted = RwSignal::new(false);
    let models = StoredValue::new(models);
    let spec = Memo::new(move |_| form.spec(id));
    let errors = Signal::derive(move || visible(&spec.get(), attempted.get(), form, state));
    // What the API refused belongs to the specification that it saw.
    Effect::new(move || {
        spec.track();
        state.fields.set(Vec::new());
    });
    // One key a specification: pressing twice launches once, a changed form launches anew.
    let key = StoredValue::new((String::new(), random_key()));
    let navigate = use_navigate();
    let launch = move |event: SubmitEvent| {
        event.prevent_default();
        attempted.set(true);
        match spec.get_untracked() {
            Err(errors) => focus_first(&errors),
            Ok(spec) => {
                let text = serde_json::to_string(&spec).unwrap_or_default();
                key.update_value(|key| {
                    if key.0 != text {
                        *key = (text, random_key());
                    }
                });
                let (_, key) = key.get_value();
                let navigate = navigate.clone();
                let request = async move { api::create_job(&spec, &key).await };
                state.submit(Vec::new(), request, move |job| {
                    navigate(&format!("/jobs/{}", job.id), NavigateOptions::default());
                });
            }
        }
    };
    view! {
        <form class="launch" novalidate=true on:submit=launch data-test="protect-form">
            <div class="stack-loose">
                <SubjectSection form=form models=models errors=errors />
                <ObjectiveSection form=form models=models errors=errors />
                <ModelCards form=form models=models />
                <Advanced form=form errors=errors />
                <JsonView spec=spec />
            </div>
            <Review spec=spec state=state />
        </form>
    }
}

/// What is wrong, without scolding for a field that was not reached yet.
fn visible(
    spec: &Result<shared::job::JobSpec, Vec<FieldError>>,
    attempted: bool,
    form: ProtectForm,
    state: FormState,
) -> Vec<FieldError> {
    let mut errors = match spec {
        Ok(_) => Vec::new(),
        Err(errors) => errors.clone(),
    };
    let class_untouched = form.class_name.with(String::is_empty) && !attempted;
    errors.retain(|error| !(class_untouched && error.pointer == "#/class_name"));
    errors.extend(state.fields.get());
    errors
}
