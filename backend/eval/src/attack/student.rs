//! What each family trains, and the model that results. Refuses to choose data.

use std::path::Path;

use candle_core::{DType, Tensor};
use diffusion::{
    lora::{self, Component, Lora, LoraConfig, Naming},
    pipeline::{Pipeline, SecondText},
    text::{TextEncoder, TextualInversion, Tokenizer},
    unet::UNet,
    weights::{Parameters, Weights},
};
use rand::Rng;
use shared::attack::Family;

use super::Placeholder;
use crate::{Error, Result};

/// Starts of the names of parameters.
const UNET: &str = "unet.";
const TEXT: [&str; 2] = ["text_encoder.", "text_encoder_2."];

/// What Custom Diffusion trains of the U-Net: keys and values of cross-attention.
const KEYS_AND_VALUES: [&str; 2] = ["*.attn2.to_k.weight", "*.attn2.to_v.weight"];

/// A model under training.
pub(super) struct Student {
    /// The clean base with the attack's own text encoder and tokenizer.
    pub(super) pipeline: Pipeline,
    pub(super) unet: UNet,
    /// Everything that trains, under diffusers' names of the parts.
    pub(super) parameters: Parameters,
    family: Family,
    /// The U-Net weights that training started from.
    start: Weights,
    adapter: Option<Lora>,
    inversions: Vec<TextualInversion>,
}

impl Student {
    pub(super) fn new(
        family: Family,
        pipeline: &Pipeline,
        start: &Weights,
        placeholder: Option<&Placeholder>,
        rng: &mut impl Rng,
    ) -> Result<Self> {
        let mut student = Self {
            pipeline: pipeline.clone(),
            unet: pipeline.unet()?,
            parameters: Parameters::default(),
            family,
            start: start.clone(),
            adapter: None,
            inversions: Vec::new(),
        };
        let unet = student.over_unet(rng)?;
        let texts = match (family, placeholder) {
            (Family::DreamboothTextEncoder, _) => student.over_texts()?,
            (_, Some(placeholder)) => student.over_embeddings(placeholder)?,
            _ => Vec::new(),
        };
        let mut parts = vec![(UNET, &unet)];
        parts.extend(TEXT.iter().copied().zip(&texts));
        student.parameters = Parameters::joined(&parts)?;
        Ok(student)
    }

    /// Whether prompts have to be read again at every step.
    pub(super) fn text_trains(&self) -> bool {
        let mut names = self.parameters.iter();
        names.any(|(name, _)| !name.starts_with(UNET))
    }

    /// Builds the U-Net over what the family trains of it.
    fn over_unet(&mut self, rng: &mut impl Rng) -> Result<Parameters> {
        let (parameters, weights) = match self.family {
            Family::DreamboothUnet | Family::DreamboothTextEncoder => {
                let parameters = Parameters::from_weights(&self.start)?;
                let weights = parameters.weights();
                (parameters, weights)
            }
            Family::Lora { rank } => {
                let lora = adapter(rank, &self.start, rng)?;
                let weights = lora.over(&self.start)?;
                let parameters = lora.parameters().clone();
                self.adapter = Some(lora);
                (parameters, weights)
            }
            Family::TextualInversion => {
                let parameters = Parameters::default();
                let weights = parameters.over(&self.start);
                (parameters, weights)
            }
            Family::CustomDiffusion => {
                let parameters = Parameters::matching(&self.start, &KEYS_AND_VALUES)?;
                let weights = parameters.over(&self.start);
                (parameters, weights)
            }
        };
        self.unet = UNet::new(self.pipeline.unet_config.clone(), &weights)?;
        if self.family == Family::CustomDiffusion {
            self.unet = self.unet.clone().holding_first_token();
        }
        Ok(parameters)
    }

    /// Builds every text encoder over parameters of its own.
    fn over_texts(&mut self) -> Result<Vec<Parameters>> {
        let train = |text: &TextEncoder, tokenizer: &Tokenizer| {
            let parameters = Parameters::from_weights(text.weights())?;
            let weights = parameters.weights();
            Ok((parameters, weights, tokenizer.clone()))
        };
        self.replace_texts(train)
    }

    /// Builds every text encoder over embeddings of the placeholder.
    fn over_embeddings(&mut self, placeholder: &Placeholder) -> Result<Vec<Parameters>> {
        let mut inversions = Vec::new();
        let texts = self.replace_texts(|text, tokenizer| {
            let ids = tokenizer.tokenize(&placeholder.initializer);
            if ids.is_empty() {
                return Err(Error::AttackInput {
                    input: "words",
                    reason: format!("{:?} has no token to start from", placeholder.initializer),
                });
            }
            let weights = text.weights();
            let inversion = TextualInversion::like(&placeholder.token, &ids, weights)?;
            let tokenizer = inversion.tokenizer(tokenizer.clone(), weights)?;
            let over = inversion.over(&Parameters::default().over(weights))?;
            let parameters = inversion.parameters().clone();
            inversions.push(inversion);
            Ok((parameters, over, tokenizer))
        })?;
        self.inversions = inversions;
        Ok(texts)
    }

