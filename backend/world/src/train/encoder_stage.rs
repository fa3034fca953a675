//! Stage one: the metric encoder, whose caption half becomes the pipeline's text encoder.

use candle_core::{DType, Device, Tensor};
use diffusion::Result;
use diffusion::weights::Weights;
use eval::encoder::{Attribute, Encoder, EncoderConfig};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::batch::{ATTRIBUTES, examples, labels, pixels};
use super::encoder_loss::{self, Batch};
use super::gate::Accuracy;
use super::layout::{WIDTH, text};
use super::state::{Run, Settings};
use super::text::Captions;
use crate::attributes::{Background, Class, Tint};
use crate::caption;
use crate::degrade::{add_noise, blur, degrade};
use crate::names::FREE;
use crate::render::{SIDE, Scene};
use crate::seeds::Split;

/// Pictures a step.
const BATCH: usize = 64;
/// Prompts with free identifiers a step.
const FREE_BATCH: usize = 32;
const PEAK: f64 = 2e-3;
const DECAY: f64 = 0.995;
/// Logarithm of the first inverse temperature (CLIP's 1 / 0.07).
const SCALE: f32 = 2.659;
const SCALE_NAME: &str = "scale";
const EMBEDDING: &str = "text.text_model.embeddings.token_embedding.weight";
/// Spread of fresh token embeddings: identifiers that no caption trains must differ as much as trained ones.
const SPREAD: f64 = 4.0;

/// The stage with its run.
pub struct EncoderStage {
    /// Parameters and optimiser.
    pub run: Run,
    config: EncoderConfig,
    captions: Captions,
    seed: u64,
}

/// The losses of one step.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Sum over the attributes.
    pub attributes: f32,
    /// Pictures against captions.
    pub contrastive: f32,
    /// Tokens from the text encoder's states.
    pub tokens: f32,
}

/// What the encoder knows, before training.
pub fn config(captions: &Captions) -> EncoderConfig {
    let attribute = |(name, values): (&str, &[&str])| Attribute {
        name: name.to_owned(),
        values: values.iter().map(|&value| value.to_owned()).collect(),
    };
    EncoderConfig {
        attributes: ATTRIBUTES.map(attribute).to_vec(),
        text: text(captions.tokenizer().vocabulary_size()),
        embedding: WIDTH,
    }
}

/// Fresh weights, and the temperature.
fn initialize(config: &EncoderConfig, rng: &mut ChaCha8Rng) -> Result<Weights> {
    let mut weights = Weights::new();
    for (name, shape) in config.shapes() {
        let fan: usize = shape[1..].iter().product();
        let tensor = match name.rsplit_once('.') {
            Some((layer, "weight")) if layer.ends_with("norm") => {
                Tensor::ones(&shape[..], DType::F32, &Device::Cpu)?
            }
            Some((_, "weight")) => {
                let deviation =
                    (2.0 / fan.max(1) as f64).sqrt() * if shape.len() == 2 { 0.5 } else { 1.0 };
                (diffusion::noise::gaussian(rng, &shape[..], &Device::Cpu)? * deviation)?
            }
            _ => Tensor::zeros(&shape[..], DType::F32, &Device::Cpu)?,
        };
        weights.insert(name, tensor);
    }
    for (name, tensor) in config.text.initialize(rng)?.iter() {
        let name = format!("text.{name}");
        let tensor = if name == EMBEDDING {
            (tensor * SPREAD)?
        } else {
            tensor.clone()
        };
        weights.insert(name, tensor);
    }
    weights.insert(SCALE_NAME, Tensor::new(&[SCALE], &Device::Cpu)?);
    Ok(weights)
}

impl EncoderStage {
    /// A fresh stage of `steps` steps, or the one saved at `path`.
    pub fn open(
        captions: Captions,
        seed: u64,
        steps: usize,
        path: &std::path::Path,
    ) -> Result<Self> {
        let settings = Settings {
            peak: PEAK,
            decay: DECAY,
            steps,
        };
        let config = config(&captions);
        let run = if path.exists() {
            Run::resume(settings, path)?
        } else {
            let weights = initialize(&config, &mut ChaCha8Rng::seed_from_u64(seed))?;
            Run::start(settings, &weights)?
        };
        Ok(Self {
            run,
            config,
            captions,
            seed,
        })
    }

    /// One step.
    pub fn step(&mut self) -> Result<Step> {
        let weights = self.run.parameters.weights();
        let encoder = Encoder::from_weights(self.config.clone(), &weights)?;
        let get = |name: &str| weights.get(name).expect("the stage made this tensor");
        let batch = self.batch()?;
        let losses = encoder_loss::losses(&encoder, get(SCALE_NAME), get(EMBEDDING), &batch)?;
        self.run.descend(&losses.total()?)?;
        Ok(Step {
            attributes: losses.attributes.to_scalar()?,
            contrastive: losses.contrastive.to_scalar()?,
            tokens: losses.tokens.to_scalar()?,
        })
    }

