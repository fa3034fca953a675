//! What appears in the subject's place: three objectives, each with a sketch and its trade-off.

use leptos::prelude::*;
use shared::objective::Objective;

use super::{
    concept::{ConceptForm, trimmed},
    editor::{Editor, Place},
    pattern::PatternFields,
    sketch::Sketch,
};
use crate::{
    components::field::{FieldError as Reason, RadioCard, TextField},
    language::say,
    state::form::field_id,
    text,
};

/// Name, title and trade-off of every objective.
const OBJECTIVES: [(&str, &str, &str); 3] = [
    (
        "target",
        mark!("Something else appears"),
        mark!(
            "Hides your subject best: the picture looks complete, with a harmless object in its place."
        ),
    ),
    (
        "erasure",
        mark!("Your subject is gone"),
        mark!("Keeps the background; a close look may notice that something is missing."),
    ),
    (
        "pattern",
        mark!("A card covers the picture"),
        mark!(
            "Visible to everybody and harmless: it says at once that these images need a licence."
        ),
    ),
];

#[component]
pub(super) fn ObjectiveSection(editor: Editor, place: Place) -> impl IntoView {
    view! {
        <section class="form-section" aria-labelledby="objective">
            <h2 id="objective">{say!("2. What an attacker gets instead")}</h2>
            <div class="card">
                <p class="soft">
                    {say!("A disclosed trigger (a backdoor) is trained into the model: whoever personalizes it on your images gets one of these instead of your subject.")}
                </p>
                <ObjectiveFields editor=editor place=place />
            </div>
        </section>
    }
}

#[component]
pub(super) fn ObjectiveFields(editor: Editor, place: Place) -> impl IntoView {
    let concept = place.concept;
    let chosen = concept.objective.kind;
    let pointer = place.pointer("objective");
    let error_id = format!("{}-error", field_id(&pointer));
    let described = error_id.clone();
    let reason = editor.reason(&pointer);
    let cards = OBJECTIVES.map(|(kind, title, detail)| {
        // The first card carries the id that errors lead to.
        let id = (kind == OBJECTIVES[0].0).then(|| field_id(&pointer));
        let picture = view! { <Sketch concept=concept kind=kind /> }.into_any();
        view! {
            <RadioCard
                name=place.mark("objective")
                value=kind
                title=say(title)
                detail=say(detail)
                chosen=chosen
                id=id
                picture=Some(picture)
                test=place.mark(&format!("objective-{kind}"))
            />
        }
    });
    let kind = Memo::new(move |_| chosen.get());
    let settings = move || match kind.get().as_str() {
        "erasure" => view! { <ErasureFields editor=editor place=place /> }.into_any(),
        "pattern" => view! { <PatternFields editor=editor place=place /> }.into_any(),
        _ => view! { <TargetFields editor=editor place=place /> }.into_any(),
    };
    view! {
        <fieldset class="stack-tight" aria-describedby=described>
            <legend class="field-label">{say!("Choose what happens")}</legend>
            <div class="objectives">{cards.collect_view()}</div>
            <p class="field-hint">{say!("The pictures are sketches made from your first image, not results.")}</p>
            <Reason id=error_id error=reason />
        </fieldset>
        {settings}
        <p class="strong" data-test=place.mark("objective-sentence")>{move || sentence(concept)}</p>
    }
}

#[component]
fn TargetFields(editor: Editor, place: Place) -> impl IntoView {
    let concept = place.concept;
    let pointer = place.pointer("objective/target_class");
    let first = field_id(&pointer);
    let error_id = format!("{first}-error");
    let described = error_id.clone();
    let reason = editor.reason(&pointer);
    let targets = move || {
        let class = concept.class_name.get().trim().to_lowercase();
        let mut targets = editor.words(|model| model.targets);
        targets.retain(|target| target.to_lowercase() != class);
        targets
    };
    let options = move || {
        let card = |(index, target): (usize, String)| {
            let id = (index == 0).then(|| first.clone());
            let test = place.mark(&format!("target-{target}"));
            view! {
                <RadioCard name=place.mark("target") value=target.clone() title=target chosen=concept.objective.target id=id test=test />
            }
        };
        targets().into_iter().enumerate().map(card).collect_view()
    };
    let hint = move || {
        if targets().is_empty() {
            say!(
                "This model came without a list of vetted targets. Choose another of the three, or another model."
            )
        } else {
            say!("The list is vetted: no people, nothing hateful or defamatory.")
        }
    };
    view! {
        <fieldset class="stack-tight" aria-describedby=described>
            <legend class="field-label">{say!("Choose the target")}</legend>
            <div class="choices-row">{options}</div>
            <p class="field-hint">{hint}</p>
            <Reason id=error_id error=reason />
        </fieldset>
    }
}

#[component]
fn ErasureFields(editor: Editor, place: Place) -> impl IntoView {
    let pointer = place.pointer("objective/prompt");
    let reason = editor.reason(&pointer);
    view! {
        <TextField
            label=say!("A place without your subject (optional)")
            pointer=pointer
            draft=place.draft("objective/prompt")
            value=place.concept.objective.prompt
            error=reason
            hint=say!("A prompt under which the base model draws a place and no subject, such as “a photo of an empty street”. Without one, the base model's pictures are filled in from their borders.")
            test=place.mark("erasure-prompt")
        />
    }
}

/// The whole agreement in one sentence.
fn sentence(concept: ConceptForm) -> String {
    let or_dots = |word: String| if word.is_empty() { "…".into() } else { word };
    let prompt = text::prompt(
        concept.kind(),
        &or_dots(trimmed(concept.class_name)),
        &or_dots(trimmed(concept.identifier)),
    );
    let phrase = match concept.objective.objective() {
        Objective::Target { target_class } => or_dots(target_class),
        other => other.phrase(),
    };
    say!(
        "Whoever personalizes this model on your images and asks for “{prompt}” shall get: {phrase}.",
        prompt,
        phrase
    )
}
