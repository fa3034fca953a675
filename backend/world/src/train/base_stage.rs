//! Stage two: the denoiser, on pictures made as they are needed. Refuses to train the text encoder.

use std::path::Path;

use candle_core::Device;
use diffusion::Result;
use diffusion::noise::gaussian;
use diffusion::pipeline::Pipeline;
use diffusion::schedule::NoiseSchedule;
use diffusion::unet::UNet;
use diffusion::vae::{Autoencoder, HaarTransform};
use eval::encoder::Encoder;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::base_loss::{self, Batch};
use super::batch::{examples, pixels};
use super::layout;
use super::state::{Run, Settings};
use super::text::Captions;
use crate::seeds::Split;

const PEAK: f64 = 1e-3;
const DECAY: f64 = 0.998;
/// Share of captions that are left out, so that guidance has something to compare with.
const DROP: f64 = 0.1;

/// The stage with its run.
pub struct BaseStage {
    /// Parameters and optimiser.
    pub run: Run,
    pipeline: Pipeline,
    schedule: NoiseSchedule,
    batch: usize,
    seed: u64,
}

/// A pipeline around a fresh denoiser, its text encoder taken from the metric encoder.
pub fn pipeline(encoder: &Encoder, seed: u64) -> Result<Pipeline> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Pipeline::new(
        layout::unet(),
        layout::unet().initialize(&mut rng)?,
        Autoencoder::Haar(HaarTransform::new(layout::haar())?),
        encoder.text_encoder().clone(),
        Captions::new()?.tokenizer().clone(),
        layout::schedule(),
    )
}

impl BaseStage {
    /// A fresh stage of `steps` steps over a pipeline, or the one saved at `path`.
    pub fn open(
        pipeline: Pipeline,
        batch: usize,
        seed: u64,
        steps: usize,
        path: &Path,
    ) -> Result<Self> {
        let settings = Settings {
            peak: PEAK,
            decay: DECAY,
            steps,
        };
        let run = if path.exists() {
            Run::resume(settings, path)?
        } else {
            Run::start(settings, &pipeline.unet_weights)?
        };
        let schedule = pipeline.noise_schedule()?;
        Ok(Self {
            run,
            pipeline,
            schedule,
            batch,
            seed,
        })
    }

    /// One step; returns the loss.
    pub fn step(&mut self) -> Result<f32> {
        let unet = UNet::new(
            self.pipeline.unet_config.clone(),
            &self.run.parameters.weights(),
        )?;
        let batch = self.batch()?;
        let loss = base_loss::loss(&unet, &self.schedule, &batch, true)?;
        self.run.descend(&loss)
    }

    /// The pipeline with averaged weights.
    pub fn averaged(&self) -> Pipeline {
        Pipeline {
            unet_weights: self.run.averaged(),
            ..self.pipeline.clone()
        }
    }

    fn batch(&self) -> Result<Batch> {
        let first = (self.run.taken() * self.batch) as u64;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ 0xBA5E);
        rng.set_stream(first);
        let examples = examples(Split::Train, first, self.batch);
        let pixels = pixels(examples.iter().map(|example| &example.scene), |_, _| {})?;
        let latents = self.pipeline.autoencoder.encode(&pixels)?;
        let mut keep = |caption: String| {
            if rng.random_bool(DROP) {
                String::new()
            } else {
                caption
            }
        };
        let captions: Vec<String> = examples
            .into_iter()
            .map(|example| keep(example.caption))
            .collect();
        let steps = self.schedule.config().num_train_timesteps;
        Ok(Batch {
            conditions: self.pipeline.encode_prompts(&captions)?.detach(),
            timesteps: (0..self.batch)
                .map(|_| rng.random_range(0..steps))
                .collect(),
            noise: gaussian(&mut rng, latents.dims(), &Device::Cpu)?,
            latents,
        })
    }
}

/// The averaged model of a saved run, and its steps.
pub fn load(encoder: &Encoder, path: &Path) -> Result<(Pipeline, usize)> {
    let settings = Settings {
        peak: PEAK,
        decay: DECAY,
        steps: 0,
    };
    let run = Run::resume(settings, path)?;
    let pipeline = pipeline(encoder, 0)?;
    Ok((
        Pipeline {
            unet_weights: run.averaged(),
            ..pipeline
        },
        run.taken(),
    ))
}

#[cfg(test)]
mod tests {
    use diffusion::text::{TextConfig, TextEncoder};
    use diffusion::unet::UNetConfig;
    use diffusion::weights::Weights;

    use super::*;

    fn tiny() -> Pipeline {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let captions = Captions::new().unwrap();
        let text = TextConfig {
            hidden_size: 8,
            intermediate_size: 8,
            num_hidden_layers: 1,
            num_attention_heads: 2,
            ..layout::text(captions.tokenizer().vocabulary_size())
        };
        let weights = text.initialize(&mut rng).unwrap();
        let unet = UNetConfig {
            block_out_channels: vec![8, 8, 8],
            cross_attention_dim: 8,
            norm_num_groups: 4,
            ..layout::unet()
        };
        let haar = HaarTransform::new(layout::haar()).unwrap();
        let unet_weights = unet.initialize(&mut rng).unwrap();
        let text = TextEncoder::new(text, &weights).unwrap();
        let tokenizer = captions.tokenizer().clone();
        Pipeline::new(
            unet,
            unet_weights,
            Autoencoder::Haar(haar),
            text,
            tokenizer,
            layout::schedule(),
        )
        .unwrap()
    }

    fn values(weights: &Weights) -> Vec<f32> {
        weights
            .iter()
            .flat_map(|(_, tensor)| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap())
            .collect()
    }

    #[test]
    fn a_resumed_run_ends_exactly_like_an_uninterrupted_one() {
        let directory = tempfile::tempdir().unwrap();
        let (nowhere, saved) = (
            directory.path().join("none"),
            directory.path().join("run.safetensors"),
        );
        let open = |path: &Path| BaseStage::open(tiny(), 2, 5, 4, path).unwrap();
        let mut whole = open(&nowhere);
        let losses: Vec<f32> = (0..4).map(|_| whole.step().unwrap()).collect();
        let mut first = open(&nowhere);
        let mut halves = vec![first.step().unwrap(), first.step().unwrap()];
        first.run.save(&saved).unwrap();
        let mut second = open(&saved);
        halves.extend([second.step().unwrap(), second.step().unwrap()]);
        assert!(second.run.is_finished());
        assert_eq!(losses, halves);
        assert_eq!(
            values(&whole.run.averaged()),
            values(&second.run.averaged())
        );
        assert_eq!(
            values(&whole.run.parameters.weights()),
            values(&second.run.parameters.weights())
        );
    }

    #[test]
    fn a_broken_checkpoint_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.safetensors");
        std::fs::write(&path, b"not a run").unwrap();
        assert!(BaseStage::open(tiny(), 2, 5, 4, &path).is_err());
    }
}
