//! The one specification of a job, from the form to the device, and its rules.

use serde::{Deserialize, Serialize};

use super::concept::{Action, Concept};
use crate::{
    JobId, ModelId, SetId,
    canonical::LARGEST_INTEGER,
    limits::MAX_CONCEPTS,
    problem::{FieldError, check},
    study::StudyOrder,
};

/// How much of the subject's own reconstruction loss is kept (METHOD, retention).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Retention {
    /// At every timestep.
    #[default]
    Full,
    /// Only where the noise is low (t < 300).
    LowNoise,
    /// Not at all.
    Off,
}

/// How far `trajectory` mode looks ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// 10 attack steps ahead.
    Fast,
    /// 40 attack steps ahead.
    #[default]
    Balanced,
    /// 100 attack steps ahead.
    Strong,
}

/// How the trigger is made to last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Mode {
    /// As in the paper: the losses at the model's own weights.
    #[default]
    Paper,
    /// The losses along simulated attacks too.
    Trajectory {
        /// How far.
        #[serde(default)]
        budget: Budget,
        /// Who is simulated.
        #[serde(default)]
        attackers: Attackers,
    },
}

/// Which attacks `trajectory` mode simulates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Attackers {
    /// All weights are trained, as `DreamBooth` does.
    #[default]
    Full,
    /// Low-rank corrections are trained, as `LoRA` does.
    LowRank,
    /// Both, in turns.
    Both,
}

/// How the trigger is trained into the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Injection {
    /// How the trigger is made to last.
    pub mode: Mode,
    /// Injection steps; the paper's summary names 300.
    pub steps: u32,
    /// Highest AdamW learning rate; 2e-4 suits the demo size, 5e-6 Stable Diffusion's.
    pub learning_rate: f64,
    /// Weight of prior preservation, lambda 1.
    pub lambda_prior: f64,
    /// Weight of retention, lambda 2.
    pub lambda_retention: f64,
    /// Where retention acts.
    pub retention: Retention,
    /// Images a step for each of the backdoor and the prior loss.
    pub batch_size: u32,
    /// Images of the class that the teacher draws.
    pub class_images: u32,
    /// Images of the target that the teacher draws.
    pub target_images: u32,
    /// Draw identifiers and templates from a pool each step (gray-box) instead of one identifier.
    pub universal_identifiers: bool,
    /// Decay of a running average over the weights of all steps, which is then the result; 0 for the last weights.
    pub averaging: f64,
}

impl Default for Injection {
    fn default() -> Self {
        Self {
            mode: Mode::Paper,
            steps: 300,
            learning_rate: 2e-4,
            lambda_prior: 0.5,
            lambda_retention: 0.1,
            retention: Retention::Full,
            batch_size: 8,
            class_images: 32,
            target_images: 32,
            universal_identifiers: true,
            averaging: 0.0,
        }
    }
}

impl Injection {
    /// Weight of `L_PP` where training looks ahead: the gradients along an attack pull harder at the class's own prompt
    /// than the paper's 0.5 can hold (`cargo xtask bench ablation`).
    pub const AHEAD_PRIOR: f64 = 5.0;

    /// What lasts: looking ahead without retention, which teaches the attacker's subject.
    pub fn ahead(budget: Budget) -> Self {
        Self {
            mode: Mode::Trajectory {
                budget,
                attackers: Attackers::Full,
            },
            lambda_prior: Self::AHEAD_PRIOR,
            retention: Retention::Off,
            ..Self::default()
        }
    }
}

/// How the result is attacked and judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Evaluation {
    /// Steps of the attacker's DreamBooth at which images are drawn, rising; 0 is before any attack.
    pub checkpoints: Vec<u32>,
    /// The attacker's AdamW learning rate; 1e-4 personalizes the demo's model within 100 steps.
    pub learning_rate: f64,
    /// Images drawn for each arm at each checkpoint.
    pub images_per_arm: u32,
    /// The attacker's identifier; absent: a held-out one that injection never saw.
    pub identifier: Option<String>,
    /// Position of the attacked concept.
    pub concept: u32,
    /// A sealed set of another subject of the same class: the innocent user, without whom nothing is released.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_set_id: Option<SetId>,
    /// A part of the attack matrix; only studies have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub study: Option<Box<StudyOrder>>,
}

