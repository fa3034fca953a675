//! What an attacker shall get instead, how it is trained, a preflight, and launch.

mod advanced;
mod choices;
mod concept;
mod editor;
mod extend;
mod form;
mod model;
mod more;
mod objective;
mod pattern;
mod probe;
mod review;
mod sketch;
mod subject;

use leptos::{ev::SubmitEvent, prelude::*};
use leptos_router::{NavigateOptions, hooks::use_navigate};
use shared::{
    SetId,
    base_model::BaseModel,
    demo::{Demo, SampleSet},
    job::JobSpec,
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
        kept::keep,
        pages::Pages,
    },
};
use advanced::Advanced;
use concept::ConceptForm;
use editor::{Editor, Place, suggested_class};
use form::ProtectForm;
use model::ModelCards;
use more::MoreSection;
use objective::ObjectiveSection;
use review::{JsonView, Review};
use subject::SubjectSection;

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
        let samples = demo.data.get().map(|demo: Demo| demo.sample_sets);
        Some((
            set.data.get()?,
            models.data.get()?.data,
            samples.unwrap_or_default(),
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
                || say!("Protect").to_owned(),
                |set| say!("Protect “{name}”", name = set.name),
            )
        })
    });
    view! {
        <div class="page-head">
            <a class="crumb" href=format!("/sets/{id}")>{say!("Back to the set")}</a>
            <PageHeading title=title />
            <p class="lead">{say!("The defaults are the method's own. Three words are yours to choose.")}</p>
        </div>
        {move || problem().map(|error| view! { <ErrorNotice error=error what=say!("This page could not be loaded") retry=retry /> })}
        {move || match ready.get() {
            Some((set, models, samples)) => body(set, models, samples),
            None if problem().is_some() => ().into_any(),
            None => view! { <div class="launch"><Skeleton class="skeleton-panel" times=2 /></div> }.into_any(),
        }}
    }
}

fn body(set: ProtectedSet, models: Vec<BaseModel>, samples: Vec<SampleSet>) -> AnyView {
    if set.status == SetStatus::Draft {
        return view! {
            <Notice tone=Tone::Warn title=say!("This set is not sealed yet")>
                <p>{say!("Declare your rights first. Then its images cannot change under a running job.")}</p>
                <a class="button" href=format!("/sets/{}", set.id)>{say!("Declare rights")}</a>
            </Notice>
        }
        .into_any();
    }
    if models.is_empty() {
        return view! {
            <Notice tone=Tone::Bad title=say!("This server has no base model")>
                <p>{say!("Whoever runs it registers one first. Then reload this page.")}</p>
            </Notice>
        }
        .into_any();
    }
    view! { <LaunchForm set=set models=models samples=samples /> }.into_any()
}

#[component]
fn LaunchForm(set: ProtectedSet, models: Vec<BaseModel>, samples: Vec<SampleSet>) -> impl IntoView {
    let id = set.id;
    // What came with the server is trained everywhere; an import is chosen by name.
    let own = models.iter().find(|model| !model.imported);
    let model = own.or(models.first());
    let class = suggested_class(&set, &samples);
    let form = keep("protect", || {
        ProtectForm::new(model, ConceptForm::new(set, model, class, 0))
    });
    let state = FormState::kept("protect");
    let attempted = keep("attempted", || RwSignal::new(false));
    let spec = Memo::new(move |_| form.spec());
    let errors = Signal::derive(move || visible(&spec.get(), attempted.get(), form, state));
    let editor = Editor {
        form,
        models: StoredValue::new(models),
        samples: StoredValue::new(samples),
        sets: Pages::new(|_| api::latest_sets()),
        errors,
    };
    // What the API refused belongs to the specification that it saw.
    let refused = state.fields;
    Effect::watch(
        move || spec.track(),
        move |(), _, _| refused.set(Vec::new()),
        false,
    );
    let launch = use_launch(spec, state, attempted);
    let places = move || {
        let places = form.positioned().into_iter();
        places.map(move |(position, concept)| Place {
            concept,
            position,
            own: concept.set_id() == id,
        })
    };
    let position = Memo::new(move |_| places().find(|place| place.own).map(|place| place.position));
    let further = Signal::derive(move || places().filter(|place| !place.own).collect::<Vec<_>>());
    let subject = move || {
        // Another model offers other words.
        form.model.track();
        position.get().and_then(|_| places().find(|place| place.own)).map_or_else(
            || view! { <Notice tone=Tone::Plain title=say!("This set is protected already")><p>{say!("The job that you go on from protects it. See below what stays and what is removed, and add other sets.")}</p></Notice> }.into_any(),
            |place| view! { <SubjectSection editor=editor place=place /> <ObjectiveSection editor=editor place=place /> }.into_any(),
        )
    };
    view! {
        <form class="launch" novalidate=true on:submit=launch data-test="protect-form">
            <div class="stack-loose">
                {subject}
                <ModelCards editor=editor />
                <MoreSection editor=editor further=further />
                <Advanced editor=editor />
                <JsonView spec=spec />
            </div>
            <Review spec=spec state=state />
        </form>
    }
}

/// What submitting does: the job, or the first field that is in its way.
fn use_launch(
    spec: Memo<Result<JobSpec, Vec<FieldError>>>,
    state: FormState,
    attempted: RwSignal<bool>,
) -> impl Fn(SubmitEvent) {
    // One key a specification: pressing twice launches once, a changed form launches anew.
    let key = keep("launch", || StoredValue::new((String::new(), random_key())));
    let navigate = use_navigate();
    move |event: SubmitEvent| {
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
    }
}

/// What is wrong, without scolding for a field that was not reached yet.
fn visible(
    spec: &Result<JobSpec, Vec<FieldError>>,
    attempted: bool,
    form: ProtectForm,
    state: FormState,
) -> Vec<FieldError> {
    let mut errors = match spec {
        Ok(_) => Vec::new(),
        Err(errors) => errors.clone(),
    };
    if !attempted {
        for (position, concept) in form.positioned() {
            let pointer = format!("#/concepts/{position}/class_name");
            let untouched = concept.class_name.with(String::is_empty);
            errors.retain(|error| !(untouched && error.pointer == pointer));
        }
    }
    errors.extend(state.fields.get());
    errors
}
