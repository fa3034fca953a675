//! Going on from a finished protection: its concepts first, to be kept or removed.

use leptos::prelude::*;
use shared::{
    SetId,
    job::{Job, JobKind, JobStatus},
};

use super::{concept::Earlier, editor::Editor};
use crate::{
    api,
    components::{
        field::{CheckCard, SelectField},
        notice::ErrorNotice,
    },
    state::{kept::keep, pages::Pages},
    text,
};

/// The finished protections of the chosen model; asked anew each time, which a hundred jobs bear.
fn finished(editor: Editor, jobs: Pages<Job>) -> Vec<Job> {
    let model = editor.form.model.get();
    let jobs = jobs.items.get().unwrap_or_default();
    let fits = |job: &Job| {
        job.kind == JobKind::Protect
            && job.status == JobStatus::Succeeded
            && job.spec.base_model_id.to_string() == model
    };
    jobs.into_iter().filter(fits).collect()
}

#[component]
pub(super) fn GoOn(editor: Editor) -> impl IntoView {
    let form = editor.form;
    let jobs = Pages::new(|_| api::latest_jobs());
    let (owner, chosen) = keep("earlier", || {
        let owner = StoredValue::new(Owner::current());
        (owner, RwSignal::new(String::new()))
    });
    let finished = move || finished(editor, jobs);
    // Another model takes its jobs with it.
    Effect::new(move || {
        let id = chosen.get();
        let mut jobs = finished().into_iter();
        let job = jobs.find(|job| job.id.to_string() == id);
        let next = job.as_ref().map(|job| job.id);
        if form.extends.get_untracked() == next {
            return;
        }
        if let Some(job) = &job {
            form.hold_out_as(&job.spec);
        }
        let concepts = job.map(|job| job.spec.concepts).unwrap_or_default();
        let earlier = || concepts.into_iter().map(Earlier::new).collect();
        let earlier: Vec<Earlier> = match owner.get_value() {
            Some(owner) => owner.with(earlier),
            None => earlier(),
        };
        form.earlier.set(earlier);
        form.extends.set(next);
        if next.is_none() {
            chosen.set(String::new());
        }
    });
    let options = Signal::derive(move || {
        let first = (
            String::new(),
            say!("The base model, without any trigger").to_owned(),
        );
        let jobs = finished().into_iter();
        let jobs = jobs.map(|job| {
            let words = format!(
                "{}, {}",
                text::subject_of(&job),
                text::moment(job.created_at)
            );
            (job.id.to_string(), words)
        });
        std::iter::once(first).chain(jobs).collect::<Vec<_>>()
    });
    let offered = Memo::new(move |_| !finished().is_empty());
    let retry = Callback::new(move |()| jobs.more());
    let reason = editor.reason("#/extends");
    view! {
        {move || jobs.error.get().map(|error| view! { <ErrorNotice error=error what=say!("Your earlier jobs could not be loaded") retry=retry /> })}
        {move || {
            offered
                .get()
                .then(|| {
                    view! {
                        <SelectField
                            label=say!("Go on from")
                            pointer="#/extends"
                            options=options
                            value=chosen
                            error=reason
                            hint=say!("A finished protection of this model can take in more sets, or lose one. What it protects is trained on, so that it is not forgotten.")
                            test="extends"
                        />
                    }
                })
        }}
        {move || {
            let earlier = form.earlier.get();
            (!earlier.is_empty()).then(|| view! { <EarlierList editor=editor earlier=earlier /> })
        }}
    }
}

#[component]
fn EarlierList(editor: Editor, earlier: Vec<Earlier>) -> impl IntoView {
    let items = earlier
        .into_iter()
        .enumerate()
        .map(|(position, earlier)| view! { <EarlierItem editor=editor position=position earlier=earlier /> })
        .collect_view();
    view! {
        <div class="stack-tight" data-test="earlier">
            <h3>{say!("What it protects")}</h3>
            {items}
        </div>
    }
}

/// The name of a set, if it is among those that were loaded.
fn set_name(editor: Editor, id: SetId) -> Option<String> {
    editor.sets.items.with(|sets| {
        let mut sets = sets.as_ref()?.iter();
        sets.find(|set| set.id == id).map(|set| set.name.clone())
    })
}

#[component]
fn EarlierItem(editor: Editor, position: usize, earlier: Earlier) -> impl IntoView {
    let concept = earlier.concept;
    let id = concept.protected_set_id;
    let name = move || set_name(editor, id).unwrap_or_else(|| say!("Set").to_owned());
    let words = format!(
        "{} → {}",
        text::trigger(&concept),
        concept.objective.phrase()
    );
    let pointer = format!("#/concepts/{position}/action");
    let reason = editor.reason(&pointer);
    let switch = if concept.is_protected() {
        view! {
            <CheckCard
                pointer=pointer
                title=say!("Remove its protection")
                detail=say!("Its trigger is trained away and a signed withdrawal is published. Copies of the earlier model that are out keep it.")
                checked=earlier.removed
                error=reason
                test=format!("remove-protection-{position}")
            />
        }
        .into_any()
    } else {
        view! { <p class="field-hint">{say!("Its protection was removed by an earlier job and stays removed.")}</p> }.into_any()
    };
    view! {
        <div class="earlier">
            <p><a href=format!("/sets/{id}")>{name}</a> " " <span class="small soft">{words}</span></p>
            {switch}
        </div>
    }
}
