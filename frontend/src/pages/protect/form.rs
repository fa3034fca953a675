//! The form's text and the one specification that it stands for.

use std::str::FromStr;

use leptos::prelude::*;
use shared::{
    JobId,
    base_model::BaseModel,
    job::{Ablation, Budget, Evaluation, Injection, JobSpec},
    problem::FieldError,
};

use super::{
    choices::{ATTACKERS, MODES, RETENTIONS, chosen, mode, name_of, parts},
    concept::{ConceptForm, Earlier, Text, trimmed},
};
use crate::language::{plain, typed, whole_number};

/// Everything that is typed or chosen, as text.
#[derive(Clone, Copy)]
pub(super) struct ProtectForm {
    pub(super) model: Text,
    /// The finished job that this one goes on from.
    pub(super) extends: RwSignal<Option<JobId>>,
    /// The concepts of that job.
    pub(super) earlier: RwSignal<Vec<Earlier>>,
    /// The page's own set first.
    pub(super) concepts: RwSignal<Vec<ConceptForm>>,
    /// How far training looks ahead.
    pub(super) mode: Text,
    /// Whom it simulates then.
    pub(super) attackers: Text,
    pub(super) retention: Text,
    pub(super) universal: RwSignal<bool>,
    /// What "Advanced" shows.
    pub(super) numbers: StoredValue<Numbers>,
}

/// The fields that most people leave as they are.
#[derive(Clone, Copy)]
pub(super) struct Numbers {
    pub(super) steps: Text,
    pub(super) learning_rate: Text,
    pub(super) lambda_prior: Text,
    pub(super) lambda_retention: Text,
    pub(super) batch_size: Text,
    pub(super) class_images: Text,
    pub(super) target_images: Text,
    pub(super) averaging: Text,
    pub(super) seed: Text,
    pub(super) checkpoints: Text,
    pub(super) attack_rate: Text,
    pub(super) images_per_arm: Text,
    pub(super) attack_identifier: Text,
}

impl Numbers {
    fn new(injection: &Injection, evaluation: &Evaluation) -> Self {
        let checkpoints: Vec<String> = evaluation.checkpoints.iter().map(u32::to_string).collect();
        let text = |text: String| RwSignal::new(text);
        Self {
            steps: text(injection.steps.to_string()),
            learning_rate: text(typed(injection.learning_rate)),
            lambda_prior: text(typed(injection.lambda_prior)),
            lambda_retention: text(typed(injection.lambda_retention)),
            batch_size: text(injection.batch_size.to_string()),
            class_images: text(injection.class_images.to_string()),
            target_images: text(injection.target_images.to_string()),
            averaging: text(typed(injection.averaging)),
            seed: text("0".to_owned()),
            checkpoints: text(checkpoints.join(", ")),
            attack_rate: text(typed(evaluation.learning_rate)),
            images_per_arm: text(evaluation.images_per_arm.to_string()),
            attack_identifier: text(String::new()),
        }
    }
}

impl ProtectForm {
    /// The method's defaults for a model and one concept.
    pub(super) fn new(model: Option<&BaseModel>, concept: ConceptForm) -> Self {
        let injection = Injection::default();
        let (budget, attackers) = parts(injection.mode);
        let text = |text: String| RwSignal::new(text);
        Self {
            model: text(model.map(|model| model.id.to_string()).unwrap_or_default()),
            extends: RwSignal::new(None),
            earlier: RwSignal::new(Vec::new()),
            concepts: RwSignal::new(vec![concept]),
            mode: text(name_of(&MODES, budget).to_owned()),
            attackers: text(name_of(&ATTACKERS, attackers).to_owned()),
            retention: text(name_of(&RETENTIONS, injection.retention).to_owned()),
            universal: RwSignal::new(injection.universal_identifiers),
            numbers: StoredValue::new(Numbers::new(&injection, &Evaluation::default())),
        }
    }

    /// The concepts of this form with their position in the specification; a set of the earlier job is not named
    /// twice.
    pub(super) fn positioned(self) -> Vec<(usize, ConceptForm)> {
        self.earlier.with(|earlier| {
            let fresh = |concept: &ConceptForm| {
                let set = concept.set_id();
                earlier
                    .iter()
                    .all(|other| other.concept.protected_set_id != set)
            };
            let concepts = self.concepts.get().into_iter().filter(fresh);
            let numbered = concepts.enumerate();
            numbered
                .map(|(index, concept)| (earlier.len() + index, concept))
                .collect()
        })
    }

    /// Fills in the loss terms of one row of the ablation table; everything else stays comparable.
    pub(super) fn ablate(self, ablation: Ablation) {
        let injection = ablation.injection();
        let numbers = self.numbers.get_value();
        numbers.lambda_prior.set(typed(injection.lambda_prior));
        numbers
            .lambda_retention
            .set(typed(injection.lambda_retention));
        self.retention
            .set(name_of(&RETENTIONS, injection.retention).to_owned());
    }

    /// Fills in what lasts longest: looking far ahead, with the weight of `L_PP` that this needs.
    pub(super) fn look_ahead(self) {
        let injection = Injection::ahead(Budget::Strong);
        let numbers = self.numbers.get_value();
        numbers.lambda_prior.set(typed(injection.lambda_prior));
        self.retention
            .set(name_of(&RETENTIONS, injection.retention).to_owned());
        let (budget, attackers) = parts(injection.mode);
        self.mode.set(name_of(&MODES, budget).to_owned());
        self.attackers
            .set(name_of(&ATTACKERS, attackers).to_owned());
    }