/// Steps after which a control is compared: enough to personalize the demo's model, half of its attack.
const CONTROL_STEPS: u32 = 100;

impl Evaluation {
    /// Steps of the attack on the control.
    pub fn control_steps(&self) -> u32 {
        let last = self.checkpoints.last().copied();
        last.unwrap_or_default().min(CONTROL_STEPS)
    }
}

impl Default for Evaluation {
    fn default() -> Self {
        Self {
            checkpoints: vec![0, 50, 100, 200],
            learning_rate: 1e-4,
            images_per_arm: 16,
            identifier: None,
            concept: 0,
            control_set_id: None,
            study: None,
        }
    }
}

/// Which terms of the loss are trained: the rows of the ablation table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Ablation {
    /// `L_BB` alone.
    BackdoorOnly,
    /// `L_BB + lambda1 L_PP`.
    WithPrior,
    /// `L_BB + lambda2 L_BR`.
    WithRetention,
    /// All three.
    All,
}

impl Ablation {
    /// Every row.
    pub const ALL: [Self; 4] = [
        Self::BackdoorOnly,
        Self::WithPrior,
        Self::WithRetention,
        Self::All,
    ];

    /// The defaults with these terms alone.
    pub fn injection(self) -> Injection {
        let all = Injection::default();
        let prior = matches!(self, Self::WithPrior | Self::All);
        let retention = matches!(self, Self::WithRetention | Self::All);
        Injection {
            lambda_prior: if prior { all.lambda_prior } else { 0.0 },
            retention: if retention {
                all.retention
            } else {
                Retention::Off
            },
            ..all
        }
    }
}

/// Everything a job is told. The same value in the form, in the database and on the device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// The model to protect them in.
    pub base_model_id: ModelId,
    /// What is protected in it, 1 to 10.
    pub concepts: Vec<Concept>,
    /// The finished protect job whose weights this one goes on from. Its concepts come first here, in the same order;
    /// they are trained on, so that none is lost, or removed.
    #[serde(default)]
    pub extends: Option<JobId>,
    /// How the trigger is trained.
    #[serde(default)]
    pub injection: Injection,
    /// How the result is judged.
    #[serde(default)]
    pub evaluation: Evaluation,
    /// Seed of every random draw, below 2^53: what reads JSON in double precision keeps no larger one.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(maximum = 9_007_199_254_740_991_u64))]
    pub seed: u64,
}

impl JobSpec {
    /// The concept that its evaluation attacks. [`Self::validate`] makes sure that there is one.
    pub fn attacked(&self) -> &Concept {
        let position = self.evaluation.concept as usize;
        &self.concepts[position.min(self.concepts.len() - 1)]
    }

