//! Clean fine-tuning: ordinary training on captioned images that an attacker hopes will wash protection out. Refuses to
//! see the attacker's own images.

use diffusion::weights::Weights;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use shared::attack::Family;

use super::{
    objective::Objective,
    preserve::{self, Tick},
    run::MAX_GRADIENT_NORM,
    setup::{Preparation, Setup},
    student::Student,
    trainer::{ImageSet, Prompts, Settings, Trainer},
};
use crate::Result;

const FINETUNING_STREAM: u64 = 15;

/// The U-Net weights that the attack starts from: fine-tuned for as many steps as the recipe says.
///
/// All weights of the U-Net train at the attack's learning rate and batch size, on
/// `E || target - prediction ||^2` under the captions.
pub(super) fn start_of(setup: &Setup<'_>, tick: Tick<'_>) -> Result<Weights> {
    let steps = setup.recipe.adaptive.clean_finetuning_steps;
    if steps == 0 {
        return Ok(setup.start.clone());
    }
    let (latents, captions) = preserve::captioned_of(setup, tick)?;
    let mut prompts = Prompts::default();
    let images = ImageSet {
        latents,
        prompts: captions
            .iter()
            .map(|caption| prompts.position(caption))
            .collect(),
    };
    let mut rng = ChaCha8Rng::seed_from_u64(setup.seed);
    rng.set_stream(FINETUNING_STREAM);
    let student = Student::new(
        Family::DreamboothUnet,
        setup.pipeline,
        setup.start,
        None,
        &mut rng,
    )?;
    let settings = Settings {
        learning_rate: setup.learning_rate,
        batch_size: setup.recipe.batch_size as usize,
        max_gradient_norm: Some(MAX_GRADIENT_NORM),
        objective: Objective::plain(&setup.pipeline.noise_schedule()?),
    };
    let mut trainer = Trainer::new(student, (images, None, prompts), settings, rng)?;
    for step in 0..steps {
        tick(Preparation::CleanFinetuning, step as usize, steps as usize)?;
        trainer.train_step()?;
    }
    trainer.student.unet_weights()
}
