//! Images that are drawn before an attack: of its class by the attacked model, and of captions by the clean base. Refuses
//! to choose prompts.

use candle_core::Tensor;
use diffusion::{pipeline::Pipeline, sample::SampleConfig, unet::UNet, weights::Weights};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::setup::{Preparation, Setup};
use crate::{Result, draw::draw_each};

/// Independent random streams of one seed.
const CLASS_STREAM: u64 = 11;
const CAPTIONED_STREAM: u64 = 14;

/// Hears of pictures done and planned before the attack, and may stop with an error.
pub(super) type Tick<'a> = &'a mut dyn FnMut(Preparation, usize, usize) -> Result<()>;

/// Latents of class images that a model with these U-Net weights draws under the class prompt, `[count, c, h, w]`.
///
/// An attack on the same weights with the same seed, sampling and count draws the same ones, so that attacks can share
/// them. `tick` hears of the images done and planned.
pub fn class_latents(
    pipeline: &Pipeline,
    start: &Weights,
    (prompt, count): (&str, usize),
    seed: u64,
    sampling: &SampleConfig,
    tick: &mut dyn FnMut(usize, usize) -> Result<()>,
) -> Result<Tensor> {
    let prompts = vec![prompt.to_owned(); count];
    let unet = UNet::new(pipeline.unet_config.clone(), start)?;
    let seeds = seeds(seed, CLASS_STREAM, count);
    let pixels = draw_each(pipeline, &unet, (&prompts, &seeds), sampling, tick)?;
    Ok(pipeline.encode_pixels(&pixels)?)
}

/// Class images of an attack: those given, or those that `start` draws.
pub(super) fn class_of(setup: &Setup<'_>, start: &Weights, tick: Tick<'_>) -> Result<Tensor> {
    if let Some(latents) = setup.class_latents {
        return Ok(latents.detach());
    }
    let class = (setup.words.class.as_str(), setup.class_images);
    let mut tick = |done, total| tick(Preparation::ClassImages, done, total);
    class_latents(
        setup.pipeline,
        start,
        class,
        setup.seed,
        &setup.sampling,
        &mut tick,
    )
}

/// Latents and captions of clean fine-tuning: those given, or what the clean base draws under captions, which take turns.
///
/// An attacker has ordinary pictures for this. Pictures of the attacked model would teach a protected one to stay as it
/// is, and be no cleaning at all.
pub(super) fn captioned_of(setup: &Setup<'_>, tick: Tick<'_>) -> Result<(Tensor, Vec<String>)> {
    if let Some(captioned) = setup.captioned {
        return Ok((captioned.latents.detach(), captioned.captions.to_vec()));
    }
    let captions = setup.words.class_captions.iter();
    let captions: Vec<String> = match captions.len() {
        0 => vec![setup.words.class.clone(); setup.class_images],
        _ => captions.cycle().take(setup.class_images).cloned().collect(),
    };
    let pipeline = setup.pipeline;
    let unet = pipeline.unet()?;
    let seeds = seeds(setup.seed, CAPTIONED_STREAM, captions.len());
    let mut tick = |done, total| tick(Preparation::CaptionedImages, done, total);
    let pixels = draw_each(
        pipeline,
        &unet,
        (&captions, &seeds),
        &setup.sampling,
        &mut tick,
    )?;
    Ok((pipeline.encode_pixels(&pixels)?, captions))
}

fn seeds(seed: u64, stream: u64, count: usize) -> Vec<u64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    (0..count).map(|_| rng.random()).collect()
}
