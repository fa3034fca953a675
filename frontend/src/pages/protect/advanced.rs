//! The method's numbers, closed by default: they are right as they are.

use leptos::prelude::*;
use shared::problem::FieldError;

use super::{
    form::{Choices, MODES, Numbers, ProtectForm, RETENTIONS},
    objective::reason,
};
use crate::components::field::{CheckCard, TextField};

type Row = (
    &'static str,
    &'static str,
    fn(Numbers) -> RwSignal<String>,
    &'static str,
    &'static str,
);

const TRAINING: [Row; 8] = [
    (
        "Steps",
        "#/injection/steps",
        |numbers| numbers.steps,
        "Training steps of the trigger.",
        "steps",
    ),
    (
        "Learning rate",
        "#/injection/learning_rate",
        |numbers| numbers.learning_rate,
        "0.0001 suits the demo size, 0.000005 Stable Diffusion's.",
        "learning-rate",
    ),
    (
        "λ₁, prior preservation",
        "#/injection/lambda_prior",
        |numbers| numbers.lambda_prior,
        "Weight of L_PP: keeps everything else as it was.",
        "lambda-prior",
    ),
    (
        "λ₂, retention",
        "#/injection/lambda_retention",
        |numbers| numbers.lambda_retention,
        "Weight of L_BR: makes the trigger outlast an attack.",
        "lambda-retention",
    ),
    (
        "Batch size",
        "#/injection/batch_size",
        |numbers| numbers.batch_size,
        "Images a step for each of two losses.",
        "batch-size",
    ),
    (
        "Class images",
        "#/injection/class_images",
        |numbers| numbers.class_images,
        "Drawn by the unchanged model.",
        "class-images",
    ),
    (
        "Target images",
        "#/injection/target_images",
        |numbers| numbers.target_images,
        "Drawn by the unchanged model.",
        "target-images",
    ),
    (
        "Seed",
        "#/seed",
        |numbers| numbers.seed,
        "Of every random draw.",
        "seed",
    ),
];

const JUDGING: [Row; 4] = [
    (
        "Attack checkpoints",
        "#/evaluation/checkpoints",
        |numbers| numbers.checkpoints,
        "Attack steps at which images are drawn; 0 is before any attack.",
        "checkpoints",
    ),
    (
        "Attacker's learning rate",
        "#/evaluation/learning_rate",
        |numbers| numbers.attack_rate,
        "Of the attacker's DreamBooth.",
        "attack-rate",
    ),
    (
        "Images per arm",
        "#/evaluation/images_per_arm",
        |numbers| numbers.images_per_arm,
        "More images, narrower intervals, more time.",
        "images-per-arm",
    ),
    (
        "Attacker's identifier",
        "#/evaluation/identifier",
        |numbers| numbers.attack_identifier,
        "Empty: one that training never saw.",
        "attack-identifier",
    ),
];

#[component]
pub(super) fn Advanced(form: ProtectForm, errors: Signal<Vec<FieldError>>) -> impl IntoView {
    view! {
        <details class="fold" data-test="advanced">
            <summary>"Advanced: loss weights, steps, attack"</summary>
            <div class="fold-body">
                <h3>"Training the trigger"</h3>
                <div class="form-grid">{fields(&TRAINING, form, errors)}
                    {choice("Retention acts", "retention", "Where L_BR is applied.", &RETENTIONS, form.retention)}
                    {choice(
                        "The trigger is trained",
                        "mode",
                        "Looking ahead takes longer, up to six times; it is meant to outlast an attack.",
                        &MODES,
                        form.mode,
                    )}
               </div>
                <CheckCard
                    pointer="#/injection/universal_identifiers"
                    title="Train on a pool of identifiers"
                    detail="Off: only on the one above, which is easier to train and easier to walk around."
                    checked=form.universal
                    test="universal"
                />
                <h3>"Attack and judgement"</h3>
                <div class="form-grid">{fields(&JUDGING, form, errors)}</div>
            </div>
        </details>
    }
}

fn fields(
    rows: &[Row],
    form: ProtectForm,
    errors: Signal<Vec<FieldError>>,
) -> impl IntoView + use<> {
    rows.iter()
        .map(|&(label, pointer, value, hint, test)| {
            view! {
                <TextField label=label pointer=pointer value=value(form.numbers.get_value()) error=reason(errors, pointer) hint=hint test=test />
            }
        })
        .collect_view()
}

/// A list to choose from; its value goes to `#/injection/NAME`.
fn choice<T, const N: usize>(
    label: &'static str,
    name: &'static str,
    hint: &'static str,
    choices: &Choices<T, N>,
    value: RwSignal<String>,
) -> impl IntoView + use<T, N> {
    let options: Vec<_> = choices
        .iter()
        .map(|(_, name, words)| (*name, *words))
        .map(|(name, words)| {
            view! { <option value=name selected=move || value.with(|chosen| chosen == name)>{words}</option> }
        })
        .collect();
    let id = format!("field-injection-{name}");
    let hint_id = format!("{id}-hint");
    view! {
        <div class="field">
            <label class="field-label" for=id.clone()>{label}</label>
            <select
                id=id
                class="input"
                data-test=name
                aria-describedby=hint_id.clone()
                on:change=move |event| value.set(event_target_value(&event))
            >
                {options}
            </select>
            <p class="field-hint" id=hint_id>{hint}</p>
        </div>
    }
}