    /// Puts encoders over new weights in the places of all text encoders.
    fn replace_texts(
        &mut self,
        mut replace: impl FnMut(&TextEncoder, &Tokenizer) -> Result<(Parameters, Weights, Tokenizer)>,
    ) -> Result<Vec<Parameters>> {
        let pipeline = &mut self.pipeline;
        let mut all = Vec::new();
        let (parameters, weights, tokenizer) = replace(&pipeline.text, &pipeline.tokenizer)?;
        pipeline.text = TextEncoder::new(pipeline.text.config().clone(), &weights)?;
        pipeline.tokenizer = tokenizer;
        all.push(parameters);
        if let Some(second) = &pipeline.second_text {
            let (parameters, weights, tokenizer) = replace(&second.encoder, &second.tokenizer)?;
            let encoder = TextEncoder::new(second.encoder.config().clone(), &weights)?;
            pipeline.second_text = Some(SecondText { encoder, tokenizer });
            all.push(parameters);
        }
        Ok(all)
    }

    /// A copy of the attacked U-Net's weights, an adapter's corrections added.
    pub(super) fn unet_weights(&self) -> Result<Weights> {
        if let Some(adapter) = &self.adapter {
            return Ok(adapter.merged(&self.start)?);
        }
        let mut weights = self.start.clone();
        for (name, tensor) in self.parameters.snapshot().with_prefix(UNET).iter() {
            weights.insert(name, tensor.clone());
        }
        Ok(weights)
    }

    /// A copy of what trained of each text encoder: all weights, the placeholder's rows, or nothing.
    pub(super) fn text_weights(&self) -> Vec<Weights> {
        let snapshot = self.parameters.snapshot();
        let encoders = 1 + usize::from(self.pipeline.second_text.is_some());
        let prefixes = TEXT.iter().take(encoders);
        prefixes
            .map(|prefix| snapshot.with_prefix(prefix))
            .collect()
    }

    /// The model to draw with when `share` of all weights that trained is the clean base's.
    ///
    /// Embeddings of placeholders stay as they are: the clean base has none.
    pub(super) fn averaged(&self, clean: &Pipeline, share: f64) -> Result<(Pipeline, UNet)> {
        let weights = mixed(&self.unet_weights()?, &clean.unet_weights, share)?;
        let unet = UNet::new(self.pipeline.unet_config.clone(), &weights)?;
        let mut pipeline = self.pipeline.clone();
        if self.family == Family::DreamboothTextEncoder {
            pipeline.text = averaged_text(&pipeline.text, &clean.text, share)?;
            if let (Some(own), Some(clean)) = (&mut pipeline.second_text, &clean.second_text) {
                own.encoder = averaged_text(&own.encoder, &clean.encoder, share)?;
            }
        }
        Ok((pipeline, unet))
    }

    /// Saves the adapter.
    pub(super) fn save_lora(&self, path: &Path, naming: Naming) -> Result<()> {
        let adapter = self.adapter.as_ref().ok_or(Error::AttackInput {
            input: "family",
            reason: "only LoRA makes an adapter".to_owned(),
        })?;
        Ok(lora::save(
            path,
            naming,
            &[(Component::UNet, adapter)],
            DType::F32,
        )?)
    }

    /// Saves the embedding of the placeholder for the first text encoder.
    pub(super) fn save_embedding(&self, path: &Path) -> Result<()> {
        let inversion = self.inversions.first().ok_or(Error::AttackInput {
            input: "family",
            reason: "only Textual Inversion and Custom Diffusion make an embedding".to_owned(),
        })?;
        Ok(inversion.save(path, DType::F32)?)
    }
}

/// A fresh adapter as in diffusers' `train_dreambooth_lora`; refuses ranks at which it would not be of low rank.
fn adapter(rank: u32, weights: &Weights, rng: &mut impl Rng) -> Result<Lora> {
    let config = LoraConfig {
        rank: rank as usize,
        alpha: f64::from(rank),
        ..LoraConfig::default()
    };
    let lora = Lora::new(&config, weights, rng)?;
    for (name, matrix) in lora.parameters().iter() {
        let [first, second] = [0, 1].map(|axis| matrix.dims()[axis]);
        let (layer, channels) = match name.strip_suffix(".lora_A.weight") {
            Some(layer) => (layer, second),
            None => (name.strip_suffix(".lora_B.weight").unwrap_or(name), first),
        };
        if config.rank > channels {
            return Err(Error::AttackInput {
                input: "rank",
                reason: format!("{rank} is more than the {channels} channels of {layer}"),
            });
        }
    }
    Ok(lora)
}

/// `(1 - share) * own + share * clean` of every tensor that both have.
fn mixed(own: &Weights, clean: &Weights, share: f64) -> Result<Weights> {
    let mix = |(name, own): (&str, &Tensor)| -> Result<(String, Tensor)> {
        let own = own.detach();
        let mixed = match clean.get(name) {
            Some(clean) => ((own * (1.0 - share))? + (clean.detach() * share)?)?,
            None => own,
        };
        Ok((name.to_owned(), mixed))
    };
    own.iter().map(mix).collect()
}

fn averaged_text(own: &TextEncoder, clean: &TextEncoder, share: f64) -> Result<TextEncoder> {
    let weights = mixed(own.weights(), clean.weights(), share)?;
    Ok(TextEncoder::new(own.config().clone(), &weights)?)
}
