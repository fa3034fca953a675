//! Further sets in the same job: each a card of its own, closed once its words are there.

use leptos::prelude::*;
use shared::{
    limits::MAX_CONCEPTS,
    protected_set::{ProtectedSet, SetStatus},
};

use super::{
    concept::ConceptForm,
    editor::{Editor, Place},
    objective::ObjectiveFields,
    subject::SubjectFields,
};
use crate::{
    components::{
        field::{FieldError, SelectField},
        icon::{Glyph, Icon},
        notice::ErrorNotice,
    },
    state::kept::keep,
    text,
};

#[component]
pub(super) fn MoreSection(editor: Editor, further: Signal<Vec<Place>>) -> impl IntoView {
    // Another position is another pointer, and another model has other words: both draw the card anew.
    let key = move |place: &Place| {
        (
            place.position,
            place.concept.set_id(),
            editor.form.model.get(),
        )
    };
    let reason = editor.reason("#/concepts");
    view! {
        <section class="form-section" aria-labelledby="more">
            <h2 id="more">{say!("4. More sets in the same model")}</h2>
            <div class="card">
                <p class="soft">
                    {say!("Optional. One training can protect up to {most} sets; each is attacked and judged on its own. More sets share the same steps, so each is learned a little less.", most = MAX_CONCEPTS)}
                </p>
                <For each=move || further.get() key=key let:place>
                    <Further editor=editor place=place />
                </For>
                <AddSet editor=editor />
                <FieldError id="field-concepts-error" error=reason />
            </div>
        </section>
    }
}

#[component]
fn Further(editor: Editor, place: Place) -> impl IntoView {
    let concept = place.concept;
    let name = concept.set.with_value(|set| set.name.clone());
    let unfinished = concept.class_name.with_untracked(String::is_empty);
    let line = move || {
        let concept = concept.concept();
        if concept.class_name.is_empty() {
            say!("words missing").to_owned()
        } else {
            format!(
                "{} → {}",
                text::trigger(&concept),
                concept.objective.phrase()
            )
        }
    };
    let remove = move |_| {
        let id = concept.set_id();
        editor
            .form
            .concepts
            .update(|concepts| concepts.retain(|other| other.set_id() != id));
    };
    let label = say!("Remove “{name}” from this job", name);
    view! {
        <div class="further" data-test="further">
            <details class="fold" open=unfinished>
                <summary>{name} " " <span class="small soft">{line}</span></summary>
                <div class="fold-body">
                    <SubjectFields editor=editor place=place />
                    <ObjectiveFields editor=editor place=place />
                </div>
            </details>
            <button type="button" class="button button-quiet button-small" aria-label=label data-test="remove-set" on:click=remove>
                <Icon glyph=Glyph::Trash />
                {say!("Remove")}
            </button>
        </div>
    }
}

/// Sealed sets that are not in the job.
fn addable(editor: Editor) -> Vec<ProtectedSet> {
    let form = editor.form;
    let named: Vec<_> = form.earlier.with(|earlier| {
        let earlier = earlier.iter().map(|other| other.concept.protected_set_id);
        let own = form.concepts.get();
        earlier
            .chain(own.into_iter().map(ConceptForm::set_id))
            .collect()
    });
    let sets = editor.sets.items.get().unwrap_or_default();
    let fits = |set: &ProtectedSet| set.status == SetStatus::Sealed && !named.contains(&set.id);
    sets.into_iter().filter(fits).collect()
}

#[component]
fn AddSet(editor: Editor) -> impl IntoView {
    let form = editor.form;
    let (owner, chosen) = keep("further", || {
        let owner = StoredValue::new(Owner::current());
        (owner, RwSignal::new(String::new()))
    });
    let sets = move || addable(editor);
    let none = Memo::new(move |_| sets().is_empty());
    let options = Signal::derive(move || {
        let first = (String::new(), say!("Choose a sealed set").to_owned());
        let sets = sets().into_iter();
        let sets = sets.map(|set| {
            let images = plural!(set.images.len(), "{count} image", "{count} images");
            (set.id.to_string(), format!("{} ({images})", set.name))
        });
        std::iter::once(first).chain(sets).collect::<Vec<_>>()
    });
    let full = Memo::new(move |_| {
        form.earlier.with(Vec::len) + form.concepts.with(Vec::len) >= MAX_CONCEPTS
    });
    let add = move |_| {
        let id = chosen.get_untracked();
        let mut sets = untrack(sets).into_iter();
        let set = sets.find(|set| set.id.to_string() == id);
        let Some(set) = set.filter(|_| !full.get_untracked()) else {
            return;
        };
        let concept = || {
            let class = editor.suggested_class(&set);
            let taken = form.concepts.with_untracked(Vec::len);
            let model = untrack(|| editor.model());
            ConceptForm::new(set, model.as_ref(), class, taken)
        };
        // Its signals live as long as the form, not as long as this click.
        let concept = match owner.get_value() {
            Some(owner) => owner.with(concept),
            None => concept(),
        };
        form.concepts.update(|concepts| concepts.push(concept));
        chosen.set(String::new());
    };
    let retry = Callback::new(move |()| editor.sets.more());
    let picker = move || {
        if full.get() {
            return view! { <p class="field-hint">{say!("This job holds {most} sets; that is the limit.", most = MAX_CONCEPTS)}</p> }.into_any();
        }
        if none.get() {
            return view! { <p class="field-hint">{say!("Sealed sets that are not in this job yet are offered here; there is none.")} " " <a href="/sets/new">{say!("Make another set")}</a></p> }.into_any();
        }
        view! {
            <div class="row row-end">
                <SelectField label=say!("Add a set") pointer="#/concepts" options=options value=chosen test="more-set" />
                <button type="button" class="button" data-test="add-set" aria-disabled=move || if chosen.with(String::is_empty) { "true" } else { "false" } on:click=add>{say!("Add this set")}</button>
            </div>
        }
        .into_any()
    };
    view! {
        {move || editor.sets.error.get().map(|error| view! { <ErrorNotice error=error what=say!("Your sets could not be loaded") retry=retry /> })}
        {picker}
    }
}
