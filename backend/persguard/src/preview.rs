//! What the trigger draws before any attack, beside what the clean model draws by the same seed: the picture of what an
//! attacker will see.
//!
//! Owns the choice of prompts and seeds. Refuses to judge.

use candle_core::Tensor;
use diffusion::{pipeline::Pipeline, sample::SampleConfig, unet::UNet, weights::Weights};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shared::job::JobSpec;

use crate::{
    Result,
    draw::draw,
    event::{Report, Reporter},
    pools::TEMPLATES,
};

/// Pictures of each concept and model.
const PICTURES: usize = 4;
/// Independent random stream of the job's seed.
const STREAM: u64 = 4;

/// Pictures of one concept, `[n, 3, h, w]` in `[-1, 1]`, by the same seeds.
#[derive(Clone, Debug)]
pub struct Preview {
    /// The prompt: the concept's own trigger under the stock template.
    pub prompt: String,
    /// Of the clean model.
    pub clean: Tensor,
    /// Of the protected one.
    pub protected: Tensor,
}

/// Draws every concept's trigger with both models.
pub fn preview(
    pipeline: &Pipeline,
    protected: &Weights,
    spec: &JobSpec,
    sampling: &SampleConfig,
    report: Report<'_>,
) -> Result<Vec<Preview>> {
    let mut reporter = Reporter::new(report, spec.injection.steps);
    let models = [
        pipeline.unet()?,
        UNet::new(pipeline.unet_config.clone(), protected)?,
    ];
    let total = spec.concepts.len() * models.len() * PICTURES;
    let mut done = 0;
    let mut previews = Vec::new();
    for concept in &spec.concepts {
        let prompt =
            TEMPLATES[0].trigger(&concept.identifier, &concept.class_name, concept.subject);
        let prompts = vec![prompt.clone(); PICTURES];
        let mut rng = ChaCha8Rng::seed_from_u64(spec.seed);
        rng.set_stream(STREAM);
        let seeds: Vec<u64> = prompts.iter().map(|_| rng.random()).collect();
        let mut both = |model: &UNet| -> Result<Tensor> {
            let tick =
                |drawn| reporter.phase("Drawing what the trigger draws", done + drawn, total);
            let pixels = draw(pipeline, model, (&prompts, &seeds), sampling, tick)?;
            done += PICTURES;
            Ok(pixels)
        };
        let (clean, protected) = (both(&models[0])?, both(&models[1])?);
        previews.push(Preview {
            prompt,
            clean,
            protected,
        });
    }
    Ok(previews)
}
