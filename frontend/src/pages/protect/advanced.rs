//! The method's numbers, closed by default: they are right as they are.

use leptos::prelude::*;
use shared::job::Ablation;

use super::{
    choices::{ATTACKERS, MODES, RETENTIONS, options},
    editor::Editor,
    form::{Numbers, ProtectForm},
};
use crate::{
    components::field::{CheckCard, SelectField, TextField},
    language::say,
};

type Row = (
    &'static str,
    &'static str,
    fn(Numbers) -> RwSignal<String>,
    &'static str,
    &'static str,
);

const TRAINING: [Row; 9] = [
    (
        mark!("Steps"),
        "#/injection/steps",
        |numbers| numbers.steps,
        mark!("Training steps of the trigger."),
        "steps",
    ),
    (
        mark!("Learning rate"),
        "#/injection/learning_rate",
        |numbers| numbers.learning_rate,
        mark!("0.0001 suits the demo size, 0.000005 Stable Diffusion's."),
        "learning-rate",
    ),
    (
        mark!("λ₁, prior preservation"),
        "#/injection/lambda_prior",
        |numbers| numbers.lambda_prior,
        mark!("Weight of L_PP: keeps everything else as it was."),
        "lambda-prior",
    ),
    (
        mark!("λ₂, retention"),
        "#/injection/lambda_retention",
        |numbers| numbers.lambda_retention,
        mark!("Weight of L_BR: makes the trigger outlast an attack."),
        "lambda-retention",
    ),
    (
        mark!("Batch size"),
        "#/injection/batch_size",
        |numbers| numbers.batch_size,
        mark!("Images a step for each of two losses."),
        "batch-size",
    ),
    (
        mark!("Class images"),
        "#/injection/class_images",
        |numbers| numbers.class_images,
        mark!("Drawn by the unchanged model."),
        "class-images",
    ),
    (
        mark!("Target images"),
        "#/injection/target_images",
        |numbers| numbers.target_images,
        mark!("Drawn by the unchanged model."),
        "target-images",
    ),
    (
        mark!("Averaging of weights"),
        "#/injection/averaging",
        |numbers| numbers.averaging,
        mark!("0 keeps the last weights; 0.99 keeps a running average of all steps."),
        "averaging",
    ),
    (
        mark!("Seed"),
        "#/seed",
        |numbers| numbers.seed,
        mark!("Of every random draw."),
        "seed",
    ),
];

const JUDGING: [Row; 4] = [
    (
        mark!("Attack checkpoints"),
        "#/evaluation/checkpoints",
        |numbers| numbers.checkpoints,
        mark!("Attack steps at which images are drawn; 0 is before any attack."),
        "checkpoints",
    ),
    (
        mark!("Attacker's learning rate"),
        "#/evaluation/learning_rate",
        |numbers| numbers.attack_rate,
        mark!("Of the attacker's DreamBooth."),
        "attack-rate",
    ),
    (
        mark!("Images per arm"),
        "#/evaluation/images_per_arm",
        |numbers| numbers.images_per_arm,
        mark!("More images, narrower intervals, more time."),
        "images-per-arm",
    ),
    (
        mark!("Attacker's identifier"),
        "#/evaluation/identifier",
        |numbers| numbers.attack_identifier,
        mark!("Empty: one that training never saw."),
        "attack-identifier",
    ),
];

/// What is no single number with a mark before its parts: words, lists, and whole numbers.
const UNMARKED: [&str; 8] = [
    "#/evaluation/checkpoints",
    "#/evaluation/identifier",
    "#/evaluation/images_per_arm",
    "#/injection/batch_size",
    "#/injection/class_images",
    "#/injection/steps",
    "#/injection/target_images",
    "#/seed",
];

/// Names of the rows of the ablation table.
const PRESETS: [(Ablation, &str, &str); 4] = [
    (
        Ablation::BackdoorOnly,
        mark!("L_BB only"),
        "preset-backdoor",
    ),
    (Ablation::WithPrior, "L_BB + L_PP", "preset-prior"),
    (Ablation::WithRetention, "L_BB + L_BR", "preset-retention"),
    (Ablation::All, mark!("All three"), "preset-all"),
];

#[component]
pub(super) fn Advanced(editor: Editor) -> impl IntoView {
    let form = editor.form;
    let ahead = Memo::new(move |_| form.mode.with(|mode| mode != MODES[0].1));
    let attackers = move || {
        ahead.get().then(|| {
            view! {
                <SelectField
                    label=say!("Simulated attackers train")
                    pointer="#/injection/mode/attackers"
                    hint=say!("What training looks ahead along.")
                    options=options(&ATTACKERS)
                    value=form.attackers
                    test="attackers"
                />
            }
        })
    };
    view! {
        <details class="fold" data-test="advanced">
            <summary>{say!("Advanced: loss weights, steps, attack")}</summary>
            <div class="fold-body">
                <h3>{say!("Training the trigger")}</h3>
                <Presets form=form />
                <div class="form-grid">{fields(&TRAINING, editor)}
                    <SelectField
                        label=say!("Retention acts")
                        pointer="#/injection/retention"
                        hint=say!("Where L_BR is applied.")
                        options=options(&RETENTIONS)
                        value=form.retention
                        test="retention"
                    />
                    <SelectField
                        label=say!("The trigger is trained")
                        pointer="#/injection/mode"
                        hint=say!("Looking ahead takes longer, up to four times; it is meant to outlast an attack.")
                        options=options(&MODES)
                        value=form.mode
                        test="mode"
                    />
                    {attackers}
               </div>
                <CheckCard
                    pointer="#/injection/universal_identifiers"
                    title=say!("Train on a pool of identifiers")
                    detail=say!("Off: only on the one above, which is easier to train and easier to walk around.")
                    checked=form.universal
                    test="universal"
                />
                <h3>{say!("Attack and judgement")}</h3>
                <div class="form-grid">{fields(&JUDGING, editor)}</div>
            </div>
        </details>
    }
}

/// Which terms of the loss are trained, for comparing runs that differ in nothing else.
#[component]
fn Presets(form: ProtectForm) -> impl IntoView {
    let buttons = PRESETS.map(|(ablation, words, test)| {
        let pressed = move || if form.is_ablated(ablation) { "true" } else { "false" };
        view! {
            <button type="button" aria-pressed=pressed data-test=test on:click=move |_| form.ablate(ablation)>{say(words)}</button>
        }
    });
    view! {
        <div class="stack-tight">
            <div class="segments" role="group" aria-label=say!("Terms of the loss")>{buttons.collect_view()}</div>
            <p class="field-hint">{say!("Sets λ₁, λ₂ and where retention acts. Runs that differ in nothing else show what each term does.")}</p>
            <div>
                <button type="button" class="button button-quiet" data-test="preset-ahead" on:click=move |_| form.look_ahead()>
                    {say!("Make it last: look 100 attack steps ahead")}
                </button>
            </div>
            <p class="field-hint">{say!("Takes about four times as long. It also sets λ₁ to 5, so that the class's own prompt is left alone.")}</p>
        </div>
    }
}

fn fields(rows: &[Row], editor: Editor) -> impl IntoView + use<> {
    rows.iter()
        .map(|&(label, pointer, value, hint, test)| {
            let value = value(editor.form.numbers.get_value());
            let number = !UNMARKED.contains(&pointer);
            view! {
                <TextField label=say(label) pointer=pointer value=value error=editor.reason(pointer) hint=say(hint) number=number test=test />
            }
        })
        .collect_view()
}