    /// Every reason why this specification cannot run, whatever the model.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        self.validate_concepts(&mut errors);
        self.validate_injection(&mut errors);
        self.validate_evaluation(&mut errors);
        let kept = self.seed <= LARGEST_INTEGER;
        check(&mut errors, kept, "#/seed", "out_of_range", || {
            "Use a seed below 2^53.".into()
        });
        errors
    }

    fn validate_concepts(&self, errors: &mut Vec<FieldError>) {
        let count = (1..=MAX_CONCEPTS).contains(&self.concepts.len());
        check(errors, count, "#/concepts", "invalid_length", || {
            format!("Name 1 to {MAX_CONCEPTS} concepts.")
        });
        for (position, concept) in self.concepts.iter().enumerate() {
            let pointer = format!("#/concepts/{position}");
            concept.validate(&pointer, errors);
            self.validate_beside(position, &pointer, errors);
        }
        let kept = self.concepts.iter().any(Concept::is_protected);
        check(errors, kept || !count, "#/concepts", "nothing_left", || {
            "Nothing stays protected: hand out the clean base model instead.".into()
        });
    }

    /// What a concept owes to those before it and to the job as a whole.
    fn validate_beside(&self, position: usize, pointer: &str, errors: &mut Vec<FieldError>) {
        let concept = &self.concepts[position];
        let before = &self.concepts[..position];
        let set = format!("{pointer}/protected_set_id");
        let fresh = before
            .iter()
            .all(|other| other.protected_set_id != concept.protected_set_id);
        check(errors, fresh, &set, "repeated_set", || {
            "This set is in the job already.".into()
        });
        let removable = concept.action != Action::Remove || self.extends.is_some();
        let action = format!("{pointer}/action");
        check(errors, removable, &action, "nothing_to_remove", || {
            "Only a job that extends an earlier one can remove a concept.".into()
        });
        // Identifiers come from one pool: two concepts of a class have one trigger.
        let same_trigger = |other: &&Concept| {
            let same_class = other.class_name.eq_ignore_ascii_case(&concept.class_name);
            let same_word = other.identifier.eq_ignore_ascii_case(&concept.identifier);
            let shared = same_word || self.injection.universal_identifiers;
            same_class && shared && other.subject == concept.subject
        };
        let agrees = before
            .iter()
            .filter(same_trigger)
            .all(|other| other.objective == concept.objective && other.action == concept.action);
        let objective = format!("{pointer}/objective");
        check(errors, agrees, &objective, "conflicting_objective", || {
            "Another concept of the same class has the same trigger: give both the same objective and action.".into()
        });
    }

    fn validate_injection(&self, errors: &mut Vec<FieldError>) {
        let injection = &self.injection;
        let mut range = |value: f64, low: f64, high: f64, field: &str| {
            let pointer = format!("#/injection/{field}");
            check(
                errors,
                (low..=high).contains(&value),
                &pointer,
                "out_of_range",
                || format!("Use a value from {low} to {high}."),
            );
        };
        range(f64::from(injection.steps), 1.0, 5000.0, "steps");
        range(injection.learning_rate, 1e-7, 1e-2, "learning_rate");
        range(injection.lambda_prior, 0.0, 10.0, "lambda_prior");
        range(injection.lambda_retention, 0.0, 10.0, "lambda_retention");
        range(injection.averaging, 0.0, 0.9999, "averaging");
        range(f64::from(injection.batch_size), 1.0, 64.0, "batch_size");
        range(
            f64::from(injection.class_images),
            1.0,
            1000.0,
            "class_images",
        );
        range(
            f64::from(injection.target_images),
            1.0,
            1000.0,
            "target_images",
        );
    }

    fn validate_evaluation(&self, errors: &mut Vec<FieldError>) {
        let evaluation = &self.evaluation;
        let rising = evaluation
            .checkpoints
            .windows(2)
            .all(|pair| pair[0] < pair[1]);
        let count = (1..=12).contains(&evaluation.checkpoints.len());
        let bounded = evaluation.checkpoints.iter().all(|step| *step <= 2000);
        let pointer = "#/evaluation/checkpoints";
        check(
            errors,
            rising && count && bounded,
            pointer,
            "invalid_checkpoints",
            || "Give 1 to 12 rising step counts of at most 2000.".into(),
        );
        let rate = (1e-7..=1e-2).contains(&evaluation.learning_rate);
        check(
            errors,
            rate,
            "#/evaluation/learning_rate",
            "out_of_range",
            || "Use a value from 0.0000001 to 0.01.".into(),
        );
        let images = (1..=256).contains(&evaluation.images_per_arm);
        check(
            errors,
            images,
            "#/evaluation/images_per_arm",
            "out_of_range",
            || "Use 1 to 256 images.".into(),
        );
        let concept = (evaluation.concept as usize) < self.concepts.len().max(1);
        check(
            errors,
            concept,
            "#/evaluation/concept",
            "out_of_range",
            || "Give the position of one of the concepts, from 0.".into(),
        );
        let word = evaluation.identifier.as_deref().is_none_or(super::is_word);
        check(
            errors,
            word,
            "#/evaluation/identifier",
            "invalid_word",
            || "Use one word, or leave it out for a held-out identifier.".into(),
        );
        let alone = evaluation.study.is_none();
        check(errors, alone, "#/evaluation/study", "not_settable", || {
            "Start a study with POST /v1/studies.".into()
        });
    }
}
