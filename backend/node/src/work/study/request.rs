//! The plan of a study: built-in and own recipes, the model's words, the job's hashes. Refuses recipes that need what
//! did not come along.

use diffusion::vae::Autoencoder;
use eval::{
    attack::{caption::can_caption, recipe},
    matrix::settings,
};
use shared::{
    attack::{AttackRecipe, ImageMode, TemplateMode},
    matrix::{Available, MatrixInputs, Plan, PlanRequest, Tier},
    progress::Progress,
    study::StudyOrder,
};

use super::{
    super::{Halt, Job, bad_input, voice},
    setup::{Setup, base_files},
};

/// What reports call the encoder: every model, imported or not, comes with the demo's.
const ENCODER_NAME: &str = "the demo encoder";
/// Why no attack under captions is planned.
const NO_CAPTIONS: &str = "Attacks under full captions are not planned: the metric encoder reads what pictures show in the \
    demo's domain alone, and a caption of another picture would tell what is not there.";
/// Seeds of the attacks; a tier takes the first of them.
const SEEDS: u64 = 3;

impl Setup {
    /// Plans every cell of the tier.
    pub(super) fn plan(&self, job: &Job<'_>, order: &StudyOrder) -> Result<Plan, Halt> {
        let spec = &job.assignment.spec;
        let available = self.available();
        if !available.templates.contains(&TemplateMode::Caption) {
            voice::progress(Progress::Log {
                line: NO_CAPTIONS.to_owned(),
            });
        }
        // As the inspection of models tells the demo's family.
        let built_in = match self.pipeline.autoencoder {
            Autoencoder::Haar(_) => recipe::built_in(),
            Autoencoder::Kl(_) => recipe::built_in_for_stable_diffusion(),
        };
        let request = PlanRequest {
            tier: order.request.tier,
            recipes: recipes(built_in, order, &available, &spec.evaluation.checkpoints),
            subjects: self.subjects.clone(),
            words: self.words.clone(),
            seeds: (0..SEEDS)
                .map(|round| spec.seed.wrapping_add(round))
                .collect(),
            settings: settings(spec.evaluation.images_per_arm),
            inputs: MatrixInputs {
                base_sha256: job.assignment.clean_sha256.clone(),
                base_files: base_files(job)?,
                protected_sha256: job.assignment.protected_sha256.clone(),
                encoder: ENCODER_NAME.to_owned(),
                encoder_sha256: self.encoder_sha256.clone(),
                objective: self.concept().objective.clone(),
                texts: self.texts.clone(),
                faces_sha256: self.supplied.faces_sha256(),
            },
            available,
        };
        Plan::new(&request).map_err(|errors| {
            let first = errors.into_iter().next();
            bad_input(first.map_or_else(
                || "no recipe is DreamBooth on the U-Net, which the headline needs".to_owned(),
                |error| format!("{}: {}", error.pointer, error.detail),
            ))
        })
    }

    /// What attackers can write and have: captions only where the encoder can read what each picture shows.
    fn available(&self) -> Available {
        let mut templates = vec![TemplateMode::Train];
        if !self.texts.held_out_templates.is_empty() {
            templates.push(TemplateMode::HeldOut);
        }
        if can_caption(&self.encoder, &self.pipeline.tokenizer) {
            templates.push(TemplateMode::Caption);
        }
        Available {
            templates,
            images: vec![ImageMode::Seen],
        }
    }
}

/// Smaller tiers draw where the job's own evaluation draws; the full tier at the recipes' own steps.
fn recipes(
    built_in: Vec<AttackRecipe>,
    order: &StudyOrder,
    available: &Available,
    steps: &[u32],
) -> Vec<AttackRecipe> {
    let steps: Vec<u32> = steps.iter().copied().filter(|step| *step > 0).collect();
    let shorten = |recipe: AttackRecipe| match order.request.tier {
        Tier::Smoke | Tier::Standard if !steps.is_empty() => AttackRecipe {
            checkpoints: steps.clone(),
            ..recipe
        },
        _ => recipe,
    };
    let built_in = built_in.into_iter().map(shorten);
    let possible = |recipe: &AttackRecipe| {
        available.templates.contains(&recipe.template) && available.images.contains(&recipe.images)
    };
    built_in
        .chain(order.request.recipes.iter().cloned())
        .filter(possible)
        .collect()
}
