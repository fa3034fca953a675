//! Low-rank adaptation: small trainable corrections over frozen weights.
//!
//! Hu et al., arXiv 2106.09685: a layer computes `W xs + (alpha / rank) * up(down(xs))`, where only
//! `down` (`[rank, inputs, ..]`) and `up` (`[outputs, rank, ..]`) train. Models need no other
//! constructor: [`Lora::over`] puts the corrections beside the weights, where layers find them.

mod files;

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

pub use self::files::{Component, Naming, load, save};
use crate::{
    Error, Result,
    nn::adapter::{DOWN, SCALE, UP, shapes},
    weights::{Parameters, Weights, pattern},
};

/// How fresh `down` matrices are drawn; `up` starts at zero, so a fresh adapter changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoraInit {
    /// Normal with deviation `1 / rank`, as diffusers' training scripts.
    #[default]
    Gaussian,
    /// Uniform in `±1 / sqrt(inputs * kernel)`, as peft by default.
    Kaiming,
}

/// Settings of a fresh adapter; the defaults are those of diffusers' `train_dreambooth_lora`.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraConfig {
    /// Channels between `down` and `up`.
    pub rank: usize,
    /// The correction is scaled by `alpha / rank`.
    pub alpha: f64,
    /// Layers: the end of their path from a dot on (`to_q`, `to_out.0`, `ff.net.0.proj`), or with
    /// a `*` a pattern of the whole path (`up_blocks.*.conv1`). Linear layers and convolutions.
    pub targets: Vec<String>,
    /// How `down` is drawn.
    pub init: LoraInit,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self {
            rank: 4,
            alpha: 4.0,
            targets: ["to_q", "to_k", "to_v", "to_out.0"]
                .map(String::from)
                .into(),
            init: LoraInit::Gaussian,
        }
    }
}

impl LoraConfig {
    /// The targets that diffusers' scripts take in text encoders.
    pub fn text() -> Self {
        Self {
            targets: ["q_proj", "k_proj", "v_proj", "out_proj"]
                .map(String::from)
                .into(),
            ..Self::default()
        }
    }

    fn targets(&self, layer: &str) -> impl Iterator<Item = bool> {
        self.targets.iter().map(move |target| {
            let end = layer.strip_suffix(target.as_str());
            if target.contains('*') {
                pattern::matches(target, layer)
            } else {
                end.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
        })
    }

    /// The targeted layers of a model; a target without a layer is refused by name.
    fn layers<'a>(&self, weights: &'a Weights) -> Result<Vec<(&'a str, &'a Tensor)>> {
        let layers: Vec<_> = layers(weights).collect();
        for (index, target) in self.targets.iter().enumerate() {
            let is_hit = |layer: &str| self.targets(layer).nth(index).unwrap_or(false);
            if !layers.iter().any(|(layer, _)| is_hit(layer)) {
                return Err(Error::InvalidArgument(format!(
                    "the target {target} matches no layer"
                )));
            }
        }
        let chosen = layers.into_iter();
        Ok(chosen
            .filter(|(layer, _)| self.targets(layer).any(|hit| hit))
            .collect())
    }
}

/// Layers that can be corrected: linear ones and convolutions, with their weights.
fn layers(weights: &Weights) -> impl Iterator<Item = (&str, &Tensor)> {
    weights.iter().filter_map(|(name, tensor)| {
        let layer = name.strip_suffix(".weight")?;
        // Tables of embeddings have two axes too.
        let is_table = layer.ends_with("token_embedding") || layer.ends_with("position_embedding");
        let is_layer = matches!(tensor.rank(), 2 | 4) && !is_table;
        (is_layer && !layer.ends_with(".lora_A") && !layer.ends_with(".lora_B"))
            .then_some((layer, tensor))
    })
}

/// Trainable corrections of one model.
#[derive(Clone, Debug)]
pub struct Lora {
    parameters: Parameters,
    /// `alpha` per layer.
    alphas: BTreeMap<String, f64>,
}