    /// Fills in what decides which words are held out: who goes on from a job must not test with what it trained.
    pub(super) fn hold_out_as(self, earlier: &JobSpec) {
        self.numbers.get_value().seed.set(earlier.seed.to_string());
        if earlier.injection.universal_identifiers {
            self.universal.set(true);
        }
    }

    /// Whether the fields hold the loss terms of that row.
    pub(super) fn is_ablated(self, ablation: Ablation) -> bool {
        let injection = ablation.injection();
        let numbers = self.numbers.get_value();
        let same = |text: Text, value: f64| text.with(|text| plain(text).parse() == Ok(value));
        same(numbers.lambda_prior, injection.lambda_prior)
            && same(numbers.lambda_retention, injection.lambda_retention)
            && self.retention.with(|name| chosen(&RETENTIONS, name)) == injection.retention
    }

    /// The specification, or every reason why there is none.
    pub(super) fn spec(self) -> Result<JobSpec, Vec<FieldError>> {
        let mut errors = Vec::new();
        let numbers = self.numbers.get_value();
        let model = self.model.with(|id| id.parse());
        let injection = self.injection(&mut errors);
        let evaluation = self.evaluation(&mut errors);
        let seed = whole(numbers.seed, "#/seed", &mut errors);
        let Ok(base_model_id) = model else {
            errors.push(invalid("#/base_model_id", mark!("Choose a base model.")));
            return Err(errors);
        };
        let earlier = self
            .earlier
            .with(|earlier| earlier.iter().map(Earlier::concept).collect::<Vec<_>>());
        let fresh = self.positioned().into_iter();
        let fresh = fresh.map(|(_, concept)| concept.concept());
        let spec = JobSpec {
            base_model_id,
            concepts: earlier.into_iter().chain(fresh).collect(),
            extends: self.extends.get(),
            injection,
            evaluation,
            seed,
        };
        // A field that is no number has its reason already.
        let rules = spec.validate().into_iter().filter(|error| {
            errors
                .iter()
                .all(|known: &FieldError| known.pointer != error.pointer)
        });
        let rules: Vec<FieldError> = rules.collect();
        errors.extend(rules);
        if errors.is_empty() {
            Ok(spec)
        } else {
            Err(errors)
        }
    }

    fn injection(self, errors: &mut Vec<FieldError>) -> Injection {
        let numbers = self.numbers.get_value();
        Injection {
            mode: mode(
                self.mode.with(|name| chosen(&MODES, name)),
                self.attackers.with(|name| chosen(&ATTACKERS, name)),
            ),
            steps: whole(numbers.steps, "#/injection/steps", errors),
            learning_rate: number(numbers.learning_rate, "#/injection/learning_rate", errors),
            lambda_prior: number(numbers.lambda_prior, "#/injection/lambda_prior", errors),
            lambda_retention: number(
                numbers.lambda_retention,
                "#/injection/lambda_retention",
                errors,
            ),
            retention: self.retention.with(|name| chosen(&RETENTIONS, name)),
            batch_size: whole(numbers.batch_size, "#/injection/batch_size", errors),
            class_images: whole(numbers.class_images, "#/injection/class_images", errors),
            target_images: whole(numbers.target_images, "#/injection/target_images", errors),
            universal_identifiers: self.universal.get(),
            averaging: number(numbers.averaging, "#/injection/averaging", errors),
        }
    }

    fn evaluation(self, errors: &mut Vec<FieldError>) -> Evaluation {
        let numbers = self.numbers.get_value();
        let identifier = trimmed(numbers.attack_identifier);
        Evaluation {
            checkpoints: numbers
                .checkpoints
                .with(|text| steps(text))
                .unwrap_or_else(|| {
                    errors.push(invalid(
                        "#/evaluation/checkpoints",
                        mark!("Give step counts separated by commas, such as 0, 50, 100, 200."),
                    ));
                    Vec::new()
                }),
            learning_rate: number(numbers.attack_rate, "#/evaluation/learning_rate", errors),
            images_per_arm: whole(
                numbers.images_per_arm,
                "#/evaluation/images_per_arm",
                errors,
            ),
            identifier: (!identifier.is_empty()).then_some(identifier),
            ..Evaluation::default()
        }
    }
}

fn invalid(pointer: &str, detail: &str) -> FieldError {
    FieldError {
        pointer: pointer.into(),
        code: "invalid".into(),
        detail: detail.into(),
    }
}

fn number<N: FromStr + Default>(text: Text, pointer: &str, errors: &mut Vec<FieldError>) -> N {
    text.with(|text| plain(text).parse()).unwrap_or_else(|_| {
        errors.push(invalid(pointer, mark!("Give a number.")));
        N::default()
    })
}

/// A number without a part behind the mark: `1.500` is no one and a half.
fn whole<N: TryFrom<u64> + Default>(text: Text, pointer: &str, errors: &mut Vec<FieldError>) -> N {
    let number = text.with(|text| whole_number(text));
    number
        .and_then(|number| number.try_into().ok())
        .unwrap_or_else(|| {
            errors.push(invalid(pointer, mark!("Give a whole number.")));
            N::default()
        })
}

fn steps(text: &str) -> Option<Vec<u32>> {
    text.split([',', ' '])
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests;
