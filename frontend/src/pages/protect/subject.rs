//! What the images show, and the two words of the trigger.

use leptos::prelude::*;
use shared::{job::SubjectKind, protected_set::ProtectedSet};

use super::{
    choices::SUBJECTS,
    concept::ConceptForm,
    editor::{Editor, Place},
};
use crate::{
    components::{
        field::{RadioCard, TextField},
        notice::{Notice, Tone},
    },
    language::say,
    state::form::field_id,
    text,
};

/// Identifiers offered at once.
const OFFERED: usize = 8;

#[component]
pub(super) fn SubjectSection(editor: Editor, place: Place) -> impl IntoView {
    view! {
        <section class="form-section" aria-labelledby="subject">
            <h2 id="subject">{say!("1. Your subject")}</h2>
            <div class="card">
                <SubjectFields editor=editor place=place />
            </div>
        </section>
    }
}

#[component]
pub(super) fn SubjectFields(editor: Editor, place: Place) -> impl IntoView {
    let concept = place.concept;
    let kind = Memo::new(move |_| concept.kind());
    Effect::watch(
        move || kind.get(),
        move |to, from, _| {
            if let Some(from) = from {
                concept.change_kind(*from, *to);
            }
        },
        false,
    );
    let kinds = SUBJECTS.map(|(kind, name, words)| {
        let id = (kind == SubjectKind::Object).then(|| field_id(&place.pointer("subject")));
        view! {
            <RadioCard name=place.mark("subject") value=name title=say(words) chosen=concept.subject id=id test=place.mark(&format!("subject-{name}")) />
        }
    });
    view! {
        <SetLine place=place />
        <fieldset>
            <legend class="field-label">{say!("The images show")}</legend>
            <div class="choices-row choices-few">{kinds.collect_view()}</div>
        </fieldset>
        <Consent concept=concept />
        {move || view! { <Words editor=editor place=place kind=kind.get() /> }}
        <IdentifierHelper editor=editor concept=concept />
    }
}

/// Which set this is about.
#[component]
fn SetLine(place: Place) -> impl IntoView {
    let (id, name, count) = place
        .concept
        .set
        .with_value(|set| (set.id, set.name.clone(), set.images.len()));
    let anchor = field_id(&place.pointer("protected_set_id"));
    view! {
        <p class="field-hint">
            {weave!(
                "Set {name}, {images}",
                name = view! { <a id=anchor href=format!("/sets/{id}")>{name}</a> },
                images = plural!(count, "{count} image", "{count} images")
            )}
        </p>
    }
}

/// What a kind asks for, and what the set's declaration says of it.
#[component]
fn Consent(concept: ConceptForm) -> impl IntoView {
    let declared = concept.set.with_value(depicts_person);
    let words = move || match (concept.kind(), declared) {
        (SubjectKind::Person, true) => Some((
            Tone::Plain,
            say!(
                "The declaration of this set says that the depicted person consented. That consent covers the images, their use in training and the pictures that judge the result."
            ),
        )),
        (SubjectKind::Person, false) => Some((
            Tone::Warn,
            say!(
                "A person's face needs that person's consent, and this set was sealed as showing nobody. Make a new set of these images and declare that a real person can be recognised, with the basis “consent”."
            ),
        )),
        (SubjectKind::Object | SubjectKind::Style, true) => Some((
            Tone::Warn,
            say!(
                "This set was declared to show a real person. Choose “A person”: its guard rails hold for it."
            ),
        )),
        _ => None,
    };
    view! {
        <div aria-live="polite">
            {move || words().map(|(tone, words)| view! { <Notice tone=tone><p>{words}</p></Notice> })}
        </div>
    }
}

fn depicts_person(set: &ProtectedSet) -> bool {
    let declared = set.attestation.as_ref();
    declared.is_some_and(|signed| signed.declaration.depicts_person)
}

#[component]
fn Words(editor: Editor, place: Place, kind: SubjectKind) -> impl IntoView {
    let concept = place.concept;
    let (label, hint, offers) = class_words(editor, kind);
    let example = match kind {
        SubjectKind::Object => "dog",
        SubjectKind::Person => "person",
        SubjectKind::Style => "painting",
    };
    let stands_for = match kind {
        SubjectKind::Object => say!("your subject"),
        SubjectKind::Person => say!("this person"),
        SubjectKind::Style => say!("this style"),
    };
    let sample = text::prompt(kind, example, "sks");
    let identifier = say!(
        "The rare word that would stand for {stands_for} in a prompt, such as “{sample}”.",
        stands_for,
        sample
    );
    let (class_pointer, word_pointer) = (place.pointer("class_name"), place.pointer("identifier"));
    let class_error = editor.reason(&class_pointer);
    let word_error = editor.reason(&word_pointer);
    view! {
        <div class="form-grid">
            <TextField label=label pointer=class_pointer draft=place.draft("class_name") value=concept.class_name error=class_error hint=hint offers=offers test=place.mark("class-name") />
            <TextField label=say!("Identifier") pointer=word_pointer draft=place.draft("identifier") value=concept.identifier error=word_error hint=identifier test=place.mark("identifier") />
        </div>
    }
}

/// Label, hint and offers of the class word.
fn class_words(editor: Editor, kind: SubjectKind) -> (&'static str, String, Vec<String>) {
    let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    match kind {
        SubjectKind::Object => {
            let classes = editor.words(|model| model.classes);
            let hint = if classes.is_empty() {
                say!("One word for what your subject is, such as dog.").to_owned()
            } else {
                let some: Vec<&str> = classes.iter().take(6).map(String::as_str).collect();
                say!("One word for what your subject is. This model draws {words} well, among others.", words = some.join(", "))
            };
            (say!("Class word"), hint, classes)
        }
        SubjectKind::Person => (
            say!("Word for the person"),
            say!("What a prompt would call this person: person, woman, man or face. People under age are not taken.").to_owned(),
            own(&["person", "woman", "man", "face"]),
        ),
        SubjectKind::Style => (
            say!("Medium"),
            say!("What the works are, such as painting or drawing.").to_owned(),
            own(&["painting", "drawing", "illustration", "photo"]),
        ),
    }
}

#[component]
fn IdentifierHelper(editor: Editor, concept: ConceptForm) -> impl IntoView {
    let chips = move || {
        editor
            .words(|model| model.identifiers)
            .into_iter()
            .take(OFFERED)
            .map(|word| {
                let (shown, own) = (word.clone(), word.clone());
                view! {
                    <button
                        type="button"
                        class="chip"
                        aria-pressed=move || if concept.identifier.with(|chosen| *chosen == own) { "true" } else { "false" }
                        on:click=move |_| concept.identifier.set(word.clone())
                    >
                        {shown}
                    </button>
                }
            })
            .collect_view()
    };
    let known = move || {
        let word = concept.identifier.get();
        let words = editor.words(|model| model.identifiers);
        if words.is_empty() || words.contains(&word) {
            say!("One token in this model: it binds well.")
        } else {
            say!(
                "Not a single known token of this model: it may bind less well. Prefer one of these."
            )
        }
    };
    view! {
        <div class="stack-tight">
            <div class="chips" role="group" aria-label=say!("Identifiers that are one token in this model")>{chips}</div>
            <p class="field-hint" aria-live="polite">{known}</p>
            <p class="field-hint">
                {say!("You cannot know which word an attacker will use. Training therefore draws identifiers from a pool, and the attack uses one that training never saw.")}
            </p>
        </div>
    }
}