    fn batch(&self) -> Result<Batch> {
        let first = self.run.taken() * BATCH;
        let seed = self.seed;
        let examples = examples(Split::Encoder, first as u64, BATCH);
        let change = |position: usize, pixels: &mut [f32]| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream((first + position) as u64);
            degrade(pixels, SIDE, &mut rng);
        };
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xF4EE);
        rng.set_stream(first as u64);
        let scenes: Vec<_> = examples
            .iter()
            .map(|example| sometimes_print(example.scene, &mut rng))
            .collect();
        let free: Vec<String> = (0..FREE_BATCH).map(|_| free_prompt(&mut rng)).collect();
        let captions: Vec<String> = examples
            .into_iter()
            .map(|example| example.caption)
            .collect();
        Ok(Batch {
            pixels: pixels(&scenes, change)?,
            ids: self.captions.ids(&captions)?,
            free_ids: self.captions.ids(&free)?,
            labels: scenes.iter().map(labels).collect(),
            captions,
        })
    }

    /// The averaged encoder as its file's bytes, in half precision.
    pub fn encoder_bytes(&self) -> Result<Vec<u8>> {
        let wanted = |name: &str| name != SCALE_NAME;
        let averaged = self.run.averaged();
        let weights: Weights = averaged
            .iter()
            .filter(|(name, _)| wanted(name))
            .map(|(name, tensor)| (name.to_owned(), tensor.clone()))
            .collect();
        weights.to_bytes(DType::F16, &self.config.metadata())
    }
}

/// The artist prints animals in their natural colours: one in four of them.
fn sometimes_print(scene: Scene, rng: &mut ChaCha8Rng) -> Scene {
    if scene.identity.tint == Tint::Natural && rng.random_bool(0.25) {
        return scene.as_print();
    }
    scene
}

/// "a photo of sks dog on the beach": an unbound identifier where a name would stand.
fn free_prompt(rng: &mut ChaCha8Rng) -> String {
    let word = FREE.choose(rng).expect("there are free identifiers");
    let class = *Class::ALL.choose(rng).expect("there are classes");
    let place = rng
        .random_bool(0.4)
        .then(|| *Background::ALL.choose(rng).expect("there are backgrounds"));
    caption::name(word, class, place, caption::opening(rng))
}

/// How the encoder reads unseen pictures.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// As rendered.
    pub clean: Accuracy,
    /// With the damage of training.
    pub damaged: Accuracy,
    /// Fully blurred by a 3 x 3 mean.
    pub blurred: Accuracy,
    /// With strong noise.
    pub noisy: Accuracy,
}

/// Reads `count` pictures of the development split.
pub fn report(encoder: &Encoder, count: usize) -> Result<Report> {
    let examples = examples(Split::Development, 1 << 34, count);
    let mut prints = Split::Development.rng((1 << 35) - 1);
    let scenes: Vec<_> = examples
        .iter()
        .map(|example| sometimes_print(example.scene, &mut prints))
        .collect();
    let rng = |position: usize| Split::Development.rng((1 << 35) + position as u64);
    let measure = |change: &(dyn Fn(usize, &mut [f32]) + Sync)| -> Result<Accuracy> {
        let mut total = Accuracy::default();
        for chunk in scenes.chunks(256) {
            let wanted: Vec<_> = chunk.iter().map(|scene| labels(scene).map(Some)).collect();
            total = total.and(Accuracy::measure(
                encoder,
                &pixels(chunk, change)?,
                &wanted,
            )?);
        }
        Ok(total)
    };
    Ok(Report {
        clean: measure(&|_, _| {})?,
        damaged: measure(&|at, pixels| degrade(pixels, SIDE, &mut rng(at)))?,
        blurred: measure(&|_, pixels| blur(pixels, SIDE, 1.0))?,
        noisy: measure(&|at, pixels| add_noise(pixels, 0.2, &mut rng(at)))?,
    })
}

impl Report {
    /// Every measurement with its name.
    pub fn parts(&self) -> [(&'static str, Accuracy); 4] {
        [
            ("clean", self.clean),
            ("damaged", self.damaged),
            ("blurred", self.blurred),
            ("noisy", self.noisy),
        ]
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            attributes,
            contrastive,
            tokens,
        } = self;
        write!(
            f,
            "attributes={attributes:.3} contrastive={contrastive:.3} tokens={tokens:.3}"
        )
    }
}