impl Lora {
    /// Fresh corrections of the targeted layers of a model with these weights.
    pub fn new(config: &LoraConfig, weights: &Weights, rng: &mut impl Rng) -> Result<Self> {
        if config.rank == 0 {
            return Err(Error::InvalidConfig("an adapter of rank 0".to_owned()));
        }
        let mut fresh = Weights::new();
        let mut alphas = BTreeMap::new();
        for (layer, weight) in config.layers(weights)? {
            let (down, up) = shapes(weight.dims(), config.rank);
            let down = draw(config, &down, rng)?;
            let up = Tensor::zeros(up, down.dtype(), &Device::Cpu)?;
            for (name, tensor) in [(DOWN, down), (UP, up)] {
                let tensor = tensor.to_device(weight.device())?;
                fresh.insert(format!("{layer}{name}"), tensor);
            }
            alphas.insert(layer.to_owned(), config.alpha);
        }
        let parameters = Parameters::from_weights(&fresh)?;
        Ok(Self { parameters, alphas })
    }

    /// What trains: `LAYER.lora_A.weight` (down) and `LAYER.lora_B.weight` (up).
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// `weights`, frozen, with the corrections: what an adapted model is built from.
    ///
    /// Gradient flows to: [`Lora::parameters`]. No memory is copied.
    pub fn over(&self, weights: &Weights) -> Result<Weights> {
        let mut all = self.parameters.over(weights);
        for layer in self.alphas.keys() {
            let [down, _] = self.matrices(layer)?;
            let scale = Tensor::new(self.scale(layer), &Device::Cpu)?;
            all.insert(format!("{layer}{SCALE}"), scale);
            if weights.get(&format!("{layer}.weight")).is_none() {
                return Err(Error::MissingTensor {
                    name: format!("{layer}.weight"),
                    expected: down.dims().to_vec(),
                });
            }
        }
        Ok(all)
    }

    /// A copy of `weights` with the corrections added: `W + (alpha / rank) * up down`.
    ///
    /// Weights without a correction are shared.
    pub fn merged(&self, weights: &Weights) -> Result<Weights> {
        let mut merged = weights.clone();
        for layer in self.alphas.keys() {
            let name = format!("{layer}.weight");
            let weight = weights.get(&name).ok_or_else(|| Error::MissingTensor {
                name: name.clone(),
                expected: vec![],
            })?;
            let [down, up] = self.matrices(layer)?;
            let product = up.flatten_from(1)?.matmul(&down.flatten_from(1)?)?;
            let product = (product * f64::from(self.scale(layer)))?.reshape(weight.shape())?;
            let sum = (weight.detach() + product.to_dtype(weight.dtype())?)?;
            merged.insert(name, sum);
        }
        Ok(merged)
    }

    /// `down` and `up` of a layer, out of the graph.
    fn matrices(&self, layer: &str) -> Result<[Tensor; 2]> {
        let matrix = |name: &str| {
            let name = format!("{layer}{name}");
            let variable = self.parameters.get(&name).map(|matrix| matrix.detach());
            variable.ok_or(Error::MissingTensor {
                name,
                expected: vec![],
            })
        };
        Ok([matrix(DOWN)?, matrix(UP)?])
    }

    /// `alpha / rank`.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a factor of f32 arithmetic"
    )]
    fn scale(&self, layer: &str) -> f32 {
        let down = self.parameters.get(&format!("{layer}{DOWN}"));
        let rank = down.map_or(1, |down| down.dims()[0]);
        (self.alphas.get(layer).copied().unwrap_or(rank as f64) / rank as f64) as f32
    }
}

/// A fresh `down` of this shape.
#[expect(clippy::cast_possible_truncation, reason = "bounds of f32 values")]
fn draw(config: &LoraConfig, shape: &[usize], rng: &mut impl Rng) -> Result<Tensor> {
    let fan_in: usize = shape[1..].iter().product();
    let bound = 1.0 / (fan_in as f32).sqrt();
    let deviation = (1.0 / config.rank as f64) as f32;
    let one = |rng: &mut _| match config.init {
        LoraInit::Gaussian => deviation * sample_normal(rng),
        LoraInit::Kaiming => bound * (2.0 * sample_unit(rng) - 1.0),
    };
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| one(rng)).collect();
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

fn sample_normal(rng: &mut impl Rng) -> f32 {
    StandardNormal.sample(rng)
}

fn sample_unit(rng: &mut impl Rng) -> f32 {
    rng.random()
}
