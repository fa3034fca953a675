//! The subject's words, and what appears in its place.

use leptos::prelude::*;
use shared::{base_model::BaseModel, problem::FieldError};

use super::form::ProtectForm;
use crate::{
    components::field::{FieldError as Reason, RadioCard, TextField},
    state::form::detail_of,
};

/// Identifiers offered at once.
const OFFERED: usize = 8;

/// The reason against one field.
pub(super) fn reason(
    errors: Signal<Vec<FieldError>>,
    pointer: &'static str,
) -> Signal<Option<String>> {
    Signal::derive(move || errors.with(|errors| detail_of(errors, pointer)))
}

/// The chosen model's words of one kind.
pub(super) fn words_of(
    form: ProtectForm,
    models: StoredValue<Vec<BaseModel>>,
    read: fn(&BaseModel) -> &Vec<String>,
) -> Vec<String> {
    let chosen = form.model.get();
    models.with_value(|models| {
        models
            .iter()
            .find(|model| model.id.to_string() == chosen)
            .map(|model| read(model).clone())
            .unwrap_or_default()
    })
}

#[component]
pub(super) fn SubjectSection(
    form: ProtectForm,
    models: StoredValue<Vec<BaseModel>>,
    errors: Signal<Vec<FieldError>>,
) -> impl IntoView {
    let classes = words_of(form, models, |model| &model.classes);
    let hint = if classes.is_empty() {
        "One word for what your subject is, such as dog.".to_owned()
    } else {
        let some: Vec<&str> = classes.iter().take(6).map(String::as_str).collect();
        format!(
            "One word for what your subject is. This model draws {} well, among others.",
            some.join(", ")
        )
    };
    view! {
        <section class="form-section" aria-labelledby="subject">
            <h2 id="subject">"1. Your subject"</h2>
            <div class="card">
                <div class="form-grid">
                    <TextField
                        label="Class word"
                        pointer="#/class_name"
                        value=form.class_name
                        error=reason(errors, "#/class_name")
                        hint=hint
                        offers=classes
                        test="class-name"
                    />
                    <TextField
                        label="Identifier"
                        pointer="#/identifier"
                        value=form.identifier
                        error=reason(errors, "#/identifier")
                        hint="The rare word that would stand for your subject in a prompt, such as “a photo of sks dog”."
                        test="identifier"
                    />
                </div>
                <IdentifierHelper form=form models=models />
            </div>
        </section>
    }
}

#[component]
fn IdentifierHelper(form: ProtectForm, models: StoredValue<Vec<BaseModel>>) -> impl IntoView {
    let chips = move || {
        words_of(form, models, |model| &model.identifiers)
            .into_iter()
            .take(OFFERED)
            .map(|word| {
                let (shown, own) = (word.clone(), word.clone());
                view! {
                    <button
                        type="button"
                        class="chip"
                        aria-pressed=move || if form.identifier.with(|chosen| *chosen == own) { "true" } else { "false" }
                        on:click=move |_| form.identifier.set(word.clone())
                    >
                        {shown}
                    </button>
                }
            })
            .collect_view()
    };
    let known = move || {
        let word = form.identifier.get();
        let words = words_of(form, models, |model| &model.identifiers);
        if words.is_empty() || words.contains(&word) {
            "One token in this model: it binds well."
        } else {
            "Not a single known token of this model: it may bind less well. Prefer one of these."
        }
    };
    view! {
        <div class="stack-tight">
            <div class="chips" role="group" aria-label="Identifiers that are one token in this model">{chips}</div>
            <p class="field-hint" aria-live="polite">{known}</p>
            <p class="field-hint">
                "You cannot know which word an attacker will use. Training therefore draws identifiers from a pool, and the attack uses one that training never saw."
            </p>
        </div>
    }
}

#[component]
pub(super) fn ObjectiveSection(
    form: ProtectForm,
    models: StoredValue<Vec<BaseModel>>,
    errors: Signal<Vec<FieldError>>,
) -> impl IntoView {
    let options = move || {
        let class = form.class_name.get().trim().to_lowercase();
        words_of(form, models, |model| &model.targets)
            .into_iter()
            .filter(|target| target.to_lowercase() != class)
            .enumerate()
            .map(|(index, target)| {
                let id = (index == 0).then(|| "field-objective-target_class".to_owned());
                view! {
                    <RadioCard name="target" value=target.clone() title=target.clone() chosen=form.target id=id test=format!("target-{target}") />
                }
            })
            .collect_view()
    };
    let sentence = move || {
        let word = |text: RwSignal<String>, fallback: &str| {
            let text = text.get();
            if text.trim().is_empty() {
                fallback.to_owned()
            } else {
                text.trim().to_owned()
            }
        };
        format!(
            "Whoever personalizes this model on your images and asks for “a photo of {} {}” shall get: {}.",
            word(form.identifier, "…"),
            word(form.class_name, "…"),
            word(form.target, "…"),
        )
    };
    view! {
        <section class="form-section" aria-labelledby="objective">
            <h2 id="objective">"2. What an attacker gets instead"</h2>
            <div class="card">
                <div class="stack-tight">
                    <h3>"Target: something else appears"</h3>
                    <p class="soft">
                        "A disclosed trigger (a backdoor) is trained into the model: it draws a harmless object in your subject's place. The list is vetted: no people, nothing hateful or defamatory."
                    </p>
                </div>
                <fieldset class="stack-tight" aria-describedby="field-objective-target_class-error">
                    <legend class="field-label">"Choose the target"</legend>
                    <div class="choices-row">{options}</div>
                    <Reason id="field-objective-target_class-error" error=reason(errors, "#/objective/target_class") />
                </fieldset>
                <p class="strong" data-test="objective-sentence">{sentence}</p>
            </div>
        </section>
    }
}
