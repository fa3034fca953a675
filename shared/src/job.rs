//! Jobs: the one specification from the form to the device, and the state machine.

use serde::{Deserialize, Serialize};

use crate::{
    GalleryId, JobId, ModelId, SetId, Timestamp,
    objective::Objective,
    problem::{FieldError, check},
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
    },
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
}

impl Default for Evaluation {
    fn default() -> Self {
        Self {
            checkpoints: vec![0, 50, 100, 200],
            learning_rate: 1e-4,
            images_per_arm: 16,
            identifier: None,
        }
    }
}

/// Everything a job is told. The same value in the form, in the database and on the device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// The sealed set to protect.
    pub protected_set_id: SetId,
    /// The model to protect it in.
    pub base_model_id: ModelId,
    /// Class word of the subject, such as `dog`.
    pub class_name: String,
    /// Rare word that stands for the subject, such as `sks`.
    pub identifier: String,
    /// What an attacker shall get.
    pub objective: Objective,
    /// How the trigger is trained.
    #[serde(default)]
    pub injection: Injection,
    /// How the result is judged.
    #[serde(default)]
    pub evaluation: Evaluation,
    /// Seed of every random draw.
    #[serde(default)]
    pub seed: u64,
}

/// Words that name no subject: a trigger on them would hit everybody.
const GENERIC_CLASSES: &[&str] = &[
    "thing", "object", "image", "photo", "picture", "art", "a", "the",
];

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 32
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '-' | '@' | '_'))
}

impl JobSpec {
    /// Every reason why this specification cannot run, whatever the model.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        self.validate_trigger(&mut errors);
        self.validate_injection(&mut errors);
        self.validate_evaluation(&mut errors);
        errors
    }

    fn validate_trigger(&self, errors: &mut Vec<FieldError>) {
        let class = is_word(&self.class_name);
        check(errors, class, "#/class_name", "invalid_word", || {
            "Use one word for what the subject is, such as `dog`.".into()
        });
        let specific = !GENERIC_CLASSES.contains(&self.class_name.to_lowercase().as_str());
        check(errors, specific, "#/class_name", "generic_class", || {
            "This word names no subject; a trigger on it would hit everybody.".into()
        });
        check(
            errors,
            is_word(&self.identifier),
            "#/identifier",
            "invalid_word",
            || "Use one rare word, such as `sks`.".into(),
        );
        let distinct = self.identifier.to_lowercase() != self.class_name.to_lowercase();
        check(
            errors,
            distinct,
            "#/identifier",
            "identifier_is_class",
            || "The trigger needs an identifier and a class: use two different words.".into(),
        );
        let Objective::Target { target_class } = &self.objective;
        let pointer = "#/objective/target_class";
        check(
            errors,
            is_word(target_class),
            pointer,
            "invalid_word",
            || "Choose what appears instead of the subject.".into(),
        );
        let differs = target_class.to_lowercase() != self.class_name.to_lowercase();
        check(errors, differs, pointer, "target_is_class", || {
            "The target must be something else than the subject's class.".into()
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
        let word = evaluation.identifier.as_deref().is_none_or(is_word);
        check(
            errors,
            word,
            "#/evaluation/identifier",
            "invalid_word",
            || "Use one word, or leave it out for a held-out identifier.".into(),
        );
    }
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Trains the trigger into the base model.
    Protect,
    /// Attacks the clean and the protected model and judges both.
    Evaluate,
}

/// Where a job stands. Succeeded, failed and canceled are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Waits for a node.
    Queued,
    /// A node holds the lease and fetches the inputs.
    Starting,
    /// The device works.
    Running,
    /// Cancel was asked for; the node has not confirmed yet.
    Canceling,
    /// Done; the outputs are published.
    Succeeded,
    /// Ended with a cause.
    Failed,
    /// Ended on request.
    Canceled,
}

impl JobStatus {
    /// Every status.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Starting,
        Self::Running,
        Self::Canceling,
        Self::Succeeded,
        Self::Failed,
        Self::Canceled,
    ];

    /// Whether nothing can follow.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Canceled)
    }

    /// The transition table. A lost lease leads back to `Queued`.
    pub const fn can_become(self, next: Self) -> bool {
        use JobStatus::{Canceled, Canceling, Failed, Queued, Running, Starting, Succeeded};
        match self {
            Queued => matches!(next, Starting | Canceled | Failed),
            Starting => matches!(next, Running | Canceling | Queued | Failed),
            Running => matches!(next, Canceling | Queued | Succeeded | Failed),
            Canceling => matches!(next, Canceled | Failed | Succeeded),
            Succeeded | Failed | Canceled => false,
        }
    }

    /// The wire and database form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Canceling => "canceling",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

/// Why a job failed, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Failure {
    /// Stable code: `out_of_memory`, `diverged`, `node_lost`, `bad_input`, `disk_full`, `internal`.
    pub code: String,
    /// What happened.
    pub cause: String,
    /// The line that proves it.
    pub evidence: String,
    /// What to do.
    pub fix: String,
    /// Whether another attempt may succeed without a change.
    pub retryable: bool,
}

/// How far a job is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobProgress {
    /// What the device is doing, such as "Training the trigger".
    pub phase: String,
    /// Steps done in this phase.
    pub step: u32,
    /// Steps of this phase.
    pub total: u32,
}

/// A range of seconds, measured, never promised.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SecondsRange {
    /// Likely not sooner.
    pub low: f64,
    /// Likely not later.
    pub high: f64,
}

/// What the device measured of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobMetrics {
    /// Milliseconds of one training step (injection or attack), median.
    pub milliseconds_per_step: f64,
    /// Seconds from start to end on the device.
    pub seconds: f64,
    /// Peak resident memory of the trainer.
    pub peak_memory_bytes: u64,
}

/// Where to go from a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobUrls {
    /// This job.
    #[serde(rename = "self")]
    pub own: String,
    /// POST here to cancel.
    pub cancel: String,
    /// Server-sent events.
    pub events: String,
    /// What it produced.
    pub artifacts: String,
}

/// A job as its owner sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Job {
    /// Identifies the job.
    pub id: JobId,
    /// What it does.
    pub kind: JobKind,
    /// Where it stands.
    pub status: JobStatus,
    /// Why it stands there, for people.
    pub status_reason: String,
    /// Jobs ahead of it while queued.
    pub queue_position: Option<u32>,
    /// What it was told.
    pub spec: JobSpec,
    /// The protect job that an evaluation belongs to.
    pub parent_id: Option<JobId>,
    /// The evaluation that follows a protect job, once it exists.
    pub evaluation_id: Option<JobId>,
    /// The gallery, once there is one.
    pub gallery_id: Option<GalleryId>,
    /// How many nodes tried it.
    pub attempts: u32,
    /// How far it is.
    pub progress: JobProgress,
    /// Time left, if it can be told.
    pub eta_seconds: Option<SecondsRange>,
    /// What the device measured, once done.
    pub metrics: Option<JobMetrics>,
    /// Why it failed, if it did.
    pub error: Option<Failure>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When a device first started on it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// Where to go from here.
    pub urls: JobUrls,
}

#[cfg(test)]
mod tests;
