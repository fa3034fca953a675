//! What a judgement is going to do: prompts, seeds, recipe and standard, the same for both models.
//! Refuses to depend on either model's behaviour.

use candle_core::Tensor;
use diffusion::{sample::SampleConfig, unet::UNet};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shared::{attack::AttackRecipe, evaluation::AttackRecord, job::JobSpec, objective::Objective};

use super::{Case, EvaluateOptions, Reporter};
use crate::{
    Error, Result,
    attack::{Words, recipe},
    draw::draw,
    metric::{Aim, Judge, Standard},
    prompt,
    report::{Evidence, ScoredCheckpoint},
};

/// Random streams of the job's seed: pictures that set the threshold, pictures that are judged.
const THRESHOLD_STREAM: u64 = 21;
const GALLERY_STREAM: u64 = 22;
/// And of captions that are compared without any attack.
const CAPTION_STREAM: u64 = 23;

/// What the attacker decides: the same for both models.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Attacker {
    pub(super) recipe: AttackRecipe,
    pub(super) words: Words,
    pub(super) learning_rate: f64,
    pub(super) class_images: usize,
    pub(super) sampling: SampleConfig,
    pub(super) seed: u64,
}

/// Prompts, seeds and recipe.
pub(super) struct Plan<'a> {
    pub(super) case: Case<'a>,
    pub(super) spec: &'a JobSpec,
    pub(super) options: &'a EvaluateOptions,
    /// Latents of the references, which are the attacker's images.
    pub(super) instance: Tensor,
    pub(super) attacker: Attacker,
    pub(super) image_seeds: Vec<u64>,
    identifier: String,
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        case: Case<'a>,
        spec: &'a JobSpec,
        options: &'a EvaluateOptions,
    ) -> Result<Self> {
        if let Some(error) = spec.validate().into_iter().next() {
            return Err(Error::InvalidSpec {
                pointer: error.pointer,
                message: error.detail,
            });
        }
        let side = case.pipeline.image_side();
        match case.references.dims() {
            [n, 3, height, width] if *n > 0 && (*height, *width) == (side, side) => {}
            actual => {
                return Err(Error::ImageShape {
                    actual: actual.to_vec(),
                    expected: format!("[n, 3, {side}, {side}] with n > 0"),
                });
            }
        }
        check_overlay(case, spec, side)?;
        let concept = spec.attacked();
        let identifier = spec
            .evaluation
            .identifier
            .as_ref()
            .or(options.held_out_identifiers.first())
            .unwrap_or(&concept.identifier)
            .clone();
        let prompt = prompt::trigger(&options.template, &identifier, concept);
        let evaluation = &spec.evaluation;
        let stock =
            recipe::dreambooth_stock(evaluation.learning_rate, evaluation.checkpoints.clone());
        let attacker = Attacker {
            recipe: AttackRecipe {
                batch_size: u32::try_from(options.batch_size).unwrap_or(u32::MAX),
                ..stock
            },
            words: Words {
                subject: format!("{identifier} {}", concept.class_name),
                instance: vec![prompt.clone(); case.references.dim(0)?],
                class: prompt::class(&concept.class_name),
                drawing: prompt,
                class_captions: Vec::new(),
                placeholder: None,
            },
            learning_rate: evaluation.learning_rate,
            class_images: options.class_images,
            sampling: options.sampling,
            seed: spec.seed,
        };
        Ok(Self {
            instance: case.pipeline.encode_pixels(case.references)?,
            image_seeds: seeds(
                spec.seed,
                GALLERY_STREAM,
                spec.evaluation.images_per_arm as usize,
            ),
            case,
            spec,
            options,
            attacker,
            identifier,
        })
    }

    /// Class-only pictures that set the thresholds.
    pub(super) fn threshold_images(&self) -> usize {
        self.options.threshold_images.max(1)
    }

    /// Draws the clean base under the class-only prompt.
    pub(super) fn class_only(&self, reporter: &mut Reporter<'_>) -> Result<Tensor> {
        self.class_only_of(&self.case.pipeline.unet()?, reporter)
    }

    /// Draws the same prompt and seeds on another U-Net.
    pub(super) fn class_only_of(&self, unet: &UNet, reporter: &mut Reporter<'_>) -> Result<Tensor> {
        draw(
            self.case.pipeline,
            unet,
            &self.attacker.words.class,
            &seeds(self.spec.seed, THRESHOLD_STREAM, self.threshold_images()),
            &self.options.sampling,
            &mut |done, total| reporter.phase("Drawing the unprotected class", done, total),
        )
    }

    /// Sets the standard by what the clean base draws under the class-only prompt.
    pub(super) fn judge(&self, class_only: &Tensor) -> Result<Judge<'a>> {
        let concept = self.spec.attacked();
        let other = match &concept.objective {
            Objective::Target { target_class } => prompt::class(target_class),
            Objective::Erasure { prompt } => {
                prompt.clone().unwrap_or_else(|| prompt::NEUTRAL.to_owned())
            }
            Objective::Pattern(_) => prompt::NEUTRAL.to_owned(),
        };
        let class = self.attacker.words.class.clone();
        let prompts = [class.clone(), class, other];
        let prompts = self.case.encoder.token_ids(&prompts)?;
        Judge::new(
            self.case.encoder,
            Standard {
                references: self.case.references,
                class_only,
                prompts: &prompts,
                subject: concept.subject,
                class_name: &concept.class_name,
                aim: match (&concept.objective, self.case.overlay) {
                    (Objective::Target { target_class }, _) => Aim::Target(target_class),
                    (Objective::Erasure { .. }, _) => Aim::Erasure,
                    (Objective::Pattern(_), Some(overlay)) => Aim::Pattern(overlay),
                    (Objective::Pattern(_), None) => return Err(Error::MissingOverlay),
                },
            },
        )
    }

    /// Everything that the report needs.
    pub(super) fn evidence(
        self,
        judge: &Judge<'_>,
        checkpoints: Vec<ScoredCheckpoint>,
    ) -> Evidence {
        let evaluation = &self.spec.evaluation;
        Evidence {
            encoder: self.options.encoder_name.clone(),
            attack: AttackRecord {
                family: "dreambooth_unet".to_owned(),
                steps: evaluation.checkpoints.last().copied().unwrap_or_default(),
                learning_rate: evaluation.learning_rate,
                prior_preservation: true,
                identifier_held_out: held_out(&self.options.held_out_identifiers, &self.identifier),
                identifier: self.identifier,
                prompt: self.attacker.words.drawing,
                instance_images: u32::try_from(self.instance.dims()[0]).unwrap_or(u32::MAX),
                seed: self.spec.seed,
            },
            objective: self.spec.attacked().objective.clone(),
            pattern_threshold: judge.pattern_threshold(),
            hit_threshold: judge.threshold,
            checkpoints,
            image_seeds: self.image_seeds,
            clean_sha256: self.options.clean_sha256.clone(),
            protected_sha256: self.options.protected_sha256.clone(),
        }
    }
}

/// Whether an identifier is one that injection never saw; tokenizers ignore case.
fn held_out(words: &[String], identifier: &str) -> bool {
    let identifier = identifier.to_lowercase();
    words.iter().any(|word| word.to_lowercase() == identifier)
}

/// Refuses a pattern that nobody drew or that does not lie over the pictures.
fn check_overlay(case: Case<'_>, spec: &JobSpec, side: usize) -> Result<()> {
    if !matches!(spec.attacked().objective, Objective::Pattern(_)) {
        return Ok(());
    }
    let overlay = case.overlay.ok_or(Error::MissingOverlay)?;
    let expected = vec![4, side, side];
    if overlay.dims() == expected {
        return Ok(());
    }
    Err(Error::OverlayShape {
        actual: overlay.dims().to_vec(),
        expected,
    })
}

/// Seeds of unrelated captions, one each.
pub(super) fn caption_seeds(seed: u64, count: usize) -> Vec<u64> {
    seeds(seed, CAPTION_STREAM, count)
}

/// `count` seeds of their own random stream; 53 bits, so that JSON readers keep them.
pub(crate) fn seeds(seed: u64, stream: u64, count: usize) -> Vec<u64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    (0..count).map(|_| rng.random::<u64>() >> 11).collect()
}
