//! The form's text and the one specification that it stands for.

use std::str::FromStr;

use leptos::prelude::*;
use shared::{
    SetId,
    base_model::BaseModel,
    job::{Budget, Evaluation, Injection, JobSpec, Mode, Retention},
    objective::Objective,
    problem::FieldError,
};

type Text = RwSignal<String>;

/// Everything that is typed or chosen, as text.
#[derive(Clone, Copy)]
pub(super) struct ProtectForm {
    pub(super) model: Text,
    pub(super) class_name: Text,
    pub(super) identifier: Text,
    pub(super) target: Text,
    pub(super) mode: Text,
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
            learning_rate: text(injection.learning_rate.to_string()),
            lambda_prior: text(injection.lambda_prior.to_string()),
            lambda_retention: text(injection.lambda_retention.to_string()),
            batch_size: text(injection.batch_size.to_string()),
            class_images: text(injection.class_images.to_string()),
            target_images: text(injection.target_images.to_string()),
            seed: text("0".to_owned()),
            checkpoints: text(checkpoints.join(", ")),
            attack_rate: text(evaluation.learning_rate.to_string()),
            images_per_arm: text(evaluation.images_per_arm.to_string()),
            attack_identifier: text(String::new()),
        }
    }
}

impl ProtectForm {
    /// The method's defaults, and the model's own words where it has some.
    pub(super) fn new(models: &[BaseModel], class_name: String) -> Self {
        let injection = Injection::default();
        // What came with the server is trained everywhere; an import is chosen by name.
        let own = models.iter().find(|model| !model.imported);
        let model = own.or(models.first());
        let identifier = model
            .and_then(|model| model.identifiers.first().cloned())
            .unwrap_or_else(|| "sks".to_owned());
        let target = model
            .and_then(|model| {
                let mut targets = model.targets.iter();
                targets.find(|target| **target != class_name).cloned()
            })
            .unwrap_or_default();
        let text = |text: String| RwSignal::new(text);
        Self {
            model: text(model.map(|model| model.id.to_string()).unwrap_or_default()),
            class_name: text(class_name),
            identifier: text(identifier),
            target: text(target),
            mode: text(name_of(&MODES, injection.mode).to_owned()),
            retention: text(name_of(&RETENTIONS, injection.retention).to_owned()),
            universal: RwSignal::new(injection.universal_identifiers),
            numbers: StoredValue::new(Numbers::new(&injection, &Evaluation::default())),
        }
    }

    /// The specification, or every reason why there is none.
    pub(super) fn spec(self, set: SetId) -> Result<JobSpec, Vec<FieldError>> {
        let mut errors = Vec::new();
        let numbers = self.numbers.get_value();
        let model = self.model.with(|id| id.parse());
        let injection = self.injection(&mut errors);
        let evaluation = self.evaluation(&mut errors);
        let seed = number(numbers.seed, "#/seed", &mut errors);
        let Ok(base_model_id) = model else {
            errors.push(invalid("#/base_model_id", "Choose a base model."));
            return Err(errors);
        };
        let spec = JobSpec {
            protected_set_id: set,
            base_model_id,
            class_name: trimmed(self.class_name),
            identifier: trimmed(self.identifier),
            objective: Objective::Target {
                target_class: trimmed(self.target),
            },
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
            mode: self.mode.with(|name| chosen(&MODES, name)),
            steps: number(numbers.steps, "#/injection/steps", errors),
            learning_rate: number(numbers.learning_rate, "#/injection/learning_rate", errors),
            lambda_prior: number(numbers.lambda_prior, "#/injection/lambda_prior", errors),
            lambda_retention: number(
                numbers.lambda_retention,
                "#/injection/lambda_retention",
                errors,
            ),
            retention: self.retention.with(|name| chosen(&RETENTIONS, name)),
            batch_size: number(numbers.batch_size, "#/injection/batch_size", errors),
            class_images: number(numbers.class_images, "#/injection/class_images", errors),
            target_images: number(numbers.target_images, "#/injection/target_images", errors),
            universal_identifiers: self.universal.get(),
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
                        "Give step counts separated by commas, such as 0, 50, 100, 200.",
                    ));
                    Vec::new()
                }),
            learning_rate: number(numbers.attack_rate, "#/evaluation/learning_rate", errors),
            images_per_arm: number(
                numbers.images_per_arm,
                "#/evaluation/images_per_arm",
                errors,
            ),
            identifier: (!identifier.is_empty()).then_some(identifier),
        }
    }
}

/// Values that a list offers: each with the name it has there and its words, the default first.
pub(super) type Choices<T, const N: usize> = [(T, &'static str, &'static str); N];

/// Every retention.
pub(super) const RETENTIONS: Choices<Retention, 3> = [
    (Retention::Full, "full", "At every timestep"),
    (
        Retention::LowNoise,
        "low_noise",
        "Only where the noise is low",
    ),
    (Retention::Off, "off", "Off"),
];

/// Every mode, `trajectory` once for each budget.
pub(super) const MODES: Choices<Mode, 4> = [
    (Mode::Paper, "paper", "As in the paper"),
    (
        trajectory(Budget::Fast),
        "fast",
        "Along simulated attacks, 10 steps ahead",
    ),
    (
        trajectory(Budget::Balanced),
        "balanced",
        "Along simulated attacks, 40 steps ahead",
    ),
    (
        trajectory(Budget::Strong),
        "strong",
        "Along simulated attacks, 100 steps ahead",
    ),
];

const fn trajectory(budget: Budget) -> Mode {
    Mode::Trajectory { budget }
}

fn name_of<T: Copy + PartialEq, const N: usize>(choices: &Choices<T, N>, value: T) -> &'static str {
    let found = choices.iter().find(|(other, ..)| *other == value);
    found.map_or(choices[0].1, |(_, name, _)| name)
}

fn chosen<T: Copy, const N: usize>(choices: &Choices<T, N>, name: &str) -> T {
    let found = choices.iter().find(|(_, other, _)| *other == name);
    found.map_or(choices[0].0, |(value, ..)| *value)
}

fn trimmed(text: Text) -> String {
    text.with(|text| text.trim().to_owned())
}

fn invalid(pointer: &str, detail: &str) -> FieldError {
    FieldError {
        pointer: pointer.into(),
        code: "invalid".into(),
        detail: detail.into(),
    }
}

fn number<N: FromStr + Default>(text: Text, pointer: &str, errors: &mut Vec<FieldError>) -> N {
    text.with(|text| text.trim().parse()).unwrap_or_else(|_| {
        errors.push(invalid(pointer, "Give a number."));
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
mod tests {
    use super::*;

    #[test]
    fn checkpoints_are_read_from_a_list() {
        assert_eq!(steps("0, 50,100  200"), Some(vec![0, 50, 100, 200]));
        assert_eq!(steps("0, many"), None);
    }

    #[test]
    fn names_of_choices_round_trip() {
        for (retention, name, _) in RETENTIONS {
            assert_eq!(chosen(&RETENTIONS, name), retention);
            assert_eq!(name_of(&RETENTIONS, retention), name);
        }
        for (mode, name, _) in MODES {
            assert_eq!(chosen(&MODES, name), mode);
            assert_eq!(name_of(&MODES, mode), name);
        }
        assert_eq!(chosen(&MODES, "nonsense"), Mode::default());
    }
}
